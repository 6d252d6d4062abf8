"""Lamps in the training looks: where they are seen, and what they shine on."""

from typing import NamedTuple

import cv2
import numpy as np

from tools.small_editor import optics
from zsda.miniature.render.camera import Floats
from zsda.miniature.render.geometry import Light
from zsda.miniature.render.scenes import Scene

_STREET_LIGHTS_TO, _VEHICLE_LIGHTS_TO = 80.0, 40.0  # metres up to which lights brighten what is around them


class Spot(NamedTuple):
    """A lamp in view: its column and row, pixels per metre there, and itself."""

    column: float
    row: float
    scale: float
    light: Light


def spots(scene: Scene) -> list[Spot]:
    """Returns the lamps that nothing hides."""
    camera, (height, width) = scene.camera, scene.camera.size
    seen = []
    for light in scene.lights:
        scale = camera.focal / light.z
        column, row = camera.centre + light.x * scale - 0.5, camera.horizon + (camera.eye - light.y) * scale - 0.5
        inside = -0.5 <= column < width - 0.5 and -0.5 <= row < height - 0.5
        if inside and scene.depth[round(row), round(column)] > light.z - 0.8:
            seen.append(Spot(column, row, scale, light))
    return seen


def points_of_light(scene: Scene, size: float) -> Floats:
    """Returns every lamp in view as a disc of ``size`` metres radius, at least a pixel, 0-255, float32 [H, W, 3]."""
    picture = np.zeros((*scene.depth.shape, 3), np.uint8)
    for spot in spots(scene):
        colour = tuple(255.0 * (0.55 + 0.45 * min(spot.light.power, 1.0)) * c for c in spot.light.colour)
        at, radius = (round(spot.column * 8), round(spot.row * 8)), round(8 * max(size * spot.scale, 0.7))
        cv2.circle(picture, at, radius, colour, -1, cv2.LINE_AA, 3)
    return picture.astype(np.float32)


def light_columns(scene: Scene, length: float) -> Floats:
    """Returns the bright columns that lamps draw on wet ground below them, 0-255, float32 [H, W, 3].

    Args:
        scene: the street.
        length: length of a column as a share of the lamp's height.
    """
    camera, picture = scene.camera, np.zeros((*scene.depth.shape, 3), np.uint8)
    for spot in spots(scene):
        foot = camera.horizon + camera.eye * spot.scale
        long = min(max(length * spot.light.y * spot.scale, 3.0 * optics.unit(scene)), 40.0 * optics.unit(scene))
        middle, half = (round(spot.column * 8), round((foot + long) * 8)), max(0.12 * spot.scale, 0.6)
        colour = tuple(230.0 * c for c in spot.light.colour)
        cv2.ellipse(picture, middle, (round(half * 8), round(long * 8)), 0, 0, 360, colour, -1, cv2.LINE_AA, 3)
    soft = cv2.GaussianBlur(picture, (0, 0), 0.7 * optics.unit(scene), sigmaY=3.0 * optics.unit(scene))
    return soft.astype(np.float32)


def pools(scene: Scene, reach: float) -> Floats:
    """Returns the light of all lamps on every surface, 1 = well lit, float32 [H, W, 3].

    Street lamps throw cones, vehicles' lamps fill balls; both fade evenly from the middle to the rim.

    Args:
        scene: the street.
        reach: radius in metres at which half of a street lamp's light is left on the ground.
    """
    at, camera = scene.positions(), scene.camera
    total = np.zeros((*scene.depth.shape, 3), np.float32)
    for light in scene.lights:
        if light.z > (_STREET_LIGHTS_TO if light.street else _VEHICLE_LIGHTS_TO):
            continue
        radius = 2.0 * reach if light.street else 3.2 * light.power**0.5
        view = _columns(light, scene, radius)
        across = at.across[:, view] - (light.x - camera.curve * light.z**2)
        beside = np.square(across) + np.square(at.ahead[:, view] - light.z)
        below = light.y - at.height[:, view]
        if light.street:
            widening = np.clip(below / light.y, 0.0, 1.0)
            amount = np.clip(1.0 - np.sqrt(beside) / (radius * (0.15 + 0.85 * widening)), 0.0, 1.0) * (below > 0)
        else:
            amount = np.clip(1.0 - np.sqrt(beside + np.square(below)) / radius, 0.0, 1.0) * scene.upward[:, view]
        total[:, view] += amount[..., None] * np.array(light.colour, np.float32)
    return (1.0 - np.exp(-1.4 * total)) * (1.0 - scene.sky)[..., None]


def _columns(light: Light, scene: Scene, radius: float) -> slice:
    """Returns the columns in which things within ``radius`` metres of a lamp can be seen."""
    near, far = max(light.z - radius, 1.0), light.z + radius
    edges = [(light.x + side) / z for side in (-radius, radius) for z in (near, far)]
    camera, margin = scene.camera, 4 * optics.unit(scene)
    first, last = (camera.centre + camera.focal * edge for edge in (min(edges), max(edges)))
    return slice(*(int(np.clip(at, 0, camera.size[1])) for at in (first - margin, last + margin)))


def dipped_beams(scene: Scene, reach: float) -> Floats:
    """Returns the light of the own car: two oval pools in the picture below a cut-off line, float32 [H, W].

    Args:
        scene: the street.
        reach: distance in metres at which half of the light is left.
    """
    right, up = scene.camera.slopes()
    ovals = [
        np.exp(-np.square((right[None, :] - side) / 0.42) - np.square((up[:, None] + 0.2) / 0.24))
        for side in (-0.22, 0.22)
    ]
    # Dipped beams keep below the eyes of oncoming drivers and rise towards the kerb.
    cut_off = np.clip(0.75 - (up[:, None] - 0.12 * np.clip(right, 0.0, 0.5)[None, :]) / 0.1, 0.08, 1.0)
    return (ovals[0] + ovals[1]) * cut_off * np.clip(1.0 - optics.distances(scene) / (2.0 * reach), 0.0, 1.0)
