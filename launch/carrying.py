"""The options of a command that carries out a sentence: dry run, approval, repairs, skill library."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from toolwright.launch.errors import UserError
from toolwright.launch.parser import natural, one_of

if TYPE_CHECKING:
    from rich.console import Console

    from toolwright.launch.session import Session
    from toolwright.llm_planner.run.executor import Options
    from toolwright.llm_planner.run.record import RunRecord
    from toolwright.llm_planner.run.rehearsal import CopyWorld, WorldCopy
    from toolwright.perception.scene import Scene

REPAIRS = 2
COPIES = ("models", "physics", "off")
AT_HOME = 0.05  # rad


def add_carrying(parser: argparse.ArgumentParser) -> None:
    """Adds them."""
    parser.add_argument(
        "--dry-run", action="store_true", help="end after the dry run on a copy of the world; nothing moves"
    )
    parser.add_argument(
        "--rehearsal",
        metavar="COPY",
        type=one_of(*COPIES),
        default="models",
        help="what the dry run is made on: models (of the skills; fast, default), physics, or off",
    )
    parser.add_argument("--approve", action="store_true", help="ask before each motion: yes, no, or other numbers")
    parser.add_argument(
        "--repairs",
        metavar="N",
        type=natural,
        default=REPAIRS,
        help=f"how often a failed plan may be repaired (default: {REPAIRS})",
    )
    parser.add_argument("--keep", metavar="NAME", help="if it works, keep the code in the skill library as NAME")
    add_skills(parser)


def add_skills(parser: argparse.ArgumentParser) -> None:
    """Adds --skills."""
    parser.add_argument(
        "--skills", metavar="FOLDER", help="the skill library (default: $TOOLWRIGHT_SKILLS, or ~/.toolwright/skills)"
    )


def check(args: argparse.Namespace) -> None:
    """Complains before the long work starts.

    Raises:
        UserError: the options do not go together, or cannot be followed.
    """
    from toolwright.llm_planner.skills import library

    if args.approve:
        from toolwright.launch.approval import check_terminal

        check_terminal()
    if args.dry_run and args.rehearsal == "off":
        raise UserError("--dry-run with --rehearsal off leaves nothing to do: drop one of them")
    if args.keep is None:
        return
    if args.dry_run:
        raise UserError("--keep needs a run that worked, and --dry-run makes none: drop one of them")
    try:
        library.check_name(args.keep, library.folder(args.skills))
    except library.LibraryError as error:
        raise UserError(f"--keep: {error}") from error


def options(args: argparse.Namespace, session: Session, console: Console) -> Options:
    """What `run_sentence` needs of them."""
    from toolwright.launch.approval import AskUser
    from toolwright.llm_planner.run.executor import Options
    from toolwright.llm_planner.skills import library
    from toolwright.llm_planner.skills.choice import skills_for

    return Options(
        copy=copies(session, args.rehearsal, args.seed, args.controller),
        dry_run=args.dry_run,
        approve=AskUser(console) if args.approve else None,
        repairs=args.repairs,
        library=library.load(library.folder(args.skills), skills_for(session.perception.look())),
    )


def copies(session: Session, kind: str, seed: int = 0, controller: str = "learned") -> CopyWorld | None:
    """Makes copies of a session's world.

    Args:
        kind: "models": skill models and the arm's kinematics; "physics": a simulator built from what is perceived,
            where that can be done, otherwise models; "off".
        seed: of a simulator's noise.
        controller: of a simulator's hand.
    """
    if kind == "off":
        return None

    from toolwright.hardware.joints import FR3, FR3_HOME
    from toolwright.llm_planner.knowledge.hand_copy import model_world
    from toolwright.llm_planner.run.rehearsal import WorldCopy
    from toolwright.policies.tool.reach import ArmReach
    from toolwright.policies.tool.tool_use import ToolUse
    from toolwright.policies.twin import TwinError, twin

    def models(scene: Scene, why: str = "") -> WorldCopy:
        kind, reach, actions = "skill models", None, session.actions
        if isinstance(actions, ToolUse) and scene.tool is not None:
            kind, reach = "skill models and the arm's kinematics", ArmReach(actions, scene)
        world = model_world(scene, reach)
        return WorldCopy(kind + why, world, world)

    def physics(scene: Scene) -> WorldCopy:
        arm = session.robot.read().q[session.robot.joints.indices(FR3.names)]
        if session.spec is None or abs(arm - FR3_HOME).max() > AT_HOME:
            return models(scene, " (the arm is not at home)")
        try:
            world = twin(session.spec, scene, seed, controller)  # type: ignore[arg-type]
        except TwinError as error:
            return models(scene, f" ({error})")
        return WorldCopy("physics", world.actions, world.perception)

    return physics if kind == "physics" else models


def keep(args: argparse.Namespace, record: RunRecord, console: Console) -> None:
    """Keeps the run's code where that was asked for; says where, or why not."""
    if args.keep is None:
        return
    from rich.text import Text

    from toolwright.llm_planner.skills import library
    from toolwright.llm_planner.skills.hand_skills import HAND_SKILLS
    from toolwright.llm_planner.skills.job_skills import skills_with

    tool = record.scene_before.tool if record.scene_before is not None else None
    registry = skills_with(tool.family) if tool is not None else HAND_SKILLS
    folder = library.folder(args.skills)
    try:
        about = {"scene": args.scene, "seed": args.seed}
        skill = library.keep(args.keep, record, registry, folder, **about)
    except (library.LibraryError, OSError) as error:
        console.print(Text(f"not kept: {error}", style="yellow"))
        return
    console.print(Text(f"kept as {skill.signature} in {folder / f'{skill.name}.py'}"))
