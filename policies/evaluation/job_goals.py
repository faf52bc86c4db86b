"""What the articulated tools' own jobs leave behind, measured on the true state: liquid, a nut's turn, a clip."""

from __future__ import annotations

import numpy as np

from toolwright.perception.scene import Scene
from toolwright.policies.tool import job_geometry
from toolwright.sim.scene_spec import GoalSpec

KINDS = ("filled", "turned", "clipped", "cut")


def missed(goal: GoalSpec, before: Scene, after: Scene) -> str:
    """Why a goal of one of these kinds is missed; empty where it is not."""
    ((kind, (name, *_)),) = goal.kinds().items()
    was, now = before.objects[name], after.objects[name]
    match kind:
        case "filled":
            got = now.contents - was.contents
            off = abs(got - goal.amount) > job_geometry.dose_error(goal.amount)
            return f"{name} got {got:.2f} ml instead of {goal.amount:.2f} ml" if off else ""
        case "turned":
            turned = now.turn - was.turn
            off = abs(turned - np.deg2rad(goal.amount)) > job_geometry.TURNED
            return f"{name} was turned by {np.rad2deg(turned):.0f} degrees instead of {goal.amount:.0f}" if off else ""
        case "cut":
            strip = job_geometry.strip_of(now)
            off = strip is None or abs(now.length - goal.amount / 1e3) > strip[2] / 2 + 1e-6
            return f"{now.length * 1e3:.0f} mm of {name} are left instead of {goal.amount:.0f} mm" if off else ""
        case _:
            if before.tool is None or after.tool is None:
                return "there is no clothespin"
            if job_geometry.in_hand(after.tool, before.tool.pos_palm):
                return f"{after.tool.name} is still in the hand"
            on = job_geometry.off_line(after.tool, now) <= job_geometry.ON_AXIS
            return "" if on else f"{after.tool.name} is not on {name}"
