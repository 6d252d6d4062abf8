"""Skies."""

import numpy as np

from zsda.miniature.render.camera import Camera, Floats
from zsda.miniature.render.geometry import Colour
from zsda.miniature.render.noise import smooth


def gradient(camera: Camera, zenith: Colour, horizon: Colour) -> Floats:
    """Returns a sky that runs from ``horizon`` colour upwards to ``zenith``, float32 [H, W, 3]."""
    _, up = camera.slopes()
    rise = np.sqrt(np.clip(up / 0.55, 0.0, 1.0))[:, None, None]
    column = np.array(horizon, np.float32) * (1 - rise) + np.array(zenith, np.float32) * rise
    return np.broadcast_to(column, (*camera.size, 3)).copy()


def clouds(camera: Camera, drift: float, cover: float, softness: float) -> Floats:
    """Returns how dense clouds are, 0-1, float32 [H, W], as a flat layer above the street.

    Args:
        camera: the view.
        drift: which part of the layer stands above the street.
        cover: share of the sky that they fill.
        softness: width of their edges, as a share.
    """
    right, up = camera.slopes()
    up = up[up > -0.02]
    # A layer seen at a low angle; the offset keeps it from shrinking to a line at the horizon.
    far = 1.0 / (np.maximum(up, 0.0) + 0.13)[:, None]
    across = right[None, :] * far * 26.0 + drift * 256.0
    ahead = np.repeat(far * 24.0 + drift * 131.0, len(right), axis=1)
    density = smooth(across, ahead) * 0.7 + smooth(across * 2.7, ahead * 2.7) * 0.3
    above = np.clip((density - (1.0 - cover)) / softness + 0.5, 0.0, 1.0)
    return np.pad(above, ((0, camera.size[0] - len(up)), (0, 0)))


def blend(below: Floats, above: Colour | Floats, weight: Floats) -> Floats:
    """Mixes ``above`` into [..., H, W, 3] by weights [H, W]."""
    return below + (np.asarray(above, np.float32) - below) * weight[..., None]


def clear_day(camera: Camera, drift: float, strength: float) -> Floats:
    """Returns a daytime sky, 0-255, float32 [H, W, 3]: blue with white clouds, greyer as the sun weakens."""
    grey = 1.0 - strength
    zenith = (78 + 90 * grey, 128 + 52 * grey, 196 - 6 * grey)
    base = gradient(camera, zenith, (198 + 14 * grey, 216 + 2 * grey, 232 - 8 * grey))
    cover = 0.32 + 0.5 * grey + 0.3 * (drift - 0.5)
    dense = clouds(camera, drift, cover, 0.5)
    lit = blend(np.full_like(base, 247.0), (206.0, 210.0, 218.0), clouds(camera, drift + 0.013, cover * 0.7, 0.6))
    return base + (lit - base) * dense[..., None] * 0.9
