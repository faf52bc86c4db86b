"""Streamable HTTP: bound to loopback, or behind a bearer token; Host and Origin are checked in both cases."""

from __future__ import annotations

import hmac
import ipaddress
import os
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from toolwright.launch.errors import UserError

if TYPE_CHECKING:
    from mcp.server import Server
    from starlette.types import ASGIApp, Receive, Scope, Send

PATH = "/mcp"
SHORTEST_TOKEN = 16  # characters
LEAVE = 2.0  # s that open connections may take when the server ends


def address(text: str) -> tuple[str, int]:
    """Host and port of 'HOST:PORT', '[IPv6]:PORT', or 'PORT' alone, which is loopback.

    Raises:
        ValueError: it is none of them.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if colon else "127.0.0.1"
    if not host or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"expected HOST:PORT or PORT, got '{text}'")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def token(variable: str | None, host: str) -> str:
    """The bearer token that clients have to send; empty where none is needed.

    Args:
        variable: of the environment, that holds it.
        host: to which the server binds.

    Raises:
        UserError: the address is open to others and there is no token, or the token is not usable.
    """
    if variable is None:
        if is_loopback(host):
            return ""
        raise UserError(
            f"{host} can be reached from other machines, so a token is needed: put a long random one into an "
            "environment variable and name it, for instance --token-env TOOLWRIGHT_TOKEN"
        )
    found = os.environ.get(variable, "")
    if len(found) < SHORTEST_TOKEN or not found.isascii() or not found.isprintable() or " " in found:
        state = "is not set" if not found else f"has to be {SHORTEST_TOKEN} or more characters without spaces"
        raise UserError(f"the token in ${variable} {state}; one can be made with: openssl rand -hex 32")
    return found


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 chooses a free one.

    Raises:
        UserError: the address cannot be had.
    """
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(where)
        listening.listen()  # from now on clients wait instead of being refused
    except OSError as error:
        raise UserError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    return listening


def app(server: Server[Any], host: str, port: int, secret: str, names: Sequence[str] = ()) -> ASGIApp:
    """The server as a web application.

    Args:
        host: to which it binds.
        port: of that.
        secret: the bearer token; empty where none is asked for.
        names: under which clients may call this machine, besides the address it binds to.
    """
    from mcp.server.transport_security import TransportSecuritySettings

    known = ["127.0.0.1", "localhost", "[::1]", f"[{host}]" if ":" in host else host, *names]
    hosts = [f"{name}:{port}" for name in known]
    security = TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=hosts,
        allowed_origins=[f"{scheme}://{name}" for scheme in ("http", "https") for name in hosts],
    )
    web = server.streamable_http_app(streamable_http_path=PATH, host=host, transport_security=security)
    return _Guarded(web, secret) if secret else web


class _Guarded:
    """Lets requests through that carry the token."""

    def __init__(self, web: ASGIApp, secret: str) -> None:
        self._web, self._expected = web, f"Bearer {secret}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self._carries_token(scope):
            await self._web(scope, receive, send)
            return
        headers = [(b"www-authenticate", b"Bearer"), (b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": b"a bearer token is needed\n"})

    def _carries_token(self, scope: Scope) -> bool:
        given = [value for name, value in scope.get("headers", ()) if name == b"authorization"]
        return len(given) == 1 and hmac.compare_digest(given[0], self._expected)


async def serve(web: ASGIApp, listening: socket.socket, on_exit: Callable[[], None]) -> None:
    """Serves until a signal ends it.

    Args:
        on_exit: called as soon as the signal is there, before connections are waited for.
    """
    import uvicorn

    class Leaving(uvicorn.Server):
        def handle_exit(self, sig: int, frame: Any) -> None:
            on_exit()
            super().handle_exit(sig, frame)

    config = uvicorn.Config(web, log_level="warning", timeout_graceful_shutdown=int(LEAVE), access_log=False)
    await Leaving(config).serve(sockets=[listening])
