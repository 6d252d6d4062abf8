"""Skies."""

import numpy as np

from zsda.miniature.geometry import Camera, Colour, Floats
from zsda.miniature.noise import smooth


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
    # A layer seen at a low angle; the offset keeps it from shrinking to a line at the horizon.
    far = 1.0 / (np.maximum(up, 0.0) + 0.13)[:, None]
    across, ahead = right[None, :] * far * 26.0 + drift * 256.0, far * 24.0 + drift * 131.0
    dense = smooth(across, np.repeat(ahead, across.shape[1], axis=1)) * 0.7
    dense += smooth(across * 2.7, np.repeat(ahead * 2.7, across.shape[1], axis=1)) * 0.3
    return np.clip((dense - (1.0 - cover)) / softness + 0.5, 0.0, 1.0)


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
