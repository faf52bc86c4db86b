"""ROS 2: thin nodes over the drivers, and a `Robot` over topics. rclpy is imported where it is used."""
