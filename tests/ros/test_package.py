"""The ROS 2 package: what package.xml and setup.py say fits the rest. A real build needs colcon: see docs/ros.md."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from toolwright.hardware.ros.topics import SERVICES, TOPICS
from toolwright.launch.graph import KINDS

ROOT = Path(__file__).parents[2]
PACKAGE = ET.parse(ROOT / "package.xml").getroot()


def test_name_and_version_are_the_projects():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (PACKAGE.findtext("name"), PACKAGE.findtext("version")) == (project["name"], project["version"])
    assert PACKAGE.findtext("export/build_type") == "ament_python"


def test_every_message_package_is_a_dependency():
    declared = {item.text for item in PACKAGE if item.tag in ("depend", "exec_depend")}
    used = {item.type.split("/")[0] for item in (*TOPICS, *SERVICES)}
    assert used <= declared
    sources = [*(ROOT / "hardware/ros").glob("*.py"), *(ROOT / "launch/nodes").glob("*.py")]
    for source in sources:
        for line in source.read_text().splitlines():
            words = line.split()
            if words[:1] == ["from"] and words[1].endswith((".msg", ".srv", ".action")):
                assert words[1].rpartition(".")[0] in declared, f"{source.name}: {words[1]}"


@pytest.mark.parametrize("colcon", [False, True])
def test_set_up_tells_colcon_alone_of_launch_files_and_nodes(colcon):
    code = (
        "from distutils.core import run_setup; import setuptools\n"
        "made = run_setup('setup.py', script_args=['--quiet'], stop_after='config')\n"
        "print([file for _, files in made.data_files or [] for file in files], made.scripts)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "COLCON"} | (
        {"COLCON": "1"} if colcon else {}
    )
    code = "import setuptools\n" + code  # its distutils, which the standard library no longer has
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for kind in KINDS:
        assert (f"launch/{kind}.launch.py" in done.stdout) == colcon
    assert ("launch/ros2/node" in done.stdout) == colcon
    assert ("package.xml" in done.stdout) == colcon


def test_node_script_can_be_run():
    script = ROOT / "launch/ros2/node"
    assert os.access(script, os.X_OK)
    done = subprocess.run([sys.executable, str(script), "nothing"], capture_output=True, text=True)
    assert done.returncode == 2 and "say which node" in done.stderr


def test_the_page_names_every_topic_service_node_and_parameter():
    import dataclasses

    from toolwright.hardware.ros import camera_node, hand_node, robot_node
    from toolwright.launch.nodes import estop_node, policy_node, record_node, scene_node, sim_node, task_node
    from toolwright.launch.nodes.__main__ import NODES

    page = (ROOT / "docs/ros.md").read_text()
    kinds = (
        robot_node.RobotParameters,
        hand_node.HandParameters,
        camera_node.CameraParameters,
        sim_node.SimParameters,
        scene_node.SceneParameters,
        policy_node.PolicyParameters,
        task_node.TaskParameters,
        record_node.RecordParameters,
        estop_node.EstopParameters,
    )
    names = [item.name for item in (*TOPICS, *SERVICES)] + [f.name for kind in kinds for f in dataclasses.fields(kind)]
    assert [name for name in names if f"`{name}`" not in page] == []
    assert [node for node in NODES if f"**{node}**" not in page] == []
