"""Recordings as files: what goes in comes out bit for bit, and a file that was cut short is read up to the cut."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("mcap", reason="mcap is not installed: pip install 'toolwright[record]'")

from toolwright.hardware.mcap_log import (
    Recorder,
    Recording,
    RecordingError,
    decode_color,
    decode_depth,
    default_path,
    plain,
)
from toolwright.hardware.recorded import RecordedCamera, RecordedRobot
from toolwright.hardware.robot import Frame, JointSpec, JointTarget, Robot, RobotState
from toolwright.hardware.safety import EmergencyStopped, SafetyGate, TargetRefused

SPEC = JointSpec(("a", "b"), np.full(2, -1.0), np.full(2, 1.0), np.full(2, 1.0), np.full(2, 1.0))


class Still:
    """A robot that is where it was told to be."""

    joints, period = SPEC, 0.05

    def __init__(self) -> None:
        self.q, self.time = np.zeros(2), 0.0

    def connect(self) -> None: ...
    def read(self) -> RobotState:
        return RobotState(self.time, self.q, np.zeros(2), np.zeros(2))

    def send(self, target: JointTarget) -> JointTarget:
        self.q, self.time = target.q, self.time + self.period
        return target

    def stop(self, reason: str) -> None: ...
    def close(self) -> None: ...


class Eye:
    """A camera with a picture that changes."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng, self.time = rng, 0.0

    def read(self) -> Frame:
        self.time += 0.1
        depth = self.rng.uniform(0, 4, (30, 40)).round(3)
        rgb = np.full((30, 40, 3), (200, 40, 90), np.uint8)
        return Frame(self.time, depth, rgb, np.eye(3), np.eye(4))


def gated(robot: Still) -> SafetyGate:
    return SafetyGate(robot, acceleration_limit=np.full(2, 10.0), clock=lambda: robot.time)


def test_numbers_come_back_to_the_last_bit(tmp_path):
    values = np.random.default_rng(0).standard_normal(500) * 10.0 ** np.arange(-250, 250)
    with Recorder(tmp_path / "a.mcap", {"joints": SPEC.names}) as recorder:
        recorder.add("/values", {"x": values}, 1.25)
    recording = Recording(tmp_path / "a.mcap")
    assert recording.complete and recording.about["joints"] == ["a", "b"]
    assert (recording.array("/values", "x")[0] == values).all()
    assert recording.stamps("/values").tolist() == [1.25]


def test_a_common_reader_opens_it_with_its_index(tmp_path):
    from mcap.reader import make_reader

    with Recorder(tmp_path / "a.mcap", {"joints": []}) as recorder:
        for i in range(300):
            recorder.add("/state", {"q": np.arange(40) * i}, i / 20)
    with open(tmp_path / "a.mcap", "rb") as file:
        summary = make_reader(file).get_summary()
        assert summary is not None and summary.statistics is not None
        assert summary.statistics.message_count == 300 and summary.statistics.chunk_count > 1
        assert [schema.encoding for schema in summary.schemas.values()] == ["jsonschema"]


def test_numbers_that_are_not_finite_are_null_and_read_as_nan(tmp_path):
    assert plain({"x": np.array([1.0, np.nan, np.inf])}) == {"x": [1.0, None, None]}
    with Recorder(tmp_path / "a.mcap", {"joints": []}) as recorder:
        recorder.add("/x", {"x": [1.0, float("nan")]})
    assert np.isnan(Recording(tmp_path / "a.mcap").array("/x", "x")[0, 1])


def test_depth_is_kept_to_the_millimeter_and_color_nearly(tmp_path):
    eye = Eye(np.random.default_rng(1))
    with Recorder(tmp_path / "a.mcap", {"joints": []}) as recorder:
        camera = RecordedCamera(eye, recorder, every=0.25)
        frames = [camera.read() for _ in range(6)]
    recording = Recording(tmp_path / "a.mcap")
    kept = recording.stamps("/camera/depth")
    assert kept == pytest.approx([0.1, 0.4])  # no sooner than every quarter of a second
    depth = decode_depth(recording.of("/camera/depth")[1].value)
    assert np.abs(depth - frames[3].depth).max() < 1e-9
    assert np.abs(decode_color(recording.of("/camera/color")[1].value).astype(int) - frames[3].rgb).max() < 8
    assert recording.of("/camera/info")[0].value["T_world_cam"][3] == [0, 0, 0, 1]


def test_a_recorded_robot_writes_states_targets_and_what_the_gate_did(tmp_path):
    robot = Still()
    with Recorder(tmp_path / "a.mcap", {"joints": SPEC.names}) as recorder:
        gate = gated(robot)
        recorded = RecordedRobot(gate, recorder)
        assert isinstance(recorded, Robot)
        recorded.connect()
        recorded.read()
        recorded.read()  # the same moment once more
        sent = recorded.send(JointTarget(np.array([0.9, 0.0])))
        with pytest.raises(TargetRefused):
            recorded.send(JointTarget(np.array([np.nan, 0.0])))
        gate.emergency_stop("test")
        with pytest.raises(EmergencyStopped):
            recorded.send(JointTarget(np.zeros(2)))
    recording = Recording(tmp_path / "a.mcap")
    assert recording.topics["/state"] == 1
    assert recording.array("/command", "asked").tolist() == [[0.9, 0.0]]
    assert (recording.array("/command", "sent")[0] == sent.q).all() and sent.q[0] < 0.1
    did = [(sorted(entry.value["limits"]), entry.value["reason"]) for entry in recording.of("/gate")]
    assert did[0] == (["acceleration", "velocity"], "")
    assert did[1][0] == ["refused"] and "not finite" in did[1][1]
    assert did[2] == (["stopped"], "test")


WRITE_FOREVER = """
import sys, numpy as np
from toolwright.hardware.mcap_log import Recorder
recorder = Recorder(sys.argv[1], {"joints": ["a"]})
i = 0
while True:
    recorder.add("/state", {"q": np.random.default_rng(i).standard_normal(50), "i": i}, i / 20)
    i += 1
    print(i, flush=True)
"""


def test_after_kill_9_all_is_there_but_the_last_moment(tmp_path):
    file = tmp_path / "killed.mcap"
    with subprocess.Popen([sys.executable, "-c", WRITE_FOREVER, file], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while int(process.stdout.readline()) < 500:
            pass
        process.kill()
        written = 500 + sum(1 for _ in process.stdout)
    recording = Recording(file)
    assert not recording.complete
    read = [entry.value["i"] for entry in recording.of("/state")]
    assert read == list(range(len(read)))
    assert written - len(read) < 40  # a chunk of 32 KiB holds about 30 such messages
    assert recording.about["joints"] == ["a"]


@pytest.mark.parametrize("share", [0.05, 0.31, 0.5, 0.77, 0.999])
def test_a_file_cut_anywhere_is_read_up_to_the_cut(share, tmp_path):
    with Recorder(tmp_path / "a.mcap", {"joints": []}) as recorder:
        for i in range(400):
            recorder.add("/state", {"q": np.random.default_rng(i).standard_normal(30)}, i / 20)
    whole = (tmp_path / "a.mcap").read_bytes()
    (tmp_path / "cut.mcap").write_bytes(whole[: int(share * len(whole))])
    recording = Recording(tmp_path / "cut.mcap")
    assert not recording.complete
    assert len(recording.of("/state")) >= share * 400 - 80


def test_damage_in_the_middle_is_noticed_not_believed(tmp_path):
    with Recorder(tmp_path / "a.mcap", {"joints": []}) as recorder:
        for i in range(400):
            recorder.add("/state", {"i": i, "q": np.random.default_rng(i).standard_normal(30)}, i / 20)
    data = bytearray((tmp_path / "a.mcap").read_bytes())
    middle = len(data) // 3
    data[middle : middle + 40] = bytes(40)
    (tmp_path / "bad.mcap").write_bytes(data)
    recording = Recording(tmp_path / "bad.mcap")
    read = [entry.value["i"] for entry in recording.of("/state")]
    assert not recording.complete and 0 < len(read) < 400 and read == list(range(len(read)))


def test_other_files_are_named(tmp_path):
    (tmp_path / "text.mcap").write_text("hello")
    with pytest.raises(RecordingError, match="no MCAP file"):
        Recording(tmp_path / "text.mcap")
    with pytest.raises(FileNotFoundError):
        Recording(tmp_path / "nothing.mcap")


def test_a_full_disk_ends_the_recording_not_the_motion(tmp_path, monkeypatch, caplog):
    recorder = Recorder(tmp_path / "a.mcap", {"joints": []})

    class Full:
        def write(self, data: bytes) -> int:
            raise OSError(28, "No space left on device")

        flush = close = lambda self: self.write(b"")

    monkeypatch.setattr(recorder, "_file", Full())
    for i in range(20):
        recorder.add("/state", {"i": i})
    recorder.close()
    assert "No space" in recorder.failed
    assert sum("ends here" in record.message for record in caplog.records) == 1


def test_two_recordings_in_the_same_second_do_not_meet(tmp_path):
    first = default_path(tmp_path)
    first.touch()
    second = default_path(tmp_path)
    assert first != second or time.strftime("%S") != first.stem[-2:]
