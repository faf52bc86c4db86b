"""For colcon, which builds this folder as the ROS 2 package of package.xml. The rest stands in pyproject.toml."""

import os
from glob import glob

from setuptools import Distribution, setup


class Plain(Distribution):
    """Without the Python versions of pyproject.toml: colcon reads the set-up as literals, and they are none."""

    def parse_config_files(self, *args, **kwargs):
        super().parse_config_files(*args, **kwargs)
        self.python_requires = self.metadata.python_requires = None


if os.environ.get("COLCON"):
    setup(
        distclass=Plain,
        data_files=[
            ("share/ament_index/resource_index/packages", ["resource/toolwright"]),
            ("share/toolwright", ["package.xml"]),
            ("share/toolwright/launch", sorted(glob("launch/*.launch.py"))),
            ("share/toolwright/params", sorted(glob("hardware/ros/params/*.yaml"))),
        ],
        scripts=["launch/ros2/node"],
        # Where `ros2 run` looks.
        options={
            "develop": {"script_dir": "$base/lib/toolwright"},
            "install": {"install_scripts": "$base/lib/toolwright"},
        },
    )
else:
    setup()
