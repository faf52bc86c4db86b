from dataclasses import replace

import numpy as np
import pytest

from toolwright.policies.evaluation import cup as evaluate_pick
from toolwright.policies.world import simulate
from toolwright.sim.scene import load_scene, sample

SEED = 3


def world(seed=SEED, scene="bead"):
    drawn = sample(load_scene(scene), np.random.default_rng(seed))
    return simulate(drawn, np.random.default_rng((seed, 1)), "closed_form")


def around(world, name="bead"):
    size = 2 * world.spec.objects[name].radius
    return size + 0.006, max(size - 0.004, 0.0)


@pytest.fixture(scope="module")
def holding():
    """A world in which the bead was picked, its outcome, and what moved how far in each control step."""
    w = world()
    steps = []
    send = w.robot.send

    def watched(target):
        before = [w.data.body(name).xpos.copy() for name in ("tweezers", "bead", "palm")]
        sent = send(target)
        steps.append(
            [np.linalg.norm(w.data.body(n).xpos - b) for n, b in zip(("tweezers", "bead", "palm"), before, strict=True)]
        )
        return sent

    w.robot.send = watched
    outcome = w.actions.pick("bead", *around(w), 0.1)
    w.robot.send = send
    return w, outcome, np.array(steps)


def test_nothing_in_the_world_could_hold_an_object_but_contact():
    model = world().model
    assert model.neq == 0 and model.nmocap == 0 and model.ntendon == 0
    assert model.nu == 23  # the arm's and the hand's servos, nothing that attracts


def test_a_bead_is_picked(holding):
    w, outcome, _ = holding
    assert outcome.success, outcome.reason
    assert w.data.body("bead").xpos[2] > 0.09
    assert outcome.measured["risen"] > 0.08
    assert outcome.seconds == pytest.approx(w.data.time)


def test_nothing_jumps(holding):
    """What the arm carries moves as fast as the arm, and nothing is put anywhere."""
    _, _, steps = holding
    tool, bead, palm = steps.T
    assert palm.max() < 0.05 and bead.max() < 0.02
    assert (tool - palm).max() < 0.01


def test_the_held_bead_is_dropped_into_the_cup(holding):
    w, _, _ = holding
    before = w.data.time
    outcome = w.actions.drop_in("bead", "cup", 0.02)
    assert outcome.success, outcome.reason
    away = w.data.body("bead").xpos - w.data.body("cup").xpos
    assert np.hypot(*away[:2]) < 0.03 and abs(away[2]) < 0.025
    assert outcome.seconds == pytest.approx(w.data.time - before)
    again = w.actions.drop_in("bead", "cup", 0.02)
    assert not again.success and again.reason.startswith("not held")


def test_a_place_a_move_and_home():
    w = world(5)
    assert w.actions.pick("bead", *around(w), 0.06).success
    placed = w.actions.place_at("bead", 0.45, 0.02)
    assert placed.success, placed.reason
    assert np.hypot(*(w.data.body("bead").xpos[:2] - [0.45, 0.02])) < 0.02
    moved = w.actions.move_tips(0.5, 0.05, 0.15)
    assert moved.success, moved.reason
    opened = w.actions.set_opening(0.02)
    assert opened.success and opened.measured["opening"] == pytest.approx(0.02, abs=0.0015)
    home = w.actions.home()
    assert home.success, home.reason


class Shifted:
    """Eyes that misplace the bead for a while, as a bad calibration would."""

    def __init__(self, eyes, until):
        self.eyes, self.until = eyes, until

    def look(self):
        scene = self.eyes.look()
        if scene.stamp > self.until:
            return scene
        bead = replace(scene.objects["bead"], pos=scene.objects["bead"].pos + [0.015, 0.015, 0])
        return replace(scene, objects=scene.objects | {"bead": bead})


def test_a_miss_is_noticed_and_tried_again():
    w = world()
    w.actions._loop.perception = Shifted(w.perception, 2.5)
    outcome = w.actions.pick("bead", *around(w), 0.06)
    assert outcome.success, outcome.reason
    blind = world()
    blind.actions._loop.perception = Shifted(blind.perception, np.inf)
    missed = blind.actions.pick("bead", *around(blind), 0.06)
    assert not missed.success and missed.reason.startswith(("missed", "knocked away"))


def test_a_dropped_tool_is_noticed():
    w = world()
    w.data.body("tweezers").xfrc_applied[2] = -20.0
    outcome = w.actions.pick("bead", *around(w), 0.06)
    assert not outcome.success and outcome.reason.startswith("tool dropped")


def test_a_bead_that_is_lost_on_the_way_is_noticed():
    w = world()
    assert w.actions.pick("bead", *around(w), 0.06).success
    w.data.body("bead").xfrc_applied[2] = -5.0
    outcome = w.actions.drop_in("bead", "cup", 0.02)
    assert not outcome.success and outcome.reason.startswith("slipped")


def test_what_cannot_be_done_is_said_before_anything_moves():
    w = world()
    cup = w.actions.pick("cup", 0.035, 0.03, 0.1)
    assert not cup.success and "too wide" in cup.reason
    ghost = w.actions.pick("ghost", 0.02, 0.0, 0.1)
    assert not ghost.success and "no ghost" in ghost.reason
    far = w.actions.move_tips(1.6, 0.0, 0.3)
    assert not far.success and far.reason.startswith("out of reach")
    assert w.data.time == 0


def test_an_episode_is_the_same_twice_and_judged_on_the_true_state():
    first, second = (evaluate_pick.run(1_000_003, controller="closed_form") for _ in range(2))
    assert first == second
    assert first.measured["risen"] > 0.1 and first.measured["held"] > 2
