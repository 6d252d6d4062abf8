"""The faces that everything in the toy city is made of.

Objects are modelled in their own frame (x to the right, y up, z where they head), in metres, and placed in *street coordinates*,
which the camera's curve bends into the world.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zsda.miniature.render.camera import Camera, Floats
from zsda.miniature.street.style import Colour, Palette

Point = tuple[float, float, float]

MAX_CORNERS = 8
BLACK: Colour = (0.0, 0.0, 0.0)

PLAIN, LEAF, PLASTER, BRICK, GLASS, PLANKS = range(6)
"""Textures of a face."""

BACKDROP, OUTER, ROW, STREET = range(4)
"""Layers, painted in this order: the horizon, what stands behind the house line, the house line, the street in front."""


def shade(colour: Colour, factor: float) -> Colour:
    """Returns a colour made darker, or lighter up to white."""
    return (min(colour[0] * factor, 255.0), min(colour[1] * factor, 255.0), min(colour[2] * factor, 255.0))


class Paint(NamedTuple):
    """How a face looks.

    Attributes:
        train_id: its class.
        colour: albedo, 0-255.
        texture: one of the textures of this module.
        lamp: light that it gives off when lamps are on, 0-255.
    """

    train_id: int
    colour: Colour
    texture: int = PLAIN
    lamp: Colour = BLACK


class Windows(NamedTuple):
    """The window grid of a facade: distance of columns and floors in metres, window size as a share of that, seed, shops."""

    pitch: float
    floor: float
    width: float
    height: float
    seed: float
    shops: float


NO_WINDOWS = Windows(0.0, 1.0, 0.0, 0.0, 0.0, 0.0)


class Light(NamedTuple):
    """A lamp: position in world metres, colour 0-1, power (1 = street lamp), and whether it shines down on the street."""

    x: float
    y: float
    z: float
    colour: Colour
    power: float
    street: bool


@dataclass(frozen=True)
class Faces:
    """All faces of a scene that the camera may see, in painting order; F faces.

    Attributes:
        points: world corners [F, 8, 3], the last one repeated.
        corners: how many of them count [F].
        normals: unit normals [F, 3].
        train_ids: classes, uint8 [F].
        colours: albedo [F, 3].
        textures: int [F].
        lamps: light given off when lamps are on [F, 3].
        windows: rows of `Windows` [F, 6].
        layers: int [F].
        casts: whether a face throws a shadow, bool [F].
        anchors: where the object of each face stands, world [F, 3].
        two_sided: whether it has no inside, bool [F].
        seen: whether it is turned to the camera, bool [F].
    """

    points: Floats
    corners: NDArray[np.int64]
    normals: Floats
    train_ids: NDArray[np.uint8]
    colours: Floats
    textures: NDArray[np.int64]
    lamps: Floats
    windows: Floats
    layers: NDArray[np.int64]
    casts: NDArray[np.bool_]
    anchors: Floats
    two_sided: NDArray[np.bool_]
    seen: NDArray[np.bool_]


class Mesh:
    """Collects faces of things in the colours of ``palette``; `place` says where the following ones stand, in whose frame they are."""

    def __init__(self, palette: Palette) -> None:
        self.palette = palette
        self._frames: list[tuple[float, ...]] = []
        self._points: list[Point] = []
        self._rows: list[tuple[float, ...]] = []
        self._lights: list[tuple[int, Point, Colour, float, bool]] = []

    def place(
        self, x: float, z: float, yaw: float = 0.0, layer: int = STREET, *, casts: bool = True, after: float = 0.0
    ) -> None:
        """Starts an object at street coordinates ``x``, ``z``, heading ``yaw`` (0 = away); ``after`` delays its painting."""
        self._frames.append((x, z, math.cos(yaw), math.sin(yaw), layer, z - after, casts))

    def face(
        self,
        points: Sequence[Point],
        paint: Paint,
        normal: Point = (0.0, 0.0, 0.0),
        windows: Windows = NO_WINDOWS,
        *,
        two_sided: bool = False,
    ) -> None:
        """Adds a convex polygon, counter-clockwise seen from outside; ``normal`` replaces the geometric one for shading."""
        self._points.extend(points)
        row = (len(self._frames) - 1, len(points), paint.train_id, *paint.colour, paint.texture, *paint.lamp, *windows)
        self._rows.append((*row, *normal, two_sided))

    def light(self, x: float, y: float, z: float, colour: Colour, power: float, *, street: bool = False) -> None:
        """Adds a lamp at a point of the current object."""
        self._lights.append((len(self._frames) - 1, (x, y, z), colour, power, street))

    def panel(
        self,
        side: str,
        a: tuple[float, float],
        b: tuple[float, float],
        at: float,
        paint: Paint,
        windows: Windows = NO_WINDOWS,
    ) -> None:
        """Adds a rectangle facing ``side``; ``a`` and ``b`` are its spans along (x or z) and (y, or z for ``top``)."""
        (a0, a1), (b0, b1) = a, b
        flat = [(a0, b0), (a0, b1), (a1, b1), (a1, b0)]
        if side in ("front", "left"):
            flat = [(a0, b0), (a1, b0), (a1, b1), (a0, b1)]
        if side == "top":
            points = [(p, at, q) for p, q in flat]
        elif side in ("left", "right"):
            points = [(at, q, p) for p, q in flat]
        else:
            points = [(p, q, at) for p, q in flat]
        self.face(points, paint, windows=windows)

    def box(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        z: tuple[float, float],
        paint: Paint,
        top: Paint | None = None,
        windows: Windows = NO_WINDOWS,
    ) -> None:
        """Adds an upright box without its bottom."""
        self.panel("top", x, z, y[1], top or paint)
        self.panel("front", x, y, z[1], paint, windows)
        self.panel("left", z, y, x[0], paint, windows)
        self.panel("right", z, y, x[1], paint, windows)
        self.panel("back", x, y, z[0], paint, windows)

    def prism(
        self,
        profile: Sequence[tuple[float, float]],
        half: tuple[float, float],
        side: Paint,
        edges: Sequence[Paint | None],
    ) -> None:
        """Adds a side view (z, y), counter-clockwise, stretched across to ``half`` widths at its bottom and top.

        ``edges`` paints the strip from each corner to the next; None leaves it out.
        """
        low, high = min(y for _, y in profile), max(y for _, y in profile)
        wide = [half[0] + (half[1] - half[0]) * (y - low) / (high - low) for _, y in profile]
        left = [(-w, y, z) for w, (z, y) in zip(wide, profile, strict=True)]
        right = [(w, y, z) for w, (z, y) in zip(wide, profile, strict=True)]
        for i, paint in enumerate(edges):
            j = (i + 1) % len(profile)
            if paint is not None:
                self.face([left[i], right[i], right[j], left[j]], paint)
        self.face(left, side)
        self.face(right[::-1], side)

    def disc(
        self, x: float, y: float, z: float, radius: tuple[float, float], paint: Paint, normal: Point = (0.0, 0.0, 0.0)
    ) -> None:
        """Adds an octagon turned to the camera."""
        self.face([(x + radius[0] * c, y + radius[1] * s, z) for c, s in OCTAGON], paint, normal, two_sided=True)

    def wheel(self, x: float, y: float, z: float, radius: float, paint: Paint, side: int) -> None:
        """Adds an octagon on the left (-1) or right (1) side of its object."""
        self.face([(x, y + radius * s, z - side * radius * c) for c, s in OCTAGON], paint)

    def bar(
        self, start: tuple[float, float], end: tuple[float, float], width: float, paint: Paint, z: float = 0.0
    ) -> None:
        """Adds a stroke from ``start`` to ``end`` (x, y), turned to the camera."""
        dx, dy = end[0] - start[0], end[1] - start[1]
        scale = width / 2 / max(math.hypot(dx, dy), 1e-6)
        px, py = -dy * scale, dx * scale
        corners = [
            (start[0] + px, start[1] + py),
            (end[0] + px, end[1] + py),
            (end[0] - px, end[1] - py),
            (start[0] - px, start[1] - py),
        ]
        self.face([(x, y, z) for x, y in corners], paint, two_sided=True)

    def outline(self, points: Sequence[tuple[float, float]], paint: Paint, z: float = 0.0) -> None:
        """Adds a convex polygon (x, y) that is turned to the camera."""
        self.face([(x, y, z) for x, y in points], paint, two_sided=True)

    def lights(self, camera: Camera) -> tuple[Light, ...]:
        """Returns all lamps in world coordinates."""
        result = []
        for frame, (x, y, z), colour, power, street in self._lights:
            at_x, at_z, cos, sin, *_ = self._frames[frame]
            world_z = at_z - x * sin + z * cos
            result.append(
                Light(at_x + x * cos + z * sin + camera.curve * world_z**2, y, world_z, colour, power, street)
            )
        return tuple(light for light in result if light.z > 1.0)

    def faces(self, camera: Camera) -> Faces:
        """Brings all faces into the world and into painting order."""
        rows = np.array(self._rows, np.float32)
        corners = rows[:, 1].astype(np.int64)
        first = np.cumsum(corners) - corners
        points = np.fromiter(chain.from_iterable(self._points), np.float32, 3 * len(self._points)).reshape(-1, 3)
        local = points[first[:, None] + np.minimum(np.arange(MAX_CORNERS), corners[:, None] - 1)]
        frames = np.array(self._frames, np.float32)[rows[:, 0].astype(np.int64)]
        # Far before near within a layer; within an object, as its parts were added.
        order = np.lexsort((np.arange(len(rows)), -frames[:, 5], frames[:, 4]))
        rows, corners, local, frames = rows[order], corners[order], local[order], frames[order]
        points = camera.bend(_to_street(local, frames))
        normals, seen = _normals(points, rows, frames, camera)
        anchors = camera.bend(np.stack([frames[:, 0], np.zeros(len(rows), np.float32), frames[:, 1]], axis=-1))
        return Faces(
            points=points,
            corners=corners,
            normals=normals,
            train_ids=rows[:, 2].astype(np.uint8),
            colours=rows[:, 3:6],
            textures=rows[:, 6].astype(np.int64),
            lamps=rows[:, 7:10],
            windows=rows[:, 10:16],
            layers=frames[:, 4].astype(np.int64),
            casts=frames[:, 6] > 0,
            anchors=anchors,
            two_sided=rows[:, 19] > 0,
            seen=seen,
        )


OCTAGON = [(math.cos(math.pi * (i + 0.5) / 4), math.sin(math.pi * (i + 0.5) / 4)) for i in range(MAX_CORNERS)]


def _to_street(local: Floats, frames: Floats) -> Floats:
    x, z, cos, sin = (frames[:, i, None] for i in range(4))
    return np.stack(
        [x + local[..., 0] * cos + local[..., 2] * sin, local[..., 1], z - local[..., 0] * sin + local[..., 2] * cos],
        axis=-1,
    )


def _normals(points: Floats, rows: Floats, frames: Floats, camera: Camera) -> tuple[Floats, NDArray[np.bool_]]:
    """Returns unit normals [F, 3] for shading, and whether each face is turned to the camera."""
    normals = np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9
    to_eye = np.array([0.0, camera.eye, 0.0], np.float32) - points.mean(axis=1)
    turned = (normals * to_eye).sum(axis=1) > 0
    two_sided = rows[:, 19] > 0
    normals[two_sided & ~turned] *= -1
    given = np.abs(rows[:, 16:19]).sum(axis=1) > 0
    normals[given] = rows[given, 16:19] / np.linalg.norm(rows[given, 16:19], axis=1, keepdims=True)
    return normals, turned | two_sided
