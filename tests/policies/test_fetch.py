"""Fetching a tool from its stand: by contact alone, judged on the true state, with every way to fail named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import mujoco
import numpy as np
import pytest

from toolwright.policies.evaluation import fetch
from toolwright.policies.tool import fetching, take_plan
from toolwright.policies.tool.tool_loop import Trouble
from toolwright.policies.tool.tool_use import ToolUse
from toolwright.policies.world import SimulatedWorld, simulate
from toolwright.sim import grasp_bank
from toolwright.sim.models.stand import DEPTH, seat

SEED = 7_000_000
FREE, STANDING, FLAT = (0.40, 0.10), 0.2, [0.7071, 0.0, 0.7071, 0.0]


def _world(tool: str = "tweezers", seed: int = SEED) -> tuple[SimulatedWorld, int]:
    spec, index = fetch.scene(tool, seed, held_out=False)
    return simulate(spec, np.random.default_rng((seed, 1))), index


def _fetch(world: SimulatedWorld, name: str = "tweezers") -> str:
    assert isinstance(world.actions, ToolUse)
    outcome = world.actions.fetch(name)
    return "" if outcome.success else outcome.reason


def _lay_down(world: SimulatedWorld, name: str = "tweezers") -> None:
    """The tool on the table beside its stand, as after a knock."""
    joint = world.data.joint(f"{name}_free")
    joint.qpos[:3], joint.qpos[3:] = [*FREE, 0.03], FLAT
    joint.qvel[:] = 0
    mujoco.mj_forward(world.model, world.data)


@pytest.mark.parametrize("tool", ["tweezers", "tongs", "pliers", "clothespin", "scissors", "syringe"])
def test_a_tool_stands_in_its_stand_by_contact_alone(tool: str) -> None:
    world, _ = _world(tool)
    model, data = world.model, world.data
    scene = world.perception.look()
    assert scene.tool is None and scene.loose is not None and scene.loose.name == tool
    assert scene.loose.T_world_tip[2, 2] < -np.cos(STANDING)
    assert model.neq == 0
    limbs = {model.body(tool).id, model.body(f"{tool}_b").id}
    pairs = model.geom_bodyid[data.contact.geom]
    touching = {int(body) for pair in pairs if limbs & set(pair) for body in pair} - limbs
    assert touching == {model.body("stand").id}
    # As deep as walls give; the limb of thin tweezers is twice as thick.
    assert data.contact.dist.min() > -0.0015


def test_a_stand_fits_every_tool_of_a_family() -> None:
    bank = grasp_bank.load("tongs")
    wide = [seat(bank.family, params, DEPTH).inner for params in bank.params[:20]]
    assert all(0.02 < x < 0.12 and 0.02 < y < 0.05 for x, y in wide)
    assert len(set(wide)) == len(wide)


@pytest.mark.parametrize("tool", fetch.JUDGED)
def test_the_hand_fetches_a_tool_and_the_truth_agrees(tool: str) -> None:
    episode = fetch.run(tool, SEED + 1, held_out=True)
    assert episode.success, episode.cause
    assert episode.measured["held"] >= fetch.HELD and episode.measured["opening_off"] < 0.0015


def test_a_fetched_tool_is_used_by_the_skills_that_follow() -> None:
    world, _ = _world()
    actions = world.actions
    assert isinstance(actions, ToolUse)
    assert "fetched first" in actions.set_opening(0.01).reason
    assert not _fetch(world)
    assert actions.set_opening(0.01).success and world.perception.look().tool is not None
    assert actions.fetch("tweezers").reason.endswith("already")


def test_a_tool_held_wrong_is_put_back_and_taken_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    check, calls = fetching.Fetching._check, []

    def wrong_at_first(self: fetching.Fetching, name: str) -> fetching.Checked:
        calls.append(name)
        if len(calls) == 1:
            raise Trouble("held wrong", "as this test says")
        return check(self, name)

    monkeypatch.setattr(fetching.Fetching, "_check", wrong_at_first)
    episode = fetch.run("tweezers", SEED + 3)
    assert episode.success, episode.cause
    assert episode.measured["attempts"] == 2 and len(calls) == 2


def test_an_empty_stand_is_named_with_the_mend() -> None:
    world, _ = _world()
    _lay_down(world)
    reason = _fetch(world)
    assert reason.startswith("stand empty") and "put it back into stand, tips down" in reason


def test_a_tool_that_is_knocked_over_on_the_way_is_a_failure_of_that_name(monkeypatch: pytest.MonkeyPatch) -> None:
    world, index = _world()
    shape, knocked = fetching.FetchLoop.move, []

    def move_and_knock(self: fetching.FetchLoop, *args: object, **kwargs: object) -> float:
        if knocked:
            _lay_down(world)
        knocked.append(True)
        return shape(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(fetching.FetchLoop, "move", move_and_knock)
    episode = fetch.judge(world, "tweezers", index, SEED, False)
    assert not episode.success and episode.cause.startswith("knocked over")


def test_another_tool_is_not_there() -> None:
    world, _ = _world()
    assert _fetch(world, "tongs").startswith("wrong tool")


def test_a_tool_left_in_its_stand_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    world, index = _world()
    assert isinstance(world.actions, ToolUse)
    claims = replace(world.actions.home(), success=True)
    monkeypatch.setattr(world.actions, "fetch", lambda name: claims)
    episode = fetch.judge(world, "tweezers", index, SEED, False)
    assert not episode.success and episode.cause.startswith("dropped")


def test_what_is_measured_is_not_the_truth() -> None:
    spec, index = fetch.scene("tongs", SEED, held_out=False)
    off = {}
    for state in ("exact", "privileged", "assumed"):
        noise = fetch.STATES[state]  # type: ignore[index]
        world = simulate(spec, np.random.default_rng(1), noise=noise)
        looks = [world.perception.look().loose for _ in range(200)]
        seen = np.array([look.opening for look in looks if look is not None])
        off[state] = abs(seen.mean() - fetch.Truth(world, "tongs", index).now()[3]), seen.std()
    assert off["exact"][0] < 1e-9 and off["exact"][1] < 1e-9
    assert off["privileged"][0] < 1e-4 < off["privileged"][1]
    assert off["assumed"][0] > 2e-4  # no mean over looks takes it away


def test_a_hand_that_does_not_come_around_a_tool_says_so() -> None:
    with pytest.raises(take_plan.NoGrasp, match="does not come around the scissors"):
        take_plan.plan(grasp_bank.load("scissors"), 0, DEPTH)


def test_an_evaluation_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    lines: list[str] = []
    first = fetch.evaluate(1, seed=3, tool="scissors", processes=1, folder=tmp_path)
    again = fetch.evaluate(1, seed=3, tool="scissors", processes=1, folder=tmp_path, report=lines.append)
    assert first == again and lines == ["1 of 1 episodes were run before"]
    assert first.failures[0].cause.startswith("scissors: no grasp")
