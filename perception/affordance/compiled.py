"""The loops in which a frame of the encoder spends its time, compiled: thousands of small steps, too many for numpy.

The first call of an installation compiles for up to half a minute; the result is kept beside this file.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from toolwright.hardware.robot import F64

compiled: Any = njit(cache=True)


def nearest(
    points: NDArray[Any], center: F64, axes: F64, half: F64, radius: F64, is_round: NDArray[np.bool_], far: float = 1.0
) -> tuple[F64, F64, NDArray[np.intp]]:
    """The surface nearest to points, of boxes and of solids round about their z, each with rounded edges.

    Args:
        points: (n, 3) m.
        center: (k, 3) m.
        axes: (k, 3, 3), a row is an axis of the solid.
        half: (k, 3) m: half edges; of round ones the radius of the flat end, 0, half length.
        radius: (k,) m by which a solid is rounded; a capsule is a round one without a flat end.
        is_round: (k,) else a box.
        far: m, from where on it is all the same how far a point is.

    Returns:
        Signed distance (n,) [m], at most `far`; the way out (n, 3), zero from `far` on; the solid (n,), there -1.
    """
    points, axes = np.ascontiguousarray(points, dtype=np.float64), np.ascontiguousarray(axes)
    gap, way, solid = np.full(len(points), far), np.zeros((len(points), 3)), np.full(len(points), -1)
    _nearest(points, center, axes, half, radius, is_round, gap, way, solid)
    return gap, way, solid


def compile_now() -> None:
    """Compiles what a frame needs, or reads it back from disk: seconds that the first frame need not wait for."""
    one, two, three = np.zeros((1, 3)), np.zeros((1, 3, 3)), np.zeros((3, 3))
    first, last = np.zeros(1, np.intp), np.zeros(3, np.intp)
    boxes = one, np.zeros(1), np.zeros(1, np.bool_)
    nearest(one, one, two, *boxes)
    chain(first, one, two, one, two)
    spread, start = np.tile(np.eye(3), (3, 1, 1)), (np.eye(3), np.zeros(3), 0.0)
    solids, grips, settings = (first, one, two, *boxes), (last, three, np.eye(3)), (0.0, 1.0, 1.0, 1.0)
    fit(one, one, three, spread, solids, grips, False, (0.0, 0.0), start, np.ones(7), np.ones(1), settings)


@compiled
def chain(parent, pos, local, place, rotation):  # type: ignore[no-untyped-def]
    """Fills in where links are, from where they are in their parents' frames.

    Args:
        parent: (l,) each before its children.
        pos: (l, 3) m, in the parent's frame.
        local: (l, 3, 3) rotation in the parent's frame.
        place: (l, 3) m; that of link 0 is given.
        rotation: (l, 3, 3) likewise; the others are zero.
    """
    for link in range(1, len(parent)):
        up = parent[link]
        for i in range(3):
            place[link, i] = place[up, i]
            for j in range(3):
                place[link, i] += rotation[up, i, j] * pos[link, j]
                for k in range(3):
                    rotation[link, i, k] += rotation[up, i, j] * local[link, j, k]


@compiled
def fit(points, towards, tips, covariance, solids, grips, slide, reach, taken, prior, scales, settings):  # type: ignore[no-untyped-def]
    """Gauss-Newton steps by which a tool is fitted to points and to the fingertips that hold it.

    Args:
        points: (n, 3) m, palm frame.
        towards: (n, 3) unit, to the camera.
        tips: (3, 3) m, middles of the fingertips, palm frame.
        covariance: (3, 3, 3) m^2, of these.
        solids: limb (k,), place (k, 3) m and turn (k, 3, 3) in its frame, half, radius, is_round as of `nearest`.
        grips: limb (3,) that each tip holds, where (3, 3) m and the way out there (3, 3), in the limb's frame.
        slide: the joint is a slide, else a hinge.
        reach: lowest and highest value of the joint.
        taken: rotation (3, 3) and place (3,) m of the mid frame in the palm frame, and the joint, beforehand.
        prior: (7,) information on these.
        scales: (steps,) m, gaps that still count; zero: a step by the fingertips alone.
        settings: m: front, by which points are taken nearer to the camera; noise of a point; along and across, how far
            a tip may have gone on its limb and how deep it presses.

    Returns:
        Rotation (3, 3), place (3,) m, joint; information (7, 7) on turn, shift (palm frame) and joint.
    """
    limb, at, turn, half, radius, is_round = solids
    front, noise, along, across = settings
    R, place, joint = taken[0].copy(), taken[1].copy(), taken[2]
    information, pull = np.zeros((7, 7)), np.zeros(7)
    turns, places = np.zeros((2, 3, 3)), np.zeros((2, 3))
    center, axes = np.empty((len(at), 3)), np.empty((len(at), 3, 3))
    gap, way, solid = np.empty(len(points)), np.empty((len(points), 3)), np.empty(len(points), np.intp)
    nearer = points + front * towards
    weight = np.zeros((3, 3, 3))
    for step in range(len(scales)):
        _limbs(R, place, joint, slide, turns, places)
        information[:] = 0.0
        off = _rotvec(R @ taken[0].T)
        for i in range(3):
            pull[i], pull[3 + i] = prior[i] * off[i], prior[3 + i] * (place[i] - taken[1][i])
        pull[6] = prior[6] * (joint - taken[2])
        for i in range(7):
            information[i, i] = prior[i]
        if step == 0 or scales[step - 1] == 0:  # later it hardly changes
            _weigh(covariance, grips[2], grips[0], turns, along, across, weight)
        _of_tips(tips, grips[1], grips[0], turns, places, weight, R, place, slide, information, pull)
        if scales[step] > 0:
            for s in range(len(at)):
                of = turns[limb[s]]
                center[s], axes[s] = of @ at[s] + places[limb[s]], (of @ turn[s]).T
            gap[:], solid[:] = 1.0, -1
            _nearest(nearer, center, axes, half, radius, is_round, gap, way, solid)
            for p in range(len(points)):
                for i in range(3):
                    gap[p] -= front * way[p, i] * towards[p, i]
            _of_points(points, way, gap, limb[solid], R, place, slide, scales[step], noise, information, pull)
        change = np.linalg.solve(information, -pull)
        R = _rotation(change[:3]) @ R
        place = place + change[3:6]
        joint = min(max(joint + change[6], reach[0]), reach[1])
    return R, place, joint, information


@compiled
def _limbs(R, place, joint, slide, turns, places):  # type: ignore[no-untyped-def]
    """Fills in rotations (2, 3, 3) and places (2, 3) [m] of both limbs in the palm frame."""
    for limb in range(2):
        angle = 0.0 if slide else (limb - 0.5) * joint
        c, s = math.cos(angle), math.sin(angle)
        for i in range(3):
            turns[limb, i, 0] = c * R[i, 0] - s * R[i, 2]
            turns[limb, i, 1] = R[i, 1]
            turns[limb, i, 2] = s * R[i, 0] + c * R[i, 2]
            places[limb, i] = place[i] - (R[i, 2] * joint if slide and limb == 1 else 0.0)


@compiled
def _weigh(covariance, out, limb, turns, along, across, weight):  # type: ignore[no-untyped-def]
    """Fills in how much fingertips count (3, 3, 3), that roll along a limb and press into it a little."""
    for f in range(3):
        way = turns[limb[f]] @ out[f]
        spread = covariance[f] + (across**2 - along**2) * np.outer(way, way) + along**2 * np.eye(3)
        weight[f] = np.linalg.inv(spread)


@compiled
def _of_tips(tips, grip, limb, turns, places, weight, R, place, slide, information, pull):  # type: ignore[no-untyped-def]
    """Adds what fingertips that hold a tool say of its turn, shift and joint to information (7, 7) and pull (7,)."""
    jacobian = np.zeros((3, 7))
    for f in range(3):
        at = turns[limb[f]] @ grip[f] + places[limb[f]]
        arm = at - place
        for i in range(3):
            jacobian[i, 3 + i] = 1.0
            jacobian[i, 6] = _moves(arm, limb[f], R, slide, i)
            jacobian[i, (i + 1) % 3], jacobian[i, (i + 2) % 3] = arm[(i + 2) % 3], -arm[(i + 1) % 3]
        weighted = jacobian.T @ weight[f]
        information += weighted @ jacobian
        pull += weighted @ (at - tips[f])


@compiled
def _of_points(points, way, gap, limb, R, place, slide, scale, noise, information, pull):  # type: ignore[no-untyped-def]
    """Adds what points say, of which `way` is the way out of the surface and `gap` how far they are from it."""
    row = np.zeros(7)
    for p in range(len(points)):
        arm = points[p] - place
        row[6] = 0.0
        for i in range(3):
            j, k = (i + 1) % 3, (i + 2) % 3
            row[i] = way[p, j] * arm[k] - way[p, k] * arm[j]
            row[3 + i] = -way[p, i]
            row[6] -= way[p, i] * _moves(arm, limb[p], R, slide, i)
        weight = 1 / (noise * (1 + (gap[p] / scale) ** 2)) ** 2
        for i in range(7):
            pull[i] += weight * row[i] * gap[p]
            for j in range(7):
                information[i, j] += weight * row[i] * row[j]


@compiled
def _rotvec(R):  # type: ignore[no-untyped-def]
    """(3,) rad, of a rotation (3, 3) that is not near half a turn."""
    vee = np.array([R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]])
    sine = math.sqrt((vee**2).sum()) / 2
    angle = math.atan2(sine, (R[0, 0] + R[1, 1] + R[2, 2] - 1) / 2)
    return vee * (0.5 * angle / sine if sine > 1e-9 else 0.5)


@compiled
def _rotation(by):  # type: ignore[no-untyped-def]
    """(3, 3) rotation by a vector (3,) [rad] (Rodrigues)."""
    angle = math.sqrt((by**2).sum())
    x, y, z = by / max(angle, 1e-12)
    K = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + math.sin(angle) * K + (1 - math.cos(angle)) * (K @ K)


@compiled
def _moves(arm, limb, R, slide, i):  # type: ignore[no-untyped-def]
    """How a limb's point moves along the palm's axis `i` with the joint, for one rad or meter."""
    if slide:
        return -R[i, 2] * limb
    j, k = (i + 1) % 3, (i + 2) % 3
    return (limb - 0.5) * (R[j, 1] * arm[k] - R[k, 1] * arm[j])


@compiled
def _beyond(p, s, points, center, axes, half, is_round, local, beyond):  # type: ignore[no-untyped-def]
    """Fills in point `p` in the frame of solid `s` and how far it is beyond that on each axis; both gaps."""
    x, y, z = points[p, 0] - center[s, 0], points[p, 1] - center[s, 1], points[p, 2] - center[s, 2]
    for a in range(3):
        local[a] = axes[s, a, 0] * x + axes[s, a, 1] * y + axes[s, a, 2] * z
        beyond[a] = abs(local[a]) - half[s, a]
    if is_round[s]:
        beyond[0], beyond[1] = math.sqrt(local[0] ** 2 + local[1] ** 2) - half[s, 0], -1.0
    outside = max(beyond[0], 0.0) ** 2 + max(beyond[1], 0.0) ** 2 + max(beyond[2], 0.0) ** 2
    return math.sqrt(outside), min(max(beyond[0], beyond[1], beyond[2]), 0.0)


@compiled
def _nearest(points, center, axes, half, radius, is_round, gap, way, solid):  # type: ignore[no-untyped-def]
    local, out = np.empty(3), np.empty(3)
    around = np.empty(len(center))
    for s in range(len(center)):
        around[s] = math.sqrt(half[s, 0] ** 2 + half[s, 1] ** 2 + half[s, 2] ** 2) + radius[s]
    for p in range(len(points)):
        x, y, z, least = points[p, 0], points[p, 1], points[p, 2], gap[p]
        for s in range(len(center)):
            reach = least + around[s]
            square = (x - center[s, 0]) ** 2 + (y - center[s, 1]) ** 2 + (z - center[s, 2]) ** 2
            if reach > 0 and square < reach * reach:
                outside, inside = _beyond(p, s, points, center, axes, half, is_round, local, out)
                if outside + inside - radius[s] < least:
                    least, solid[p] = outside + inside - radius[s], s
        gap[p], s = least, solid[p]
        if s < 0:
            continue
        outside, _ = _beyond(p, s, points, center, axes, half, is_round, local, out)
        deepest = max(out[0], out[1], out[2])
        for a in range(3):
            if outside > 1e-9:
                out[a] = max(out[a], 0.0) / outside
            else:
                out[a] = 1.0 if out[a] == deepest else 0.0
        if is_round[s]:
            across = max(math.sqrt(local[0] ** 2 + local[1] ** 2), 1e-9)
            out[0], out[1] = out[0] * local[0] / across, out[0] * local[1] / across
            out[2] = math.copysign(out[2], local[2])
        else:
            for a in range(3):
                out[a] = math.copysign(out[a], local[a])
        for i in range(3):
            way[p, i] = axes[s, 0, i] * out[0] + axes[s, 1, i] * out[1] + axes[s, 2, i] * out[2]
