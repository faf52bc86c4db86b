"""The robot's skills and eyes as tools of the Model Context Protocol."""
