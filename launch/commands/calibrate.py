"""Measure this robot: where its camera is, where its hand is zero, by how much.

WHAT is one of:
  board   draw the AprilTag board for the printer
  camera  find the camera in the arm's base frame, from views of the board
  hand    find the zeros of the LEAP hand's joints
  check   say by how many millimeters camera or hand are off now

The board is screwed to the arm's hand, the camera stands still. Views come from
a folder with views.json and images (--views); with --robot ros they are taken
there first, at every press of Enter, from a RealSense camera and the joints of
a running robot_node; with --robot sim, from a rehearsal whose truth is known.
The result goes into the calibration file; the one before is kept beside it.

Examples:
  toolwright calibrate board --out board.pdf
  toolwright calibrate camera --robot sim
  toolwright calibrate camera --robot ros --views runs/views --tag 29.8
  toolwright calibrate camera --views runs/views
  toolwright calibrate hand --port /dev/ttyUSB0 --stops
  toolwright calibrate check --views runs/new_views
  toolwright calibrate check --port /dev/ttyUSB0
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from toolwright.launch.errors import UserError
from toolwright.launch.parser import Parser, add_json, add_seed, one_of, positive

if TYPE_CHECKING:
    from rich.console import Console

    from toolwright.launch.results import CalibrateResult
    from toolwright.perception.board import Board

USAGE = "WHAT [options]"
_POSE = "all fingers straight, the thumb straight and beside the palm, as in the maker's zero picture"


def add_arguments(parser: Parser) -> None:
    kinds = ("board", "camera", "hand", "check")
    parser.add_argument("what", metavar="WHAT", type=one_of(*kinds), help=", ".join(kinds))
    parser.add_argument("--views", metavar="FOLDER", type=Path, help="views of the board: views.json and its images")
    parser.add_argument(
        "--robot", metavar="NAME", type=one_of("sim", "ros"), help="ros: the real arm; sim: a rehearsal"
    )
    parser.add_argument("--serial", metavar="NUMBER", help="ros: of the camera (default: the first one)")
    parser.add_argument("--port", metavar="DEVICE", help="serial adapter of the hand, for instance /dev/ttyUSB0")
    parser.add_argument("--stops", action="store_true", help="hand: then push fingers gently to their lower stops")
    parser.add_argument("--tag", metavar="MM", type=float, help="side of a tag as printed (default: 30)")
    parser.add_argument("--gap", metavar="MM", type=float, help="white between two tags as printed (default: 9)")
    parser.add_argument("--columns", metavar="N", type=positive, help="tags in a row (default: 5)")
    parser.add_argument("--rows", metavar="N", type=positive, help="rows of tags (default: 4)")
    parser.add_argument("--out", metavar="FILE", type=Path, help="the drawing, .pdf or .png; else the calibration file")
    parser.add_argument("--yes", action="store_true", help="do not ask before the hand is measured")
    add_seed(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> CalibrateResult:
    from toolwright.launch.console import console

    out = console(args)
    if args.what == "board":
        return _draw(args, out)
    if args.what == "hand" or (args.what == "check" and args.port):
        return _hand(args, out)
    if args.views is None and args.robot is None:
        raise UserError(f"{args.what} needs views of the board: --views FOLDER, or --robot sim for a rehearsal")
    return _camera(args, out)


def _board(args: argparse.Namespace) -> Board | None:
    """The board as printed; None where nothing is said."""
    from toolwright.perception.board import Board

    asked = {"tag": args.tag and args.tag / 1e3, "gap": args.gap and args.gap / 1e3}
    given = {key: value for key, value in (asked | {"columns": args.columns, "rows": args.rows}).items() if value}
    board = Board(**given) if given else None
    if board is not None and not (0 < board.tag < 1 and 0 < board.gap < 1):
        raise UserError("--tag and --gap are millimeters, for instance --tag 30 --gap 9")
    return board


def _draw(args: argparse.Namespace, out: Console) -> CalibrateResult:
    from toolwright.launch.results import CalibrateResult, check_writable
    from toolwright.perception.board import Board

    path = args.out or Path("board.pdf")
    if path.suffix not in (".pdf", ".png"):
        raise UserError(f"a drawing is .pdf or .png, got '{path}'")
    check_writable(str(path))
    board = _board(args) or Board()
    board.save(path)
    width, height = board.size
    out.print(
        f"{path}: {board.columns} x {board.rows} tags, {1e3 * width:.0f} x {1e3 * height:.0f} mm. Print it at 100 %, "
        "glue it onto something stiff, measure a tag and a gap, and give them with --tag and --gap.",
        markup=False,
    )
    return CalibrateResult(what="board", file=str(path))


def _camera(args: argparse.Namespace, out: Console) -> CalibrateResult:
    import numpy as np

    from toolwright.hardware import calibration as cal
    from toolwright.launch import calibration as work
    from toolwright.launch.results import CalibrateResult
    from toolwright.perception import hand_eye

    def say(line: str) -> None:
        out.print(line, markup=False)

    rig, board = None, _board(args)
    if args.robot == "sim":
        from toolwright.perception.board import Board

        rig = work.SimRig(np.random.default_rng(args.seed), board or Board())
        shots, K, board = [], rig.K, rig.board
        for shot in rig.shots():
            shots.append(shot)
            say(f"view {len(shots)} of {work.SIM_VIEWS}")
        if args.views is not None:
            work.save_shots(args.views, shots, K, board)
    elif args.robot == "ros":
        if args.views is None:
            raise UserError("say with --views where the images go, for instance --views runs/views")
        with work.real_arm() as read, work.real_camera(args.serial) as camera:
            shots, K = work.take(read, camera, lambda: input() != "", say)
        board = board or work.Board()
        work.save_shots(args.views, shots, K, board)
    else:
        shots, K, board = work.load_shots(args.views, board)
    views = work.views_of(shots, K, board, say)
    if args.what == "check":
        return _check_camera(args, out, views)
    found = hand_eye.solve(views, K)
    if found.left_out:
        say(f"left out, because they do not fit the others: views {', '.join(map(str, found.left_out))}")
    place = found.T_base_cam[:3, 3]
    say(f"camera at x {place[0]:.4f}, y {place[1]:.4f}, z {place[2]:.4f} m in the arm's base frame")
    say(
        f"known to {1e3 * found.position_std:.2f} mm and {np.rad2deg(found.angle_std):.3f} degrees (std); "
        f"{len(views)} views, corners {found.pixels:.2f} px off, board up to {1e3 * np.nanmax(found.residuals):.1f} mm"
    )
    truth = None
    if rig is not None:
        truth = work.off(found.T_base_cam, rig.T_base_cam)
        say(f"against the truth of the rehearsal: {1e3 * truth[0]:.2f} mm, {np.rad2deg(truth[1]):.3f} degrees")
    file = None
    if args.robot != "sim" or args.out is not None:
        known = cal.load(args.out)
        found_place = cal.CameraPlace(
            T_base_cam=found.T_base_cam,
            T_hand_board=found.T_hand_board,
            position_std=found.position_std,
            angle_std=found.angle_std,
            views=len(views),
            date=time.strftime("%Y-%m-%d %H:%M:%S"),
        )
        file = cal.save(cal.Calibration(found_place, known.hand, known.other), args.out)
        say(f"written to {file}")
    return CalibrateResult(
        what="camera",
        views=len(views),
        left_out=found.left_out,
        T_base_cam=found.T_base_cam.tolist(),
        position_std=found.position_std,
        angle_std=found.angle_std,
        position_error=truth and truth[0],
        angle_error=truth and truth[1],
        file=file and str(file),
    )


def _check_camera(args: argparse.Namespace, out: Console, views: list) -> CalibrateResult:
    import numpy as np

    from toolwright.hardware import calibration as cal
    from toolwright.launch.results import CalibrateResult
    from toolwright.perception import hand_eye

    path = args.out or cal.default_path()
    camera = cal.load(path).camera
    if camera is None:
        raise UserError(f"{path} does not say where the camera is: run 'toolwright calibrate camera' first")
    stored = hand_eye.HandEye(camera.T_base_cam, camera.T_hand_board, np.zeros(0), 0.0, 0.0, 0.0)
    errors = hand_eye.check(stored, views)
    verdict = "good" if errors.mean() < 2e-3 else "calibrate again" if errors.mean() > 5e-3 else "usable"
    out.print(
        f"off by {1e3 * errors.mean():.1f} mm in the mean of {len(errors)} views, {1e3 * errors.max():.1f} mm at most: "
        f"{verdict}",
        markup=False,
    )
    if verdict != "good":
        out.print("Was the camera, the board or the arm's base touched since then?")
    return CalibrateResult(
        what="check", views=len(views), mean_error=float(errors.mean()), max_error=float(errors.max()), file=str(path)
    )


def _hand(args: argparse.Namespace, out: Console) -> CalibrateResult:
    import numpy as np

    from toolwright.hardware import calibration as cal
    from toolwright.hardware.drivers import leap_zero
    from toolwright.hardware.joints import LEAP, LEAP_MOTORS
    from toolwright.launch.calibration import tip_errors
    from toolwright.launch.results import CalibrateResult

    if not args.port:
        raise UserError("the hand is on a serial adapter: give it with --port, for instance --port /dev/ttyUSB0")
    hand = leap_zero.LimpHand(args.port)
    hand.connect()
    pose = np.zeros(len(LEAP))
    try:
        _ask(args, out, f"The hand is limp now. Bring it into the reference pose: {_POSE}.")
        found = leap_zero.zero_in_pose(hand, pose)
        motors = cal.leap_motors(args.out)
        q = motors.to_joint(found.to_motor(pose))
        if args.what == "hand" and args.stops:
            _ask(args, out, "Turn the palm up and keep clear: one joint after the other moves to its lower stop.")
            say = lambda line: out.print(line, markup=False)  # noqa: E731
            found = leap_zero.zero_at_stops(hand, found, report=say)
    finally:
        hand.close()
    tips = tip_errors(q, pose)
    worst = int(np.abs(q).argmax())
    out.print(
        f"by the zeros in use the joints are {np.abs(q).max():.3f} rad off at most ({LEAP.names[worst]}), "
        f"the fingertips {', '.join(f'{name[:2]} {1e3 * one:.1f}' for name, one in tips.items())} mm",
        markup=False,
    )
    file = None
    if args.what == "hand":
        known = cal.load(args.out)
        zero = cal.HandZero(
            offsets=dict(zip(found.joints, found.offset.tolist(), strict=True)),
            method="reference pose, then stops" if args.stops else "reference pose",
            date=time.strftime("%Y-%m-%d %H:%M:%S"),
        )
        file = cal.save(cal.Calibration(known.camera, zero, known.other), args.out)
        most = float(np.abs(found.offset - LEAP_MOTORS.offset).max())
        out.print(f"zeros up to {most:.3f} rad from the nominal ones, written to {file}", markup=False)
    return CalibrateResult(
        what=args.what,
        joints=dict(zip(LEAP.names, q.tolist(), strict=True)),
        mean_error=float(np.mean(list(tips.values()))),
        max_error=max(tips.values()),
        file=file and str(file),
    )


def _ask(args: argparse.Namespace, out: Console, what: str) -> None:
    out.print(what, markup=False)
    if args.yes:
        return
    out.print("Press Enter when it is so, Ctrl-C to end.")
    try:
        input()
    except EOFError as error:
        raise UserError("there is no terminal to press Enter on: add --yes once the hand is ready") from error
