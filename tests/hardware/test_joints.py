"""Joint order and limits stand in one place, and a wrong joint is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from toolwright.hardware.joints import FR3, FR3_HOME, FR3_LEAP, LEAP, join
from toolwright.hardware.robot import JointOrderError, JointSpec

FACTS = json.loads((Path(__file__).parents[1] / "golden/kinematics.json").read_text())


def test_the_leap_joints_have_the_makers_order_and_ranges() -> None:
    assert list(LEAP.names) == FACTS["leap"]["order"]
    for name, lower, upper in zip(LEAP.names, LEAP.lower, LEAP.upper, strict=True):
        key = name if name.startswith("th_") else name.split("_")[1]
        assert [lower, upper] == FACTS["leap"]["ranges"][key], name


def test_the_fr3_joints_have_the_makers_order_ranges_and_torques() -> None:
    links = FACTS["fr3"]["links"]
    assert list(FR3.names) == [link["joint"] for link in links]
    assert np.stack([FR3.lower, FR3.upper], axis=1).tolist() == [link["range"] for link in links]
    assert FR3.effort.tolist() == [link["torque"] for link in links]


def test_the_ready_pose_is_inside_the_arms_limits() -> None:
    assert ((FR3.lower < FR3_HOME) & (FR3_HOME < FR3.upper)).all()


@pytest.mark.parametrize("spec", [FR3, LEAP, FR3_LEAP])
def test_every_joint_has_a_name_of_its_own_and_one_entry_in_each_array(spec: JointSpec) -> None:
    assert len(set(spec.names)) == len(spec)
    for values in (spec.lower, spec.upper, spec.velocity, spec.effort):
        assert values.shape == (len(spec),)
    assert (spec.lower < spec.upper).all() and (spec.velocity > 0).all() and (spec.effort > 0).all()


def test_joined_specs_keep_the_order_of_their_parts() -> None:
    joined = join(LEAP, FR3)
    assert joined.names == LEAP.names + FR3.names
    assert joined.lower.tolist() == [*LEAP.lower, *FR3.lower]
    assert joined.effort.tolist() == [*LEAP.effort, *FR3.effort]


def test_indices_are_those_of_the_names_in_the_order_asked() -> None:
    assert FR3_LEAP.indices(("th_ipl", "fr3_joint1", "if_mcp")).tolist() == [22, 0, 7]


def test_an_unknown_joint_is_named_with_the_place_to_look() -> None:
    with pytest.raises(JointOrderError, match="index_knuckle.*hardware/joints.py"):
        LEAP.indices(("if_mcp", "index_knuckle"))
