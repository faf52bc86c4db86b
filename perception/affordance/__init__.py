"""From depth images to what can be done: the held tool's opening and tips, how an object can be grasped.

affordance = Affordance.load()
tool = affordance.tool(tool_cloud(frame, T_world_palm, table_height), joints, eye, known)
grasp = affordance.object(object_cloud(frame, near, table_height), table_height)
"""

from toolwright.perception.affordance.clouds import AffordanceError, CloudError, object_cloud, tool_cloud
from toolwright.perception.affordance.encoder import Affordance, EncoderError, GraspEstimate, ToolEstimate
from toolwright.perception.affordance.tool_model import ToolModel

__all__ = [
    "Affordance",
    "AffordanceError",
    "CloudError",
    "EncoderError",
    "GraspEstimate",
    "ToolEstimate",
    "ToolModel",
    "object_cloud",
    "tool_cloud",
]
