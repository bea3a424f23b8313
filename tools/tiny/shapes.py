"""Shapes, colours and fills of the synthetic scenes; numpy only.

A shape is a function of local coordinates (u right, v down, circumradius about 1) that is negative
inside, zero on the edge, and grows like the distance near the edge.
"""

import numpy as np


def circle(u, v):
    return np.hypot(u, v) - 0.88


def square(u, v):
    return np.maximum(np.abs(u), np.abs(v)) - 0.78


def triangle(u, v):
    # Three half planes at 120 degrees.
    side = 0.8660254
    return np.maximum(v, np.maximum(side * u - 0.5 * v, -side * u - 0.5 * v)) - 0.55


def star(u, v):
    # Folding into one of ten equal sectors leaves one straight edge.
    outer, inner, half = 1.08, 0.47, np.pi / 5
    angle = np.arctan2(u, -v)
    angle = np.abs(angle - 2 * half * np.round(angle / (2 * half)))
    radius = np.hypot(u, v)
    bx, by = inner * np.cos(half), inner * np.sin(half)
    length = np.hypot(by, outer - bx)
    return (by * (radius * np.cos(angle) - outer) + (outer - bx) * radius * np.sin(angle)) / length


def ring(u, v):
    return np.abs(np.hypot(u, v) - 0.74) - 0.22


def cross(u, v):
    a, b = np.abs(u), np.abs(v)
    return np.minimum(np.maximum(a - 0.95, b - 0.31), np.maximum(b - 0.95, a - 0.31))


def heart(u, v):
    # A square on its corner with a disc on each of its two upper edges.
    side = 0.52
    a, b = (u - (v - 0.1)) * 0.70710678, (-u - (v - 0.1)) * 0.70710678
    body = np.maximum(np.abs(a), np.abs(b)) - side
    discs = np.minimum(np.hypot(a - side, b), np.hypot(a, b - side)) - side
    return np.minimum(body, discs)


def moon(u, v):
    return np.maximum(np.hypot(u, v) - 0.98, 0.84 - np.hypot(u - 0.5, v))


SHAPES = {
    "circle": circle,
    "square": square,
    "triangle": triangle,
    "star": star,
    "ring": ring,
    "cross": cross,
    "heart": heart,
    "moon": moon,
}
PLURALS = {name: name + ("es" if name == "cross" else "s") for name in SHAPES}
FILLS = ("plain", "striped", "dotted")
SIZES = ("small", "large")
# Radius as a part of sqrt(width * height); the gap keeps the two words apart.
RADII = {"small": (0.05, 0.07), "large": (0.1, 0.15)}
# Hue in degrees and its spread, lowest and highest saturation, lowest and highest value.
COLORS = {
    "red": (0, 6, 0.8, 1.0, 0.75, 1.0),
    "orange": (31, 7, 0.85, 1.0, 0.9, 1.0),
    "yellow": (57, 4, 0.7, 1.0, 0.88, 1.0),
    "green": (120, 14, 0.65, 1.0, 0.5, 0.95),
    "cyan": (181, 7, 0.6, 1.0, 0.8, 1.0),
    "blue": (230, 12, 0.7, 1.0, 0.6, 1.0),
    "purple": (285, 14, 0.6, 1.0, 0.5, 0.8),
    "pink": (340, 11, 0.28, 0.58, 0.92, 1.0),
}


def hsv_to_rgb(hue: float, saturation: float, value: float) -> np.ndarray:
    """RGB in 0..1; hue in degrees. f(n) = V - V S max(0, min(k, 4 - k, 1)), k = n + H / 60."""
    k = (np.array([5.0, 3.0, 1.0]) + hue / 60) % 6
    return value - value * saturation * np.clip(np.minimum(k, 4 - k), 0, 1)


def sample_color(rng: np.random.Generator, name: str) -> np.ndarray:
    hue, spread, s0, s1, v0, v1 = COLORS[name]
    return hsv_to_rgb(
        (hue + rng.uniform(-spread, spread)) % 360, rng.uniform(s0, s1), rng.uniform(v0, v1)
    )


def paint(fill: str, u, v, color, second, period: float):
    """Colour of every point of a shape: [..., 3]. `period` is in local units."""
    if fill == "plain":
        return np.broadcast_to(color, (*u.shape, 3))
    if fill == "striped":
        part = np.clip((np.abs(u / period % 1 - 0.5) - 0.29) * period * 14 + 0.5, 0, 1)
    else:
        a, b = u / period % 1 - 0.5, v / period % 1 - 0.5
        part = np.clip((0.3 - np.hypot(a, b)) * period * 14 + 0.5, 0, 1)
    return color + (second - color) * part[..., None]
