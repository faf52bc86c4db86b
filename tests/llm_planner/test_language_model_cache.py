"""Stored answers: a run is not asked twice, can be repeated without the model, and says what it misses."""

from __future__ import annotations

import json

import pytest

from toolwright.llm_planner.language.fake_server import FakeModelServer, Reply
from toolwright.llm_planner.language.model_cache import Cache, ModelError, Replay, Stored, default_folder, key_of
from toolwright.llm_planner.models import ModelChoice, opened
from toolwright.llm_planner.run.executor import run_sentence
from toolwright.llm_planner.run.record import RunRecord
from toolwright.llm_planner.usage import Exchange

SENTENCE = "put the bead into the cup"


@pytest.fixture
def server(bead_into_cup):
    pytest.importorskip("pydantic_ai", reason="the extra 'llm' is not installed")

    def script(request):
        text = request["messages"][0]["content"]
        return next(
            Reply(json.dumps(answer)) for role, answer in bead_into_cup.items() if f"You are the {role} " in text
        )

    with FakeModelServer(script) as server:
        yield server


def run(world, choice, sentence=SENTENCE):
    with opened(choice) as model:
        return run_sentence(sentence, world, world, model, lambda event: None)


def test_the_same_question_is_asked_once(make_world, world, server, tmp_path):
    choice = ModelChoice(model=server.url, cache=tmp_path / "answers", timeout=60)
    first = run(make_world(*world.objects.values()), choice)
    second = run(make_world(*world.objects.values()), choice)
    assert first.success and second.success and second.code == first.code
    assert len(server.requests) == 4
    assert (second.usage.requests, second.usage.reused, second.usage.tokens_in) == (0, 4, 0)
    assert {item.source for item in second.usage.exchanges} == {"cache"}


@pytest.mark.parametrize("kind", ["record", "folder"])
def test_a_run_is_repeated_without_the_model(make_world, world, server, tmp_path, kind):
    folder = tmp_path / "answers"
    first = run(make_world(*world.objects.values()), ModelChoice(model=server.url, cache=folder, timeout=60))
    (tmp_path / "run.json").write_text(first.model_dump_json())
    server.script = (Reply(status=500),)
    replay = str(tmp_path / "run.json" if kind == "record" else folder)
    again = run(make_world(*world.objects.values()), ModelChoice(replay=replay))
    assert again.success and again.model == "tiny"
    assert [skill.arguments for skill in again.skills] == [skill.arguments for skill in first.skills]
    assert len(server.requests) == 4 and {item.source for item in again.usage.exchanges} == {"replay"}


def test_a_replay_that_misses_an_answer_says_so_and_nothing_moves(make_world, world, server, tmp_path):
    first = run(make_world(*world.objects.values()), ModelChoice(model=server.url, timeout=60))
    (tmp_path / "run.json").write_text(first.model_dump_json())
    other = run(world, ModelChoice(replay=str(tmp_path / "run.json")), "put the bead beside the cup")
    assert other.status == "rejected" and world.calls == []
    assert "has no answer to what the analyzer is asked now" in other.reason and "same sentence" in other.reason
    assert len(server.requests) == 4


def test_useless_answers_are_not_kept(world, server, tmp_path):
    server.script = (Reply("no"),)
    record = run(world, ModelChoice(model=server.url, cache=tmp_path, timeout=60))
    assert record.status == "rejected" and not list(tmp_path.glob("*.json"))
    assert len(record.usage.exchanges) == 3  # but they stand in the record


def test_what_is_no_record_is_refused(tmp_path):
    (tmp_path / "other.json").write_text('{"command": "list"}')
    offline = RunRecord(sentence="go home", model="offline")
    (tmp_path / "offline.json").write_text(offline.model_dump_json())
    for name, told in (("gone.json", "cannot read"), ("other.json", "no record"), ("offline.json", "no answers")):
        with pytest.raises(ModelError, match=told), opened(ModelChoice(replay=str(tmp_path / name))):
            pass


def test_a_folder_with_answers_of_two_models_asks_which(tmp_path):
    cache = Cache(tmp_path)
    for model in ("small", "large"):
        key = key_of(model, [("user", "hello")], {})
        cache.put(
            Stored(model=model, messages=(("user", "hello"),), exchange=Exchange(role="coder", key=key, answer=""))
        )
    with pytest.raises(ModelError, match="large, small: say which with --model"):
        Replay(str(tmp_path))
    assert Replay(str(tmp_path), "small").get(key_of("small", [("user", "hello")], {})) is not None
    assert Replay(str(tmp_path), "small").get(key_of("large", [("user", "hello")], {})) is None


def test_a_damaged_or_a_moved_file_is_no_answer(tmp_path):
    cache, key = Cache(tmp_path), key_of("tiny", [("user", "hello")], {})
    stored = Stored(model="tiny", messages=(("user", "hello"),), exchange=Exchange(role="coder", key=key, answer="yes"))
    cache.put(stored)
    assert cache.get(key) == stored.exchange
    file = tmp_path / f"{key}.json"
    (tmp_path / f"{'0' * 64}.json").write_bytes(file.read_bytes())
    assert cache.get("0" * 64) is None
    file.write_text(file.read_text()[:50])
    assert cache.get(key) is None


def test_a_folder_that_cannot_be_written_costs_nothing_but_the_cache(tmp_path):
    (tmp_path / "file").write_text("")
    cache, key = Cache(tmp_path / "file"), key_of("tiny", [], {})
    cache.put(Stored(model="tiny", messages=(), exchange=Exchange(role="coder", key=key, answer="yes")))
    cache.forget([key])
    assert cache.get(key) is None


def test_the_key_depends_on_the_model_the_messages_and_the_schema():
    keys = {
        key_of("tiny", [("user", "hello")], {}),
        key_of("large", [("user", "hello")], {}),
        key_of("tiny", [("user", "hallo")], {}),
        key_of("tiny", [("system", "hello")], {}),
        key_of("tiny", [("user", "hello")], {"type": "object"}),
    }
    assert len(keys) == 5


def test_answers_lie_where_the_system_keeps_caches(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "toolwright" / "answers"
