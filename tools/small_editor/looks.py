"""The training looks: the same names as the benchmark looks, painted by other formulas and with other parameters.

An editor that is trained on these pictures knows what night or fog are without having seen the ones that a method is measured
on. Where a parameter has the name that it has in `zsda.miniature.looks.weather`, its values leave out the range that it has
there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import cv2
import numpy as np

from tools.small_editor import lamps, optics
from tools.small_editor.optics import pick
from zsda.miniature.looks.effects import Generator, saturate, smoothstep
from zsda.miniature.looks.weather import Look
from zsda.miniature.render.camera import Floats
from zsda.miniature.render.geometry import Colour
from zsda.miniature.render.scenes import Scene
from zsda.miniature.render.sky import blend
from zsda.miniature.street.style import Spans

_PANES = 4096  # steps in which the random values of window panes are told apart
_ROOMS = np.array(
    [(255, 190, 96), (255, 214, 150), (232, 150, 70), (226, 232, 236), (120, 160, 255), (190, 120, 90)], np.float32
)
# Colours of a game's sky, at the top and at the horizon.
_GAME_SKIES: tuple[tuple[Colour, Colour], ...] = (
    ((40, 110, 235), (190, 235, 255)),
    ((20, 170, 220), (215, 250, 235)),
    ((95, 80, 215), (255, 190, 170)),
    ((70, 150, 250), (250, 240, 190)),
)


@dataclass(frozen=True)
class Day:
    """Daylight through another camera: tone curve, white balance, falling off to the corners, photon noise, JPEG.

    ``gamma`` below 1 brightens, ``contrast`` is the weight of an S-shaped curve, ``warmth`` positive for redder, ``vignette``
    the light that the corners lose, ``noise`` in grey levels at mid-grey, ``quality`` JPEG's.
    """

    gamma: Spans = ((0.8, 1.22),)
    contrast: Spans = ((-0.2, 0.6),)
    warmth: Spans = ((-0.13, -0.06), (0.07, 0.14))
    colourfulness: Spans = ((0.6, 0.78), (1.1, 1.3))
    vignette: Spans = ((0.0, 0.25),)
    noise: Spans = ((0.0, 0.9), (3.2, 6.0))
    quality: Spans = ((65.0, 98.0),)

    def __call__(self, scene: Scene, generator: Generator) -> Floats:
        """Paints it."""
        share = (scene.image.astype(np.float32) / 255) ** pick(generator, self.gamma)
        share += pick(generator, self.contrast) * share * (1.0 - share) * (2.0 * share - 1.0)
        warm = 2.0 ** pick(generator, self.warmth)
        share *= np.array((warm, 1.0, 1.0 / warm), np.float32)
        image = saturate(255.0 * share, pick(generator, self.colourfulness))
        down, right = (np.square(np.linspace(-1, 1, side, dtype=np.float32)) for side in scene.camera.size)
        image *= (1.0 - pick(generator, self.vignette) / 2.0 * (down[:, None] + right[None, :]))[..., None]
        image = optics.photons(image, generator, pick(generator, self.noise))
        return optics.compressed(image, round(pick(generator, self.quality)))


@dataclass(frozen=True)
class Night:
    """The day's photograph, darkened by a power law and shifted to blue, with lights put into it.

    ``ambient`` is what is left of a white surface, ``power`` how fast darker ones vanish, ``reach`` (m) and ``lamps`` how far and
    how brightly street lamps shine, ``beam`` how far the own head lights do (m), ``lit`` the share of bright windows,
    ``glow`` and ``spikes`` the light around lamps, ``polluted`` how orange the sky is, ``noise`` in grey levels at mid-grey.
    """

    ambient: Spans = ((0.02, 0.047), (0.125, 0.16))
    power: Spans = ((0.9, 1.5),)
    reach: Spans = ((2.6, 4.7), (9.0, 13.0))
    lamps: Spans = ((0.15, 0.42), (0.9, 1.25))
    beam: Spans = ((4.0, 7.5), (17.0, 26.0))
    lit: Spans = ((0.02, 0.09), (0.42, 0.65))
    glow: Spans = ((0.1, 0.45), (1.05, 1.6))
    spikes: Spans = ((0.0, 5.0),)
    polluted: Spans = ((0.0, 1.0),)
    noise: Spans = ((0.5, 2.3), (6.5, 11.0))

    def __call__(self, scene: Scene, generator: Generator) -> Floats:
        """Paints it."""
        dark = (optics.photograph(scene, 0.45) / 255) ** pick(generator, self.power)
        image = dark * (255.0 * pick(generator, self.ambient)) * np.array((0.7, 0.85, 1.25), np.float32)
        own = lamps.dipped_beams(scene, pick(generator, self.beam))[..., None] * np.array((0.5, 0.52, 0.5), np.float32)
        others = pick(generator, self.lamps) * lamps.pools(scene, pick(generator, self.reach))
        image += optics.photograph(scene, 0.85) * (own + 0.75 * others)
        image += self._sky(scene, generator) * scene.sky[..., None]
        emitted = scene.lamps + lamps.points_of_light(scene, 0.1)
        shining = np.maximum(emitted, self._rooms(scene, generator))
        turn, arms = generator.uniform(0.0, np.pi), int(generator.integers(2, 4))
        image = np.maximum(image, shining) + pick(generator, self.glow) * optics.halo(shining, 4)
        image += pick(generator, self.spikes) * optics.spikes(emitted, 3.5 * optics.unit(scene), turn, arms)
        noise = pick(generator, self.noise)
        return optics.photons(optics.blotched(image, generator, 0.25 * noise), generator, noise)

    def _sky(self, scene: Scene, generator: Generator) -> Floats:
        polluted, deep = pick(generator, self.polluted), generator.random()
        top = (4 + 14 * polluted, 5 + 9 * polluted, 8 + 26 * deep * (1 - polluted) + 10 * polluted)
        bottom = (12 + 58 * polluted, 12 + 34 * polluted, 18 + 34 * deep * (1 - polluted) + 16 * polluted)
        clouds = optics.cloudiness(generator, scene.camera.size, (3, 4))[..., None]
        return optics.dome(scene, top, bottom) * (0.6 + 0.8 * clouds)

    def _rooms(self, scene: Scene, generator: Generator) -> Floats:
        """Returns the light of windows: lots are drawn anew for every pane, for whether it is lit, the lamp and the curtain."""
        pane = np.rint(scene.windows * _PANES).astype(np.int64)
        lots = generator.random((3, _PANES + 1), np.float32)
        lots[0, 0] = 1.0
        lit = lots[0] < pick(generator, self.lit)
        rooms = _ROOMS[(lots[1] * len(_ROOMS)).astype(np.int64)] * (lit * (0.25 + 0.75 * lots[2]))[:, None]
        return np.take(rooms, pane, axis=0)


@dataclass(frozen=True)
class Snow:
    """A layer of snow whose depth follows slope and roughness, drifts at walls, slush on the road, round flakes, dull sky.

    ``deep`` is the depth of the snow (cm), ``slope`` how far a surface must face up to hold it, ``drifts`` the height of
    snow at the foot of walls (m), ``slush`` the share of the road that is bare, ``visibility`` in m.
    """

    deep: Spans = ((7.0, 30.0),)
    slope: Spans = ((0.3, 0.6),)
    drifts: Spans = ((0.0, 0.5),)
    slush: Spans = ((0.0, 0.2), (0.4, 0.6))
    visibility: Spans = ((45.0, 105.0), (330.0, 480.0))
    light: Spans = ((0.72, 0.83), (0.99, 1.08))
    flakes: Spans = ((0.05, 0.45), (1.6, 2.2))
    air: Spans = ((160.0, 192.0), (224.0, 242.0))

    def __call__(self, scene: Scene, generator: Generator) -> Floats:
        """Paints it."""
        light, grey = pick(generator, self.light), pick(generator, self.air)
        shade = np.clip(optics.shading(scene), 0.7, 1.08) ** 0.6 * np.sqrt(scene.open)
        white = np.array((224, 228, 236), np.float32) * shade[..., None]
        bare = saturate(optics.photograph(scene, 0.4), 0.7)
        image = light * blend(bare, white, self._opacity(scene, generator))
        air = optics.dome(scene, (grey - 8, grey - 7, grey - 4), (grey + 4, grey + 4, grey + 4))
        kept = np.clip(1.0 - optics.distances(scene) * (0.95 / pick(generator, self.visibility)), 0.0, 1.0)
        image = optics.veiled(image * (1.0 - scene.sky)[..., None], scene, kept, air)
        image = optics.discs_of_snow(image, scene, generator, pick(generator, self.flakes))
        return optics.photons(image, generator, 1.2)

    def _opacity(self, scene: Scene, generator: Generator) -> Floats:
        at = scene.positions()
        rough = optics.roughness(generator, at.across * 4.5, at.ahead * 2.5 + at.height * 4.5)
        holds = np.clip((scene.upward - pick(generator, self.slope)) / 0.25 + 2.5 * (rough - 0.5), 0.0, 1.0)
        thickness = pick(generator, self.deep) * holds * (0.2 + rough)
        ruts = optics.roughness(generator, at.across * 1.1, at.ahead * 0.07)
        bare = smoothstep(-0.1, 0.1, pick(generator, self.slush) - ruts)
        thickness *= 1.0 - 0.93 * bare * scene.is_class("road")
        drift = pick(generator, self.drifts) * rough - at.height
        walls = scene.is_class("building", "wall", "fence", "pole", "vegetation")
        thickness = np.where(walls & (drift > 0), 8.0, thickness)
        # A few centimetres hide what lies below.
        return 1.0 - np.exp(thickness / -2.5)


@dataclass(frozen=True)
class Rain:
    """A dull, dark photograph; things and lamps run down the wet road as trails; smeared drops, ovals of water on the lens.

    ``light`` is what is left of the day's, ``wet`` how dark wet ground is, ``mirror`` how strongly it mirrors, ``streaks`` how
    much rain is seen, ``slant`` its columns per row, ``drops`` the number of ovals, ``visibility`` in m.
    """

    light: Spans = ((0.34, 0.45), (0.64, 0.75))
    wet: Spans = ((0.36, 0.48), (0.74, 0.86))
    mirror: Spans = ((0.2, 0.38), (0.75, 1.0))
    visibility: Spans = ((60.0, 150.0), (440.0, 560.0))
    streaks: Spans = ((0.3, 0.58), (1.85, 2.8))
    slant: Spans = ((-0.7, -0.37), (0.37, 0.7))
    drops: Spans = ((0.0, 1.4), (13.0, 20.0))
    air: Spans = ((74.0, 102.0), (145.0, 170.0))

    def __call__(self, scene: Scene, generator: Generator) -> Floats:
        """Paints it."""
        grey = pick(generator, self.air)
        ground = scene.is_class("road", "sidewalk", "terrain")
        image = saturate(optics.photograph(scene, 0.65), 0.6) * np.array((0.94, 1.0, 1.06), np.float32)
        wetness = np.where(ground, pick(generator, self.wet), 0.92).astype(np.float32)
        image *= pick(generator, self.light) * wetness[..., None]
        air = optics.dome(scene, (grey * 0.9, grey * 0.93, grey * 0.97), (grey, grey * 1.02, grey * 1.05))
        air *= (0.85 + 0.3 * optics.cloudiness(generator, scene.camera.size, (5, 3)))[..., None]
        far = optics.distances(scene) / pick(generator, self.visibility)
        image = optics.veiled(image, scene, 1.0 / (1.0 + 19.0 * np.square(far)), air)
        shining = 0.85 * scene.lamps + 0.8 * lamps.points_of_light(scene, 0.08)
        image = np.maximum(image, shining) + 0.5 * optics.halo(shining, 3)
        image = self._wet(image, scene, generator, (grey, grey * 1.02, grey * 1.05))
        rain = optics.rainfall(generator, scene.camera.size, pick(generator, self.streaks), pick(generator, self.slant))
        image = blend(image, (205.0, 210.0, 214.0), 0.42 * rain)
        image = optics.out_of_focus(image, generator, round(pick(generator, self.drops)))
        return optics.photons(image, generator, 2.4)

    def _wet(self, image: Floats, scene: Scene, generator: Generator, air: Colour) -> Floats:
        mirror, at = pick(generator, self.mirror), scene.positions()
        ground, scale = scene.is_class("road", "sidewalk"), optics.unit(scene)
        trails = optics.downward_trails(image, ground, air, 0.015 / scale)
        trails = cv2.GaussianBlur(trails, (0, 0), 0.8 * scale, sigmaY=2.0 * scale)
        smooth = smoothstep(0.3, 0.7, optics.roughness(generator, at.across * 0.8, at.ahead * 0.5))
        amount = mirror * optics.grazing(scene) * (0.5 + 0.5 * smooth) * ground
        columns = lamps.light_columns(scene, 0.7) * (mirror * (0.4 + 0.6 * smooth) * ground)[..., None]
        return blend(image, trails, amount) + 0.7 * columns


@dataclass(frozen=True)
class Fog:
    """Air that thickens faster than distance, with things blurring in it, a bright band at the horizon and soft lamps.

    At ``visibility`` metres 5 % of the contrast is left; ``falloff`` is the power of the distance in the exponent, ``bleed`` the
    blur of far things in pixels at 128 rows, ``band`` the brightness that the horizon gains, ``flat`` the loss of contrast
    at any distance.
    """

    visibility: Spans = ((17.0, 28.5), (87.0, 108.0))
    falloff: Spans = ((1.3, 1.9),)
    air: Spans = ((142.0, 181.0), (219.0, 236.0))
    tint: Spans = ((-9.0, -4.5), (6.5, 11.0))
    light: Spans = ((0.5, 0.7), (0.9, 1.02))
    bleed: Spans = ((0.5, 2.2),)
    band: Spans = ((0.0, 16.0),)
    flat: Spans = ((0.08, 0.32),)

    def __call__(self, scene: Scene, generator: Generator) -> Floats:
        """Paints it."""
        grey, tint = pick(generator, self.air), pick(generator, self.tint)
        air = optics.dome(scene, (grey - tint, grey, grey + tint), (grey - tint, grey, grey + tint))
        rows = (np.arange(len(air), dtype=np.float32) - scene.camera.horizon) / len(air)
        air += (pick(generator, self.band) * np.exp(-np.square(rows / 0.12)))[:, None, None]
        far = optics.distances(scene) / pick(generator, self.visibility)
        kept = np.exp(-3.0 * far ** pick(generator, self.falloff)) * (1.0 - pick(generator, self.flat))
        image = pick(generator, self.light) * saturate(optics.photograph(scene, 0.7), 0.85)
        shining = 0.6 * scene.lamps + 0.6 * lamps.points_of_light(scene, 0.1)
        image = optics.veiled(np.maximum(image, 0.8 * shining), scene, kept, air)
        soft = cv2.GaussianBlur(image, (0, 0), pick(generator, self.bleed) * optics.unit(scene))
        image = blend(image, soft, smoothstep(0.1, 0.8, 1.0 - kept))
        image += 0.7 * optics.halo(shining * np.sqrt(kept)[..., None], 4)
        return optics.photons(image, generator, 1.0)


@dataclass(frozen=True)
class Game:
    """A cartoon-like game: strong hues in few brightnesses, light in two tones, dark corners, inked edges, blocky clouds.

    ``levels`` is the number of brightnesses, ``colourfulness`` multiplies the saturation, ``shade`` is the tone of
    surfaces without sun, ``corners`` how dark surfaces get that see little sky, ``outline`` the opacity of the ink, ``squares``
    the width of the squares on the ground (m), ``warmth`` positive for redder.
    """

    levels: Spans = ((3.6, 4.4), (8.6, 12.0))
    colourfulness: Spans = ((1.15, 1.32), (1.85, 2.3))
    shade: Spans = ((0.55, 0.8),)
    corners: Spans = ((1.2, 3.0),)
    outline: Spans = ((0.12, 0.33), (0.68, 0.95))
    squares: Spans = ((0.6, 2.0),)
    warmth: Spans = ((-0.1, -0.03), (0.11, 0.16))

    def __call__(self, scene: Scene, generator: Generator) -> Floats:
        """Paints it."""
        flat = cv2.medianBlur(cv2.medianBlur(np.clip(scene.albedo, 0, 255).astype(np.uint8), 3), 3)
        sunny = smoothstep(0.3, 0.4, scene.sunlit / max(float(scene.sunlit.max()), 0.1))
        shade = pick(generator, self.shade)
        light = (shade + (1.2 - shade) * sunny) * scene.open ** pick(generator, self.corners)
        image = self._coloured(flat * self._squared(scene, generator), light, generator)
        image = image * (1.0 - scene.sky)[..., None] + self._sky(scene, generator) * scene.sky[..., None]
        edges = np.maximum(cv2.Canny(flat, 90, 200).astype(np.float32) / 255 * 0.7, optics.creases(scene))
        ink = tuple(generator.uniform(0.0, 60.0, 3).tolist())
        image = blend(image, ink, pick(generator, self.outline) * edges * (scene.depth < 90.0))
        warm = pick(generator, self.warmth)
        return image * np.array((1.0 + warm, 1.0, 1.0 - warm), np.float32)

    def _coloured(self, surface: Floats, light: Floats, generator: Generator) -> Floats:
        hue, saturation, value = cv2.split(cv2.cvtColor(np.clip(surface / 255, 0, 1), cv2.COLOR_RGB2HSV))
        levels = round(pick(generator, self.levels))
        value = np.ceil(np.clip(value * light * 1.25, 0.0, 1.0) * levels) / levels
        saturation = np.minimum(saturation * pick(generator, self.colourfulness), 0.95)
        colours = cv2.merge([np.rint(hue / 15.0) * 15.0, saturation, value.astype(np.float32)])
        return cv2.cvtColor(colours, cv2.COLOR_HSV2RGB) * 255

    def _squared(self, scene: Scene, generator: Generator) -> Floats:
        at, size = scene.positions(), pick(generator, self.squares)
        odd = (np.floor(at.across / size) + np.floor(at.ahead / size)) % 2.0
        near = scene.is_class("road", "sidewalk", "terrain") & (scene.depth < 22.0 * size)
        return (1.0 - 0.12 * odd * near).astype(np.float32)[..., None]

    def _sky(self, scene: Scene, generator: Generator) -> Floats:
        top, bottom = _GAME_SKIES[generator.integers(len(_GAME_SKIES))]
        height, width = scene.camera.size
        coarse = optics.cloudiness(generator, (16, 32), (2, 3)) + optics.cloudiness(generator, (16, 32), (4, 6))
        blocks = cv2.resize((coarse > 1.06).astype(np.float32), (width, height), interpolation=cv2.INTER_NEAREST)
        return blend(optics.dome(scene, top, bottom), (252.0, 252.0, 250.0), 0.85 * blocks)


LOOKS: Mapping[str, Look] = MappingProxyType(
    {"day": Day(), "night": Night(), "snow": Snow(), "rain": Rain(), "fog": Fog(), "game": Game()}
)
"""The looks that the small editor is trained on."""
