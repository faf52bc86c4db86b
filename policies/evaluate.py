"""The evaluations, by the name that the command line gives them."""

from toolwright.policies.evaluate_held_tool import evaluate as held_tool
from toolwright.policies.evaluate_pick import evaluate as pick
from toolwright.policies.evaluate_reorient import evaluate as reorient
from toolwright.policies.evaluate_tools import evaluate as tools

__all__ = ["held_tool", "pick", "reorient", "tools"]
