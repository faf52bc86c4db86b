"""What goes wrong between here and a language model, on real sockets: bounded retries, a clear error, a still robot."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace

import pytest

pytest.importorskip("pydantic_ai", reason="the extra 'llm' is not installed")

from toolwright.llm_planner.language import fake_server, model_client, model_endpoint
from toolwright.llm_planner.language.answers import CoderAnswer
from toolwright.llm_planner.language.fake_server import FakeModelServer, Reply
from toolwright.llm_planner.language.language_model import LanguageModel
from toolwright.llm_planner.language.model_cache import Cache, ModelError, NoCache
from toolwright.llm_planner.language.model_client import Client, Limits
from toolwright.llm_planner.language.model_endpoint import connect, key_for, named, parse
from toolwright.llm_planner.models import ModelChoice, opened
from toolwright.llm_planner.run.executor import run_sentence

SENTENCE = "put the bead into the cup"
# Long enough for a busy machine: only what stays silent on purpose reaches it.
QUICK = Limits(silence=20.0, total=60.0, pause=0.01, longest_pause=2.0)
IMPATIENT = Limits(silence=0.5, total=1.5, pause=0.01)


@pytest.fixture(autouse=True)
def _no_keys_of_the_user(monkeypatch):
    for name in ("TOOLWRIGHT_MODEL_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL", "OLLAMA_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def client_of(url, limits=QUICK, answers=None, **options):
    endpoint = parse(url)
    endpoint = named(endpoint)
    return Client(endpoint, connect(endpoint), answers or NoCache(), limits, **options)


def run(world, server, limits=QUICK, **options):
    model = LanguageModel(client_of(f"{server.url}#tiny", limits, **options))
    try:
        return run_sentence(SENTENCE, world, world, model, lambda event: None)
    finally:
        model.close()


def sensible(answers, *first):
    """A script that answers each role as it should, after the replies that come first."""
    first = list(first)

    def script(request):
        if first:
            return first.pop(0)
        text = request["messages"][0]["content"]
        return next(Reply(json.dumps(answer)) for role, answer in answers.items() if f"You are the {role} " in text)

    return script


FAULTS = {
    "429": Reply(status=429, body='{"error": {"message": "slow down"}}'),
    "429 with a wait": Reply(status=429, headers={"Retry-After": "0"}, body="{}"),
    "500": Reply(status=500, body='{"error": {"message": "CUDA out of memory"}}'),
    "503": Reply(status=503, body='{"error": {"message": "Loading model"}}'),
    "no JSON in a 502": Reply(status=502, body="<html>Bad gateway</html>"),
    "silence": Reply("{}", silence=30.0),
    "the stream is dropped": Reply('{"task": "put the bead', events=1),
    "the stream ends without an end": Reply('{"task": "put the bead', finish=""),
    "nothing": Reply(""),
    "a page of a website": Reply(body="<html>Welcome</html>", headers={"Content-Type": "text/html"}),
    "broken events": Reply(body="data: {not json\n\n", headers={"Content-Type": "text/event-stream"}),
    "an error inside the stream": Reply(
        body='data: {"error": {"message": "slot failed", "code": 500}}\n\n',
        headers={"Content-Type": "text/event-stream"},
    ),
    "cut off": Reply('{"task": "put the bead into', finish="length"),
    "words": Reply("I would be happy to help you with the bead!"),
    "another schema": Reply('{"answer": 42}'),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault_is_got_over(world, bead_into_cup, fault):
    with FakeModelServer(sensible(bead_into_cup, FAULTS[fault])) as server:
        record = run(world, server, replace(QUICK, silence=2.0) if fault == "silence" else QUICK)
    assert record.success, record.reason
    assert len(server.requests) == 5


EXPECTED = {
    "429": "has had too many requests",
    "500": "failed (500: CUDA out of memory)",
    "503": "failed (503: Loading model)",
    "silence": "said nothing for 0.5 s",
    "the stream is dropped": "broke off",
    "the stream ends without an end": "broke off in the middle",
    "a page of a website": "no chat completion",
    "broken events": "no chat completion",
    "cut off": "cut off after",
    "words": "the JSON: Invalid JSON",
    "another schema": "task: Field required",
}


@pytest.mark.parametrize("fault", EXPECTED)
def test_a_fault_that_stays_ends_in_one_clear_error_after_three_times_and_the_robot_stays_still(world, fault):
    with FakeModelServer(FAULTS[fault]) as server:
        record = run(world, server, IMPATIENT if fault == "silence" else QUICK)
    assert record.status == "rejected" and EXPECTED[fault] in record.reason, record.reason
    assert len(server.requests) == 3
    assert world.calls == [] and record.skills == [] and record.timings.first_motion is None


@pytest.mark.parametrize(
    ("reply", "reason", "mend"),
    [
        (
            Reply(status=401, body='{"error": {"message": "bad key"}}'),
            "does not accept the key",
            "TOOLWRIGHT_MODEL_KEY",
        ),
        (Reply(status=404, body='{"error": {"message": "no tiny"}}'), "has no model 'tiny'", "correct the name"),
        (Reply(status=400, body='{"error": {"message": "no temperature"}}'), "no temperature", "server's log"),
        (
            Reply(status=429, body='{"error": {"message": "pay", "code": "insufficient_quota"}}'),
            "quota is used up",
            "account",
        ),
        (Reply(status=429, headers={"Retry-After": "3600"}, body="{}"), "asks to wait 3600 s", "wait a while"),
    ],
)
def test_what_trying_again_does_not_mend_is_not_tried_again(world, reply, reason, mend):
    with FakeModelServer(reply) as server:
        record = run(world, server)
    assert reason in record.reason and mend in record.reason
    assert len(server.requests) == 1 and world.calls == []


def test_the_wait_that_the_server_asks_for_is_kept(world, bead_into_cup):
    busy = Reply(status=429, headers={"Retry-After": "1"}, body="{}")
    with FakeModelServer(sensible(bead_into_cup, busy)) as server:
        began = time.perf_counter()
        record = run(world, server)
    assert record.success and record.usage.failed_requests == 1
    assert time.perf_counter() - began >= 1.0


def test_no_server_is_said_before_anything_is_built():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(ModelError, match=rf"no language model answers at 127.0.0.1:{port} .*start the server"):
        client_of(f"http://127.0.0.1:{port}/v1")


def test_a_server_that_goes_away_is_told_and_the_robot_stays_still(world):
    with FakeModelServer(Reply("{}")) as server:
        model = LanguageModel(client_of(server.url))
    record = run_sentence(SENTENCE, world, world, model, lambda event: None)
    model.close()
    assert "no connection to 127.0.0.1" in record.reason and "start the server" in record.reason
    assert world.calls == []


def test_a_server_that_cannot_hold_a_schema_gets_it_in_the_prompt_alone(world, bead_into_cup):
    def script(request):
        if "response_format" in request:
            return Reply(status=400, body='{"error": {"message": "response_format json_schema is not supported"}}')
        return answered(request)

    answered = sensible(bead_into_cup)
    with FakeModelServer(script) as server:
        record = run(world, server)
    assert record.success, record.reason
    kinds = [request.get("response_format", {}).get("type", "") for request in server.requests]
    assert kinds == ["json_schema", "json_object", "", "", "", ""]  # found out once
    assert all("one JSON object of this schema" in str(request["messages"]) for request in server.requests)


def test_a_slow_answer_is_no_silence(world, bead_into_cup, monkeypatch):
    """The limit is on silence: an answer that keeps coming may take longer."""
    monkeypatch.setattr(fake_server, "PIECE", 40)
    chunk = fake_server._Handler._chunk

    def slowly(self, text):
        time.sleep(0.3)
        chunk(self, text)

    monkeypatch.setattr(fake_server._Handler, "_chunk", slowly)
    with FakeModelServer(sensible(bead_into_cup)) as server:
        record = run(world, server, replace(QUICK, silence=2.0))
    assert record.success and record.usage.failed_requests == 0
    assert max(item.seconds for item in record.usage.exchanges) > 2.0


# -- the context ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("counts", [True, False])
def test_a_context_that_is_too_small_is_told_before_anything_is_sent(world, counts):
    with FakeModelServer(Reply("{}"), context=600, counts=counts) as server:
        record = run(world, server)
    assert server.requests == [] and world.calls == []
    assert "The analyzer's prompt has" in record.reason and "context holds 600" in record.reason
    assert ("about" in record.reason) != counts
    assert "llama-server -c" in record.reason and "OLLAMA_CONTEXT_LENGTH" in record.reason


def test_the_context_that_the_user_gives_is_used(world):
    with FakeModelServer(Reply("{}")) as server:
        record = run(world, server, context=700)
    assert server.requests == [] and "context holds 700" in record.reason


def test_a_server_that_refuses_a_long_prompt_is_understood(world):
    error = {"code": 400, "type": "exceed_context_size_error", "n_prompt_tokens": 1234, "n_ctx": 512}
    error["message"] = "the request exceeds the available context size, try increasing it"
    with FakeModelServer(Reply(status=400, body=json.dumps({"error": error}))) as server:
        record = run(world, server)
    assert len(server.requests) == 1
    assert "1,234 tokens" in record.reason and "512" in record.reason


def test_the_answer_may_be_as_long_as_the_context_leaves_room(world, bead_into_cup):
    with FakeModelServer(sensible(bead_into_cup), context=4096, counts=True) as server:
        run(world, server)
    for request in server.requests:
        words = sum(len(message["content"].split()) for message in request["messages"])
        asked = request.get("max_tokens") or request.get("max_completion_tokens")
        assert model_client.ROOM / 2 < asked <= 4096 - words


# -- keys -------------------------------------------------------------------------------------------------------------


def test_the_key_goes_to_the_server_and_nowhere_else(world, bead_into_cup, monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("TOOLWRIGHT_MODEL_KEY", "sk-very-secret")
    unauthorized = Reply(status=401, body='{"error": {"message": "bad key"}}')
    with FakeModelServer(sensible(bead_into_cup)) as server:
        record = run(world, server, answers=Cache(tmp_path))
        server.script = (unauthorized,)
        refused = run(world, server)
    assert set(server.keys) == {"Bearer sk-very-secret"}
    kept = [file.read_text() for file in tmp_path.iterdir()]
    assert len(kept) == 4 and refused.status == "rejected"
    for text in (record.model_dump_json(), refused.model_dump_json(), caplog.text, *kept):
        assert "secret" not in text


def test_openais_key_is_not_sent_to_another_server(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    assert key_for("http://127.0.0.1:8080/v1") == ""
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1/")
    assert key_for("http://127.0.0.1:8080/v1") == "sk-openai"
    assert key_for("https://127.0.0.1:8080/v1") == key_for("http://127.0.0.1:8081/v1") == ""


@pytest.mark.parametrize("text", ["http://me:secret@host/v1", "http://host/v1?key=secret"])
def test_a_key_in_the_url_is_refused_and_not_repeated(text):
    with pytest.raises(ModelError, match="TOOLWRIGHT_MODEL_KEY") as caught:
        parse(text)
    assert "secret" not in str(caught.value)


# -- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "url", "name"),
    [
        ("http://localhost:8080", "http://localhost:8080/v1", ""),
        ("http://localhost:8080/v1/#qwen3", "http://localhost:8080/v1", "qwen3"),
        ("https://[::1]:8080/api/v1", "https://[::1]:8080/api/v1", ""),
        ("ollama:qwen3", "http://localhost:11434/v1", "qwen3"),
        ("openai:gpt-5", "", "gpt-5"),
    ],
)
def test_models_are_named_as_the_user_types_them(text, url, name):
    endpoint = parse(text)
    assert (endpoint.url, endpoint.name) == (url, name)


@pytest.mark.parametrize("text", ["", "gpt-5", "openai:", ":gpt-5", "http://", "ftp://host/x:y", "http://host:port/v1"])
def test_what_names_no_model_is_said(text):
    with pytest.raises(ModelError):
        parse(text)


def test_a_server_with_several_models_asks_which():
    with FakeModelServer(Reply(), models=("small", "large")) as server:
        with pytest.raises(ModelError, match="several models: add one of #small, #large"):
            client_of(server.url)


def test_a_missing_key_of_a_provider_is_named():
    with pytest.raises(ModelError, match="openai:gpt-5 needs a key: set OPENAI_API_KEY"):
        connect(parse("openai:gpt-5"))


def test_a_missing_package_has_a_hint(monkeypatch):
    monkeypatch.setattr(model_endpoint.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install -e '\.\[llm\]'"), opened(ModelChoice(model="openai:gpt-5")):
        pass


# -- cost -------------------------------------------------------------------------------------------------------------


def test_the_cost_is_counted_where_the_user_gives_a_price(world, bead_into_cup):
    with FakeModelServer(sensible(bead_into_cup)) as server:
        used = run(world, server, price=(2.0, 8.0)).usage
    assert used.cost == pytest.approx((2.0 * used.tokens_in + 8.0 * used.tokens_out) / 1e6)
    assert "$" in str(used)


# -- stopping ---------------------------------------------------------------------------------------------------------


def test_another_thread_can_end_the_waiting(world):
    with FakeModelServer(Reply("{}", silence=90.0)) as server:
        model = LanguageModel(client_of(f"{server.url}#tiny", Limits(silence=90.0)))
        timer = threading.Timer(0.5, model.cancel)
        timer.start()
        began = time.perf_counter()
        record = run_sentence(SENTENCE, world, world, model, lambda event: None)
        model.close()
    assert "cancelled" in record.reason and time.perf_counter() - began < 30.0
    assert world.calls == []


def test_ctrl_c_ends_the_waiting_and_the_run_says_so(tmp_path):
    script = tmp_path / "waits.py"
    script.write_text(
        textwrap.dedent("""
        import signal, threading
        from toolwright.llm_planner.language import fake_server, language_model, model_cache
        from toolwright.llm_planner.language import model_client, model_endpoint

        with fake_server.FakeModelServer(fake_server.Reply("{}", silence=60.0)) as server:
            endpoint = model_endpoint.parse(f"{server.url}#tiny")
            wire = model_endpoint.connect(endpoint)
            client = model_client.Client(endpoint, wire, model_cache.NoCache())
            def tell():
                while not server.requests:
                    server.ended.wait(0.05)
                print("waiting", flush=True)
            signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have switched it off
            threading.Thread(target=tell, daemon=True).start()
            from toolwright.llm_planner.language.answers import CoderAnswer
            try:
                client.ask("coder", "", "", CoderAnswer, lambda it: it)
            except KeyboardInterrupt:
                client.close()
                print("interrupted", flush=True)
        """)
    )
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "waiting\n"
    began = time.perf_counter()
    os.kill(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert out == "interrupted\n" and process.returncode == 0 and time.perf_counter() - began < 30.0


def hosted(name):
    """A client of a hosted provider whose answers are made here."""
    from pydantic_ai.models.function import FunctionModel

    async def stream(messages, info):
        yield '{"code": '
        yield '"home()"}'

    endpoint = model_endpoint.Endpoint(label=name, name=name.partition(":")[2], provider=name.partition(":")[0])
    return Client(endpoint, FunctionModel(stream_function=stream), NoCache(), QUICK)


def test_a_hosted_provider_is_asked_the_same_way():
    client = hosted("openai:gpt-4o")
    assert client.ask("coder", "Write code.", "go home", CoderAnswer, lambda it: it.code) == "home()"
    assert client.spent().requests == 1
    client.close()


def test_the_price_of_a_known_hosted_model_is_known_and_of_an_unknown_one_is_not():
    from pydantic_ai.messages import ModelResponse
    from pydantic_ai.usage import RequestUsage

    usage = RequestUsage(input_tokens=1000, output_tokens=100)
    known = ModelResponse(parts=[], usage=usage, model_name="gpt-4o", provider_name="openai")
    unknown = ModelResponse(parts=[], usage=usage, model_name="of-my-own", provider_name="openai")
    client = hosted("openai:gpt-4o")
    cost = client._cost(known)
    assert cost is not None and 1e-4 < cost < 1e-1
    assert client._cost(unknown) is None
