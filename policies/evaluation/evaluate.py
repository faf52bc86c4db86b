"""The evaluations, by the name that the command line gives them."""

from toolwright.policies.evaluation.affordance import evaluate as affordance
from toolwright.policies.evaluation.cup import evaluate as cup
from toolwright.policies.evaluation.fetch import evaluate as fetch
from toolwright.policies.evaluation.held_tool import evaluate as held_tool
from toolwright.policies.evaluation.pick import evaluate as pick
from toolwright.policies.evaluation.reorient import evaluate as reorient
from toolwright.policies.evaluation.tools import evaluate as tools

__all__ = ["cup", "affordance", "fetch", "held_tool", "pick", "reorient", "tools"]
