"""Which face is where: painting all faces far to near, and measuring depth and position per pixel."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from zsda.miniature.render.camera import Camera, Floats
from zsda.miniature.render.geometry import LEAF, Faces
from zsda.miniature.render.noise import tile

GROUND, SKY = 0, -1
"""Entries of an index map that are no face; face i is i + 1. Tables have a row for the ground first and for the sky last."""

SKY_DEPTH = 1000.0
_SHIFT = 3  # sub-pixel bits of OpenCV's drawing functions


@dataclass(frozen=True)
class Positions:
    """Where the surface seen in each pixel is, in metres, float32 [H, W].

    Attributes:
        across: sideways in street coordinates.
        height: above the road.
        ahead: distance along the viewing axis (the depth).
    """

    across: Floats
    height: Floats
    ahead: Floats


def locate(camera: Camera, depth: Floats) -> Positions:
    """Returns where the surfaces of a depth map [H, W] are."""
    right, up = camera.slopes()
    across = right[None, :] * depth - camera.curve * depth * depth
    return Positions(across, camera.eye + up[:, None] * depth, depth)


def table(faces: Floats, ground: float | Floats, sky: float | Floats) -> Floats:
    """Extends values per face [F, ...] by rows for ground and sky, so that an index map can look them up."""
    return np.concatenate(
        [np.broadcast_to(ground, (1, *faces.shape[1:])), faces, np.broadcast_to(sky, (1, *faces.shape[1:]))]
    ).astype(faces.dtype)


def look_up(values: Floats, index: NDArray[np.intp]) -> Floats:
    """Looks the rows of a `table` up by an index map of any shape; much faster than indexing."""
    return np.take(values, index, axis=0)


def rasterise(faces: Faces, camera: Camera) -> NDArray[np.intp]:
    """Returns the index map [H, W] of the nearest face per pixel."""
    height, width = camera.size
    index = np.zeros((height, width), np.int16)
    index[: round(camera.horizon)] = SKY
    pixels = camera.project(faces.points)
    inside = (pixels.min(axis=1) < (width, height)).all(axis=1) & (pixels.max(axis=1) > 0).all(axis=1)
    fixed = _fixed(pixels)
    for i in np.flatnonzero(faces.seen & inside).tolist():
        cv2.fillConvexPoly(index, fixed[i, : faces.corners[i]], i + 1, cv2.LINE_8, _SHIFT)
    return _ragged(index.astype(np.intp), faces)


def _fixed(pixels: Floats) -> NDArray[np.int32]:
    # Pixel centres lie at integers for OpenCV, at halves for the camera.
    return ((np.clip(pixels, -4000, 4000) - 0.5) * (1 << _SHIFT)).astype(np.int32)


def _ragged(index: NDArray[np.intp], faces: Faces) -> NDArray[np.intp]:
    """Frays the outlines of leaves by looking a little beside each pixel where a leaf stands before what is next to it."""
    beside = np.take(index, _beside(index.shape[0], index.shape[1]))
    leafy = np.concatenate([[False], faces.textures == LEAF, [False]])
    # Faces are painted far to near: the larger index is the one in front.
    return np.where(np.take(leafy, np.maximum(index, beside)), beside, index)


@lru_cache(maxsize=4)
def _beside(height: int, width: int) -> NDArray[np.intp]:
    """Returns for each pixel [H, W] the flat position of another one nearby."""
    rows, columns = np.arange(height)[:, None], np.arange(width)[None, :]
    noise = tile()
    reach = height / 128
    down = ((noise[rows * 3 & 255, columns * 3 & 255] - 0.5) * 3.0 * reach).astype(np.int64)
    aside = ((noise[columns * 3 + 77 & 255, rows * 3 & 255] - 0.5) * 3.0 * reach).astype(np.int64)
    return np.clip(rows + down, 0, height - 1) * width + np.clip(columns + aside, 0, width - 1)


def measure_depth(index: NDArray[np.intp], faces: Faces, camera: Camera) -> Floats:
    """Returns the depth in metres of every pixel of an index map, float32 [H, W]."""
    right, up = camera.slopes()
    # The plane n . p = d of a face, seen from the eye along (right, up, 1), is n . (right, up, 1) / d in inverse depth.
    normals = np.cross(faces.points[:, 1] - faces.points[:, 0], faces.points[:, 2] - faces.points[:, 0])
    distance = (normals * (faces.points[:, 0] - np.array([0.0, camera.eye, 0.0], np.float32))).sum(axis=1)
    planes = (normals / np.where(np.abs(distance) < 1e-6, 1e-6, distance)[:, None]).astype(np.float32)
    ground, sky = np.array([0.0, -1.0 / camera.eye, 0.0]), np.array([0.0, 0.0, 1.0 / SKY_DEPTH])
    a, b, c = (look_up(np.ascontiguousarray(part), index) for part in table(planes, ground, sky).T)
    inverse = a * right[None, :] + b * up[:, None] + c
    near = table(1.0 / faces.points[..., 2].min(axis=1), 2.0, 1.0 / SKY_DEPTH)
    far = table(1.0 / faces.points[..., 2].max(axis=1), 1.0 / 600.0, 1.0 / SKY_DEPTH)
    return 1.0 / np.clip(inverse, look_up(far, index), look_up(near, index))


def cast(
    faces: Faces, camera: Camera, direction: tuple[float, float, float], chosen: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Draws the shadows that ``chosen`` faces throw on the ground against a light's ``direction``; 255 = shadow, [H, W]."""
    x, y, z = direction
    # The lit side of a closed body throws the same shadow as all of it.
    chosen = chosen & (faces.two_sided | (faces.normals @ np.array(direction, np.float32) > 0))
    fallen, corners = faces.points[chosen], faces.corners[chosen]
    fallen[..., 0] -= x / y * fallen[..., 1]
    fallen[..., 2] = np.maximum(fallen[..., 2] - z / y * fallen[..., 1], 0.6)
    fallen[..., 1] = 0.0
    pixels = camera.project(fallen)
    height, width = camera.size
    inside = (pixels.min(axis=1) < (width, height)).all(axis=1) & (pixels.max(axis=1) > 0).all(axis=1)
    fixed = _fixed(pixels)
    mask = np.zeros(camera.size, np.uint8)
    for i in np.flatnonzero(inside).tolist():
        cv2.fillConvexPoly(mask, fixed[i, : corners[i]], 255, cv2.LINE_8, _SHIFT)
    return mask
