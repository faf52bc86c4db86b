"""Colors have names, in light and in shade."""

from __future__ import annotations

import numpy as np
import pytest

from toolwright.perception import palette
from toolwright.sim.scene_spec import COLORS, rgb


@pytest.mark.parametrize("name", COLORS)
def test_the_colors_of_scene_files_have_their_names(name):
    assert palette.name(255 * np.array([rgb(name)])) == name


@pytest.mark.parametrize("name", [name for name in COLORS if name not in ("white", "gray", "black")])
def test_shade_does_not_change_a_family(name):
    color = 255 * np.array(rgb(name))
    families = {int(palette.families(share * color)) for share in (0.4, 0.6, 0.8, 1.0)}
    assert len(families) == 1 and palette.GRAY not in families


def test_a_name_comes_from_the_lit_part():
    red = 255 * np.array(rgb("red"))
    assert palette.name(np.concatenate([np.tile(0.45 * red, (60, 1)), np.tile(red, (40, 1))])) == "red"


def test_hue_saturation_and_value_are_what_they_say():
    np.testing.assert_allclose(palette.hsv(np.array([255, 0, 0])), [0, 1, 1])
    np.testing.assert_allclose(palette.hsv(np.array([0, 255, 0])), [120, 1, 1])
    np.testing.assert_allclose(palette.hsv(np.array([128, 128, 128])), [0, 0, 128 / 255])
    np.testing.assert_allclose(palette.hsv(np.array([255, 0, 128])), [360 - 60 * 128 / 255, 1, 1])
