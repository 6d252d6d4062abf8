"""The ground of the toy city: what class and colour lies where, worked out per pixel in street coordinates."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zsda.data.labels import TRAIN_ID
from zsda.miniature.render.camera import Floats
from zsda.miniature.render.geometry import Colour
from zsda.miniature.render.noise import sample, wrap

ROAD, SIDEWALK, TERRAIN = TRAIN_ID["road"], TRAIN_ID["sidewalk"], TRAIN_ID["terrain"]
LANE, TRACKS, CORNER = 3.2, 6.4, 2.2
"""Widths in metres of a lane, of the strip that two tram tracks take, and of the sidewalks along a crossing road."""


@dataclass(frozen=True)
class Street:
    """The cross-section and the junction of a street, in metres; sideways positions count from the camera.

    Attributes:
        left: left edge of the road.
        right: right edge of the road.
        middle: the line between the directions.
        lanes: where broken lines run.
        walks: widths of the left and the right sidewalk.
        verges: widths of the grass between road and sidewalk.
        parking: widths of the parking lanes within the road.
        tracks: middles of the tram tracks.
        junction: start and end of a crossing road, or None.
        crossing: where a zebra crossing starts, or None.
        paved: whether the land behind the sidewalks is paved, left and right.
        grass: colour of the grass.
        asphalt: colour of the road.
        slabs: colour of the sidewalks.
        marks: colour of the lines on the road.
        kerbs: colour of the kerb stones.
    """

    left: float
    right: float
    middle: float
    lanes: tuple[float, ...]
    walks: tuple[float, float]
    verges: tuple[float, float]
    parking: tuple[float, float]
    tracks: tuple[float, ...]
    junction: tuple[float, float] | None
    crossing: float | None
    paved: tuple[bool, bool]
    grass: Colour
    asphalt: Colour
    slabs: Colour
    marks: Colour
    kerbs: Colour

    def edge(self, side: int) -> float:
        """Returns where land begins behind the sidewalk of one side (-1 left, 1 right)."""
        if side < 0:
            return self.left - self.verges[0] - self.walks[0]
        return self.right + self.verges[1] + self.walks[1]

    def lane_middles(self) -> list[tuple[float, float]]:
        """Returns the middle and the heading (0 away, pi towards the camera) of every lane that cars drive in."""
        lanes = [(self.middle + LANE / 2, 0.0)]
        if self.right - self.parking[1] > self.middle + 1.5 * LANE:
            lanes.append((self.middle + 1.5 * LANE, 0.0))
        at, first = self.left + self.parking[0] + LANE / 2, self.middle - (TRACKS if self.tracks else 0.0)
        while at < first:
            lanes.append((at, math.pi))
            at += LANE
        return lanes


def classify(street: Street, across: Floats, ahead: Floats) -> NDArray[np.uint8]:
    """Returns the train ids of ground points, given in street coordinates."""
    ids = np.full(across.shape, TERRAIN, np.uint8)
    land_left, land_right = across < street.edge(-1), across > street.edge(1)
    ids[~(land_left | land_right)] = SIDEWALK
    if street.paved[0]:
        ids[land_left] = SIDEWALK
    if street.paved[1]:
        ids[land_right] = SIDEWALK
    ids[(across < street.left) & (across > street.left - street.verges[0])] = TERRAIN
    ids[(across > street.right) & (across < street.right + street.verges[1])] = TERRAIN
    ids[(across > street.left) & (across < street.right)] = ROAD
    if street.junction is not None:
        start, end = street.junction
        beside = (ahead > start - CORNER) & (ahead < end + CORNER)
        ids[beside & (ids == TERRAIN)] = SIDEWALK
        ids[(ahead > start) & (ahead < end)] = ROAD
    return ids


def paint(street: Street, ids: NDArray[np.uint8], across: Floats, ahead: Floats) -> Floats:
    """Returns the albedo [N, 3] of ground points [N] of known classes."""
    colours = np.empty((*ids.shape, 3), np.float32)
    for train_id, texture in ((ROAD, _asphalt), (SIDEWALK, _slabs), (TERRAIN, _grass)):
        here = np.flatnonzero(ids == train_id)
        colours[here] = texture(street, np.take(across, here), np.take(ahead, here))
    _kerbs(street, ids, across, ahead, colours)
    return colours


def _asphalt(street: Street, across: Floats, ahead: Floats) -> Floats:
    tone = 0.86 + 0.22 * sample(across * 5.0, ahead * 2.5) + 0.16 * sample(across * 40.0, ahead * 40.0)
    tone *= 1.0 - 0.12 * (sample(across * 3.0 + 90.0, ahead * 0.8) > 0.62)  # patches of newer asphalt
    for track in street.tracks:
        bed = np.abs(across - track) < 1.15
        tone = np.where(bed, tone * 0.5 + 0.6, tone)
        rails = np.abs(np.abs(across - track) - 0.72) < 0.07 + 0.0015 * ahead
        tone = np.where(rails, 0.72, tone)
    colours = np.asarray(street.asphalt, np.float32) * tone[:, None]
    lines = _lines(street, across, ahead)
    if street.junction is not None:
        lines &= (ahead < street.junction[0]) | (ahead > street.junction[1])
    here = np.flatnonzero(lines)
    worn = 0.72 + 0.28 * sample(across[here] * 30.0, ahead[here] * 30.0)
    colours[here] = np.asarray(street.marks, np.float32) * worn[:, None]
    return colours


def _lines(street: Street, across: Floats, ahead: Floats) -> NDArray[np.bool_]:
    # Far lines are drawn a little wider, or the pixel grid would swallow them.
    half = 0.07 + 0.002 * ahead
    dashed = wrap(ahead, 7.0) < 3.2
    marks = np.zeros(across.shape, np.bool_)
    for lane in street.lanes:
        marks |= (np.abs(across - lane) < half) & dashed
    if not street.tracks:
        marks |= (np.abs(across - street.middle) < half) & (wrap(ahead, 9.0) < 6.0)
    for edge, parking in ((street.left, street.parking[0]), (street.right, -street.parking[1])):
        if parking:
            marks |= (np.abs(across - edge - parking) < half) & (wrap(ahead, 1.0) < 0.7)
        else:
            marks |= np.abs(across - edge + np.sign(edge) * 0.3) < half
    if street.crossing is not None:
        on_road = (across > street.left + 0.3) & (across < street.right - 0.3)
        zebra = (ahead > street.crossing) & (ahead < street.crossing + 3.4)
        marks = np.where(zebra, on_road & (wrap(across, 1.1) < 0.58), marks)
        stop = (ahead > street.crossing - 1.6) & (ahead < street.crossing - 1.1)
        marks |= stop & (across > street.middle) & (across < street.right - 0.2)
    return marks


def _slabs(street: Street, across: Floats, ahead: Floats) -> Floats:
    tone = 0.9 + 0.12 * sample(across * 30.0, ahead * 30.0) + 0.1 * sample(across * 4.0, ahead * 4.0 + 30.0)
    joints = (wrap(across, 0.8) < 0.07) | (wrap(ahead, 0.8) < 0.1)
    tone -= 0.14 * (joints & (ahead < 22.0))
    checker = wrap(np.floor(across / 0.8) * 7.0 + np.floor(ahead / 0.8) * 13.0, 5.0)
    return np.asarray(street.slabs, np.float32) * (tone * (0.97 + 0.015 * checker))[:, None]


def _grass(street: Street, across: Floats, ahead: Floats) -> Floats:
    tone = 0.66 + 0.4 * sample(across * 24.0, ahead * 10.0) + 0.3 * sample(across * 3.0, ahead * 2.0)
    colours = np.asarray(street.grass, np.float32) * tone[:, None]
    dry = sample(across * 2.0 + 70.0, ahead * 1.3) > 0.6
    return colours * np.where(dry[:, None], np.array((1.16, 1.02, 0.9), np.float32), np.float32(1.0))


def _kerbs(street: Street, ids: NDArray[np.uint8], across: Floats, ahead: Floats, colours: Floats) -> None:
    """Lightens the kerb stones beside the road and darkens the gutter, in place."""
    apart = np.minimum(np.abs(across - street.left), np.abs(across - street.right))
    stone = np.flatnonzero((apart < 0.2) & (ids != ROAD))
    joints = wrap(ahead[stone], 1.2) < 0.08
    colours[stone] = np.asarray(street.kerbs) * np.where(joints, 120 / 178, 1.0)[:, None]
    colours[np.flatnonzero((apart < 0.14) & (ids == ROAD))] *= 0.72
