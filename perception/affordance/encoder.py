"""The affordance encoder in use: what a depth camera's points say about the held tool and about an object to grasp.

Runs the exported networks with onnxruntime (extra `vision`) on one core; no torch, no simulation.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toolwright.hardware import rotations
from toolwright.hardware.robot import F64
from toolwright.perception.affordance import clouds
from toolwright.perception.affordance.align import Mended
from toolwright.perception.affordance.clouds import AffordanceError, CloudError
from toolwright.perception.affordance.directions import TILTS, YAWS, approach, closing
from toolwright.perception.affordance.hand import HandModel
from toolwright.perception.affordance.tool_features import CHANNELS, NUMBERS, tool_input
from toolwright.perception.affordance.tool_model import ToolModel

FOLDER = Path(__file__).parent / "weights"
RIGHT = 0.002  # m: what `confidence` counts as right
_LEANING = 0.3  # share of the width by which a tilted closing direction must be narrower, for each rad
_AROUND, _AHEAD, _BEHIND = 0.04, 0.02, 0.18  # m around, beyond and behind the tips: where a tool's points are
_WORTH = 1.5  # expected errors that a direction's width counts as wider when the best one is chosen


class EncoderError(AffordanceError):
    """Weights that are missing, damaged or made for something else."""


@dataclass(frozen=True)
class ToolEstimate:
    """What is seen of the held tool. Its tip frame has z along the limbs, outwards, and x along the opening."""

    opening: float  # m between the working tips, as the family defines it
    opening_error: float  # m, expected absolute error
    tip_pos: F64  # (3,) m, between the tips, palm frame
    tip_rot: F64  # (3, 3) tip frame in the palm frame
    tip_error: float  # m, expected distance between `tip_pos` and the truth
    confidence: float  # 0..1, chance that the hand holds this tool and its opening is right within 2 mm
    fitted: float  # m, the opening before the network mended it
    fitted_tip: F64  # (3,) m
    mended: Mended  # by how much camera and joints seem to be wrong


@dataclass(frozen=True)
class GraspEstimate:
    """How an object on the table can be grasped between two tips."""

    width: float  # m, its extent along `closing`
    width_error: float  # m, expected absolute error
    center: F64  # (3,) m, middle of its bounding box, the cloud's frame
    height: float  # m, of its highest point above the table
    approach: F64  # (3,) unit, the way the tips go
    closing: F64  # (3,) unit, along which the tips close; perpendicular to `approach`
    confidence: float  # 0..1, chance that the width is right within 2 mm


class Affordance:
    """Both networks.

    Args:
        sessions: onnxruntime's, by name: tool, object.
        cards: of both.
        hand: the model of the robot's hand.
    """

    def __init__(self, sessions: dict[str, Any], cards: dict[str, dict[str, Any]], hand: HandModel) -> None:
        self._sessions, self.hand = sessions, hand
        self.cards = cards

    @classmethod
    def load(cls, folder: Path | None = None) -> Affordance:
        """The shipped encoder, or one of a training.

        Args:
            folder: with tool.onnx, object.onnx and their cards.

        Raises:
            EncoderError: something is missing or damaged; says what to do.
            ModuleNotFoundError: onnxruntime is not installed.
        """
        import onnxruntime

        from toolwright.perception.affordance.compiled import compile_now

        folder = folder or FOLDER
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what goes wrong comes as an exception
        sessions, cards = {}, {}
        for name in ("tool", "object"):
            try:
                cards[name] = json.loads((folder / f"{name}.json").read_text())
                content = (folder / f"{name}.onnx").read_bytes()
                sessions[name] = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
            except FileNotFoundError as error:
                raise EncoderError(
                    f"no {name} encoder in {folder}: train it with `toolwright affordance train {name}s`"
                ) from error
            except Exception as error:  # onnxruntime's errors have no common base
                raise EncoderError(f"the {name} encoder in {folder} is damaged: restore it or train it anew") from error
        if cards["tool"].get("channels") != [CHANNELS, NUMBERS]:
            raise EncoderError(f"the tool encoder in {folder} reads another input than this version's: train it anew")
        if cards["object"]["directions"] != {"yaws": YAWS, "tilts": list(TILTS)}:
            raise EncoderError(f"the object encoder in {folder} has other directions than this version: train it anew")
        compile_now()
        return cls(sessions, cards, HandModel.load())

    def tool(self, cloud_palm: F64, joints: F64, eye: F64, tool: ToolModel) -> ToolEstimate:
        """The held tool.

        Args:
            cloud_palm: (N, 3) m, palm frame, everything seen near the hand: `clouds.tool_cloud`.
            joints: (16,) rad, measured.
            eye: (3,) m, the camera's place in the palm frame.
            tool: which one the hand took, and how.

        Raises:
            CloudError: not a cloud, NaN, or nothing near the hand that is not the hand; not sixteen joints; no place.
        """
        cloud = clouds.checked(cloud_palm, "the cloud of the hand")
        joints, eye = np.asarray(joints, dtype=np.float64), np.asarray(eye, dtype=np.float64)
        if joints.shape != (16,) or not np.isfinite(joints).all():
            raise CloudError(f"sixteen finite joint angles are needed, got shape {joints.shape}: {joints}")
        if eye.shape != (3,) or not np.isfinite(eye).all():
            raise CloudError(f"the camera's place is three finite numbers, got {eye}")
        rng = np.random.default_rng(len(cloud))  # the same cloud gives the same answer
        found = clouds.split(cloud, joints, self.hand, rng)
        read = tool_input(found, joints, eye, tool, self.hand, rng)
        opening, tip, turn, errors, there = self._sessions["tool"].run(
            None, {"points": read.points(rng)[None], "numbers": read.numbers[None]}
        )
        rotation, fitted = read.aligned.rotation, read.tip(tool)
        place = fitted + rotation @ tip[0]
        mended = rotation @ rotations.matrix(turn[0].astype(np.float64))
        opening_error, tip_error = (float(error) for error in errors[0])
        return ToolEstimate(
            opening=read.opening + float(opening[0]),
            opening_error=opening_error,
            tip_pos=place,
            tip_rot=mended,
            tip_error=tip_error,
            confidence=float(_share(there[0]) * _chance(opening_error)) * _borne_out(found, place, mended),
            fitted=read.opening,
            fitted_tip=fitted,
            mended=read.mended,
        )

    def object(self, cloud: F64, table_height: float = 0.0, along: F64 | None = None) -> GraspEstimate:
        """How an object can be grasped.

        Args:
            cloud: (N, 3) m, of one thing on the table, any frame with z up: `clouds.object_cloud`.
            table_height: m.
            along: (3,) the closing direction to judge; by default the best one is chosen.

        Raises:
            CloudError: not a cloud, NaN, too few points, or `along` is no direction.
        """
        cloud = clouds.checked(cloud, "the cloud of the object")
        rng = np.random.default_rng(len(cloud))
        points, origin = clouds.object_input(cloud, table_height, rng)
        yaw = 0.0 if along is None else float(np.arctan2(along[1], along[0]))
        if along is not None:
            if np.shape(along) != (3,) or not np.linalg.norm(along) > 1e-6:
                raise CloudError(f"a closing direction is a vector of three numbers, not zero; got {along}")
            # Turned so that the direction asked for is the network's first one.
            points = points @ _about_z(-yaw).T.astype(np.float32)
        widths, middle, errors = self._sessions["object"].run(None, {"points": points[None]})
        directions = closing()
        best = _nearest(directions, along, yaw) if along is not None else _best(widths[0], errors[0])
        back = _about_z(yaw)
        direction = back @ directions[best]
        center = origin + back @ middle[0]
        error = float(errors[0, best])
        return GraspEstimate(
            width=float(max(widths[0, best], 0.0)),
            width_error=error,
            center=center,
            height=float(max(2 * (center[2] - table_height), 0.0)),
            approach=approach(direction),
            closing=direction,
            confidence=_chance(error) * _plausible(cloud, table_height),
        )


def _share(logit: float) -> float:
    return float(1 / (1 + np.exp(-np.clip(logit, -30, 30))))


def _chance(expected: float) -> float:
    """Chance that an error is below `RIGHT`, for a Laplace distribution with this mean absolute error [m]."""
    return float(1 - np.exp(-RIGHT / max(expected, 1e-6)))


def _borne_out(found: clouds.ToolCloud, tip: F64, rotation: F64) -> float:
    """Below 1 where hardly any point lies about where the tool is said to be."""
    local = (found.free - tip) @ rotation
    near = (np.abs(local[:, :2]) < _AROUND).all(axis=1) & (local[:, 2] < _AHEAD) & (local[:, 2] > -_BEHIND)
    return float(min(1.0, near.sum() / clouds.LEAST))


def _plausible(cloud: F64, table_height: float) -> float:
    """Below 1 where a cloud is much larger than what the encoder knows, or is not near the table."""
    extent = float(np.ptp(cloud, axis=0).max())
    above = float(cloud[:, 2].min()) - table_height
    return float(np.clip(3 - extent / 0.05, 0, 1) * np.clip(2 - abs(above) / 0.02, 0, 1))


def _best(widths: F64, errors: F64) -> int:
    """The narrowest direction, a level one where that is nearly as good and an uncertain one only where it pays."""
    tilt = np.tile(np.abs(TILTS), YAWS)
    return int(((widths + _WORTH * errors) * (1 + _LEANING * tilt)).argmin())


def _nearest(directions: F64, along: F64, yaw: float) -> int:
    turned = _about_z(-yaw) @ (np.asarray(along, dtype=np.float64) / np.linalg.norm(along))
    return int((directions @ turned).argmax())


def _about_z(angle: float) -> F64:
    return np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1.0]])
