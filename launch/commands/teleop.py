"""Move arm and hand yourself, with the keyboard or a gamepad.

The keyboard works over ssh. A key moves while it is held and the robot comes
to rest when it is released; the space bar is the emergency stop. With --pad, a
gamepad moves while its left shoulder button is held. Everything goes through
the safety gate. Runs on real devices are always recorded, as demonstrations or
to see later what happened.

  w/s a/d r/f   move along x, y, z       u/o i/k j/l   turn about x, y, z
  e/z           open, close the tool     tab, +/-      choose a joint, move it
  , .           slower, faster           c             clear the emergency stop
  space         EMERGENCY STOP           q, Esc        quit

Examples:
  toolwright teleop
  toolwright teleop --scene beads --record runs/demo.mcap --video runs/demo.mp4
  toolwright teleop --robot leap --port /dev/ttyUSB0 --speed 5
  toolwright teleop --pad /dev/input/js0
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from typing import TYPE_CHECKING

from toolwright.launch.errors import UserError
from toolwright.launch.parser import Parser, add_controller, add_json, add_seed, one_of, recording, video

if TYPE_CHECKING:
    from toolwright.launch.results import TeleopResult

USAGE = "[options]"
_FIRST = "first"
_PERCENT = {"sim": 20.0, "ros": 10.0, "leap": 10.0, "fr3": 10.0}


def add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "--robot",
        metavar="NAME",
        type=one_of("sim", "ros", "leap", "fr3"),
        default="sim",
        help="sim (default); ros: robot_node's arm; leap: the hand; fr3: the arm without ROS",
    )
    parser.add_argument("--port", metavar="DEVICE", help="leap: its serial adapter, for instance /dev/ttyUSB0")
    parser.add_argument("--host", metavar="ADDRESS", help="fr3: of the arm's control box, for instance 172.16.0.2")
    parser.add_argument(
        "--clear", action="store_true", help="leap, fr3: first clear a fault latched in the device; free it before"
    )
    parser.add_argument(
        "--scene", metavar="NAME|FILE", default="bead", help="sim: one of 'list scenes' (default: bead)"
    )
    add_seed(parser)
    parser.add_argument("--pad", metavar="DEVICE", nargs="?", const=_FIRST, help="use a gamepad, the first or this one")
    parser.add_argument("--speed", metavar="PERCENT", type=percent, help="to begin with (default: sim 20, real 10)")
    add_controller(parser, "of the held tool")
    parser.add_argument("--record", metavar="FILE", type=recording, help="record, .mcap (default: for real devices)")
    parser.add_argument("--video", metavar="FILE", type=video, help="sim: write a video, .mp4 or .gif")
    add_json(parser)


def percent(text: str) -> float:
    """A percentage above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 100:
        raise argparse.ArgumentTypeError(f"expected a percentage up to 100, got '{text}'")
    return value


def run(args: argparse.Namespace) -> TeleopResult:
    from toolwright.launch.keyboard import Keyboard

    if not Keyboard.is_there() and not args.pad:
        raise UserError("teleoperation needs a terminal to read keys from, or --pad")
    if args.robot == "leap" and not args.port:
        raise UserError("the hand is on a serial adapter: give it with --port, for instance --port /dev/ttyUSB0")
    if args.robot == "fr3" and not args.host:
        raise UserError("say where the arm's control box is: give it with --host, for instance --host 172.16.0.2")
    if args.robot != "sim" and args.video:
        raise UserError("only a simulation can be filmed: drop --video")
    if args.robot in ("sim", "ros") and args.clear:
        raise UserError("--clear is for leap and fr3; over ROS it is: toolwright ros clear")

    from toolwright.hardware.drivers.gamepad import Gamepad
    from toolwright.hardware.mcap_log import default_path
    from toolwright.launch import teleop
    from toolwright.launch.console import console
    from toolwright.launch.jog import HELP, Pad
    from toolwright.launch.results import TeleopResult

    out = console(args)
    pad = Gamepad(None if args.pad == _FIRST else args.pad) if args.pad else None
    speed = (args.speed or _PERCENT[args.robot]) / 100
    record = args.record
    ending = ExitStack()
    if args.robot != "sim":
        record = record or str(default_path())
    if args.robot == "leap":
        rig = teleop.leap_hand(args.port, speed, record, args.clear)
    elif args.robot == "fr3":
        rig = teleop.fr3_arm(args.host, speed, record, args.clear)
    elif args.robot == "ros":
        rig = ending.enter_context(teleop.over_ros(speed, record))
    else:
        rig = teleop.simulated(args.scene, args.seed, speed, record, args.video, args.controller)
    out.print(HELP, markup=False)
    if pad is not None:
        out.print(
            "  gamepad   hold the left shoulder button; sticks move, triggers open and close, B stops", markup=False
        )
    show = teleop.on_terminal if out.is_terminal else lambda line: None
    try:
        if Keyboard.is_there():
            with Keyboard() as keyboard:
                ended = teleop.drive(rig, keyboard, [Pad(pad)] if pad else [], show)
        else:
            assert pad is not None
            ended = teleop.drive(rig, None, [Pad(pad)], show)
    finally:
        out.print()
        rig.close()
        ending.close()
        if pad is not None:
            pad.close()
    if record:
        out.print(f"recorded: {record}; see it with: toolwright replay {record}", markup=False)
    return TeleopResult(
        robot=args.robot, ticks=ended.ticks, stops=ended.stops, late=ended.late, recording=record, video=args.video
    )
