"""The evaluation of all held tools: which policies play, and what the page says."""

from __future__ import annotations

from pathlib import Path

from toolwright.policies.evaluation import tools
from toolwright.policies.weights import load


def test_the_shared_policy_plays_a_tool_that_it_never_saw_and_the_run_says_so(tmp_path: Path) -> None:
    said: list[str] = []
    report = tools.evaluate(episodes=4, tool="tweezers", folder=tmp_path, report=said.append)
    names = [group.name for group in report.groups]
    assert "tweezers" not in load("held_tool/shared").card["tools"]
    assert names == [
        f"tweezers, {part}, {who}" for part in ("train", "held-out") for who in ("learned", "shared", "closed form")
    ]
    assert any("tweezers, shared" in line and "not trained with it" in line for line in said)
    assert report.n == 8  # the learned policy's own, on both parts
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "shared" in page and "--episodes 4 --seed 0" in page
