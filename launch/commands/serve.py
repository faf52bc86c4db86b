"""Serve the robot's skills and eyes to MCP clients.

Every skill is a tool with progress; beside them there are tools that only look:
list_objects, measure, point_cloud, picture, robot_state. One motion runs at a
time; a cancel, or the tool 'stop', halts it at once.

Without --http it talks over standard input and output, as clients expect of a
program that they start. With --http it binds to loopback; any other address
needs a bearer token in an environment variable, and a tunnel or proxy for TLS.

Every call passes the safety gate and a dry run. With --approve each motion is
also asked for at this terminal, and without a terminal the server does not
start. Without --approve nobody is asked here: clients ask their own users.
After a fault the robot stays stopped. The tool 'clear_stop' asks at this
terminal to release it; without a terminal the server has to be started again.

Examples:
  toolwright serve --scene beads
  toolwright serve --http 127.0.0.1:8000 --approve
  toolwright serve --http 0.0.0.0:8000 --token-env TOKEN --name lab.example
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from toolwright.launch.errors import UserError
from toolwright.launch.parser import Parser, add_controller, add_json, add_scene, add_seed, pace

if TYPE_CHECKING:
    from toolwright.launch.results import ServeResult

USAGE = "[options]"


def add_arguments(parser: Parser) -> None:
    add_scene(parser)
    add_seed(parser)
    add_controller(parser, "of the hand")
    parser.add_argument(
        "--http",
        metavar="HOST:PORT",
        type=_address,
        help="streamable HTTP at /mcp instead of standard input and output",
    )
    parser.add_argument(
        "--token-env", metavar="NAME", help="environment variable that holds the bearer token that clients send"
    )
    parser.add_argument(
        "--name",
        metavar="HOST",
        action="append",
        default=[],
        help="a name under which clients call this machine; others are refused; may be given again",
    )
    parser.add_argument("--approve", action="store_true", help="ask at this terminal before each motion")
    parser.add_argument(
        "--speed",
        metavar="N",
        type=pace,
        default=0.0,
        help="times real time that the simulation may go; 0: as fast as it can (default: 0)",
    )
    add_json(parser)


def _address(text: str) -> tuple[str, int]:
    from toolwright.launch.mcp_server.http import address

    try:
        return address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def run(args: argparse.Namespace) -> ServeResult:
    secret = _check(args)

    import anyio
    from mcp.server.stdio import stdio_server

    from toolwright.launch.carrying import copies
    from toolwright.launch.eyes import Eyes
    from toolwright.launch.live import Live
    from toolwright.launch.mcp_server import asking, http
    from toolwright.launch.mcp_server.host import Host
    from toolwright.launch.mcp_server.server import build
    from toolwright.launch.results import ServeResult
    from toolwright.launch.session import open_session
    from toolwright.llm_planner.skills.choice import skills_for

    terminal = asking.terminal()
    if args.approve:
        asking.needed(terminal)
    listening = http.bind(*args.http) if args.http else None
    with open_session(args.scene, args.seed, controller=args.controller) as session:
        live = Live(session, args.speed)
        person = asking.TerminalApproval(live, terminal) if terminal is not None else None
        copy = copies(session, "models", args.seed, args.controller)
        approve, may_clear = person if args.approve else None, person.may_clear if person is not None else None
        host = Host(live, skills_for(session.perception.look()), copy, approve, may_clear)
        eyes = Eyes(live, args.seed)
        server = build(host, eyes)

        async def over_stdio() -> None:
            async with stdio_server() as (read, write):
                await server.run(read, write, server.create_initialization_options())

        try:
            if listening is None:
                _say(f"scene {args.scene}; waiting for a client on standard input")
                anyio.run(over_stdio)
            else:
                name, port = args.http[0], listening.getsockname()[1]
                web = http.app(server, name, port, secret, args.name)
                shown = f"[{name}]" if ":" in name else name
                _say(f"scene {args.scene}; http://{shown}:{port}{http.PATH}, {'with' if secret else 'without a'} token")
                anyio.run(http.serve, web, listening, lambda: host.stop("the server was ended"))
        except KeyboardInterrupt:
            _say("ended")  # Ctrl-C is how a server is ended
        finally:
            host.close()
            eyes.close()
    counts = host.counts
    return ServeResult(
        scene=args.scene,
        transport="http" if args.http else "stdio",
        calls=counts.calls,
        motions=counts.motions,
        stopped=counts.stopped,
    )


def _check(args: argparse.Namespace) -> str:
    """The token, after everything that can be complained about before the world is built."""
    from toolwright.launch.mcp_server import http

    if args.http is None:
        for option, given in (("--token-env", args.token_env), ("--name", args.name)):
            if given:
                raise UserError(f"{option} is for --http; standard input has one client, who started this program")
        if args.json == "-":
            raise UserError("standard output is the wire to the client: give --json a file")
        return ""
    return http.token(args.token_env, args.http[0])


def _say(line: str) -> None:
    print(f"toolwright: {line}", file=sys.stderr, flush=True)
