"""The parts that weather is made of: haze, glow, flakes, streaks, drops, mirrors, outlines; all on float32 images, 0-255."""

import cv2
import numpy as np
from numpy.typing import NDArray

from zsda.miniature.render.camera import Camera, Floats
from zsda.miniature.render.geometry import Light
from zsda.miniature.render.noise import sample, speckle
from zsda.miniature.render.scenes import Scene
from zsda.miniature.render.sky import blend

Range = tuple[float, float]
Generator = np.random.Generator

_LAMPS_TO, _VEHICLES_TO = 70.0, 36.0  # metres up to which lamps light their surroundings visibly


def draw(generator: Generator, span: Range) -> float:
    """Draws a value from a range."""
    return float(generator.uniform(*span))


def smoothstep(low: float, high: float, value: Floats) -> Floats:
    """Rises smoothly from 0 at ``low`` to 1 at ``high``."""
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def saturate(image: Floats, factor: float) -> Floats:
    """Scales how colourful [..., 3] is; 0 makes it grey."""
    grey = image @ np.array((0.299, 0.587, 0.114), np.float32)
    return grey[..., None] + (image - grey[..., None]) * factor


def haze(image: Floats, scene: Scene, visibility: float, air: Floats, thickness: Floats | float = 1.0) -> Floats:
    """Puts the sky ``air`` [H, W, 3] behind an image that is black there, and lets things fade into it with distance.

    At ``visibility`` metres 5 % of their contrast is left.
    """
    lost = 1.0 - np.exp(scene.depth * thickness * (-3.0 / visibility))
    # Pixels on an outline are partly sky and carry either depth: their part of the surface fades like the surface beside.
    lost = np.where(scene.sky < 1.0, np.minimum(lost, 0.97), 1.0).astype(np.float32)
    kept = (1.0 - scene.sky) * (1.0 - lost)
    return image * (1.0 - lost)[..., None] + air * (1.0 - kept)[..., None]


def sprites(scene: Scene, power: float) -> Floats:
    """Draws every visible lamp as a small bright disc, float32 [H, W, 3]."""
    image = np.zeros((*scene.depth.shape, 3), np.float32)
    camera = scene.camera
    height, width = camera.size
    for light in scene.lights:
        scale = camera.focal / light.z
        column, row = round(camera.centre + light.x * scale), round(camera.horizon + (camera.eye - light.y) * scale)
        if 0 <= column < width and 0 <= row < height and scene.depth[row, column] > light.z - 0.6:
            radius = max(round(0.13 * scale), 0)
            strength = 255.0 * power * (0.4 + 0.6 * light.power)
            cv2.circle(image, (column, row), radius, tuple(strength * c for c in light.colour), -1)
    return image


def bloom(emitted: Floats, strength: float) -> Floats:
    """Spreads emitted light around its source, as lenses and wet air do."""
    unit = emitted.shape[0] / 128
    small = cv2.GaussianBlur(emitted, (0, 0), 1.2 * unit)
    half = cv2.resize(emitted, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    wide = cv2.GaussianBlur(half, (0, 0), 1.1 * unit) * 0.9 + cv2.GaussianBlur(half, (0, 0), 3.2 * unit) * 0.7
    return strength * (small * 0.7 + cv2.resize(wide, emitted.shape[1::-1], interpolation=cv2.INTER_LINEAR))


def lamp_light(scene: Scene, reach: float) -> Floats:
    """Returns the light of street lamps and vehicles on every surface, 1 = well lit, float32 [H, W, 3].

    Args:
        scene: the street.
        reach: distance in metres at which a street lamp has lost half of its light.
    """
    at, camera = scene.positions(), scene.camera
    planes = np.zeros((3, *scene.depth.shape), np.float32)
    level = (scene.upward > 0.9).astype(np.float32)
    for light in scene.lights:
        if light.z > (_LAMPS_TO if light.street else _VEHICLES_TO):
            continue
        radius = reach if light.street else 2.4 * light.power**0.5
        view = _around(light, camera, 2.8 * radius)
        across = light.x - camera.curve * light.z**2 - at.across[view]
        up, ahead = light.y - at.height[view], light.z - at.ahead[view]
        squared = across * across + up * up + ahead * ahead
        amount = np.square(1.0 / (1.0 + squared * (0.41 / radius**2)))
        # Street lamps shine downwards; lamps of vehicles shine ahead of them and light the street, not their own car.
        amount *= 1.8 * np.clip(0.2 + up / np.sqrt(squared + 0.1), 0.0, 1.0) if light.street else 0.7 * level[view]
        for plane, share in zip(planes, light.colour, strict=True):
            plane[view] += share * amount
    planes /= 1.0 + 0.55 * planes
    return np.ascontiguousarray(np.moveaxis(planes * (1.0 - scene.sky), 0, -1))


def _around(light: Light, camera: Camera, radius: float) -> tuple[slice, slice]:
    """Returns the part of the image in which things within ``radius`` metres of a light can be seen."""
    height, width = camera.size
    scale = camera.focal / max(light.z - radius, 0.5)
    straight = camera.focal / light.z
    column, row = camera.centre + light.x * straight, camera.horizon + (camera.eye - light.y) * straight
    rows = slice(int(np.clip(row - radius * scale, 0, height)), int(np.clip(row + radius * scale, 0, height)))
    return rows, slice(int(np.clip(column - radius * scale, 0, width)), int(np.clip(column + radius * scale, 0, width)))


def own_headlights(scene: Scene, reach: float) -> Floats:
    """Returns the light of the camera's own car on every surface, float32 [H, W]."""
    at = scene.positions()
    beam = np.exp(-np.square(at.across / (1.6 + 0.16 * at.ahead)) - at.ahead / reach)
    return beam * np.clip(1.15 - 0.35 * at.height, 0.12, 1.0) * (1.0 - scene.sky)


def flakes(image: Floats, generator: Generator, density: float, wind: float) -> Floats:
    """Draws falling snow: many small flakes far away, few large soft ones near the lens."""
    height, width = image.shape[:2]
    unit = height / 128
    for count, size, fall, softness, opacity in (
        (420, 0.6, 1.2, 0.5, 0.7),
        (130, 1.1, 3.0, 0.7, 0.85),
        (16, 2.4, 6.0, 1.9, 0.8),
    ):
        layer = np.zeros((height, width), np.uint8)
        number = int(count * density)
        places, lengths = generator.random((number, 2)) * (width, height), generator.uniform(0.4, 1.3, number)
        for (x, y), length in zip(places.tolist(), lengths.tolist(), strict=True):
            start = (int(x * 8), int(y * 8))
            end = (int((x + wind * fall * length * unit) * 8), int((y + fall * length * unit) * 8))
            cv2.line(layer, start, end, 255, max(round(size * unit), 1), cv2.LINE_AA, 3)
        veil = cv2.GaussianBlur(layer, (0, 0), softness * unit).astype(np.float32)
        image = blend(image, (248.0, 250.0, 252.0), np.clip(veil * (opacity / 190.0), 0.0, 1.0))
    return image


def streaks(image: Floats, generator: Generator, density: float, slant: float, opacity: float) -> Floats:
    """Draws falling rain as long thin lines, all slanted alike."""
    height, width = image.shape[:2]
    unit = height / 128
    layer = np.zeros((height, width), np.uint8)
    number = int(150 * density)
    places, lengths = generator.random((number, 2)) * (1.2, 1.2) - 0.1, generator.uniform(7.0, 24.0, number) * unit
    for (x, y), length in zip(places.tolist(), lengths.tolist(), strict=True):
        start = (int(x * width * 8), int(y * height * 8))
        end = (int((x * width + slant * length) * 8), int((y * height + length) * 8))
        cv2.line(layer, start, end, int(110 + 6 * length / unit), 1, cv2.LINE_AA, 3)
    soft = cv2.GaussianBlur(layer, (0, 0), 0.5 * unit).astype(np.float32) / 255
    return blend(image, (214.0, 220.0, 228.0), soft * opacity)


def drops(image: Floats, generator: Generator, number: int) -> Floats:
    """Puts drops of water on the lens; each shows the street upside down and blurred."""
    height, width = image.shape[:2]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    inside = np.zeros((height, width), np.float32)
    for _ in range(number):
        x, y = generator.random() * width, generator.random() * height * 0.92
        radius = generator.uniform(2.5, 8.0) * height / 128
        reach = 1.15 * radius + 1.0
        box = slice(max(int(y - reach), 0), int(y + reach) + 1), slice(max(int(x - reach), 0), int(x + reach) + 1)
        dx, dy = np.arange(width)[None, box[1]] - x, (np.arange(height)[box[0], None] - y) / 1.15
        apart = np.sqrt(dx * dx + dy * dy)
        within = apart < radius
        columns[box] = np.where(within, x - 3.0 * dx, columns[box])
        rows[box] = np.where(within, y - 3.0 * dy, rows[box])
        rim = np.clip((radius - apart) / 1.5, 0.0, 1.0) * (0.8 + 0.25 * dy / radius)
        inside[box] = np.maximum(inside[box], rim)
    soft = cv2.GaussianBlur(image, (0, 0), 1.2 * height / 128)
    bent = cv2.remap(soft, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return blend(image, bent * 1.08 + 6.0, np.clip(inside, 0.0, 1.0))


def mirrored(image: Floats, scene: Scene, blur: float) -> Floats:
    """Returns what a level, wet street would show at every ground pixel: the things above it, upside down.

    Each column is folded where the ground meets whatever stands next above it.
    """
    height, width = scene.depth.shape
    ground = scene.is_class("road", "sidewalk", "terrain")
    rows, columns = np.arange(height)[:, None], np.arange(width)[None, :]
    contact = np.maximum.accumulate(np.where(ground, 0, rows), axis=0)
    at = scene.positions()
    ripple = ((sample(at.across * 26.0, at.ahead * 9.0) - 0.5) * 3.0 * height / 128).astype(np.int64)
    source = np.clip(2 * contact + 1 - rows, 0, height - 1)
    long = max(int(blur * height / 128), 1)
    smeared = cv2.blur(image, (max(long // 4, 1), long))
    return smeared[source, np.clip(columns + ripple, 0, width - 1)]


def outlines(scene: Scene) -> NDArray[np.bool_]:
    """Returns the pixels beside a change of class or a jump in depth, bool [H, W]."""
    edges = np.zeros(scene.depth.shape, np.bool_)
    inverse = 1.0 / scene.depth
    for axis in (0, 1):
        jump = np.abs(np.diff(inverse, axis=axis)) > 0.012 + 0.12 * np.minimum(*_pairs(inverse, axis))
        change = np.diff(scene.train_ids.astype(np.int16), axis=axis) != 0
        part = edges[:-1] if axis == 0 else edges[:, :-1]
        part |= jump | change
    return edges


def _pairs(values: Floats, axis: int) -> tuple[Floats, Floats]:
    return (values[:-1], values[1:]) if axis == 0 else (values[:, :-1], values[:, 1:])


def sensor(image: Floats, generator: Generator, noise: float, shot: float = 0.0) -> Floats:
    """Adds the noise of a camera: ``noise`` everywhere, ``shot`` times the root of the brightness on top."""
    grain = speckle(image.shape[:2], generator)
    if shot:
        return image + grain * (noise + shot * np.sqrt(np.clip(image, 0.0, None)))
    return image + grain * noise


def expose(image: Floats, gain: float, warmth: float) -> Floats:
    """Scales brightness and shifts the white balance; a positive ``warmth`` is redder."""
    return image * np.array((gain * (1 + warmth), gain, gain * (1 - warmth)), np.float32)


def flare(image: Floats, scene: Scene, generator: Generator, strength: float) -> Floats:
    """Adds a sun to the sky and, ``strength`` brightly, its ghosts across the lens."""
    height, width = scene.depth.shape
    x, y = generator.uniform(0.08, 0.92) * width, generator.uniform(0.02, 0.18) * height
    sun, ghosts = np.zeros_like(image), np.zeros_like(image)
    cv2.circle(sun, (int(x), int(y)), int(0.075 * height), (255, 246, 200), -1, cv2.LINE_AA)
    for along, radius, colour, weight in _GHOSTS:
        spot = np.zeros_like(image)
        place = (int(x + along * (width / 2 - x)), int(y + along * (height / 2 - y)))
        cv2.circle(spot, place, int(radius * height), colour, -1, cv2.LINE_AA)
        ghosts += spot * weight
    return image + sun * scene.sky[..., None] + bloom(sun, 0.4) + strength * ghosts


_GHOSTS = (
    (0.55, 0.035, (255, 190, 90), 0.3),
    (0.9, 0.06, (120, 220, 160), 0.18),
    (1.25, 0.03, (120, 160, 255), 0.3),
    (1.6, 0.09, (255, 120, 120), 0.15),
    (1.9, 0.045, (180, 140, 255), 0.2),
)
"""Ghosts of the sun: place between sun (0) and the middle (1), radius as a share of the height, colour, weight."""
