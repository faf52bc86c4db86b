"""The evaluation of turning an object in the hand: what it counts, keeps, and shows."""

from __future__ import annotations

from pathlib import Path

import imageio.v2 as imageio
import numpy as np
import pytest

from toolwright.hardware.reorient import UP
from toolwright.policies.evaluation import reorient, reorient_film, reorient_page
from toolwright.policies.evaluation.reorient import Player, evaluate
from toolwright.policies.evaluation.reorient_conditions import Condition, ConditionError
from toolwright.policies.evaluation.reorient_play import Judged, Looks, Watch, judge
from toolwright.policies.palm.planner import PlannerConfig
from toolwright.sim.tasks.reorient import ReorientConfig, ReorientTask

TINY = PlannerConfig(plans=2)
TRAIN = Condition("nominal", "train", 0.4)


def test_an_evaluation_counts_every_episode_says_why_it_failed_and_writes_a_page(tmp_path: Path) -> None:
    conditions = (Condition("nominal", "held_out", 0.4), Condition("moderate", "train", 0.1))
    report = evaluate(
        episodes=2,
        controller="planner",
        shapes="letter",
        planner=PlannerConfig(plans=2),
        horizon=4,
        seed=1,
        conditions=conditions,
        folder=tmp_path,
    )
    assert report.n == 2 and not report.passed and len(report.failures) == 2 - report.successes
    assert {g.name for g in report.groups} == {
        "planner, nominal, held-out, 0.4 rad",
        "planner, moderate, train, 0.1 rad",
    }
    assert all(
        f.cause.split(": ")[1] in ("not reached in time", "dropped") or "rest" in f.cause for f in report.failures
    )
    page = (tmp_path / "index.html").read_text()
    assert "toolwright eval reorient --controller planner --episodes 2 --seed 1" in page and "held-out" in page


def test_a_video_shows_an_episode_that_was_counted(tmp_path: Path) -> None:
    task = ReorientTask(ReorientConfig(shapes="cube", level="nominal", horizon=3), 2, np.random.default_rng(0), 1)
    watch = Watch()
    judged = judge(task, lambda t, active: np.zeros((t.n, 16)), watch=watch)
    states = np.array(watch.states)
    assert states.shape == (3, 2, 23) and watch.goals.shape == (2, 4)
    reorient_film.films(task, states, watch.goals, np.full(2, np.inf), judged.success, tmp_path, pytest.fail, most=1)
    video = imageio.mimread(tmp_path / "failure_0.mp4")
    assert len(video) == 3 and np.ptp(video[0]) > 50


def test_a_stopped_evaluation_goes_on_with_the_pieces_that_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played: list[tuple[str, int, int]] = []
    play = Player.play

    def noted(self: Player, config: ReorientConfig, first: int, count: int, films: Path | None) -> object:
        if len(played) == 3:
            raise KeyboardInterrupt
        played.append((config.level, first, count))
        return play(self, config, first, count, films)

    monkeypatch.setattr(Player, "play", noted)
    monkeypatch.setitem(reorient.PIECE, "planner", 1)
    both = (TRAIN, Condition("moderate", "train", 0.4))

    def run(folder: Path, seed: int = 1) -> object:
        return evaluate(
            2, seed, controller="planner", shapes="cube", planner=TINY, horizon=2, conditions=both, folder=folder
        )

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "one")
    assert played == [("nominal", 0, 1), ("moderate", 0, 1), ("nominal", 1, 1)]
    monkeypatch.setattr(Player, "play", play)
    whole = run(tmp_path / "two")
    monkeypatch.setattr(Player, "play", noted)
    played[:] = played[:1]
    assert run(tmp_path / "one") == whole
    assert played[1:] == [("moderate", 1, 1)]
    assert run(tmp_path / "one") == whole and len(played) == 2
    run_again = played.copy()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "one", seed=2)
    assert played[len(run_again) :] == [("nominal", 0, 1)]


def test_what_was_said_by_camera_is_kept_and_shown_beside_what_was_true(tmp_path: Path) -> None:
    def run() -> object:
        return evaluate(
            1,
            controller="planner",
            state="camera",
            shapes="cube",
            planner=TINY,
            horizon=3,
            conditions=(TRAIN,),
            folder=tmp_path,
        )

    def tables() -> str:
        return (tmp_path / "index.html").read_text().partition("<h2>")[2]  # above is the figure, with its date

    first, page = run(), tables()
    assert "Stop predictor" in page and "within the tolerance, at rest" in page
    assert "--state camera" in (tmp_path / "index.html").read_text()
    assert run() == first and tables() == page


def test_goals_in_a_row_are_counted_until_one_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    config = ReorientConfig(shapes="cube", level="nominal", horizon=8, hold=2, rest=(99.0, 99.0, 99.0))
    task = ReorientTask(config, 3, np.random.default_rng(0))
    still = lambda task, active: np.zeros((3, 16))  # noqa: E731
    # Always where it should be, but the second one falls after a goal and a half, the third one is never there.
    monkeypatch.setattr(task, "error", lambda: np.array([0.0, 0.0, 3.0]))
    monkeypatch.setattr(task, "failed", lambda info: np.array([False, task.time[1] >= 3, False]))
    judged = judge(task, still, goals=3)
    assert judged.row.tolist() == [3, 1, 0]
    assert judged.settled.tolist() == pytest.approx([0.1, 0.1, np.inf])
    assert not np.isfinite(judged.dropped).any()  # of the first goals
    assert judge(task, still).row.tolist() == [1, 1, 0]


def _looks(truth: list[float], rest: list[bool], stop: list[bool]) -> Looks:
    n = len(truth)
    return Looks(
        np.zeros(n), np.zeros(n), np.zeros(n), np.ones(n, bool), np.array(truth), np.array(rest), np.array(stop)
    )


def test_the_confusion_counts_looks_by_where_the_object_was_and_what_was_said() -> None:
    looks = _looks([0.1, 0.1, 0.3, 0.3, 0.5, 0.6], [True, True, False, False, True, False], [True, False] * 3)
    there, moving, elsewhere = reorient_page._confusion(TRAIN, looks)
    for row, counts in ((there, (1, 1)), (moving, (1, 1)), (elsewhere, (1, 1))):
        assert (row["said: hold still"], row["said: go on"]) == counts
    narrow = reorient_page._confusion(Condition("nominal", "train", 0.2), looks)
    assert [row["said: hold still"] for row in narrow] == [1, 0, 2] and narrow[2]["said: go on"] == 2


def test_saying_done_elsewhere_is_told_apart_from_not_saying_it() -> None:
    inf, n = np.inf, 5
    settled, declared = np.array([1.0, inf, inf, inf, inf]), np.array([1.0, 2.0, inf, inf, inf])
    dropped, error = np.array([inf, inf, inf, inf, 1.0]), np.array([0.1, 0.9, 0.2, 0.9, 0.1])
    name, zero = np.array(["cube"] * n), np.zeros(n)
    judged = Judged(settled, settled, dropped, error, name, name, zero, zero, declared, np.isfinite(settled))
    assert list(reorient_page._declared(TRAIN, judged).values())[1:] == [1, 1, 1, 1, 1]
    assert [judged.cause(i) for i in (1, 2, 4)] == [
        "called done in the wrong place",
        "not reached in time",
        "dropped",
    ]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"shapes": "teapot"}, "no shapes 'teapot'.*composed, convex"),
        ({"only": "sideways"}, "no condition with 'sideways'.*nominal, train"),
        ({"state": "camera", "controller": "learned"}, "only planner and student"),
        ({"state": "camera", "in_a_row": 2}, "--in-a-row"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_by_name(change: dict[str, str], why: str, tmp_path: Path) -> None:
    with pytest.raises(ConditionError, match=why):
        evaluate(1, **({"controller": "planner", "conditions": (TRAIN,), "folder": tmp_path} | change))  # type: ignore[arg-type]


def test_a_palm_faces_where_the_condition_says() -> None:
    for palm, least, most in (("up", 0.99, 1.0), ("down", -1.0, -0.99)):
        config = Condition("nominal", "train", 0.4, palm).config("cube", 200, says=False)
        task = ReorientTask(config, 3, np.random.default_rng(0), 1)
        task.reset(np.arange(3))
        facing = task._gravity_end @ UP
        assert (facing >= least - 1e-9).all() and (facing <= most + 1e-9).all()
