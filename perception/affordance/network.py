"""The encoder's two networks, in torch: only for training. What is used afterwards is their ONNX export.

Each is a PointNet (Qi et al., CVPR 2017): a perceptron shared by all points, the maximum over the points, small heads.
The tool's one looks at the points as they lie about the tool that was fitted to them, and mends the fit.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from toolwright.perception.affordance.clouds import OBJECT_SCALE
from toolwright.perception.affordance.directions import TILTS, YAWS, closing
from toolwright.perception.affordance.tool_features import CHANNELS, FREE, NUMBERS


class Points(nn.Module):
    """A perceptron shared by all points, then the maximum: (B, N, channels) to (B, widths[-1])."""

    def __init__(self, channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in widths[:-1]:
            layers += [nn.Linear(channels, width), nn.ReLU()]
            channels = width
        self.hidden = nn.Sequential(*layers)
        self.last = nn.Linear(channels, widths[-1])

    def forward(self, points: Tensor) -> Tensor:
        hidden = self.hidden(points)
        if not self.training:
            return self.last(hidden).amax(dim=1)
        # The gradient reaches only the points that are the maximum somewhere: the last layer is run again on these.
        with torch.no_grad():
            winner = self.last(hidden).argmax(dim=1)
        chosen = hidden.gather(1, winner[..., None].expand(-1, -1, hidden.shape[2]))
        return (chosen * self.last.weight).sum(dim=2) + self.last.bias


def _head(inputs: int, outputs: int, width: int = 192) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width // 2), nn.ReLU(), nn.Linear(width // 2, outputs)
    )


class ToolNet(nn.Module):
    """Points (B, FREE + HAND, CHANNELS) and numbers (B, NUMBERS) of `tool_features` to how the fit is to be mended."""

    def __init__(self, widths: tuple[int, ...] = (64, 96, 160)) -> None:
        super().__init__()
        self.points = Points(CHANNELS, widths)
        self.mean = nn.Sequential(nn.Linear(CHANNELS, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())
        self.head = _head(widths[-1] + 64 + NUMBERS, 1 + 3 + 3 + 2 + 1)

    def forward(self, points: Tensor, numbers: Tensor) -> tuple[Tensor, ...]:
        """What is added to the opening (B,) [m], to the tips' place (B, 3) [m] and turn (B, 3) [rad] in the fitted mid
        frame; expected errors (B, 2) [m] of opening and tips; the logit (B,) of the tool's being there."""
        average = self.mean(points[:, :FREE]).mean(dim=1)
        out = self.head(torch.cat([self.points(points), average, numbers], dim=1))
        errors = 0.001 * torch.exp(out[:, 7:9].clamp(-4, 4))
        return 0.002 * out[:, 0], 0.002 * out[:, 1:4], 0.02 * out[:, 4:7], errors, out[:, 9]


class ObjectNet(nn.Module):
    """Points (B, N, 3) of `clouds.object_input` to widths, the object's middle, expected errors.

    What is seen has an extent in every direction already; what is learned is how much the hidden side adds and the
    noise takes away, as shares of the object's size.
    """

    directions: Tensor

    def __init__(self, widths: tuple[int, ...] = (64, 96, 256)) -> None:
        super().__init__()
        self.register_buffer("directions", torch.tensor(closing(), dtype=torch.float32))
        count = YAWS * len(TILTS)
        self.points = Points(3, widths)
        self.head = _head(widths[-1] + count + 1, 2 * count + 3, 256)
        self.count = count

    def forward(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """In m: widths (B, directions), middle (B, 3) from the input's origin, expected errors (B, directions)."""
        size = points.abs().amax(dim=(1, 2)).clamp_min(0.05)[:, None]
        shape = points / size[..., None]
        along = shape @ self.directions.T
        extent = along.amax(dim=1) - along.amin(dim=1)
        out = self.head(torch.cat([self.points(shape), extent - 1, torch.log(size)], dim=1))
        n = self.count
        widths = extent + 0.3 * out[:, :n]
        errors = 0.1 * torch.exp(out[:, n : 2 * n].clamp(-6, 3))
        return (
            OBJECT_SCALE * size * widths,
            OBJECT_SCALE * size * out[:, 2 * n :],
            OBJECT_SCALE * size * errors,
        )
