"""Run the ROS 2 graph, send it sentences, stop it.

'up' starts the nodes of a graph and ends them on Ctrl-C: 'sim' has everything
on the simulator, 'robot' the real devices (the arm's own driver is started
separately), 'record' writes a running graph to a file. Options of a graph are
written as name:=value, as for ros2 launch. 'graph' shows its processes.
'do' sends a sentence to the graph that runs and waits for the result. 'stop'
is the emergency stop, 'clear' releases it, and restarts motors of the hand that
report an error: free it before. 'topics' lists topics and services.

Examples:
  toolwright ros up sim scene:=bead rate:=1.0
  toolwright ros do "pick up the bead and drop it in the cup"
  toolwright ros up robot arm:=fr3 hand:=leap camera:=d435 speed:=0.1
  toolwright ros stop
  toolwright ros graph robot arm:=ur5e
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import time
from typing import TYPE_CHECKING, Any

from toolwright.launch.errors import UserError, did_you_mean
from toolwright.launch.parser import Parser, add_json, one_of

if TYPE_CHECKING:
    from toolwright.launch.graph import Kind
    from toolwright.launch.results import RosResult

USAGE = "ACTION [GRAPH|SENTENCE] [name:=value ...] [options]"
_ACTIONS = ("up", "graph", "do", "stop", "clear", "topics")
_PATIENCE = 10.0  # s to find the graph
_FRESH = 0.3  # s for news to be there


def add_arguments(parser: Parser) -> None:
    parser.add_argument("action", metavar="ACTION", type=one_of(*_ACTIONS), help=", ".join(_ACTIONS))
    parser.add_argument("words", metavar="WORD", nargs="*", help="which graph and its options, or the sentence")
    add_json(parser)


def run(args: argparse.Namespace) -> RosResult:
    from toolwright.launch.console import console

    out = console(args)
    if args.action == "topics":
        return _topics(out)
    if args.action in ("up", "graph"):
        kind, words = _kind(args.action, args.words)
        return _graph(kind, words, out) if args.action == "graph" else _up(kind, words, out)
    if args.action == "do":
        sentence = " ".join(args.words).strip()
        if not sentence:
            raise UserError('say what to do, for instance: toolwright ros do "pick up the bead"')
        return _do(sentence, out)
    if args.words:
        raise UserError(f"'{args.action}' takes nothing more, got {' '.join(args.words)}")
    return _call(args.action, out)


def _kind(action: str, words: list[str]) -> tuple[Kind, dict[str, str]]:
    from toolwright.launch.graph import KINDS

    if not words or words[0] not in KINDS:
        got = f", not '{words[0]}'{did_you_mean(words[0], KINDS)}" if words else ""
        raise UserError(f"say which graph to {'start' if action == 'up' else 'show'}: {', '.join(KINDS)}{got}")
    chosen = {}
    for word in words[1:]:
        name, sign, value = word.partition(":=")
        if not sign or not name:
            raise UserError(f"an option is name:=value, got '{word}'")
        chosen[name] = value
    return words[0], chosen  # type: ignore[return-value]


def _topics(out: Any) -> RosResult:
    from toolwright.hardware.ros.topics import SERVICES, TOPICS
    from toolwright.launch.console import table
    from toolwright.launch.results import RosResult

    rows = [{"topic": t.name, "type": t.type, "quality": t.quality, "what": t.about} for t in TOPICS]
    out.print(table(rows))
    services = [{"service": s.name, "type": s.type, "what": s.about} for s in SERVICES]
    out.print()
    out.print(table(services))
    return RosResult(action="topics", status="done", items=[*rows, *services])


def _graph(kind: Kind, words: dict[str, str], out: Any) -> RosResult:
    from toolwright.launch.graph import graph
    from toolwright.launch.results import RosResult

    items = []
    for entry in graph(kind, words):
        out.print(shlex.join(entry.command()), soft_wrap=True, markup=False)
        items.append({"node": entry.node, "parameters": entry.parameters, "remaps": entry.remaps})
    return RosResult(action="graph", status="done", items=items)


def _up(kind: Kind, words: dict[str, str], out: Any) -> RosResult:
    import rclpy  # noqa: F401, says what is missing before any process starts

    from toolwright.launch.graph import NAMESPACE, graph
    from toolwright.launch.results import RosResult
    from toolwright.launch.runner import Runner

    entries = graph(kind, words)
    if kind == "robot":
        _remind(words, out)
    out.print(f"{', '.join(entry.node for entry in entries)} in {NAMESPACE}; Ctrl-C ends them", soft_wrap=True)
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell started this with interrupts ignored
        signal.signal(number, signal.default_int_handler)
    with Runner(entries) as runner:
        try:
            ended = runner.wait()
        except KeyboardInterrupt:
            ended = {}
    if ended:
        name, code = next(iter(ended.items()))
        reason = f"{name} ended with exit code {code}; the others were ended, too"
        out.print(reason, soft_wrap=True)
        return RosResult(action="up", status="failed", reason=reason)
    return RosResult(action="up", status="done")


def _remind(words: dict[str, str], out: Any) -> None:
    from toolwright.hardware.ros.arms import ArmError, load_arm
    from toolwright.launch.graph import options

    name = options("robot", words)["arm"]
    if name != "none":
        try:
            out.print(f"The arm's own driver runs beside this: {load_arm(name).bringup}", soft_wrap=True, markup=False)
        except ArmError as error:
            raise UserError(str(error)) from None


def _do(sentence: str, out: Any) -> RosResult:
    from toolwright.hardware.ros import topics
    from toolwright.launch.results import RosResult

    heard: list[dict[str, Any]] = []
    with _node() as node:
        topics.subscribe(node, topics.TASK_STATUS, lambda message: heard.append(json.loads(message.data)))
        topics.subscribe(node, topics.TASK_EVENTS, lambda m: out.print(m.data, soft_wrap=True, markup=False))
        publisher = topics.publisher(node, topics.SENTENCE)
        from toolwright.hardware.ros.node import spinning

        with spinning(node):
            _until(lambda: bool(heard) and publisher.get_subscription_count() > 0, "task_node")
            if heard[-1]["state"] == "running":
                raise UserError(f"busy with '{heard[-1]['sentence']}'; wait, or use: toolwright ros stop")
            number = heard[-1]["number"]
            publisher.publish(topics.load(topics.SENTENCE.type)(data=sentence))
            try:
                while heard[-1]["number"] == number or heard[-1]["state"] == "running":
                    time.sleep(0.05)
            except KeyboardInterrupt:
                out.print(_trigger(node, topics.TASK_STOP), soft_wrap=True)
                raise
    last = heard[-1]
    out.print(f"{last['state']}: {last['reason']}", soft_wrap=True, markup=False)
    return RosResult(action="do", status=last["state"], reason=last["reason"], sentence=sentence)


def _call(action: str, out: Any) -> RosResult:
    from toolwright.hardware.ros import topics
    from toolwright.hardware.ros.node import spinning
    from toolwright.launch.results import RosResult

    with _node() as node, spinning(node):
        if action == "clear" and _is_there(node, topics.FAULTS_CALL):
            out.print(_trigger(node, topics.FAULTS_CALL), soft_wrap=True)
            time.sleep(_FRESH)
        answer = _trigger(node, topics.EMERGENCY_CALL if action == "stop" else topics.CLEAR_CALL)
    out.print(answer, soft_wrap=True)
    return RosResult(action=action, status="done", reason=answer)


class _node:
    """A node of this command, as a context manager."""

    def __enter__(self) -> Any:
        import rclpy

        from toolwright.launch.graph import NAMESPACE

        rclpy.init()
        self._node = rclpy.create_node("command", namespace=NAMESPACE)
        return self._node

    def __exit__(self, *_: object) -> None:
        import rclpy

        self._node.destroy_node()
        rclpy.try_shutdown()


def _is_there(node: Any, service: Any) -> bool:
    """Whether somebody serves it, once everybody else was found."""
    from toolwright.hardware.ros import topics

    names = node.resolve_service_name(service.name), node.resolve_service_name(topics.CLEAR_CALL.name)
    _until(lambda: names[1] in dict(node.get_service_names_and_types()), topics.CLEAR_CALL.name)
    time.sleep(_FRESH)
    return names[0] in dict(node.get_service_names_and_types())


def _trigger(node: Any, service: Any) -> str:
    from toolwright.hardware.ros import topics

    client = node.create_client(topics.load(service.type, "srv"), service.name)
    if not client.wait_for_service(timeout_sec=_PATIENCE):
        raise UserError(f"no {service.name} within {_PATIENCE:g} s: is the graph up? toolwright ros up sim")
    done = client.call_async(client.srv_type.Request())
    _until(done.done, service.name)
    answer = done.result()
    if not answer.success:
        raise UserError(answer.message)
    return str(answer.message)


def _until(there: Any, what: str) -> None:
    end = time.monotonic() + _PATIENCE
    while not there():
        if time.monotonic() > end:
            raise UserError(f"no answer of {what} within {_PATIENCE:g} s: is the graph up? toolwright ros up sim")
        time.sleep(0.05)
