"""`toolwright calibrate` as a user types it."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("cv2", reason="OpenCV is not installed: pip install 'toolwright[hardware]'")

from toolwright.hardware import calibration as cal
from toolwright.hardware.joints import LEAP, LEAP_MOTORS
from toolwright.launch import calibration as work
from toolwright.launch import cli


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory):
    """Views of the simulated arm, saved and solved."""
    folder = tmp_path_factory.mktemp("calibrate")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work, "SIM_VIEWS", 10)
        patch.setattr(work.SimRig.shots, "__defaults__", (10,))
        words = ["--views", str(folder / "views"), "--out", str(folder / "c.json"), "--json", str(folder / "r.json")]
        assert cli.main(["calibrate", "camera", "--robot", "sim", *words]) == 0
    return folder, json.loads((folder / "r.json").read_text())


def test_a_rehearsal_moves_the_arm_and_is_right_within_2_mm_and_half_a_degree(rehearsal):
    folder, result = rehearsal
    assert result["views"] == 10
    assert result["position_error"] < 0.002 and result["angle_error"] < np.deg2rad(0.5)
    stored = cal.load(folder / "c.json").camera
    assert stored.T_base_cam.tolist() == result["T_base_cam"]


def test_saved_views_give_the_same_result_and_the_one_before_is_kept(rehearsal, capsys):
    folder, result = rehearsal
    words = ["--views", str(folder / "views"), "--out", str(folder / "c.json"), "--json", str(folder / "again.json")]
    assert cli.main(["calibrate", "camera", *words]) == 0
    again = json.loads((folder / "again.json").read_text())
    assert np.array(again["T_base_cam"]) == pytest.approx(np.array(result["T_base_cam"]), abs=1e-9)
    assert cal.previous(folder / "c.json").exists()
    assert "written to" in capsys.readouterr().out


def test_the_check_says_good_or_by_how_many_millimeters_it_is_off(rehearsal, tmp_path, capsys):
    folder, _ = rehearsal
    words = ["--views", str(folder / "views"), "--json", str(tmp_path / "check.json")]
    assert cli.main(["calibrate", "check", *words, "--out", str(folder / "c.json")]) == 0
    assert "good" in capsys.readouterr().out
    moved = cal.load(folder / "c.json")
    moved.camera.T_base_cam[:3, 3] += [0.0, 0.0, 0.008]
    cal.save(moved, tmp_path / "moved.json")
    assert cli.main(["calibrate", "check", *words, "--out", str(tmp_path / "moved.json")]) == 0
    assert "calibrate again" in capsys.readouterr().out
    assert json.loads((tmp_path / "check.json").read_text())["mean_error"] == pytest.approx(0.008, abs=0.001)


def test_a_view_is_taken_only_of_a_resting_arm_and_a_board_in_sight(rehearsal):
    from toolwright.hardware.robot import Frame, RobotState

    folder, _ = rehearsal
    shots, K, _ = work.load_shots(folder / "views")
    blank = np.zeros_like(shots[0].image)
    q = np.array([0.1, -0.2, 0.0, -1.8, 0.1, 1.9, 0.3])
    told, turns = [], iter([(shots[0].image, 0.0), (shots[1].image, 0.3), (blank, 0.0), (shots[2].image, 0.0)])

    class Eye:
        def read(self) -> Frame:
            self.image, self.speed = next(turns)
            return Frame(0.0, np.ones((480, 640)), self.image, K, np.eye(4))

    eye, left = Eye(), [False] * 4 + [True]
    taken, seen_K = work.take(
        lambda: RobotState(0.0, q, np.full(7, eye.speed), np.zeros(7)), eye, lambda: left.pop(0), told.append
    )
    assert len(taken) == 2 and (seen_K == K).all()
    assert any("the arm moves" in line for line in told) and any("not taken: 0 of 20 tags" in line for line in told)


def test_views_may_give_joint_angles(rehearsal, tmp_path):
    from toolwright.policies.motion import ArmMotion

    folder, _ = rehearsal
    shots, K, board = work.load_shots(folder / "views")
    q = np.array([0.1, -0.2, 0.0, -1.8, 0.1, 1.9, 0.3])
    work.save_shots(tmp_path, shots[:1], K, board)
    data = json.loads((tmp_path / "views.json").read_text())
    data["views"][0] = {"image": "000.png", "q": q.tolist()}
    (tmp_path / "views.json").write_text(json.dumps(data))
    assert work.load_shots(tmp_path)[0][0].T_base_hand == pytest.approx(ArmMotion().palm(q))


def test_mistakes_get_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(cal.VARIABLE, "c.json")
    (tmp_path / "views").mkdir()
    (tmp_path / "views/views.json").write_text('{"K": [[1]]}')
    for words, expected in (
        ("camera", "needs views of the board"),
        ("camera --views nothing", "nothing/views.json cannot be used"),
        ("camera --views views", "views/views.json cannot be used"),
        ("camra", "did you mean camera?"),
        ("hand", "--port /dev/ttyUSB0"),
        ("board --out board.doc", "a drawing is .pdf or .png"),
        ("check --robot sim --tag 3000", "are millimeters"),
    ):
        assert cli.main(["calibrate", *words.split()]) == 2
        err = capsys.readouterr().err
        assert expected in err and err.count("\n") == 1, err


def test_the_hand_is_zeroed_and_checked(tmp_path, monkeypatch, capsys):
    pytest.importorskip("dynamixel_sdk", reason="dynamixel-sdk is not installed: pip install 'toolwright[hardware]'")
    from toolwright.hardware.drivers import leap_hand
    from toolwright.hardware.fake.dynamixel_bus import DynamixelBus

    monkeypatch.setenv(cal.VARIABLE, str(tmp_path / "c.json"))
    off = np.linspace(-0.1, 0.1, 16)
    with DynamixelBus() as bus:
        for i, motor in enumerate(LEAP_MOTORS.ids):
            bus.motors[motor].put((LEAP_MOTORS.offset[i] + off[i]) / leap_hand.TICK)
        for what in ("check", "hand", "check"):
            out = tmp_path / f"{what}.json"
            assert cli.main(["calibrate", what, "--port", bus.port, "--yes", "--json", str(out)]) == 0
            if what == "check" and not (tmp_path / "hand.json").exists():
                before = json.loads(out.read_text())
    after = json.loads((tmp_path / "check.json").read_text())
    assert [before["joints"][name] for name in LEAP.names] == pytest.approx(off, abs=2e-3)
    assert before["max_error"] > 0.005 > 20 * after["max_error"]
    assert cal.load(tmp_path / "c.json").hand.method == "reference pose"
