"""Tools that only look: the objects, sizes and distances, the point cloud, a picture, the joints."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import imageio.v3 as imageio
import mcp_types as types
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64
from toolwright.launch.eyes import VIEWS, Eyes
from toolwright.launch.mcp_server.host import Host
from toolwright.launch.plain_text import clean
from toolwright.llm_planner.run.record import SceneSummary
from toolwright.perception.camera import deproject, transform
from toolwright.perception.scene import Scene, SceneObject

MARGIN = 0.005  # m around an object within which a point counts as its own
TIPS = "tips"


class LookError(ValueError):
    """A question that cannot be answered as it was asked."""


class _Question(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Nothing(_Question):
    """No arguments."""


class Measure(_Question):
    """Which things to measure."""

    name: str = Field(description="an object of the scene, see list_objects", max_length=200)
    to: str | None = Field(
        None, description=f"measure the distance to this object, or to '{TIPS}', the tool's", max_length=200
    )


class Cloud(_Question):
    """Which part of the point cloud."""

    name: str | None = Field(None, description="only the points on this object; else the workspace", max_length=200)


class Picture(_Question):
    """What the picture shows."""

    view: Literal["table", "closeup", "overview", "camera"] = Field("table", description="where it is seen from")
    width: Annotated[int, Field(ge=64, le=1280, description="px; the height is three quarters of it")] = 640


@dataclass(frozen=True)
class Look:
    """A tool that only looks. `answer` runs in a worker thread."""

    name: str
    description: str
    question: type[_Question]
    answer: Callable[[Any], types.CallToolResult]

    def tool(self) -> types.Tool:
        """As clients see it."""
        schema = self.question.model_json_schema()
        schema.pop("description", None)
        return types.Tool(
            name=self.name,
            description=self.description,
            input_schema=schema,
            annotations=types.ToolAnnotations(read_only_hint=True, open_world_hint=False),
        )

    def ask(self, arguments: Mapping[str, Any]) -> types.CallToolResult:
        """Answers, or says what is wrong with the arguments."""
        try:
            return self.answer(self.question.model_validate(dict(arguments)))
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
            return refused(f"{self.name}: {clean(wrong, 400)}")
        except LookError as error:
            return refused(str(error))


def looks(host: Host, eyes: Eyes) -> list[Look]:
    """The tools."""
    return [
        Look(
            "list_objects",
            "What is on the table and in the hand, as measured: names, shapes, positions, sizes [m], masses [kg].",
            Nothing,
            lambda _: told(SceneSummary.of(host.live.perception.look()).model_dump(mode="json")),
        ),
        Look(
            "measure",
            "Size of an object, its height above the table, and its distance to another object or to the tips [m].",
            Measure,
            lambda asked: told(_measure(host.live.perception.look(), asked)),
        ),
        Look(
            "point_cloud",
            "Statistics of the depth camera's points, world frame [m]: how many, bounds, centroid, spread. "
            "The camera's noise and holes are in them.",
            Cloud,
            lambda asked: told(_cloud(host.live.perception.look(), eyes, asked)),
        ),
        Look(
            "picture",
            "A picture of the scene as PNG, and where in it the objects' centers are [px].",
            Picture,
            lambda asked: _picture(eyes, asked),
        ),
        Look(
            "robot_state",
            "Joints [rad, rad/s], whether the robot moves and which skill moves it.",
            Nothing,
            lambda _: told(_state(host)),
        ),
    ]


def told(answer: Mapping[str, Any]) -> types.CallToolResult:
    """An answer as JSON, in both forms that clients read; ASCII, so that names from a scene stay names."""
    text = json.dumps(answer, ensure_ascii=True)
    return types.CallToolResult(content=[types.TextContent(text=text)], structured_content=json.loads(text))


def refused(reason: str) -> types.CallToolResult:
    """An answer that says why there is none."""
    return types.CallToolResult(content=[types.TextContent(text=clean(reason, 1000))], is_error=True)


def _object(scene: Scene, name: str) -> SceneObject:
    if name not in scene.objects:
        known = ", ".join(clean(other, 60) for other in scene.objects)
        raise LookError(f"{clean(repr(name), 80)} is not in the scene: it has {known}")
    return scene.objects[name]


def _measure(scene: Scene, asked: Measure) -> dict[str, Any]:
    item = _object(scene, asked.name)
    answer: dict[str, Any] = {
        "name": item.name,
        "size": _numbers(item.size),
        "above_table": round(item.top - float(item.size[2]) - scene.table_height, 4),
        "opening": round(item.opening, 4),
    }
    if asked.to is None:
        return answer
    if asked.to == TIPS and TIPS not in scene.objects:
        if scene.tool is None:
            raise LookError("the hand holds no tool, so there are no tips")
        other: F64 = scene.tool.T_world_tip[:3, 3]
    else:
        other = _object(scene, asked.to).pos
    way = other - item.pos
    return answer | {
        "to": asked.to,
        "way": _numbers(way),
        "distance": round(float(np.linalg.norm(way)), 4),
        "distance_on_table": round(float(np.hypot(*way[:2])), 4),
    }


def _cloud(scene: Scene, eyes: Eyes, asked: Cloud) -> dict[str, Any]:
    item = None if asked.name is None else _object(scene, asked.name)
    frame = eyes.frame().result()
    points = transform(frame.T_world_cam, deproject(frame.depth, frame.K))
    if item is None:
        box = scene.workspace
        inside = ((points >= box.lower) & (points <= box.upper)).all(axis=1)
    else:
        own = np.array([rotations.rotate(rotations.conjugate(item.quat), point) for point in np.eye(3)])
        inside = (np.abs((points - item.pos) @ own) <= item.size / 2 + MARGIN).all(axis=1)
    points = points[inside]
    answer: dict[str, Any] = {"of": asked.name or "workspace", "points": len(points), "stamp": frame.stamp}
    if len(points):
        answer |= {
            "lower": _numbers(points.min(axis=0)),
            "upper": _numbers(points.max(axis=0)),
            "centroid": _numbers(points.mean(axis=0)),
            "spread": _numbers(points.std(axis=0)),
        }
    return answer


def _picture(eyes: Eyes, asked: Picture) -> types.CallToolResult:
    from toolwright.sim.render import RenderError

    assert asked.view in VIEWS
    try:
        shot = eyes.picture(asked.view, (asked.width // 4 * 4, asked.width // 4 * 3)).result()
    except RenderError as error:
        raise LookError(f"no picture: {error}") from error
    png = imageio.imwrite("<bytes>", shot.rgb, extension=".png")
    marks = {name: [round(u), round(v)] for name, (u, v) in shot.marks.items()}
    where = told({"view": asked.view, "centers": marks})
    image = types.ImageContent(data=base64.b64encode(png).decode(), mime_type="image/png")
    return types.CallToolResult(content=[image, *where.content], structured_content=where.structured_content)


def _state(host: Host) -> dict[str, Any]:
    state, joints = host.live.state(), host.live.session.robot.joints
    return {
        "stamp": round(state.stamp, 3),
        "running": host.running,
        "fastest_joint": round(float(np.abs(state.dq).max()), 4),
        "stopped": host.live.latched,
        "joints": {
            name: [round(float(q), 4), round(float(dq), 4)]
            for name, q, dq in zip(joints.names, state.q, state.dq, strict=True)
        },
    }


def _numbers(values: F64) -> list[float]:
    return [round(float(value), 4) for value in values]
