"""An OpenAI-compatible server on loopback for tests: it says what it is told to say, and misbehaves on purpose.

Real sockets, because the client's library is not seen by mocks of others: what breaks here breaks on the wire.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PIECE = 12  # characters of one event of a stream


@dataclass(frozen=True)
class Reply:
    """One answer to a chat completion, and what is wrong with it.

    Attributes:
        text: what the model says.
        finish: why it ends; "length" for an answer that was cut off, empty for a stream without an end.
        status: of HTTP.
        headers: besides the usual.
        body: sent instead of a completion.
        silence: s before anything is sent.
        events: after so many events the connection is dropped; -1 for none.
    """

    text: str = ""
    finish: str = "stop"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None
    silence: float = 0.0
    events: int = -1


Script = Callable[[dict[str, Any]], Reply]


class FakeModelServer:
    """Use as a context manager.

    Args:
        script: makes the reply to each request's JSON; or replies in order, the last one again and again.
        models: that it lists.
        context: tokens that it says it reads at once; None to keep quiet.
        counts: whether it counts tokens when asked, one for each word.

    Attributes:
        requests: the JSON of all chat completions so far.
        keys: their Authorization headers.
    """

    def __init__(
        self,
        *script: Reply | Script,
        models: tuple[str, ...] = ("tiny",),
        context: int | None = None,
        counts: bool = False,
    ) -> None:
        self.script, self.models, self.context, self.counts = script, models, context, counts
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.ended = threading.Event()  # lets silent replies go
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"server_": self}))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def __enter__(self) -> FakeModelServer:
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._http.shutdown()
        self._http.server_close()

    def reply(self, request: dict[str, Any]) -> Reply:
        """What to say to a request."""
        step = self.script[min(len(self.requests), len(self.script)) - 1]
        return step if isinstance(step, Reply) else step(request)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_: FakeModelServer

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        if self.path == "/v1/models":
            self._json({"data": [{"id": name} for name in self.server_.models]})
        elif self.path == "/props" and self.server_.context is not None:
            self._json({"default_generation_settings": {"n_ctx": self.server_.context}})
        else:
            self._json({"error": {"message": "not found"}}, 404)

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/tokenize" and self.server_.counts:
            self._json({"tokens": [0] * len(asked["content"].split())})
        elif self.path == "/v1/chat/completions":
            self.server_.requests.append(asked)
            self.server_.keys.append(self.headers.get("Authorization", ""))
            self._complete(asked, self.server_.reply(asked))
        else:
            self._json({"error": {"message": "not found"}}, 404)

    def _complete(self, asked: dict[str, Any], reply: Reply) -> None:
        self.server_.ended.wait(reply.silence)
        try:
            if reply.body is not None or reply.status != 200:
                self._send(reply.status, (reply.body or "{}").encode(), reply.headers)
            elif asked.get("stream"):
                self._stream(asked, reply)
            else:
                message = {"role": "assistant", "content": reply.text}
                choice = {"index": 0, "message": message, "finish_reason": reply.finish or None}
                self._json({**_head(asked, "chat.completion"), "choices": [choice], "usage": _usage(asked, reply)})
        except OSError:
            self.close_connection = True  # the client has gone

    def _stream(self, asked: dict[str, Any], reply: Reply) -> None:
        head = _head(asked, "chat.completion.chunk")
        pieces = [reply.text[start : start + PIECE] for start in range(0, len(reply.text), PIECE)]
        events = [{**head, "choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
        if reply.finish:
            events.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": reply.finish}]})
            events.append({**head, "choices": [], "usage": _usage(asked, reply)})
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for index, event in enumerate(events):
            if index == reply.events:
                self.close_connection = True
                self.connection.close()
                return
            self._chunk(f"data: {json.dumps(event)}\n\n")
        if reply.finish:
            self._chunk("data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, text: str) -> None:
        data = text.encode()
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _json(self, value: Any, status: int = 200) -> None:
        self._send(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _head(asked: dict[str, Any], kind: str) -> dict[str, Any]:
    return {"id": "1", "object": kind, "created": 1, "model": asked.get("model", "")}


def _usage(asked: dict[str, Any], reply: Reply) -> dict[str, int]:
    """Words for tokens."""
    into = sum(len(str(message["content"]).split()) for message in asked["messages"])
    out = len(reply.text.split())
    return {"prompt_tokens": into, "completion_tokens": out, "total_tokens": into + out}
