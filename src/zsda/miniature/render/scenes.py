"""Day-time scenes of the toy city: an image, what each pixel is, and everything that weather needs to know."""

from dataclasses import dataclass
from random import Random

import cv2
import numpy as np
from numpy.typing import NDArray

from zsda.core.errors import ConfigError
from zsda.data.labels import TRAIN_ID
from zsda.miniature.render import raster, shading, sky
from zsda.miniature.render.camera import Camera, Floats
from zsda.miniature.render.geometry import ROW, STREET, Faces, Light
from zsda.miniature.street.ground import Street
from zsda.miniature.street.layout import Plan, Sun, draw_plan
from zsda.miniature.street.style import CITY, StreetStyle

SIZE = (128, 256)
"""Default height and width in pixels."""

RENDERER_VERSION = 1
"""Goes up whenever the same seed gives another picture."""

_FINE = 2  # scenes are painted with this many pixels a side and averaged
_OVERHEAD = (0.0, 1.0, 0.0)


@dataclass(frozen=True)
class Scene:
    """A rendered street, H x W pixels.

    Attributes:
        image: the street by day, RGB, uint8 [H, W, 3].
        train_ids: classes 0-18, 255 for the camera's own car, uint8 [H, W].
        depth: metres along the viewing axis, 1000 for the sky, float32 [H, W].
        albedo: colour without light, 0-255, black where the sky is, float32 [H, W, 3].
        sky: share of each pixel that is sky, float32 [H, W].
        sunlit: share of direct sun that arrives, float32 [H, W].
        open: share of the sky's light that arrives; low under and beside things, float32 [H, W].
        upward: how far the surface faces up, 1 = level, float32 [H, W].
        lamps: light given off by lamps when they are on, 0-255, float32 [H, W, 3].
        windows: a random value in (0, 1] per window pane, 0 elsewhere, float32 [H, W].
        lights: every lamp and where it is.
        camera: the view.
        street: the cross-section of the street.
    """

    image: NDArray[np.uint8]
    train_ids: NDArray[np.uint8]
    depth: Floats
    albedo: Floats
    sky: Floats
    sunlit: Floats
    open: Floats
    upward: Floats
    lamps: Floats
    windows: Floats
    lights: tuple[Light, ...]
    camera: Camera
    street: Street

    def positions(self) -> raster.Positions:
        """Returns where the surface in each pixel is."""
        return raster.locate(self.camera, self.depth)

    def is_class(self, *names: str) -> NDArray[np.bool_]:
        """Returns which pixels belong to one of the named classes, bool [H, W]."""
        return np.isin(self.train_ids, [TRAIN_ID[name] for name in names])


def render_scene(seed: int, size: tuple[int, int] = SIZE, style: StreetStyle = CITY) -> Scene:
    """Renders the street that belongs to a seed.

    Args:
        seed: any non-negative integer; the same one gives the same scene.
        size: height and width in pixels, the width twice the height.
        style: how the street looks and from where it is seen.

    Raises:
        ConfigError: the size is too small or not twice as wide as high.
    """
    if size[0] < 64 or size[1] != 2 * size[0]:
        raise ConfigError(
            f"size {size[0]}x{size[1]} (height x width); expected at least 64x128 and twice as wide as high"
        )
    rng = Random(seed)
    plan = draw_plan(rng, size, style)
    fine = plan.camera.scaled(_FINE)
    faces = plan.mesh.faces(fine)
    index = raster.rasterise(faces, fine)
    at = raster.locate(fine, raster.measure_depth(index, faces, fine))
    ids = shading.classes(index, faces, plan.street, at, TRAIN_ID["sky"])
    colours, windows = shading.albedo(index, faces, plan.street, at, ids)
    sunlit, open_sky = _light(index, faces, fine, plan.sun)
    albedo, clear = _average(colours), _average(shading.is_sky(index))
    sunlit, open_sky = _average(sunlit), _average(open_sky)
    depth = np.ascontiguousarray(at.ahead[::_FINE, ::_FINE])
    return Scene(
        image=_daylit(albedo, clear, sunlit, open_sky, depth, plan, rng.random()),
        train_ids=np.ascontiguousarray(ids[::_FINE, ::_FINE]),
        depth=depth,
        albedo=albedo,
        sky=clear,
        sunlit=sunlit,
        open=open_sky,
        upward=_average(shading.upward(index, faces)),
        lamps=_average(raster.look_up(raster.table(faces.lamps, 0.0, 0.0), index)),
        windows=np.ascontiguousarray(windows[::_FINE, ::_FINE]),
        lights=plan.mesh.lights(plan.camera),
        camera=plan.camera,
        street=plan.street,
    )


def _average(fine: Floats) -> Floats:
    size = (fine.shape[1] // _FINE, fine.shape[0] // _FINE)
    return cv2.resize(fine, size, interpolation=cv2.INTER_AREA)


def _light(index: NDArray[np.intp], faces: Faces, camera: Camera, sun: Sun) -> tuple[Floats, Floats]:
    """Returns the shares of sunlight and of skylight that reach each pixel, both [H, W]."""
    houses = raster.cast(faces, camera, sun.direction, faces.casts & (faces.layers == ROW))
    shaded = _shaded_places(houses, faces, camera)
    on_street = faces.casts & (faces.layers == STREET)
    shadow = np.maximum(houses, raster.cast(faces, camera, sun.direction, on_street))
    soft = cv2.blur(shadow, (3, 3)).astype(np.float32) / 255
    sunlit = shading.daylight(index, faces, soft, shaded, sun.direction) * sun.strength
    beneath = raster.cast(faces, camera, _OVERHEAD, on_street)
    width = camera.size[1] // 64 | 1
    beneath = cv2.blur(beneath, (width, width)).astype(np.float32) / 255
    tilt = raster.look_up(raster.table((0.84 + 0.16 * faces.normals[:, 1]).astype(np.float32), 1.0, 1.0), index)
    return sunlit, np.where(index == raster.GROUND, 1.0 - 0.6 * beneath, tilt)


def _shaded_places(shadow: NDArray[np.uint8], faces: Faces, camera: Camera) -> Floats:
    """Returns 1 for faces of things that stand in the shadow of a house, float32 [F]."""
    pixels = camera.project(faces.anchors).astype(np.int64)
    height, width = camera.size
    rows, columns = np.clip(pixels[:, 1], 0, height - 1), np.clip(pixels[:, 0], 0, width - 1)
    return ((shadow[rows, columns] > 0) & (faces.layers == STREET)).astype(np.float32)


def _daylit(
    albedo: Floats, clear: Floats, sunlit: Floats, open_sky: Floats, depth: Floats, plan: Plan, drift: float
) -> NDArray[np.uint8]:
    """Puts the daylight together: sun, sky light, a little haze, and the sky behind."""
    strength = plan.sun.strength
    ambient = np.array((0.56, 0.6, 0.68), np.float32) * (1.25 - 0.3 * strength)
    direct = np.array((0.78, 0.7, 0.56), np.float32)
    image = albedo * (open_sky[..., None] * ambient + sunlit[..., None] * direct)
    haze = (1.0 - np.exp(-depth / 450.0)) * (1.0 - clear)
    image = sky.blend(image, (196.0, 208.0, 220.0), haze)
    image += sky.clear_day(plan.camera, drift, strength) * clear[..., None]
    return np.clip(image, 0, 255).astype(np.uint8)
