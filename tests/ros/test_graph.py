"""The tables of nodes: what they say, what ros2 launch is given, and that the runner ends what it started."""

from __future__ import annotations

import runpy
import signal
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from toolwright.launch import cli
from toolwright.launch.errors import UserError
from toolwright.launch.graph import KINDS, NAMESPACE, OPTIONS, Entry, graph
from toolwright.launch.nodes.__main__ import NODES, main
from toolwright.launch.runner import Runner

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("kind", KINDS)
def test_every_entry_is_a_node_that_can_be_started(kind):
    entries = graph(kind)
    assert entries and all(entry.node in NODES for entry in entries)
    assert len({entry.node for entry in entries}) == len(entries)


def test_the_simulated_graph_is_the_real_one_with_the_simulation_for_the_devices():
    devices = {"hand_node", "camera_node"}
    real = {entry.node for entry in graph("robot", {"record": "none"})} - devices
    assert {entry.node for entry in graph("sim", {"perception": "camera"})} - {"sim_node"} == real
    assert {entry.node for entry in graph("sim")} - {"sim_node"} == real - {"scene_node"}, (
        "it says what is there itself"
    )


def test_only_the_known_robot_gets_policy_and_task():
    assert "task_node" in {entry.node for entry in graph("robot", {"arm": "fr3"})}
    plain = {"arm": "ur5e", "camera": "none", "record": "none"}
    assert {entry.node for entry in graph("robot", plain)} == {"robot_node", "hand_node"}
    assert [entry.node for entry in graph("robot", plain | {"hand": "none"})] == ["robot_node"]


def test_a_real_robot_is_always_recorded_and_a_simulated_one_when_asked():
    (entry,) = (entry for entry in graph("robot") if entry.node == "record_node")
    assert entry.parameters["file"] == "new"
    assert "record_node" not in {entry.node for entry in graph("sim")}
    (entry,) = (entry for entry in graph("sim", {"record": "a.mcap"}) if entry.node == "record_node")
    assert entry.parameters == {"use_sim_time": True, "file": "a.mcap"}


@pytest.mark.parametrize(
    ("kind", "words", "message"),
    [
        ("sim", {"scen": "bead"}, r"unknown option 'scen' \(did you mean scene\?\)"),
        ("robot", {"camera": "d345"}, r"camera:=d345 \(did you mean d435\?\): choose d435, none"),
        ("sim", {"rate": "fast"}, "rate:=fast is no number"),
        ("sim", {"seed": "1.5"}, "seed:=1.5 is no whole number"),
    ],
)
def test_a_wrong_option_is_named(kind, words, message):
    with pytest.raises(UserError, match=message):
        graph(kind, words)


def test_a_text_stays_a_text_on_the_command_line():
    words = Entry("sim_node", {"scene": "12", "rate": 1.0, "follow": False}).command()
    assert ["-p", 'scene:="12"', "-p", "rate:=1.0", "-p", "follow:=false"] == words[-6:]


@pytest.mark.parametrize("kind", KINDS)
def test_launch_file_gives_ros2_launch_the_same_processes(kind, monkeypatch):
    """With stand-ins for ROS's packages, which pip does not have: what they are given, not that they run it."""

    class Made:
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.args, self.kwargs = args, kwargs

    class Argument(Made):
        pass

    names = {
        "launch": {"LaunchDescription": Made},
        "launch.actions": {"DeclareLaunchArgument": Argument, "OpaqueFunction": Made},
        "launch_ros": {},
        "launch_ros.actions": {"Node": Made},
    }
    for name, classes in names.items():
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
        vars(sys.modules[name]).update(classes)

    described = runpy.run_path(str(ROOT / f"launch/{kind}.launch.py"))["generate_launch_description"]().args[0]
    defaults = {item.args[0]: item.kwargs["default_value"] for item in described if isinstance(item, Argument)}
    assert defaults == {name: option.default for name, option in OPTIONS[kind].items()}
    nodes = described[-1].kwargs["function"](types.SimpleNamespace(launch_configurations=defaults))
    for node, entry in zip(nodes, graph(kind), strict=True):
        given = node.kwargs
        assert [given["executable"], *given["arguments"]] == entry.command()[:4]
        assert (given["name"], given["namespace"]) == (entry.node, NAMESPACE)
        assert given["parameters"] == [entry.parameters]


def test_a_wrong_node_name_is_refused(capsys):
    assert main(["robot_nod"]) == 2
    assert "robot_node" in capsys.readouterr().err


class Sleeper(Entry):
    """An entry that needs no ROS: writes down how it was ended."""

    def command(self) -> list[str]:
        code = (
            "import signal, sys, time\n"
            "def end(*_): print(sys.argv[1], flush=True); sys.exit(0)\n"
            "signal.signal(signal.SIGINT, end); print('up', flush=True); time.sleep(float(sys.argv[2]))"
        )
        return [sys.executable, "-c", code, self.node, str(self.parameters["seconds"])]


def test_runner_ends_all_when_it_ends(tmp_path, until):
    log = tmp_path / "log"
    entries = (Sleeper("first", {"seconds": 60}), Sleeper("second", {"seconds": 60}))
    with Runner(entries, log=str(log)) as runner:
        until(lambda: log.read_text().count("up") == 2)
    assert {name: process.returncode for name, process in runner.processes.items()} == {"first": 0, "second": 0}
    assert all(name in log.read_text() for name in ("first", "second"))


def test_runner_tells_which_node_ended_by_itself(tmp_path):
    entries = (Sleeper("short", {"seconds": 0}), Sleeper("long", {"seconds": 60}))
    with Runner(entries, log=str(tmp_path / "log")) as runner:
        assert runner.wait() == {"short": 0}
    assert runner.processes["long"].poll() is not None


def test_runner_that_cannot_start_one_ends_the_others(tmp_path):
    class Broken(Sleeper):
        def command(self) -> list[str]:
            return ["/nowhere/nothing"]

    runner = Runner((Sleeper("first", {"seconds": 60}), Broken("second", {})), log=str(tmp_path / "log"))
    with pytest.raises(FileNotFoundError), runner:
        pass
    assert runner.processes["first"].poll() is not None


@pytest.fixture
def command(capsys):
    """`toolwright ros` in this process: its exit code, and what it says."""

    def run(*words: str) -> types.SimpleNamespace:
        code = cli.main(["ros", *words])
        said = capsys.readouterr()
        return types.SimpleNamespace(returncode=code, stdout=said.out, stderr=said.err)

    return run


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("up",), "say which graph to start: sim, robot, record"),
        (("up", "smi"), "did you mean sim?"),
        (("graph", "sim", "scene=bead"), "an option is name:=value"),
        (("do",), "say what to do"),
        (("stop", "now"), "takes nothing more"),
        (("halt",), "unknown 'halt'"),
    ],
)
def test_a_wrong_command_says_what_would_be_right(command, words, message):
    done = command(*words)
    assert done.returncode == 2
    assert message in done.stderr and "Traceback" not in done.stderr


def test_graph_command_shows_what_up_would_start(command):
    done = command("graph", "robot", "arm:=xarm7", "speed:=0.1")
    assert done.returncode == 0
    assert [line.split("toolwright.launch.nodes ")[1].split()[0] for line in done.stdout.splitlines()] == [
        entry.node for entry in graph("robot", {"arm": "xarm7"})
    ]
    assert "speed:=0.1" in done.stdout


def test_topics_command_has_the_whole_table(command):
    from toolwright.hardware.ros.topics import SERVICES, TOPICS

    done = command("topics", "--json", "-")
    assert done.returncode == 0
    assert all(item.name in done.stdout for item in (*TOPICS, *SERVICES))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_up_ends_and_leaves_no_process(ros, until, number):
    path = Path(sys.executable).with_name("toolwright")
    words = [str(path), "ros", "up", "robot", "camera:=none", "hand:=none", "arm:=ur5e", "record:=none"]
    up = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        children = Path(f"/proc/{up.pid}/task/{up.pid}/children")
        (pid,) = until(lambda: children.read_text().split(), 30)
        until(lambda: b"nodes" in Path(f"/proc/{pid}/cmdline").read_bytes())
        until(lambda: b"libfastrtps" in Path(f"/proc/{pid}/maps").read_bytes(), 30, "the node has started")
        up.send_signal(number)
        assert up.wait(30) == (0 if number != signal.SIGKILL else -signal.SIGKILL)
        until(lambda: not running(pid), 10)
    finally:
        up.kill()
        up.wait()


def running(pid: str) -> bool:
    """Whether a process is there and not only waits for its parent to ask how it ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
