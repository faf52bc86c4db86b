"""`Vec`: three numbers that skill code can reckon with. Lists join and repeat where one means to add and scale."""

from __future__ import annotations

# Runs inside the sandbox, ahead of code that names it.
SOURCE = """\
class Vec:
    def __init__(self, x: float, y: float, z: float = 0.0):
        self.x = x
        self.y = y
        self.z = z

    def __add__(self, other):
        return Vec(self.x + other.x, self.y + other.y, self.z + other.z)

    def __sub__(self, other):
        return Vec(self.x - other.x, self.y - other.y, self.z - other.z)

    def __mul__(self, factor):
        return Vec(self.x * factor, self.y * factor, self.z * factor)

    def __rmul__(self, factor):
        return self * factor

    def __truediv__(self, divisor):
        return Vec(self.x / divisor, self.y / divisor, self.z / divisor)

    def __neg__(self):
        return self * -1.0

    def __repr__(self):
        return f"Vec({self.x}, {self.y}, {self.z})"

    def dot(self, other):
        return self.x * other.x + self.y * other.y + self.z * other.z

    def norm(self):
        return self.dot(self) ** 0.5
"""

# What a model and the type checker see of it.
STUB = '''\
class Vec:
    """A point or an offset [m], x forward from the robot, y to its left, z up. `+ - * /` work as in algebra."""

    x: float
    y: float
    z: float

    def __init__(self, x: float, y: float, z: float = 0.0) -> None: ...
    def __add__(self, other: Vec) -> Vec: ...
    def __sub__(self, other: Vec) -> Vec: ...
    def __mul__(self, factor: float) -> Vec: ...
    def __rmul__(self, factor: float) -> Vec: ...
    def __truediv__(self, divisor: float) -> Vec: ...
    def __neg__(self) -> Vec: ...
    def dot(self, other: Vec) -> float: ...
    def norm(self) -> float: ...
'''
