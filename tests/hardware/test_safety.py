"""No target leaves the gate outside of the limits, whatever comes in, and every loss stops the robot."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from toolwright.hardware.barriers import Barrier, self_collision, workspace
from toolwright.hardware.joints import FR3, FR3_HOME, FR3_LEAP, LEAP, acceleration
from toolwright.hardware.robot import F64, JointOrderError, JointSpec, JointTarget, Robot, RobotState
from toolwright.hardware.safety import EmergencyStopped, GateReport, SafetyGate, StateRefused, TargetRefused

PERIOD = 0.05  # s
REST = np.concatenate([FR3_HOME, np.full(16, 0.2)])  # rad


class StubRobot:
    """A robot that is at once where it is sent, on a clock of its own."""

    def __init__(self, joints: JointSpec = FR3_LEAP, q: F64 = REST) -> None:
        self.joints, self.period = joints, PERIOD
        self.now = 10.0  # s
        self.lag = 0.0  # s, age of its states
        self.q, self.dq, self.effort = q.copy(), np.zeros(len(joints)), np.zeros(len(joints))
        self.broken: Exception | None = None
        self.sent: list[tuple[float, F64]] = []
        self.stops: list[str] = []

    def connect(self) -> None: ...

    def close(self) -> None: ...

    def read(self) -> RobotState:
        if self.broken is not None:
            raise self.broken
        return RobotState(self.now - self.lag, self.q.copy(), self.dq.copy(), self.effort.copy())

    def send(self, target: JointTarget) -> JointTarget:
        if self.broken is not None:
            raise self.broken
        self.q = target.q.copy()
        self.sent.append((self.now, self.q))
        return JointTarget(target.q)

    def stop(self, reason: str) -> None:
        self.stops.append(reason)


def gated(robot: StubRobot | None = None, **options: object) -> tuple[StubRobot, SafetyGate]:
    robot = robot or StubRobot()
    gate = SafetyGate(robot, clock=lambda: robot.now, **options)  # type: ignore[arg-type]
    gate.connect()
    return robot, gate


def step(robot: StubRobot, gate: SafetyGate, q: F64, after: float = PERIOD) -> F64:
    robot.now += after
    gate.read()
    return gate.send(JointTarget(q)).q


def arm_alone(**options: object) -> tuple[StubRobot, SafetyGate]:
    return gated(StubRobot(FR3, FR3_HOME), **options)


# -- what passes ------------------------------------------------------------------------------------------------------


def test_it_is_a_robot_around_a_robot() -> None:
    robot, gate = gated()
    assert isinstance(gate, Robot) and gate.joints is robot.joints and gate.period == robot.period


def test_a_target_inside_of_the_limits_passes_to_the_last_bit() -> None:
    robot, gate = gated()
    rng = np.random.default_rng(0)
    q = REST.copy()
    for _ in range(200):
        q = np.clip(
            q + rng.uniform(-1, 1, 23) * np.where(np.arange(23) < 7, 0.006, 0.1), FR3_LEAP.lower, FR3_LEAP.upper
        )
        assert (step(robot, gate, q) == q).all(), gate.last_report
        assert not gate.last_report.acted


def test_a_finger_reaches_the_end_of_its_range_exactly() -> None:
    robot, gate = gated()
    for end in (FR3_LEAP.upper, FR3_LEAP.lower):
        target = np.concatenate([FR3_HOME, end[7:]])
        for _ in range(12):
            sent = step(robot, gate, target)
        assert (sent == target).all()


def test_what_the_robot_itself_cut_off_is_where_the_gate_goes_on() -> None:
    robot, gate = gated()
    half = StubRobot.send
    robot.send = lambda target: half(robot, JointTarget((robot.q + target.q) / 2))  # type: ignore[method-assign]
    for _ in range(30):
        before = robot.q
        sent = step(robot, gate, FR3_LEAP.upper)
        assert (sent == robot.q).all() and (np.abs(sent - before) <= FR3_LEAP.velocity * PERIOD).all()


def test_a_simulated_robot_moves_the_same_with_and_without_the_gate() -> None:
    mujoco = pytest.importorskip("mujoco")
    from toolwright.sim.models.physics import new_spec
    from toolwright.sim.models.robot import add_robot
    from toolwright.sim.robot import SimRobot

    spec = new_spec()
    add_robot(spec, "fr3", "leap", np.zeros(3), np.array([1.0, 0, 0, 0]))
    model = spec.compile()
    walk = np.cumsum(np.random.default_rng(3).normal(0, 0.003, (40, 23)), axis=0)
    ends = []
    for with_gate in (False, True):
        data = mujoco.MjData(model)
        data.qpos[:], data.ctrl[7:] = REST, REST[7:]
        simulated = SimRobot(model, data, FR3_LEAP)
        robot: Robot = SafetyGate(simulated, clock=lambda data=data: data.time) if with_gate else simulated
        robot.connect()
        for offset in walk:
            robot.read()
            robot.send(JointTarget(REST + offset))
        ends.append(np.concatenate([data.qpos, data.qvel, data.ctrl]))
    assert (ends[0] == ends[1]).all()


# -- what is limited --------------------------------------------------------------------------------------------------


def test_a_jump_is_clipped_to_velocity_and_acceleration_and_says_so() -> None:
    robot, gate = arm_alone()
    target = FR3_HOME + np.eye(7)[1] * 1.5
    sent = step(robot, gate, target)
    assert sent[1] - FR3_HOME[1] == pytest.approx(10.0 * PERIOD**2)
    assert gate.last_report.limits == {"velocity": ("fr3_joint2",), "acceleration": ("fr3_joint2",)}
    speeds = np.diff([FR3_HOME[1], sent[1], *(step(robot, gate, target)[1] for _ in range(19))]) / PERIOD
    assert speeds.max() == pytest.approx(2.62) and speeds[:5] == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.5])


def test_a_joint_brakes_in_time_for_the_end_of_its_range() -> None:
    robot, gate = arm_alone()
    course = np.array([FR3_HOME, *(step(robot, gate, np.full(7, 9.0)) for _ in range(60))])
    speed = np.diff(course, axis=0) / PERIOD
    assert course[-1] == pytest.approx(FR3.upper)
    assert (course <= FR3.upper).all()
    assert np.abs(np.diff(speed, axis=0)).max() <= 10.0 * PERIOD * (1 + 1e-6)


def tip(q: F64) -> F64:
    """A point that moves 0.5 m a radian along x with joint 1, and along z with joint 2."""
    return np.array([0.5 * q[0], 0.0, 0.5 * q[1]])


BOX = (np.array([-0.2, -0.1, -0.3]), np.array([0.2, 0.1, 0.3]))


def test_the_tip_comes_to_rest_in_front_of_the_wall_and_the_fingers_go_on() -> None:
    robot, gate = gated(barriers=(workspace(tip, *BOX, joints=FR3.names),))
    target = REST + np.eye(23)[0] * 2.0
    target[7:] += 0.3
    for _ in range(60):
        sent = step(robot, gate, target)
        assert tip(sent)[0] <= BOX[1][0] + 1e-12
    assert gate.last_report.limits["workspace"] == FR3.names
    assert tip(sent)[0] > 0.1 and (sent[7:] == target[7:]).all()


def test_a_robot_that_starts_outside_of_its_box_may_only_come_closer() -> None:
    start = FR3_HOME + np.eye(7)[0] * 0.8
    robot, gate = gated(StubRobot(FR3, start), barriers=(workspace(tip, *BOX),))
    assert (step(robot, gate, start + np.eye(7)[0] * 0.1) == start).all()
    for _ in range(60):
        sent = step(robot, gate, FR3_HOME)
    assert tip(sent)[0] == pytest.approx(0.0)


def test_links_keep_their_distance() -> None:
    robot, gate = arm_alone(barriers=(self_collision(lambda q: 0.5 - abs(q[0]), margin=0.05),))
    for _ in range(60):
        sent = step(robot, gate, FR3_HOME + np.eye(7)[0])
    assert 0.3 < sent[0] <= 0.45 and "self-collision" in gate.last_report.limits


def test_where_it_does_not_help_that_the_arm_comes_to_rest_all_joints_do() -> None:
    robot, gate = gated(barriers=(self_collision(lambda q: 0.5 - q[8], joints=FR3.names),))
    for _ in range(10):
        sent = step(robot, gate, REST + 0.6)
    assert 0.2 <= sent[8] <= 0.49


def test_a_barrier_without_an_answer_holds() -> None:
    robot, gate = arm_alone(barriers=(Barrier("workspace", lambda q: float("nan")),))
    assert (step(robot, gate, FR3_HOME + 0.01) == FR3_HOME).all()


@pytest.mark.parametrize("lag", [0.2, -1.0, float("nan")])
def test_on_stale_or_impossible_stamps_the_robot_comes_to_rest(lag: float) -> None:
    robot, gate = arm_alone()
    for i in range(1, 6):
        step(robot, gate, FR3_HOME + 0.01 * i * (i + 1) / 2)
    robot.lag = lag
    course = [step(robot, gate, FR3_HOME + 1.0) for _ in range(12)]
    assert gate.last_report.limits["stale"] == FR3.names
    assert (course[-1] == course[-2]).all()
    robot.lag = 0.0
    assert (step(robot, gate, course[-1] + 0.01) != course[-1]).all()


def test_a_controller_that_does_not_look_is_held() -> None:
    robot, gate = arm_alone()
    for _ in range(5):
        robot.now += PERIOD
        sent = gate.send(JointTarget(FR3_HOME + 0.001)).q
    assert "stale" in gate.last_report.limits
    assert (sent == robot.sent[0][1]).all()


def test_a_target_that_comes_too_soon_is_not_sent() -> None:
    robot, gate = arm_alone()
    first = step(robot, gate, FR3_HOME + 0.001)
    assert (step(robot, gate, FR3_HOME + 0.01, after=0.001) == first).all()
    assert gate.last_report.limits == {"rate": FR3.names} and len(robot.sent) == 1


def test_after_a_gap_motion_starts_from_rest() -> None:
    robot, gate = arm_alone()
    for i in range(10):
        before = step(robot, gate, FR3_HOME + 0.1 * i * np.eye(7)[0])
    sent = step(robot, gate, FR3_HOME + np.eye(7)[0], after=1.0)
    assert sent[0] - before[0] == pytest.approx(10.0 * PERIOD**2)
    assert "gap" in gate.last_report.limits


# -- what is refused --------------------------------------------------------------------------------------------------

HOSTILE: list[tuple[object, str]] = [
    (np.zeros(22), "shape"),
    (np.zeros(24), "shape"),
    (np.zeros((23, 1)), "shape"),
    (np.array(0.0), "shape"),
    ([], "shape"),
    (None, "23 numbers"),
    ("home", "23 numbers"),
    ([[0.0], [1.0, 2.0]], "ragged"),
    (np.zeros(23, dtype=complex), "complex"),
    (np.full(23, np.nan), "not finite: fr3_joint1 nan"),
    (np.where(np.arange(23) == 22, np.inf, 0.0), "not finite: th_ipl inf"),
]


@pytest.mark.parametrize(("q", "message"), HOSTILE)
def test_a_target_that_makes_no_sense_is_refused_by_name_and_the_robot_holds(q: object, message: str) -> None:
    robot, gate = gated()
    with pytest.raises(TargetRefused, match=message):
        gate.send(JointTarget(q))  # type: ignore[arg-type]
    assert robot.stops and not robot.sent
    assert "refused" in gate.last_report.limits and gate.last_report.reason


def test_targets_in_another_order_are_refused_with_the_joint_that_differs() -> None:
    robot, gate = gated()
    with pytest.raises(JointOrderError, match="expected 'fr3_joint1' at 0, got 'if_mcp': see hardware/joints.py"):
        gate.send(JointTarget(REST), names=LEAP.names + FR3.names)
    with pytest.raises(JointOrderError, match="22 joints instead of 23"):
        gate.send(JointTarget(REST[:22]), names=FR3_LEAP.names[:22])
    assert not robot.sent
    assert (gate.send(JointTarget(REST), names=FR3_LEAP.names).q == REST).all()


# -- stops ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["read", "send"])
def test_a_lost_device_stops_in_the_same_call_and_latches(call: str) -> None:
    robot, gate = gated()
    robot.broken = OSError("unplugged")
    with pytest.raises(OSError, match="unplugged"):
        gate.read() if call == "read" else gate.send(JointTarget(REST))
    assert len(robot.stops) == 1 and "unplugged" in robot.stops[0]
    robot.broken = None
    with pytest.raises(EmergencyStopped, match=f"{call} failed: OSError: unplugged.*clear"):
        gate.send(JointTarget(REST))
    gate.clear()
    assert (step(robot, gate, REST) == REST).all()


@pytest.mark.parametrize("field", ["q", "dq", "effort"])
@pytest.mark.parametrize("value", [np.full(23, np.nan), np.zeros(3)])
def test_a_state_that_makes_no_sense_counts_as_a_loss(field: str, value: F64) -> None:
    robot, gate = gated()
    setattr(robot, field, value)
    with pytest.raises(StateRefused, match=f"state's {field}"):
        gate.read()
    assert gate.stopped and robot.stops


def test_an_emergency_stop_latches_until_cleared_and_the_first_reason_stands() -> None:
    robot, gate = gated()
    gate.emergency_stop("red button")
    gate.emergency_stop("later")
    for _ in range(3):
        with pytest.raises(EmergencyStopped, match="red button"):
            step(robot, gate, REST)
    gate.connect()
    assert gate.stopped == "red button" and not robot.sent
    gate.clear()
    assert (step(robot, gate, REST) == REST).all()


def test_an_emergency_stop_from_another_thread_lets_no_further_target_pass() -> None:
    robot, gate = gated()
    threading.Thread(target=gate.emergency_stop, args=("key",)).start()
    with pytest.raises(EmergencyStopped, match="key"):
        while True:
            step(robot, gate, REST)
    passed = len(robot.sent)
    with pytest.raises(EmergencyStopped):
        step(robot, gate, REST)
    assert len(robot.sent) == passed


def test_an_ordinary_stop_does_not_latch() -> None:
    robot, gate = gated()
    gate.stop("skill ended")
    assert robot.stops == ["skill ended"]
    assert (step(robot, gate, REST) == REST).all()


def test_effort_over_the_limit_for_too_long_stops_with_the_joints_name() -> None:
    robot, gate = gated()
    robot.effort[3] = 100.0
    for _ in range(9):
        step(robot, gate, REST)
    robot.effort[3] = 87.0
    step(robot, gate, REST)
    robot.effort[3] = -100.0
    with pytest.raises(EmergencyStopped, match="effort over the limit.*fr3_joint4 -100"):
        for _ in range(13):
            step(robot, gate, REST)
    assert gate.stopped and len(robot.stops) == 1


def test_a_stop_that_fails_is_logged_and_still_latches(caplog: pytest.LogCaptureFixture) -> None:
    robot, gate = gated()

    def fail(reason: str) -> None:
        raise OSError("bus gone")

    robot.stop = fail  # type: ignore[method-assign]
    gate.emergency_stop("red button")
    assert "could not be told to stop" in caplog.text
    with pytest.raises(EmergencyStopped):
        gate.send(JointTarget(REST))


def test_a_robot_far_outside_of_its_range_is_not_taken_over() -> None:
    with pytest.raises(StateRefused, match="fr3_joint4 0.2"):
        gated(StubRobot(FR3, np.where(np.arange(7) == 3, 0.2, FR3_HOME)))


def test_events_tell_what_acted_and_a_faulty_listener_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    events: list[GateReport] = []
    robot, gate = gated(on_event=events.append)
    step(robot, gate, REST)
    assert not events
    step(robot, gate, REST + 0.8)
    gate.emergency_stop("red button")
    assert [sorted(event.limits) for event in events] == [["acceleration", "velocity"], ["stopped"]]
    assert events[0].asked is not None and events[0].sent is not None and (events[0].asked != events[0].sent).any()
    robot, gate = gated(on_event=lambda report: 1 / 0)
    assert (step(robot, gate, REST + 1.0) != REST).any()
    assert "callback failed" in caplog.text


# -- fuzz -------------------------------------------------------------------------------------------------------------


def hostile(rng: np.random.Generator, q: F64) -> object:
    """A target from the gentle to the absurd."""
    ways: list[Callable[[], object]] = [
        lambda: q + rng.normal(0, 0.01, 23),
        lambda: q + rng.normal(0, 1.0, 23),
        lambda: rng.uniform(-10, 10, 23),
        lambda: rng.choice([FR3_LEAP.lower, FR3_LEAP.upper]),
        lambda: np.where(rng.random(23) < 0.5, FR3_LEAP.lower, FR3_LEAP.upper),
        lambda: rng.choice([-1e308, 1e308, 1e-320, -0.0, 5e15], 23),
        lambda: np.where(rng.random(23) < 0.1, rng.choice([np.nan, np.inf, -np.inf]), q),
        lambda: rng.permutation(q),
        lambda: rng.integers(-5, 5, 23),
        lambda: HOSTILE[rng.integers(len(HOSTILE))][0],
    ]
    return ways[rng.integers(len(ways))]()


def test_twelve_thousand_hostile_targets_and_none_leaves_the_limits() -> None:
    rng = np.random.default_rng(2024)
    box = (np.array([-0.6, -0.1, -0.5]), np.array([0.6, 0.1, 0.5]))
    robot, gate = gated(barriers=(workspace(tip, *box, joints=FR3.names), self_collision(lambda q: 3.0 - abs(q[3]))))
    limit, count, refused = acceleration(FR3_LEAP), 0, 0
    last, speed, sent_at = robot.q.copy(), np.zeros(23), robot.now - 1.0
    for i in range(12_000):
        after = PERIOD * (1.0 if rng.random() < 0.7 else rng.choice([0.0, 0.3, 0.6, 0.98, 1.4, 5.0, -1.0]))
        robot.now += after
        robot.lag = 0.0 if rng.random() < 0.9 else rng.choice([0.1, 0.5, -3.0, np.nan])
        gate.read()
        names = None if rng.random() < 0.95 else tuple(rng.permutation(FR3_LEAP.names))
        before, passed = robot.q, len(robot.sent)
        try:
            returned = gate.send(JointTarget(hostile(rng, before)), names).q  # type: ignore[arg-type]
        except (TargetRefused, JointOrderError):
            refused += 1
            assert len(robot.sent) == passed
            last, speed = robot.q, np.zeros(23)  # at rest, where it was measured
            continue
        assert np.isfinite(returned).all()
        if len(robot.sent) == passed:
            continue
        count += 1
        elapsed = robot.now - sent_at
        sent_at, q = robot.now, robot.q
        dt = min(elapsed, PERIOD)
        if elapsed > 3 * PERIOD:
            speed = np.zeros(23)
        new = (q - last) / dt
        assert (returned == q).all()
        assert (q >= FR3_LEAP.lower).all() and (q <= FR3_LEAP.upper).all(), i
        assert (np.abs(new) <= FR3_LEAP.velocity * (1 + 1e-9)).all(), i
        assert (np.abs(new - speed) <= limit * dt * (1 + 1e-6) + 1e-9).all(), (i, gate.last_report)
        at = tip(q)
        assert (at >= box[0] - 1e-9).all() and (at <= box[1] + 1e-9).all() and abs(q[3]) <= 2.99 + 1e-9, i
        last, speed = q, new
    assert count > 5_000 and refused > 2_000
    assert not gate.stopped


def test_acceleration_limits_stand_for_every_joint_in_the_order_of_the_spec() -> None:
    assert acceleration(FR3_LEAP)[:7] == pytest.approx(10.0)
    with pytest.raises(KeyError, match="elbow"):
        acceleration(replace(FR3, names=("elbow",)))
