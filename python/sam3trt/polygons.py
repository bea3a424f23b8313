"""Outlines of masks, traced by contourpy."""

from __future__ import annotations

import numpy as np


def _without_midpoints(ring: np.ndarray) -> np.ndarray:
    """A closed ring (K, 2) without the points that lie on the line between their neighbours."""
    points = ring[:-1]
    before = points - np.roll(points, 1, axis=0)
    after = np.roll(points, -1, axis=0) - points
    corner = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    points = points[corner]
    return np.concatenate((points, points[:1]))


def polygons_of_mask(mask: np.ndarray) -> list[list[np.ndarray]]:
    """The parts of `mask` bool (H, W), each a list of rings: the outer one, then its holes.

    A ring is float32 (K, 2), x y, closed. Pixel (x, y) covers x to x + 1; the outline runs through
    the middles of its edges, so corners are cut by half a pixel.
    """
    try:
        from contourpy import FillType, contour_generator
    except ImportError as error:
        raise ImportError(
            "polygons need the package contourpy: pip install 'sam3trt[polygons]'"
        ) from error
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return []
    top, left = rows[0], columns[0]
    # A border of pixels outside closes what touches the image's edge.
    part = np.pad(mask[top : rows[-1] + 1, left : columns[-1] + 1], 1).astype(np.float32)
    generator = contour_generator(z=part, name="serial", fill_type=FillType.OuterOffset)
    shift = np.array([left - 0.5, top - 0.5], dtype=np.float32)
    polygons = []
    for points, offsets in zip(*generator.filled(0.5, np.inf)):
        rings = [points[begin:end] for begin, end in zip(offsets[:-1], offsets[1:])]
        polygons.append([(_without_midpoints(ring) + shift).astype(np.float32) for ring in rings])
    return polygons
