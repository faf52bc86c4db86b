"""`ros2 launch toolwright record.launch.py`: the graph 'record' of graph.py, whose options are the arguments."""

from toolwright.launch.graph import launch_description


def generate_launch_description():
    return launch_description("record")
