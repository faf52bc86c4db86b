"""`ros2 launch toolwright robot.launch.py`: the graph 'robot' of graph.py, whose options are the arguments."""

from toolwright.launch.graph import launch_description


def generate_launch_description():
    return launch_description("robot")
