"""The looks of a scene: what the same street is like by day, at night, in snow, rain and fog, and as a game.

A look is a frozen dataclass that holds the ranges of its parameters and, when called, draws them and paints. A family of
looks is a mapping from names to looks; `apply_look` takes any.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from zsda.core.errors import ConfigError
from zsda.miniature.looks import effects
from zsda.miniature.looks.effects import Generator, Range, draw
from zsda.miniature.render import sky
from zsda.miniature.render.camera import Floats
from zsda.miniature.render.geometry import Colour
from zsda.miniature.render.noise import field, sample, wrap
from zsda.miniature.render.scenes import Scene


class Look(Protocol):
    """Paints a scene under one condition."""

    def __call__(self, scene: Scene, generator: Generator) -> Floats:
        """Returns RGB, 0-255 (more is clipped), float32 [H, W, 3]; everything random comes from ``generator``."""
        ...


@dataclass(frozen=True)
class Day:
    """The rendered daylight through a camera: exposure, white balance, some noise."""

    gain: Range = (0.88, 1.12)
    warmth: Range = (-0.05, 0.06)
    colourfulness: Range = (0.8, 1.08)
    noise: Range = (1.0, 3.0)

    def __call__(self, scene: Scene, generator: Generator) -> Floats:
        """Paints it."""
        image = effects.saturate(scene.image.astype(np.float32), draw(generator, self.colourfulness))
        image = effects.expose(image, draw(generator, self.gain), draw(generator, self.warmth))
        return effects.sensor(image, generator, draw(generator, self.noise))


@dataclass(frozen=True)
class Night:
    """Dark sky, lit windows, pools of light under street lamps, head and tail lights that bloom, noise.

    ``ambient`` is what is left of the daylight, ``reach`` how far street lamps shine (m) and ``lamps`` how
    brightly, ``beam`` how far the own head lights do (m), ``lit`` the share of bright windows.
    """

    ambient: Range = (0.05, 0.12)
    reach: Range = (5.0, 8.5)
    lamps: Range = (0.45, 0.85)
    beam: Range = (8.0, 16.0)
    lit: Range = (0.1, 0.4)
    glow: Range = (0.5, 1.0)
    noise: Range = (2.5, 6.0)
    dusk: Range = (0.0, 1.0)

    def __call__(self, scene: Scene, generator: Generator) -> Floats:
        """Paints it."""
        ambient = draw(generator, self.ambient) * scene.open[..., None] * np.array((0.62, 0.76, 1.2), np.float32)
        own = effects.own_headlights(scene, draw(generator, self.beam))[..., None] * np.array(
            (0.78, 0.74, 0.62), np.float32
        )
        lamps = draw(generator, self.lamps) * effects.lamp_light(scene, draw(generator, self.reach))
        light = ambient + own + lamps
        image = scene.albedo * light + self._sky(scene, generator) * scene.sky[..., None]
        emitted = 1.15 * scene.lamps + self._windows(scene, generator)
        image = np.maximum(image, emitted) + effects.bloom(
            emitted * 0.5 + effects.sprites(scene, 1.5), draw(generator, self.glow)
        )
        return effects.sensor(image, generator, draw(generator, self.noise), shot=0.3)

    def _sky(self, scene: Scene, generator: Generator) -> Floats:
        dusk = draw(generator, self.dusk)
        result = sky.gradient(
            scene.camera, (7 + 5 * dusk, 9 + 9 * dusk, 20 + 20 * dusk), (34 + 20 * dusk, 30 + 8 * dusk, 34 + 6 * dusk)
        )
        result += 9.0 * sky.clouds(scene.camera, generator.random(), 0.5, 0.8)[..., None]
        stars = generator.random(scene.depth.shape, np.float32) > 0.9985
        result[stars] += 70.0 * (1.0 - dusk)
        return result

    def _windows(self, scene: Scene, generator: Generator) -> Floats:
        lit = (scene.windows > 0) & (scene.windows < draw(generator, self.lit))
        tone = wrap(scene.windows * 91.7, 1.0)[..., None]
        warm, cold = np.array((218, 164, 86), np.float32), np.array((164, 174, 180), np.float32)
        colour = np.where(tone > 0.8, cold, warm) * (0.55 + 0.45 * wrap(tone * 13.0, 1.0))
        return colour * lit[..., None]


@dataclass(frozen=True)
class Snow:
    """Snow on everything that faces up, wheel tracks, falling flakes, a white-grey sky, haze.

    ``cover`` is the share of level surfaces that is white, ``tracks`` how bare the wheel tracks are, ``visibility`` in m.
    """

    cover: Range = (0.78, 1.0)
    tracks: Range = (0.45, 0.95)
    visibility: Range = (110.0, 320.0)
    light: Range = (0.84, 0.98)
    flakes: Range = (0.5, 1.5)
    wind: Range = (-1.0, 1.0)
    air: Range = (196.0, 220.0)

    def __call__(self, scene: Scene, generator: Generator) -> Floats:
        """Paints it."""
        white = np.array((238, 242, 250), np.float32)
        cover = self._cover(scene, draw(generator, self.cover), draw(generator, self.tracks))
        surface = effects.saturate(scene.albedo, 0.75)
        surface += (white * (1.0 - scene.sky)[..., None] - surface) * cover[..., None]
        lit = (
            surface
            * (draw(generator, self.light) * scene.open + 0.06 * scene.sunlit)[..., None]
            * np.array((0.96, 0.99, 1.04), np.float32)
        )
        grey = draw(generator, self.air)
        air = sky.gradient(scene.camera, (grey - 22, grey - 18, grey - 12), (grey + 4, grey + 6, grey + 8))
        lit = effects.haze(lit, scene, draw(generator, self.visibility), air)
        image = effects.flakes(lit, generator, draw(generator, self.flakes), draw(generator, self.wind))
        return effects.sensor(image, generator, 1.5)

    def _cover(self, scene: Scene, cover: float, tracks: float) -> Floats:
        at = scene.positions()
        patches = sample(at.across * 6.0, at.ahead * 4.0 + at.height * 6.0)
        lying = effects.smoothstep(0.28, 0.62, scene.upward + 0.3 * (patches - 0.5))
        lying *= effects.smoothstep(-0.05, 0.12, cover - patches * 0.9)
        wheels = np.zeros_like(lying)
        for middle, _ in scene.street.lane_middles():
            beside = np.abs(np.abs(at.across - middle) - 0.78)
            wheels = np.maximum(wheels, 1.0 - effects.smoothstep(0.16, 0.52, beside + 0.3 * (patches - 0.5)))
        road = scene.is_class("road")
        return np.where(road, lying * (1.0 - tracks * wheels) * (0.72 + 0.28 * patches), lying).astype(np.float32)


@dataclass(frozen=True)
class Rain:
    """A dark overcast sky, a wet street that mirrors what stands on it, puddles, streaks, drops on the lens.

    ``wet`` is how much darker wet ground is, ``mirror`` how strongly it mirrors, ``visibility`` in m.
    """

    light: Range = (0.46, 0.62)
    wet: Range = (0.5, 0.72)
    mirror: Range = (0.4, 0.7)
    visibility: Range = (160.0, 420.0)
    streaks: Range = (0.6, 1.8)
    slant: Range = (-0.35, 0.35)
    drops: Range = (2.0, 12.0)
    air: Range = (104.0, 142.0)

    def __call__(self, scene: Scene, generator: Generator) -> Floats:
        """Paints it."""
        ground = scene.is_class("road", "sidewalk", "terrain")
        wetness = np.where(ground, draw(generator, self.wet), 0.9).astype(np.float32)
        light = draw(generator, self.light) * scene.open * wetness
        grey = draw(generator, self.air)
        image = effects.saturate(scene.albedo, 0.82) * light[..., None] * np.array((0.96, 1.0, 1.08), np.float32)
        overcast = self._sky(scene, generator, (grey - 4, grey, grey + 8))
        image = effects.haze(image, scene, draw(generator, self.visibility), overcast)
        emitted = scene.lamps * 0.8 + effects.sprites(scene, 0.9)
        image = np.maximum(image, scene.lamps * 0.8) + effects.bloom(emitted, 0.35)
        image = self._mirror(image, scene, draw(generator, self.mirror))
        image = effects.streaks(image, generator, draw(generator, self.streaks), draw(generator, self.slant), 0.5)
        image = effects.drops(image, generator, round(draw(generator, self.drops)))
        return effects.sensor(image, generator, 2.0)

    def _sky(self, scene: Scene, generator: Generator, air: Colour) -> Floats:
        base = sky.gradient(
            scene.camera, (air[0] * 0.72, air[1] * 0.73, air[2] * 0.76), (air[0] * 1.12, air[1] * 1.12, air[2] * 1.1)
        )
        dark = sky.clouds(scene.camera, generator.random(), 0.5, 0.9)
        return sky.blend(base, (air[0] * 0.66, air[1] * 0.68, air[2] * 0.7), 0.6 * dark)

    def _mirror(self, image: Floats, scene: Scene, strength: float) -> Floats:
        at = scene.positions()
        puddles = effects.smoothstep(0.5, 0.66, sample(at.across * 3.0, at.ahead * 1.6)) * np.exp(-at.ahead / 80.0)
        # Mirrors grow stronger at low angles, until the rain in between hides them.
        grazing = np.clip(at.ahead / 26.0, 0.0, 1.0) * np.exp(-at.ahead / 80.0)
        amount = (
            strength
            * (0.28 + 0.45 * puddles + 0.4 * grazing)
            * (scene.is_class("road") + 0.7 * scene.is_class("sidewalk"))
        )
        return sky.blend(image, effects.mirrored(image, scene, 7.0), np.clip(amount, 0.0, 0.85).astype(np.float32))


@dataclass(frozen=True)
class Fog:
    """Everything fades into bright air with distance, unevenly and more so near the ground; pale colours, dim lamps.

    ``visibility`` in m, ``patchy`` how uneven the fog is, ``settled`` how fast it thins out with height (per m).
    """

    visibility: Range = (30.0, 85.0)
    patchy: Range = (0.3, 0.9)
    settled: Range = (0.0, 0.08)
    air: Range = (184.0, 216.0)
    tint: Range = (-4.0, 6.0)
    light: Range = (0.72, 0.88)

    def __call__(self, scene: Scene, generator: Generator) -> Floats:
        """Paints it."""
        grey, tint = draw(generator, self.air), draw(generator, self.tint)
        air = sky.gradient(
            scene.camera, (grey + 10 - tint, grey + 10, grey + 10 + tint), (grey - tint, grey, grey + tint)
        )
        image = (
            effects.saturate(scene.albedo, 0.8)
            * (draw(generator, self.light) * scene.open + 0.05 * scene.sunlit)[..., None]
        )
        image = np.maximum(image, scene.lamps * 0.7)
        at = scene.positions()
        patchy = draw(generator, self.patchy)
        thickness = 1.0 - patchy / 2 + patchy * field(scene.depth.shape, generator, (4, 7))
        thickness *= np.exp(-draw(generator, self.settled) * np.clip(at.height, 0.0, 20.0))
        image = effects.haze(image, scene, draw(generator, self.visibility), air, thickness)
        image += effects.bloom(effects.sprites(scene, 0.5), 0.3)
        return effects.sensor(image, generator, 1.5)


@dataclass(frozen=True)
class Game:
    """An older 3d game: flat saturated colours in few steps, light in bands, dark outlines, coarse textures, a lens flare."""

    levels: Range = (5.0, 8.0)
    colourfulness: Range = (1.35, 1.8)
    bands: Range = (2.0, 4.0)
    outline: Range = (0.35, 0.65)
    flare: Range = (0.0, 1.0)
    warmth: Range = (-0.02, 0.1)

    def __call__(self, scene: Scene, generator: Generator) -> Floats:
        """Paints it."""
        surface = effects.saturate(_flattened(scene), draw(generator, self.colourfulness))
        surface = _posterised(np.clip(surface, 0, 255), round(draw(generator, self.levels)))
        light = _steps(
            np.clip(0.5 * scene.open + 0.75 * scene.sunlit, 0, 1.25) / 1.25, round(draw(generator, self.bands))
        )
        image = surface * (0.62 + 0.72 * light)[..., None] * (1.0 - scene.sky)[..., None] + self._sky(scene, generator)
        image = sky.blend(image, (24.0, 20.0, 30.0), effects.outlines(scene) * draw(generator, self.outline))
        image = effects.expose(image, 1.05, draw(generator, self.warmth))
        return effects.flare(image, scene, generator, draw(generator, self.flare))

    def _sky(self, scene: Scene, generator: Generator) -> Floats:
        base = sky.gradient(scene.camera, (30.0, 96.0, 214.0), (150.0, 214.0, 250.0))
        base = np.round(base / 22.0) * 22.0
        puffs = sky.clouds(scene.camera, generator.random(), 0.34, 0.08)
        return sky.blend(base, (250.0, 250.0, 255.0), puffs) * scene.sky[..., None]


def _flattened(scene: Scene) -> Floats:
    """Takes the fine grain out of surfaces and puts blocky texture on the ground."""
    flat = cv2.bilateralFilter(np.clip(scene.albedo, 0, 255).astype(np.uint8), 7, 60, 4).astype(np.float32)
    at = scene.positions()
    blocks = sample(np.floor(at.across * 2.5) * 7.0, np.floor(at.ahead * 1.2) * 7.0)
    grain = 1.0 + 0.2 * (np.round(blocks * 3) / 3 - 0.5) * scene.is_class("road", "sidewalk", "terrain") * (
        scene.depth < 40
    )
    return flat * grain[..., None].astype(np.float32)


def _posterised(colours: Floats, levels: int) -> Floats:
    """Leaves few brightnesses of each hue; rounding channel by channel would shift greys to colours."""
    brightest = np.maximum(np.maximum(colours[..., 0], colours[..., 1]), colours[..., 2])[..., None] + 1.0
    return colours * (_steps(brightest / 256, levels) * 256 / brightest)


def _steps(values: Floats, levels: int) -> Floats:
    return np.round(values * levels) / levels


LOOKS: Mapping[str, Look] = MappingProxyType(
    {"day": Day(), "night": Night(), "snow": Snow(), "rain": Rain(), "fog": Fog(), "game": Game()}
)
"""The benchmark looks, those of the miniature world's settings."""


def apply_look(scene: Scene, look: str, seed: int, looks: Mapping[str, Look] = LOOKS) -> NDArray[np.uint8]:
    """Shows a scene under a condition; what is where does not change, so the scene's labels hold.

    Args:
        scene: the street.
        look: a name in ``looks``.
        seed: any non-negative integer; the same one gives the same picture.
        looks: the family of looks to choose from.

    Returns:
        RGB, uint8 [H, W, 3].

    Raises:
        ConfigError: no such look.
    """
    if look not in looks:
        raise ConfigError(f"look {look!r} is not known; expected one of {', '.join(looks)}")
    generator = np.random.default_rng([seed, zlib.crc32(look.encode())])
    return np.clip(looks[look](scene, generator), 0, 255).astype(np.uint8)
