"""The picture of the tools in the hand shows all of hand and tool."""

from __future__ import annotations

from pathlib import Path

import imageio.v2 as imageio
import numpy as np
import pytest

from toolwright.hardware import rotations
from toolwright.sim import grasp_bank, render, tool_picture


@pytest.mark.parametrize("turn", [0.0, 1.5])
def test_hand_and_longest_tool_fill_the_picture_and_stay_inside_it(turn: float) -> None:
    bank, size = grasp_bank.load("tongs"), (240, 180)
    model, data = tool_picture._posed(bank, bank.start[0, 2], rotations.about_y(np.array(turn)))
    with render.open_renderer(model, *size) as renderer:
        renderer.enable_segmentation_rendering()
        renderer.update_scene(data, tool_picture._camera(model, data, size))
        seen = renderer.render()[..., 0] >= 0
    inside = np.zeros_like(seen)
    inside[2:-2, 2:-2] = True
    assert seen.any() and not (seen & ~inside).any()
    high, wide = np.ptp(np.argwhere(seen), axis=0)
    assert high > 0.75 * size[1] or wide > 0.75 * size[0]


def test_a_picture_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"tools\.pdf: a picture is \.png or \.jpg"):
        tool_picture.draw(tmp_path / "tools.pdf")


def test_the_shipped_picture_has_a_tile_for_each_of_six_tools() -> None:
    path = Path(tool_picture.__file__).parents[1] / "docs" / "tools.png"
    assert path.stat().st_size < 400_000
    picture = imageio.imread(path)
    width, height = tool_picture._TILE
    assert picture.shape == (2 * (height + tool_picture._LABEL), 3 * width, 3)
    for row in range(2):
        for column in range(3):
            top, left = row * (height + tool_picture._LABEL), column * width
            assert picture[top : top + height, left : left + width].std() > 20
