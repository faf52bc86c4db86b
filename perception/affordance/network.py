"""The encoder's two networks, in torch: only for training. What is used afterwards is their ONNX export.

Each is a PointNet (Qi et al., CVPR 2017): a perceptron shared by all points, the maximum over the points, small heads.
The tool's one looks twice: the second time at the points as they lie in the tip frame that the first look found, and
at their outline there, in which the limbs stand side by side.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from toolwright.perception.affordance.clouds import FREE, OBJECT_SCALE, REACH, SCALE
from toolwright.perception.affordance.directions import TILTS, YAWS, closing

OPENING_SCALE = 0.01  # m, unit in which openings and their errors leave a network's last layer
_NEARER = 0.35  # of SCALE: unit of the second look
_JOINT_MIDDLE, _JOINT_SCALE = 0.5, 0.8  # rad


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


class Outline(nn.Module):
    """How many points lie where in the plane in which a tool opens: a small soft histogram, then one layer."""

    across: Tensor
    along: Tensor

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.register_buffer("across", torch.linspace(-0.036, 0.036, 37))  # m, along the opening
        self.register_buffer("along", torch.linspace(-0.105, 0.015, 9))  # m, along the limbs
        self.layer = nn.Linear(37 * 9 + 9, outputs)

    def forward(self, local: Tensor) -> Tensor:
        """From points (B, N, 3) [m] in the tip frame to (B, outputs)."""
        x = torch.exp(-(((local[..., :1] - self.across) / 0.0015) ** 2) / 2)
        z = torch.exp(-(((local[..., 2:] - self.along) / 0.008) ** 2) / 2)
        z = z * torch.exp(-((local[..., 1:2] / 0.015) ** 2) / 2)
        counts = x.transpose(1, 2) @ z
        rows = counts.sum(dim=1)
        shares = 4 * counts / (rows[:, None] + 1.0)
        return torch.relu(self.layer(torch.cat([shares.flatten(1), torch.log1p(rows) - 2], dim=1)))


def _head(inputs: int, outputs: int, width: int = 192) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width // 2), nn.ReLU(), nn.Linear(width // 2, outputs)
    )


def orthonormal(six: Tensor) -> Tensor:
    """(B, 3, 3) rotations from (B, 6): two columns, made orthonormal (Zhou et al., CVPR 2019)."""
    x = six[:, :3] / six[:, :3].norm(dim=1, keepdim=True).clamp_min(1e-6)
    z = six[:, 3:] - (x * six[:, 3:]).sum(dim=1, keepdim=True) * x
    z = z / z.norm(dim=1, keepdim=True).clamp_min(1e-6)
    y = torch.stack(
        [
            z[:, 1] * x[:, 2] - z[:, 2] * x[:, 1],
            z[:, 2] * x[:, 0] - z[:, 0] * x[:, 2],
            z[:, 0] * x[:, 1] - z[:, 1] * x[:, 0],
        ],
        dim=1,
    )
    return torch.stack([x, y, z], dim=2)


class ToolNet(nn.Module):
    """Points (B, N, 4) of `clouds.tool_input` and joints (B, 16) [rad] to the tool's state."""

    middle: Tensor

    def __init__(self, families: int, widths: tuple[int, ...] = (64, 96, 224)) -> None:
        super().__init__()
        self.far, self.near = Points(4, widths), Points(4, widths)
        self.first = _head(widths[-1] + 16, 3 + 6 + 1)
        self.outline = Outline(96)
        self.second = _head(2 * widths[-1] + 16 + 1 + 96, 3 + 6 + 1 + 2 + families)
        self.register_buffer("middle", torch.tensor(REACH.mean(axis=0), dtype=torch.float32))

    def forward(self, points: Tensor, joints: Tensor) -> tuple[Tensor, ...]:
        """Opening (B,), tip (B, 3), rotation (B, 3, 3), expected errors of opening and tip (B, 2), all in m, family
        logits (B, families); then the first look's opening, tip and rotation."""
        posture = (joints - _JOINT_MIDDLE) / _JOINT_SCALE
        shape = self.far(points[:, ::2])  # half of them are enough to find the tips
        rough = self.first(torch.cat([shape, posture], dim=1))
        tip, turn, opening = rough[:, :3], orthonormal(rough[:, 3:9] + _IDENTITY), rough[:, 9]
        fixed_tip, fixed_turn = tip.detach(), turn.detach()
        local = ((points[..., :3] - fixed_tip[:, None]) @ fixed_turn / _NEARER).clamp(-4, 4)
        detail = self.near(torch.cat([local, points[..., 3:]], dim=2))
        outline = self.outline(_NEARER * SCALE * local[:, :FREE])
        fine = self.second(torch.cat([detail, shape, posture, opening.detach()[:, None], outline], dim=1))
        at = fixed_tip + (fixed_turn @ (0.1 * fine[:, :3, None]))[..., 0]
        rotation = fixed_turn @ orthonormal(0.3 * fine[:, 3:9] + _IDENTITY)
        errors = OPENING_SCALE * torch.exp(fine[:, 10:12].clamp(-6, 3))
        return (
            OPENING_SCALE * (opening.detach() + 0.3 * fine[:, 9]),
            SCALE * at + self.middle,
            rotation,
            errors,
            fine[:, 12:],
            OPENING_SCALE * opening,
            SCALE * tip + self.middle,
            turn,
        )


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


_IDENTITY = torch.tensor([1.0, 0, 0, 0, 0, 1.0])  # x and z of no turn
