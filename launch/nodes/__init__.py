"""ROS 2 nodes that need more than hardware; `python -m toolwright.launch.nodes NAME` starts one."""
