"""The control law of the held tool: synergy, closed-form controller, and the residual that a policy adds."""

from __future__ import annotations

import numpy as np
import pytest

from toolwright.hardware.held_tool import (
    ACTIONS,
    LEAK,
    POSE_SPEED,
    PUSH,
    SPEED,
    WORKING,
    ClosedFormController,
    ClosedFormGains,
    LearnedInterface,
    Synergy,
)
from toolwright.hardware.joints import LEAP

N = 3
PERIOD = 0.05


def _synergy(seed: int = 0) -> Synergy:
    """Three hands with three anchors each, well inside the joints' limits."""
    rng = np.random.default_rng(seed)
    openings = np.array([[0.001, 0.019, 0.037], [0.0, 0.01, 0.05], [0.002, 0.02, 0.03]])
    middle = (LEAP.lower + LEAP.upper) / 2
    ctrl = middle + rng.uniform(-0.2, 0.2, (N, 3, 16))
    return Synergy(openings, ctrl, rng.normal(0, 1.0, (N, 16, 6)))


def _measurements(seed: int, steps: int, scale: float = 1.0) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Openings, displacements and goals, as a noisy world might deliver them."""
    rng = np.random.default_rng(seed)
    spread = scale * np.array([0.005, 0.005, 0.005, 0.1, 0.1, 0.1])
    return [
        (rng.uniform(0, 0.04 * scale, N), rng.normal(0, spread, (N, 6)), rng.uniform(0, 0.04 * scale, N))
        for _ in range(steps)
    ]


# -- synergy ----------------------------------------------------------------------------------------------------------


def test_the_synergy_passes_through_its_anchors() -> None:
    synergy = _synergy()
    for k in range(3):
        assert synergy(synergy.openings[:, k]) == pytest.approx(synergy.ctrl[:, k], abs=1e-12)


def test_the_synergy_is_linear_between_two_anchors() -> None:
    synergy = _synergy()
    for k in range(2):
        middle = (synergy.openings[:, k] + synergy.openings[:, k + 1]) / 2
        assert synergy(middle) == pytest.approx((synergy.ctrl[:, k] + synergy.ctrl[:, k + 1]) / 2, abs=1e-12)


@pytest.mark.parametrize(("end", "inner"), [(0, 1), (2, 1)])
def test_the_synergy_goes_on_linearly_beyond_its_ends(end: int, inner: int) -> None:
    synergy = _synergy()
    beyond = 2 * synergy.openings[:, end] - synergy.openings[:, inner]
    assert synergy(beyond) == pytest.approx(2 * synergy.ctrl[:, end] - synergy.ctrl[:, inner], abs=1e-12)


def test_each_hand_has_a_synergy_of_its_own() -> None:
    synergy = _synergy()
    opening = np.array([0.005, 0.03, 0.021])
    alone = [synergy.rows(np.array([i]))(opening[[i]])[0] for i in range(N)]
    assert synergy(opening) == pytest.approx(np.stack(alone), abs=1e-12)


# -- closed-form controller -------------------------------------------------------------------------------------------


def test_without_error_the_controller_sends_the_synergy() -> None:
    synergy = _synergy()
    goal = np.array([0.01, 0.02, 0.025])
    controller = ClosedFormController(synergy, PERIOD)
    for _ in range(5):
        assert controller.target(goal, np.zeros((N, 6)), goal) == pytest.approx(synergy(goal), abs=1e-12)


def test_a_tool_too_far_closed_is_opened_further_each_step() -> None:
    synergy = _synergy()
    controller = ClosedFormController(synergy, PERIOD)
    goal, error = np.full(N, 0.01), 0.001
    for step in range(1, 4):
        asked = goal + ClosedFormGains().opening * PERIOD * error * step
        assert controller.target(goal - error, np.zeros((N, 6)), goal) == pytest.approx(synergy(asked), abs=1e-12)


def test_a_displaced_tool_is_pushed_back_along_the_correction() -> None:
    synergy = _synergy()
    controller = ClosedFormController(synergy, PERIOD)
    goal, displacement = np.full(N, 0.01), np.zeros((N, 6))
    displacement[:, 1] = 0.004
    moved = controller.target(goal, displacement, goal) - synergy(goal)
    assert moved == pytest.approx(synergy.correction[:, :, 1] * 0.004 * PERIOD * ClosedFormGains().pose, abs=1e-12)


def test_the_integrals_stop_at_their_limits() -> None:
    gains = ClosedFormGains()
    controller = ClosedFormController(_synergy(), PERIOD)
    displacement = np.tile([1.0, -1.0, 1.0, -9.0, 9.0, 9.0], (N, 1))
    for _ in range(500):
        controller.target(np.full(N, -1.0), displacement, np.ones(N))
    assert controller.opening_integral.tolist() == [gains.opening_limit] * N
    limit = np.repeat(gains.pose_limit, 3) * np.sign(displacement[0])
    assert controller.pose_integral.tolist() == [limit.tolist()] * N


def test_a_reset_forgets_the_integrals_of_the_named_hands_only() -> None:
    controller = ClosedFormController(_synergy(), PERIOD)
    for opening, displacement, goal in _measurements(1, 4):
        controller.target(opening, displacement, goal)
    before = controller.opening_integral.copy(), controller.pose_integral.copy()
    controller.reset(np.array([1]))
    assert controller.opening_integral[1] == 0 and not controller.pose_integral[1].any()
    for i in (0, 2):
        assert controller.opening_integral[i] == before[0][i] != 0
        assert (controller.pose_integral[i] == before[1][i]).all() and before[1][i].any()


def test_targets_of_the_controller_stay_inside_the_joints_limits() -> None:
    controller = ClosedFormController(_synergy(), PERIOD)
    clipped = False
    for opening, displacement, goal in _measurements(2, 30, scale=50.0):
        target = controller.target(opening, displacement, goal)
        assert ((LEAP.lower <= target) & (target <= LEAP.upper)).all()
        clipped |= bool(((target == LEAP.lower) | (target == LEAP.upper)).any())
    assert clipped  # or the limits were never tried


# -- the learned policy's interface -----------------------------------------------------------------------------------


def test_a_policy_that_outputs_zero_is_the_closed_form_controller_behind_a_steady_reference() -> None:
    interface, controller = LearnedInterface(_synergy(), PERIOD), ClosedFormController(_synergy(), PERIOD)
    reference = np.full(N, 0.02)
    interface.reset(np.arange(N), _synergy().ctrl[:, 1], reference)
    for opening, displacement, goal in _measurements(3, 40):
        sent = interface.target(np.zeros((N, ACTIONS)), opening, displacement, goal)
        reference = np.clip(goal, reference - SPEED * PERIOD, reference + SPEED * PERIOD)
        assert (sent == controller.target(opening, displacement, reference)).all()


def test_the_policy_chooses_how_fast_the_reference_goes_and_it_stops_at_the_goal() -> None:
    far = SPEED * PERIOD * 3.5
    for action, steps in ((-1.0, None), (0.0, 4), (1.0, 2)):
        interface = LearnedInterface(_synergy(), PERIOD)
        interface.reset(np.arange(N), _synergy().ctrl[:, 1], np.zeros(N))
        reached = []
        for _ in range(6):
            interface.target(np.full((N, ACTIONS), action), np.zeros(N), np.zeros((N, 6)), np.full(N, far))
            reached.append(bool((interface.reference == far).all()))
        assert reached.index(True) + 1 == steps if steps else (interface.reference == 0).all()


def test_an_action_moves_the_working_joints_by_a_push_and_no_other() -> None:
    synergy, goal = _synergy(), np.full(N, 0.01)
    interface = LearnedInterface(synergy, PERIOD)
    interface.reset(np.arange(N), synergy.ctrl[:, 1], goal)
    moved = interface.target(np.ones((N, ACTIONS)), goal, np.zeros((N, 6)), goal) - synergy(goal)
    idle = np.setdiff1d(np.arange(16), WORKING)
    assert [LEAP.names[i][:2] for i in idle] == ["rf"] * 4
    assert moved[:, WORKING] == pytest.approx(PUSH, abs=1e-12)
    assert moved[:, idle] == pytest.approx(0.0, abs=1e-12)


def test_the_residual_leaks_away_once_the_policy_is_still() -> None:
    interface, goal = LearnedInterface(_synergy(), PERIOD), np.full(N, 0.01)
    interface.target(np.ones((N, ACTIONS)), goal, np.zeros((N, 6)), goal)
    for step in range(1, 4):
        interface.target(np.zeros((N, ACTIONS)), goal, np.zeros((N, 6)), goal)
        assert interface.residual == pytest.approx(PUSH * LEAK**step)


def test_actions_beyond_one_count_as_one_and_the_residual_stays_bounded() -> None:
    interface, goal = LearnedInterface(_synergy(), PERIOD), np.full(N, 0.01)
    for _ in range(200):
        interface.target(np.full((N, ACTIONS), 7.0), goal, np.zeros((N, 6)), goal)
    assert interface.residual == pytest.approx(PUSH / (1 - LEAK), rel=1e-6)


def test_targets_of_the_policy_stay_inside_the_joints_limits() -> None:
    interface = LearnedInterface(_synergy(), PERIOD)
    clipped = False
    for opening, displacement, goal in _measurements(4, 30, scale=50.0):
        target = interface.target(np.ones((N, ACTIONS)), opening, displacement, goal)
        assert ((LEAP.lower <= target) & (target <= LEAP.upper)).all()
        clipped |= bool((target[:, WORKING] == LEAP.upper[WORKING]).any())
    assert clipped


def test_the_observation_has_its_parts_where_the_shipped_weights_expect_them() -> None:
    interface = LearnedInterface(_synergy(), PERIOD)
    rng = np.random.default_rng(5)
    q, displacement, gravity = rng.normal(size=(N, 16)), rng.normal(size=(N, 6)), rng.normal(size=(N, 3))
    interface.command, interface.residual = rng.normal(size=(N, 16)), rng.normal(size=(N, len(WORKING)))
    interface.reference = rng.normal(size=N)
    interface.controller.opening_integral, interface.controller.pose_integral = rng.normal(size=N), displacement / 2
    parts = [
        (0, 12, q[:, WORKING]),
        (12, 24, 10 * (interface.command - q)[:, WORKING]),
        (24, 36, 10 * interface.residual),
        (36, 39, 100 * displacement[:, :3]),
        (39, 42, 5 * displacement[:, 3:]),
        (42, 43, 50 * interface.reference[:, None]),
        (43, 44, 100 * interface.controller.opening_integral[:, None]),
        (44, 47, 50 * displacement[:, :3]),
        (47, 50, 2.5 * displacement[:, 3:]),
        (50, 53, gravity),
    ]
    observation = interface.observe(q, displacement, gravity)
    assert observation.shape == (N, LearnedInterface.SIZE) == (N, 53)
    for begin, end, expected in parts:
        assert observation[:, begin:end] == pytest.approx(expected), (begin, end)


def test_a_reset_starts_the_named_hands_from_a_command_without_residual() -> None:
    interface, goal = LearnedInterface(_synergy(), PERIOD), np.full(N, 0.01)
    sent = interface.target(np.ones((N, ACTIONS)), goal, np.zeros((N, 6)), goal)
    interface.reset(np.array([2]), np.full((1, 16), 0.1), np.array([0.03]))
    assert (interface.command[:2] == sent[:2]).all() and (interface.command[2] == 0.1).all()
    assert interface.residual[:2].all() and not interface.residual[2].any()
    assert interface.reference[2] == 0.03 and (interface.reference[:2] != 0.03).all()


def test_alone_actions_say_where_the_tool_goes_whatever_is_measured_and_none_keeps_it() -> None:
    synergy = _synergy()
    interface, start = LearnedInterface(synergy, PERIOD, alone=True), synergy(np.full(N, 0.03))
    interface.reset(np.arange(N), start, np.full(N, 0.03))
    measured = np.full(N, 0.03), np.zeros((N, 6)), np.full(N, 0.01)
    assert (interface.target(np.zeros((N, ACTIONS)), *measured) == start).all()
    action = np.zeros((N, ACTIONS))
    action[:, 0] = 0.5
    step = 0.5 * PERIOD * SPEED
    assert interface.target(action, *measured) == pytest.approx(synergy(np.full(N, 0.03 + step)))
    action[:, 0], action[:, 2] = 0.0, 1.0
    moved = interface.target(action, *measured) - synergy(np.full(N, 0.03 + step))
    assert moved == pytest.approx(PERIOD * POSE_SPEED[0] * synergy.correction[:, :, 1])
