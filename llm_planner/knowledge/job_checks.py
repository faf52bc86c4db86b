"""Whether the held tool can do its own job on an object of the measured scene, and why not."""

from __future__ import annotations

from toolwright.perception.scene import Scene
from toolwright.policies.tool import job_geometry

JAW_ROOM = 0.001  # m between open jaws and what they close on, both sides together


def no_dose(scene: Scene, container: str, volume: float) -> str:
    """Why a volume [ml] cannot be dispensed into an object; empty where it can."""
    cup, tool = scene.objects[container], scene.tool
    if tool is None or not tool.bore:
        return "the hand holds no syringe"
    if cup.opening <= 0:
        return f"{container} has no opening to dispense anything into"
    left = job_geometry.volume_left(tool)
    return f"the syringe can give {left:.2f} ml, not {volume:.2f} ml" if volume > left else ""


def no_turn(scene: Scene, name: str) -> str:
    """Why the held pliers cannot turn an object; empty where they can."""
    nut, tool = job_geometry.nut_of(scene.objects[name]), scene.tool
    if tool is None or tool.family != "pliers":
        return "the hand holds no pliers"
    if nut is None:
        return f"{name} has no nut to turn"
    wide, widest = float(nut.size[1]), tool.opening_max
    if wide + JAW_ROOM > widest:
        return f"the nut is {wide * 1e3:.1f} mm wide, the pliers open to {widest * 1e3:.1f} mm"
    return ""


def no_cut(scene: Scene, name: str, length: float) -> str:
    """Why the held scissors cannot leave `length` [m] of an object; empty where they can."""
    item, tool = scene.objects[name], scene.tool
    strip = job_geometry.strip_of(item)
    if tool is None or tool.family != "scissors":
        return "the hand holds no scissors"
    if strip is None:
        return f"{name} is nothing that scissors cut"
    if not strip[2] / 2 < length < item.length - strip[2] / 2:
        return f"of {item.length * 1e3:.0f} mm of {name}, {length * 1e3:.0f} mm cannot stay"
    return ""


def no_clip(scene: Scene, name: str) -> str:
    """Why the held clothespin cannot be clipped on an object; empty where it can."""
    line, tool = job_geometry.line_of(scene.objects[name]), scene.tool
    if tool is None or tool.family != "clothespin":
        return "the hand holds no clothespin"
    if line is None:
        return f"{name} is no line that a clothespin could hang on"
    thick, widest = 2 * line[2], tool.opening_max
    if thick + JAW_ROOM > widest:
        return f"{name} is {thick * 1e3:.1f} mm thick, the clothespin opens to {widest * 1e3:.1f} mm"
    return ""
