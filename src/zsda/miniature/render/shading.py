"""Albedo, textures and daylight of what the rasteriser found, per pixel."""

import numpy as np
from numpy.typing import NDArray

from zsda.miniature.render.camera import Floats
from zsda.miniature.render.geometry import BRICK, GLASS, LEAF, PLANKS, PLASTER, Faces
from zsda.miniature.render.noise import sample, wrap
from zsda.miniature.render.raster import GROUND, SKY, Positions, look_up, table
from zsda.miniature.street import ground

_SASH = 0.055  # width of a window frame as a share of its cell
_SIGNS = np.array(
    [(180, 40, 40), (30, 84, 150), (40, 120, 80), (222, 160, 40), (60, 58, 66), (120, 50, 110)], np.float32
)

Index = NDArray[np.intp]


def classes(index: Index, faces: Faces, street: ground.Street, at: Positions, sky: int) -> NDArray[np.uint8]:
    """Returns the train ids of an index map, uint8 [H, W]."""
    ids = np.take(np.concatenate([[0], faces.train_ids, [sky]]).astype(np.uint8), index)
    here = np.flatnonzero(index == GROUND)
    ids.ravel()[here] = ground.classify(street, np.take(at.across, here), np.take(at.ahead, here))
    return ids


def albedo(
    index: Index, faces: Faces, street: ground.Street, at: Positions, ids: NDArray[np.uint8]
) -> tuple[Floats, Floats]:
    """Colours every pixel; the sky stays black.

    Returns:
        The albedo, 0-255, float32 [H, W, 3], and a random value in (0, 1] per window pane (0 elsewhere), float32 [H, W].
    """
    colours = look_up(table(faces.colours, 0.0, 0.0), index).reshape(-1, 3)
    here = np.flatnonzero(index == GROUND)
    colours[here] = ground.paint(street, np.take(ids, here), np.take(at.across, here), np.take(at.ahead, here))
    textures = np.take(np.concatenate([[0], faces.textures, [0]]), index)
    for texture, pattern in ((LEAF, _leaf), (PLASTER, _plaster), (BRICK, _brick), (PLANKS, _planks), (GLASS, _glass)):
        here = np.flatnonzero(textures == texture)
        ahead = np.take(at.ahead, here)
        tone = pattern(np.take(at.across, here) + ahead, np.take(at.height, here), ahead)
        colours[here] = look_up(colours, here) * tone[:, None]
    windows = _facades(index, faces, at, colours)
    return colours.reshape(*index.shape, 3), windows.reshape(index.shape)


def _leaf(along: Floats, height: Floats, ahead: Floats) -> Floats:
    return 1.0 + (1.3 * sample(along * 24.0, height * 24.0) - 0.65) / (1.0 + ahead / 45.0)


def _plaster(along: Floats, height: Floats, ahead: Floats) -> Floats:
    stains = 0.94 + 0.12 * sample(along * 5.0, height * 3.0) + 0.06 * sample(along * 40.0, height * 40.0)
    return stains * (0.86 + 0.14 * np.clip(height / 1.2, 0.0, 1.0))


def _brick(along: Floats, height: Floats, ahead: Floats) -> Floats:
    fade = 1.0 / (1.0 + ahead / 25.0)
    courses = wrap(height, 0.3) < 0.07
    return 1.0 - fade * (0.28 * courses + 0.3 * (sample(along * 12.0, np.floor(height / 0.3) * 9.0) - 0.5))


def _planks(along: Floats, height: Floats, ahead: Floats) -> Floats:
    gaps = wrap(along, 0.34) < 0.06
    return (1.0 - 0.5 * gaps / (1.0 + ahead / 30.0)) * (
        0.88 + 0.2 * sample(np.floor(along / 0.34) * 11.0, height * 3.0)
    )


def _glass(along: Floats, height: Floats, ahead: Floats) -> Floats:
    return (
        0.75
        + 0.7 * (sample(along * 5.0 + height * 6.0, height * 3.0) > 0.66)
        + 0.35 * sample(along * 9.0, height * 2.0)
    )


def _facades(index: Index, faces: Faces, at: Positions, colours: Floats) -> Floats:
    """Paints window grids and shop fronts onto facades, in place in ``colours`` [H * W, 3]; returns the panes' values."""
    windows = np.zeros(index.size, np.float32)
    grids = table(faces.windows, 0.0, 0.0)
    here = np.flatnonzero(np.take(grids[:, 0] > 0, index))
    face = np.take(index, here)
    pitch, floor, width, height, seed, shops = look_up(grids, face).T
    cell, s = _cells(_along(face, faces, np.take(at.across, here), np.take(at.ahead, here)), pitch)
    storey, t = _cells(np.take(at.height, here), floor)
    chance = wrap(np.sin(cell * 12.9898 + storey * 78.233 + seed * 437.5) * 43758.547, 1.0)
    shop = (shops > 0) & (storey == 0)
    width, height = np.where(shop, 0.86, width), np.where(shop, 0.62, height)
    up = t - np.where(shop, 0.43, 0.53)
    to_side, to_sill = width / 2 - np.abs(s - 0.5), height / 2 - np.abs(up)
    pane = (to_side > 0) & (to_sill > 0) & (shop | (np.abs(s - 0.5) > 0.022))
    frame = ~pane & (to_side > -_SASH) & (to_sill > -_SASH)
    ledge = ((t < 0.035) & (storey > 0)) | ((to_side > -_SASH) & (np.abs(up + height / 2 + 0.085) < 0.03))
    shown = (
        look_up(colours, here) * np.where(frame, 0.35, np.where(ledge, 0.78, 1.0))[:, None] + (150.0 * frame)[:, None]
    )
    sign = np.flatnonzero(shop & (t > 0.77) & (t < 0.95))
    shown[sign] = look_up(_SIGNS, (seed[sign] * 97.0).astype(np.intp) % len(_SIGNS))
    glass = np.flatnonzero(pane)
    shown[glass] = _pane(s[glass], t[glass], chance[glass])
    colours[here] = shown
    # Shops come first in the order in which windows light up.
    windows[here] = np.where(pane, np.where(shop, 0.001 + 0.03 * chance, 0.05 + 0.95 * chance), 0.0)
    return windows


def _along(face: Index, faces: Faces, across: Floats, ahead: Floats) -> Floats:
    """Returns how far along its facade each pixel is, in metres from the first corner."""
    lengthwise = np.concatenate([[False], np.abs(faces.normals[:, 0]) > 0.7, [False]])
    start_x, start_z = (table(np.ascontiguousarray(faces.points[:, 0, axis]), 0.0, 0.0) for axis in (0, 2))
    return np.where(np.take(lengthwise, face), ahead - np.take(start_z, face), across - np.take(start_x, face))


def _cells(position: Floats, size: Floats) -> tuple[Floats, Floats]:
    scaled = position / size
    cell = np.floor(scaled)
    return cell, scaled - cell


def _pane(s: Floats, t: Floats, chance: Floats) -> Floats:
    """Colours glass: dark rooms, some curtains, and the sky reflected towards the top."""
    sky = np.clip(0.15 + 0.9 * (t - 0.3) + 0.5 * (chance - 0.5) + 0.25 * (s - 0.5), 0.0, 1.0)[:, None]
    colours = np.array((44, 54, 64), np.float32) * (1 - sky) + np.array((134, 158, 178), np.float32) * sky
    curtain = (wrap(chance * 7.0, 1.0) > 0.62) & (np.abs(s - 0.5) > 0.13)
    return np.where(curtain[:, None], colours * 0.4 + np.float32(118.0), colours)


def daylight(index: Index, faces: Faces, shadow: Floats, shaded: Floats, sun: tuple[float, float, float]) -> Floats:
    """Returns the share of direct sun per pixel, float32 [H, W].

    Args:
        index: index map [H, W].
        faces: the faces it names.
        shadow: shadow on the ground, 0-1, [H, W].
        shaded: per face, how far the place where it stands lies in a house's shadow, 0-1, [F].
        sun: unit vector to the sun.
    """
    towards = np.clip(faces.normals @ np.array(sun, np.float32), 0.0, 1.0) * (1.0 - shaded)
    light = look_up(table(towards.astype(np.float32), sun[1], 0.0), index)
    return np.where(index == GROUND, light * (1.0 - shadow), light)


def upward(index: Index, faces: Faces) -> Floats:
    """Returns how far each surface faces up (1 = level), float32 [H, W]; the sky does not."""
    return look_up(table(np.clip(faces.normals[:, 1], 0.0, 1.0).astype(np.float32), 1.0, 0.0), index)


def is_sky(index: Index) -> Floats:
    """Returns 1 where the sky is seen, 0 elsewhere, float32 [H, W]."""
    return (index == SKY).astype(np.float32)
