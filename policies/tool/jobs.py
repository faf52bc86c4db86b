"""What each family of tools is for: the actions that its own job needs, on top of what every held tool does."""

from __future__ import annotations

from toolwright.policies.tool.clipping import ClothespinUse
from toolwright.policies.tool.cutting import ScissorsUse
from toolwright.policies.tool.dispensing import SyringeUse
from toolwright.policies.tool.tool_use import ToolUse
from toolwright.policies.tool.turning import PliersUse

USES: dict[str, type[ToolUse]] = {
    "clothespin": ClothespinUse,
    "pliers": PliersUse,
    "scissors": ScissorsUse,
    "syringe": SyringeUse,
}


def use_of(family: str) -> type[ToolUse]:
    """The actions with a tool of a family."""
    return USES.get(family, ToolUse)
