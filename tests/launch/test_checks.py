from __future__ import annotations

import socket

import pytest

from toolwright.launch import checks
from toolwright.llm_planner.language.fake_server import FakeModelServer, Reply


@pytest.fixture
def llm_installed(monkeypatch):
    monkeypatch.setattr(checks, "_installed", lambda package: "1.0")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def endpoint():
    return checks.CHECKS["language model"]("language model")


def test_no_endpoint_is_fine_because_offline_works(llm_installed):
    check = endpoint()
    assert check.state == "missing (optional)"
    assert "offline works" in check.detail and "OPENAI_API_KEY" in check.hint


def test_an_endpoint_that_listens_is_ok(llm_installed, monkeypatch):
    with FakeModelServer(Reply(), models=("tiny", "large")) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        check = endpoint()
    assert check.state == "ok" and "tiny, large" in check.detail


def test_an_endpoint_that_is_down_is_named(llm_installed, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{port}/v1")
    check = endpoint()
    assert check.state == "missing (optional)" and f"127.0.0.1:{port}" in check.detail


def test_no_key_is_shown(llm_installed, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    assert endpoint().state == "ok" and "secret" not in endpoint().detail
    monkeypatch.setenv("OPENAI_BASE_URL", "http://me:secret@127.0.0.1:1/v1")
    assert endpoint().state == "missing (optional)" and "secret" not in endpoint().detail


def test_a_url_that_is_none_does_not_crash_the_doctor(llm_installed, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://host:not-a-port/")
    assert endpoint().state == "missing (optional)"


def test_rendering_that_fails_says_what_to_install(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "disable")
    check = checks.CHECKS["rendering (GL)"]("rendering (GL)")
    assert check.state == "missing"
    assert "libegl1" in check.hint and "MUJOCO_GL" in check.hint


def test_weights_without_their_card_or_cut_short_are_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "files", lambda package: tmp_path)
    folder = tmp_path / "weights/held_tool"
    folder.mkdir(parents=True)
    (folder / "policy.safetensors").write_bytes(b"cut short")
    check = checks.CHECKS["weights"]("weights")
    assert check.state == "missing"
    assert "held_tool/policy.safetensors: " in check.detail and "its card.json is missing" in check.detail


def test_a_crash_of_the_tried_library_does_not_end_the_doctor():
    assert checks._python("import os; os.abort()") == (False, "Python ended with exit code -6")
