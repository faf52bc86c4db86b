"""`ros2 launch toolwright sim.launch.py`: the graph 'sim' of graph.py, whose options are the arguments."""

from toolwright.launch.graph import launch_description


def generate_launch_description():
    return launch_description("sim")
