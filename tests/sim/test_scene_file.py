"""Bad scene files are refused with line, field and mend."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolwright.sim.scene import SceneError, build, load_scene

BALL = "    shape: sphere\n    pos: [0.45, 0.0]\n    radius: 0.01\n"
CUBE = """v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nv 0 0 1\nv 1 0 1\nv 1 1 1\nv 0 1 1
f 1 3 2\nf 1 4 3\nf 5 6 7\nf 5 7 8\nf 1 2 6\nf 1 6 5\nf 2 3 7\nf 2 7 6\nf 3 4 8\nf 3 8 7\nf 4 1 5\nf 4 5 8\n"""


def _write(folder: Path, text: str) -> Path:
    path = folder / "my.yaml"
    path.write_text(text)
    return path


def _complaint(folder: Path, text: str) -> str:
    with pytest.raises(SceneError) as caught:
        load_scene(_write(folder, text))
    return str(caught.value).removeprefix(f"{folder}/")


def _ball(**changes: str) -> str:
    """A scene of one ball; the changed fields stand below the ball's shape, on lines 4, 5, 6, ..."""
    fields = {"pos": "[0.45, 0.0]", "radius": "0.01", **changes}
    return "name: my\nobjects:\n  ball:\n    shape: sphere\n" + "".join(f"    {k}: {v}\n" for k, v in fields.items())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (_ball(radius="-0.01"), "my.yaml:6:5: objects.ball.radius: must be greater than 0, is -0.01"),
        (_ball(radius="big"), "my.yaml:6:5: objects.ball.radius: must be a number, is 'big'"),
        (_ball(radius=".nan"), "my.yaml:6:5: objects.ball.radius: must be a finite number, is nan"),
        (_ball(mass=".inf"), "my.yaml:7:5: objects.ball.mass: must be a finite number, is inf"),
        (_ball(radios="0.01"), "my.yaml:7:5: objects.ball.radios: unknown field; did you mean 'radius'?"),
        (_ball(color="rde"), "my.yaml:7:5: objects.ball.color: 'rde' is not a color; did you mean 'red'?"),
        (_ball(fixed="1"), "my.yaml:7:5: objects.ball.fixed: must be true or false, is 1"),
        (_ball(pos="[0.45]"), "my.yaml:5:5: objects.ball.pos: must be [x, y] to rest on the table"),
        (_ball(pos="[0.45, left]"), "my.yaml:5:17: objects.ball.pos.1: must be a number, is 'left'"),
        (_ball(pos="[0.45, 0, -0.1]"), "my.yaml:5:5: objects.ball.pos: under the table"),
        (_ball(pos="[0.45, 0.5]"), "my.yaml:5:5: objects.ball.pos: [0.45, 0.5, 0.01] is outside the workspace"),
        (_ball(pos="[1.45, 0.5]"), "my.yaml:5:5: objects.ball.pos: [1.45, 0.5] is beside the table"),
        (_ball(quat="[1, 1, 0, 0]"), "my.yaml:7:5: objects.ball.quat: must be a unit quaternion"),
        (_ball(yaw="1", quat="[1, 0, 0, 0]"), "my.yaml:3:3: objects.ball: has both yaw and quat; give one"),
        (_ball(mass="1", density="900"), "my.yaml:3:3: objects.ball: has both mass and density; give one"),
        (
            "name: my\nobjects:\n  ball:\n    shape: sphere\n    pos: [0.45, 0]\n",
            "my.yaml:3:3: objects.ball.radius: is missing",
        ),
        (
            _ball().replace("sphere", "sphear"),
            "my.yaml:4:5: objects.ball.shape: unknown shape 'sphear'; did you mean 'sphere'?",
        ),
        (_ball().replace("    shape: sphere\n", ""), "my.yaml:3:3: objects.ball: shape is missing."),
        (_ball().replace("ball", "my ball"), "my.yaml:3:3: objects.my ball: a name has only letters, digits, _ and -"),
        (_ball().replace("ball", "table"), "my.yaml:3:3: objects.table: the name 'table' is taken"),
        (_ball() + "  ball:\n" + BALL, "my.yaml:7:3: the name 'ball' stands twice"),
        ("name: my\nobjects:\n  ball: 3\n", "my.yaml:3:3: objects.ball: must be a mapping of fields, is 3"),
        ("name: my\nobjects: [1]\n", "my.yaml:2:1: objects: must be a mapping of names to values"),
        ("name: my\ncamra: {}\n", "my.yaml:2:1: camra: unknown field; did you mean 'camera'?"),
        ("name: my\ntool: {family: tweezer}\n", "my.yaml:2:1: tool: unknown tool 'tweezer'"),
        ("name: my\nrobot: {arm: fr4}\n", "my.yaml:2:9: robot.arm: must be 'fr3', is 'fr4'; did you mean 'fr3'?"),
        ("name: my\nworkspace: {lower: [1, 1, 1]}\n", "my.yaml:2:1: workspace: lower [1.0, 1.0, 1.0] must be below"),
        ("description: no name\n", "my.yaml:1:1: name: is missing"),
        ("", "my.yaml: is empty"),
        ("just words\n", "my.yaml:1:1: must be a mapping"),
        ("name: [my\n", "my.yaml:2:1: not valid YAML"),
        ("name: my\n{a: [1]}: 2\n", "my.yaml: not valid YAML"),
        (
            "name: my\nbase: &b {radius: x}\nobjects: {ball: {<<: *b, shape: sphere, pos: [0.45, 0]}}\n",
            "my.yaml:2:1: base",
        ),
        (
            _ball() + "randomize:\n  objects:\n    bal: {yaw: [0, 1]}\n",
            "my.yaml:9:5: randomize.objects.bal: there is no object 'bal'; did you mean 'ball'?",
        ),
        (
            _ball() + "randomize:\n  objects:\n    ball: {height: [0.1, 0.2]}\n",
            "my.yaml:9:12: randomize.objects.ball.height: a sphere has no height to draw",
        ),
        (
            _ball() + "randomize:\n  objects:\n    ball: {radius: [-0.1, 0.2]}\n",
            "my.yaml:9:12: randomize.objects.ball.radius.low: -0.1 makes a bad sphere",
        ),
        (
            _ball() + "randomize:\n  objects:\n    ball: {region: {lower: [0, 0], upper: [0.5, 0.1]}}\n",
            "my.yaml:9:12: randomize.objects.ball.region: reaches outside the workspace",
        ),
    ],
)
def test_a_bad_file_is_refused_with_line_column_field_and_reason(tmp_path: Path, text: str, message: str) -> None:
    assert _complaint(tmp_path, text).startswith(message)


def test_every_problem_gets_its_own_line(tmp_path: Path) -> None:
    lines = _complaint(tmp_path, _ball(radius="-1", mass="heavy")).splitlines()
    assert len(lines) == 2 and "radius" in lines[0] and "mass" in lines[1]


def test_too_many_objects_are_refused(tmp_path: Path) -> None:
    objects = "".join(f"  b{i}: {{shape: sphere, pos: [{0.36 + 0.005 * i}, 0.0], radius: 0.002}}\n" for i in range(41))
    assert "objects: has 41 objects; at most 40 are possible" in _complaint(tmp_path, "name: my\nobjects:\n" + objects)


def test_a_missing_scene_names_the_shipped_ones() -> None:
    with pytest.raises(SceneError, match="no such file, and no shipped scene of this name; did you mean 'beads'"):
        load_scene("beds")


def test_a_folder_is_no_scene(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="is a folder"):
        load_scene(tmp_path)


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(SceneError, match="cannot be read"):
        load_scene(path)


def test_a_mesh_is_found_beside_the_scene_file_and_centered(tmp_path: Path) -> None:
    (tmp_path / "cube.obj").write_text(CUBE)
    path = _write(tmp_path, "name: my\nobjects:\n  cube: {shape: mesh, pos: [0.45, 0], file: cube.obj, scale: 0.04}\n")
    model = build(load_scene(path), with_robot=False).compile()
    assert model.body("cube").pos == pytest.approx([0.45, 0, 0.02])
    assert model.body("cube").ipos == pytest.approx([0, 0, 0], abs=1e-6)
    assert model.body("cube").mass[0] == pytest.approx(0.04**3 * 1200, rel=1e-3)


def test_a_mesh_that_is_missing_or_broken_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.obj").write_text("nothing here\n")
    scene = "name: my\nobjects:\n  cube: {{shape: mesh, pos: [0.45, 0], file: {}}}\n"
    assert "my.yaml:3:39: objects.cube.file: there is no file" in _complaint(tmp_path, scene.format("none.obj"))
    assert "objects.cube.file: cannot read" in _complaint(tmp_path, scene.format("bad.obj"))
    assert "is no .obj or .stl file" in _complaint(tmp_path, scene.format("cube.step"))
