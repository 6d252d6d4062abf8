"""What the training looks are made of; by design nothing here computes what `effects` does in the way it does it."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from zsda.miniature.looks.effects import Generator
from zsda.miniature.render.camera import Floats
from zsda.miniature.render.geometry import Colour
from zsda.miniature.render.scenes import Scene
from zsda.miniature.render.sky import blend
from zsda.miniature.street.style import Spans

_GREY = np.array((0.299, 0.587, 0.114), np.float32)
_TILE = 128  # cells a side of the random tiles
_DISCS = (
    # Distance in m, number, radius in pixels at 128 rows, opacity.
    (28.0, 460, 0.45, 0.75),
    (12.0, 190, 0.8, 0.85),
    (5.0, 44, 1.5, 0.7),
    (1.2, 9, 4.2, 0.3),
)


def pick(generator: Generator, spans: Spans) -> float:
    """Draws a value evenly from all of the spans: the longer an interval, the more often it is met."""
    along = generator.random() * sum(high - low for low, high in spans)
    for low, high in spans:
        if along <= high - low:
            return low + along
        along -= high - low
    return spans[-1][1]


def unit(scene: Scene) -> float:
    """Returns by how much lengths in pixels grow with the picture: 1 for 128 rows."""
    return scene.camera.size[0] / 128


def distances(scene: Scene) -> Floats:
    """Returns how far the surface in each pixel is from the camera along its ray, in metres, float32 [H, W]."""
    right, up = scene.camera.slopes()
    return scene.depth * np.sqrt(1.0 + np.square(right)[None, :] + np.square(up)[:, None])


def dome(scene: Scene, top: Colour, bottom: Colour) -> Floats:
    """Returns a sky that runs evenly over the rows from ``top`` to ``bottom`` at the horizon, float32 [H, W, 3]."""
    height, width = scene.camera.size
    down = np.clip(np.arange(height, dtype=np.float32) / scene.camera.horizon, 0.0, 1.0)[:, None, None]
    column = np.array(top, np.float32) * (1.0 - down) + np.array(bottom, np.float32) * down
    return np.repeat(column, width, axis=1)


def cloudiness(generator: Generator, size: tuple[int, int], cells: tuple[int, int]) -> Floats:
    """Returns a random field, float32 [H, W] around 0.5: three octaves, the coarsest with ``cells`` (rows, columns)."""
    total = np.zeros(size, np.float32)
    for octave, weight in ((1, 0.55), (2, 0.3), (4, 0.15)):
        coarse = generator.random((cells[0] * octave, cells[1] * octave), np.float32)
        total += weight * cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_LINEAR)
    return total


def roughness(generator: Generator, column: Floats, row: Floats) -> Floats:
    """Returns a random height field, float32 [H, W] around 0.5, at positions given in cells; two octaves."""
    tile = generator.random((_TILE, _TILE), np.float32)
    # OpenCV takes no columns beyond 2^15; only the far sky lies there.
    cells = [np.clip(at, -8000.0, 8000.0).astype(np.float32) for at in (column, row)]
    coarse, fine = (
        cv2.remap(tile, cells[0] * scale, cells[1] * scale, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        for scale in (1.0, 2.7)
    )
    return 0.65 * coarse + 0.35 * fine


def photograph(scene: Scene, evened: float) -> Floats:
    """Returns the day's photograph with a black sky, float32 [H, W, 3].

    Args:
        scene: the street.
        evened: how far sun and shadow are taken out of it, 0-1.
    """
    # On outlines the photograph holds some of the day's sky; the albedo's share of them is free of it.
    edge = scene.albedo * (0.6 + 0.7 * scene.sunlit)[..., None]
    taken = np.where((scene.sky > 0)[..., None], edge, scene.image.astype(np.float32))
    shadowless = scene.albedo * (0.86 * np.sqrt(scene.open))[..., None]
    # The geometric mean keeps what both pictures agree on and shrinks the ratio of light to shadow.
    return np.exp((1.0 - evened) * np.log(taken + 1.0) + evened * np.log(shadowless + 1.0)) - 1.0


def shading(scene: Scene) -> Floats:
    """Returns how bright the day's light is around each pixel, about 1 on average, float32 [H, W]."""
    light, surface = (
        cv2.GaussianBlur(grey.astype(np.float32), (0, 0), 1.6 * unit(scene))
        for grey in (scene.image @ _GREY * (1.0 - scene.sky), scene.albedo @ _GREY)
    )
    ratio = (light + 12.0) / (surface + 12.0)
    return ratio / max(float(ratio[scene.sky < 1.0].mean()), 0.1)


def veiled(image: Floats, scene: Scene, kept: Floats, air: Floats) -> Floats:
    """Leaves the share ``kept`` [H, W] of a picture with black sky and fills up with ``air`` [H, W, 3]."""
    # Pixels on an outline may carry the sky's depth; their part of the surface must not vanish at once.
    kept = np.where((scene.sky > 0.0) & (scene.sky < 1.0), np.maximum(kept, 0.04), kept)
    return image * kept[..., None] + air * (1.0 - kept * (1.0 - scene.sky))[..., None]


def halo(emitted: Floats, levels: int) -> Floats:
    """Returns light that an optic scatters around its sources, float32 [H, W, 3].

    Args:
        emitted: light, float32 [H, W, 3].
        levels: number of ever coarser pyramid levels whose mean it is, for 128 rows.
    """
    size, level, total = emitted.shape[1::-1], emitted, np.zeros_like(emitted)
    levels = max(levels + round(math.log2(len(emitted) / 128)), 1)
    for _ in range(levels):
        level = cv2.pyrDown(level)
        total += cv2.resize(level, size, interpolation=cv2.INTER_LINEAR)
    return total / levels


def spikes(emitted: Floats, length: float, angle: float, arms: int) -> Floats:
    """Returns the rays that an aperture draws around bright points.

    Args:
        emitted: light, float32 [H, W, 3].
        length: at which a ray has lost two thirds of its light, in pixels.
        angle: of the first ray, in radians.
        arms: number of lines through each point.
    """
    half = round(2.2 * length) + 1
    away = np.arange(-half, half + 1, dtype=np.float32)
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    for i in range(arms):
        turn = angle + np.pi * i / arms
        columns, rows = (np.rint(away * part).astype(np.int64) + half for part in (np.cos(turn), np.sin(turn)))
        kernel[rows, columns] = np.exp(-np.abs(away) / length)
    return cv2.filter2D(np.clip(emitted - 150.0, 0.0, None), -1, kernel / kernel.sum())


def downward_trails(image: Floats, ground: NDArray[np.bool_], air: Colour, fade: float) -> Floats:
    """Draws down every column, over the ground, what stands above it; a trail fades into ``air`` by ``fade`` per row."""
    target = np.where(ground[..., None], np.array(air, np.float32), image)
    rate = np.where(ground, fade, 0.3).astype(np.float32)[..., None]
    trails, carried = np.empty_like(image), image[0]
    for row in range(len(image)):
        carried = carried + rate[row] * (target[row] - carried)
        trails[row] = carried
    return trails


def grazing(scene: Scene) -> Floats:
    """Returns which share of light level ground mirrors at each pixel (Schlick's formula), float32 [H, W]."""
    steep = np.clip(scene.camera.eye / distances(scene), 0.0, 1.0)
    return 0.04 + 0.96 * (1.0 - steep) ** 5


def rainfall(generator: Generator, size: tuple[int, int], density: float, slant: float) -> Floats:
    """Returns rain as noise that motion has smeared, 0-1, float32 [H, W].

    Args:
        generator: source of randomness.
        size: height and width in pixels.
        density: 1 for plenty of rain.
        slant: columns that a drop moves aside per row.
    """
    scale, total = size[0] / 128, np.zeros(size, np.float32)
    for share, long, strength in ((0.006, 4.0, 0.7), (0.0009, 9.0, 1.2)):
        half = round(long * scale)
        kernel = np.zeros((2 * half + 1, 2 * half + 1), np.uint8)
        aside = slant * half
        ends = [(round((half + side * aside) * 8), round((half + side * half) * 8)) for side in (-1, 1)]
        cv2.line(kernel, ends[0], ends[1], 255, 1, cv2.LINE_AA, 3)
        lots, chance = generator.random(size, np.float32), share * density / scale**2
        # Drops are unequally bright: the lots below the chance are even between 0 and it.
        seeds = np.where(lots < chance, 0.3 + 0.7 * lots / max(chance, 1e-9), np.float32(0.0))
        total += cv2.filter2D(seeds, -1, kernel.astype(np.float32) * (strength / 255))
    return np.clip(total, 0.0, 1.0)


def out_of_focus(image: Floats, generator: Generator, number: int) -> Floats:
    """Puts ``number`` ovals of water on the lens: what lies behind them is blurred and a little brighter below."""
    height, width = image.shape[:2]
    oval = np.zeros((height, width), np.uint8)
    for x, y, long, turn in generator.random((number, 4)).tolist():
        axes = (round(8 * height * (0.02 + 0.05 * long)), round(8 * height * (0.015 + 0.035 * long)))
        cv2.ellipse(
            oval, (round(x * width * 8), round(y * height * 8)), axes, 180 * turn, 0, 360, 255, -1, cv2.LINE_AA, 3
        )
    inside = cv2.GaussianBlur(oval, (0, 0), 0.6 * height / 128).astype(np.float32) / 255
    rim = np.clip(inside - np.roll(inside, -round(1.5 * height / 128), axis=0), 0.0, 1.0)
    soft = cv2.GaussianBlur(image, (0, 0), 2.4 * height / 128)
    return blend(image, soft + 8.0, inside) + 26.0 * rim[..., None]


def discs_of_snow(image: Floats, scene: Scene, generator: Generator, density: float) -> Floats:
    """Draws falling snow as round specks, larger and fainter near the lens, hidden by what stands in front of them."""
    height, width = scene.camera.size
    for distance, count, radius, opacity in _DISCS:
        layer = np.zeros((height, width), np.uint8)
        number = round(count * density)
        sizes = np.maximum(radius * generator.uniform(0.7, 1.3, number) * unit(scene), 0.6)
        for (x, y), size in zip(generator.random((number, 2)).tolist(), sizes.tolist(), strict=True):
            cv2.circle(layer, (round(x * width * 8), round(y * height * 8)), round(size * 8), 255, -1, cv2.LINE_AA, 3)
        layer = cv2.GaussianBlur(layer, (0, 0), 0.6 * unit(scene))
        before = np.where(scene.depth > distance, np.float32(opacity / 255), np.float32(0.0))
        image = blend(image, (250.0, 250.0, 250.0), layer.astype(np.float32) * before)
    return image


def photons(image: Floats, generator: Generator, noise: float) -> Floats:
    """Adds noise that grows with the root of the light.

    Args:
        image: float32 [H, W, 3].
        generator: source of randomness.
        noise: standard deviation at mid-grey, in grey levels.
    """
    # The root of a count of photons has the same spread at every brightness.
    root = np.sqrt(np.clip(image, 0.0, None))
    grain = generator.standard_normal(image.shape, np.float32)
    return np.square(np.clip(root + grain * (noise / (2.0 * math.sqrt(128.0))), 0.0, None))


def blotched(image: Floats, generator: Generator, strength: float) -> Floats:
    """Adds coarse patches of false colour, ``strength`` grey levels, as denoising leaves them in dark pictures."""
    height, width = image.shape[:2]
    coarse = generator.standard_normal((32, 64, 3), np.float32)
    return image + strength * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def compressed(image: Floats, quality: int) -> Floats:
    """Returns what JPEG leaves of a picture at a quality of 1-100."""
    stored = cv2.imencode(".jpg", np.clip(image, 0, 255).astype(np.uint8), (cv2.IMWRITE_JPEG_QUALITY, quality))[1]
    return np.asarray(cv2.imdecode(stored, cv2.IMREAD_UNCHANGED), np.float32)


def creases(scene: Scene) -> Floats:
    """Returns 1 where surfaces bend or end, float32 [H, W]: where the inverse of their distance has a large Laplacian."""
    inverse = 1.0 / distances(scene)
    bent = np.abs(cv2.Laplacian(inverse, cv2.CV_32F, ksize=1, borderType=cv2.BORDER_REPLICATE))
    return (bent > 0.006 + 0.1 * inverse).astype(np.float32)
