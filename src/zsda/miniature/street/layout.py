"""Draws up a street: its cross-section, what borders it, and who is on it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from zsda.data.labels import IGNORE
from zsda.miniature.render.camera import Camera
from zsda.miniature.render.geometry import OUTER, Mesh, Paint
from zsda.miniature.street import buildings, furniture, people, vehicles
from zsda.miniature.street.ground import CORNER, LANE, TRACKS, Street
from zsda.miniature.street.style import StreetStyle, draw, pick

FAR = 125.0


@dataclass(frozen=True)
class Sun:
    """Where daylight comes from.

    Attributes:
        direction: unit vector towards the sun in world axes.
        strength: 0 for an overcast sky, 1 for a clear one.
    """

    direction: tuple[float, float, float]
    strength: float


@dataclass(frozen=True)
class Plan:
    """A street with everything on it, and the camera and sun that go with it."""

    mesh: Mesh
    street: Street
    camera: Camera
    sun: Sun


def draw_plan(rng: Random, size: tuple[int, int], style: StreetStyle) -> Plan:
    """Draws up a street of a style for an image of ``size`` (height, width)."""
    camera, sun = _camera(rng, size, style), _sun(rng, style)
    mesh, street = Mesh(style.palette), _street(rng, style)
    furniture.skyline(mesh, rng)
    for side in (-1, 1):
        _border(mesh, street, side, rng)
        _kerbside(mesh, street, side, rng)
        _parked(mesh, street, side, rng)
        _pedestrians(mesh, street, side, rng)
    _traffic(mesh, street, rng)
    _two_wheelers(mesh, street, rng)
    if street.junction is not None:
        _cross_traffic(mesh, street, street.junction, rng)
    if rng.random() < 0.5:
        _bonnet(mesh, camera, style, rng)
    return Plan(mesh, street, camera, sun)


def _camera(rng: Random, size: tuple[int, int], style: StreetStyle) -> Camera:
    height, width = size
    return Camera(
        size=size,
        focal=width * draw(rng, style.focal),
        centre=width * draw(rng, style.centre),
        horizon=height * draw(rng, style.horizon),
        eye=draw(rng, style.eye),
        curve=rng.choice((0.0, 1.0, 1.0)) * draw(rng, style.curve),
    )


def _sun(rng: Random, style: StreetStyle) -> Sun:
    around, up = rng.uniform(-math.pi, math.pi), math.radians(draw(rng, style.sun))
    direction = (math.sin(around) * math.cos(up), math.sin(up), math.cos(around) * math.cos(up))
    return Sun(direction, rng.choice(style.sunshine))


def _street(rng: Random, style: StreetStyle) -> Street:
    shift, palette = draw(rng, style.shift), style.palette
    parking = tuple(2.2 if rng.random() < 0.5 else 0.0 for _ in range(2))
    right, lanes = LANE / 2 + shift + parking[1], []
    if rng.random() < 0.18:
        lanes.append(LANE / 2 + shift)
        right += LANE
    middle = shift - LANE / 2
    tracks = (middle - 1.6, middle - 4.9) if rng.random() < 0.38 else ()
    oncoming = 1 if tracks else rng.choice((1, 1, 1, 2))
    left = middle - (TRACKS if tracks else 0.0) - LANE * oncoming - parking[0]
    if oncoming == 2:
        lanes.append(middle - LANE)
    start = rng.uniform(15.0, 42.0)
    junction = (start, start + rng.uniform(7.0, 11.0)) if rng.random() < 0.5 else None
    zebra = junction[0] - 5.2 if junction else rng.uniform(9.0, 30.0)
    grey = draw(rng, style.asphalt)
    return Street(
        left=left,
        right=right,
        middle=middle,
        lanes=tuple(lanes),
        walks=(draw(rng, style.walks), draw(rng, style.walks)),
        verges=(rng.choice((0.0, 0.0, 1.6, 2.6)), rng.choice((0.0, 0.0, 1.6, 2.6))),
        parking=(parking[0], parking[1]),
        tracks=tracks,
        junction=junction,
        crossing=zebra if junction or rng.random() < 0.3 else None,
        paved=(rng.random() < 0.15, rng.random() < 0.15),
        grass=pick(rng, palette.grass),
        asphalt=(grey, grey, grey * draw(rng, style.tint)),
        slabs=pick(rng, palette.slabs),
        marks=pick(rng, palette.marks),
        kerbs=pick(rng, palette.kerbs),
    )


def _stretches(street: Street, rng: Random, low: float, high: float) -> Iterator[tuple[float, float]]:
    """Cuts one side of the street into plots, leaving the junction open."""
    at = -1.0
    while at < FAR:
        end = at + rng.uniform(low, high) * (1.0 if at < 60 else 1.8)
        if street.junction is not None:
            start, stop = street.junction[0] - CORNER, street.junction[1] + CORNER
            if at < start < end + 3.0:
                end = start
            elif start <= at < stop:
                at = stop
                continue
        yield at, end
        at = end


def _border(mesh: Mesh, street: Street, side: int, rng: Random) -> None:
    style = rng.choices((_town, _suburb, _park), (4, 4, 3))[0]
    tall = rng.choice((2, 3, 4, 5))
    for span in _stretches(street, rng, 8.0, 16.0):
        chosen = style if rng.random() < 0.8 else rng.choice((_town, _suburb, _park))
        chosen(mesh, street.edge(side), span, side, rng, tall)
    if street.junction is not None:
        inner, outer = sorted((street.edge(side) + side * 11.0, street.edge(side) + side * 70.0))
        buildings.block(mesh, (inner, outer), street.junction[1] + 2.5, rng)


def _town(mesh: Mesh, x: float, span: tuple[float, float], side: int, rng: Random, tall: int) -> None:
    if rng.random() < 0.1:
        furniture.wall(mesh, x, span, side, rng)
        return
    buildings.house(mesh, x, span, side, rng, max(tall + rng.choice((-1, 0, 0, 1)), 2))


def _suburb(mesh: Mesh, x: float, span: tuple[float, float], side: int, rng: Random, tall: int) -> None:
    back = x + side * rng.uniform(3.0, 6.0)
    if rng.random() < 0.75:
        buildings.house(
            mesh, back, (span[0] + 1.0, span[1] - rng.uniform(1.0, 3.0)), side, rng, rng.choice((1, 2, 2, 3)), OUTER
        )
    _enclose(mesh, x, span, side, rng)
    for _ in range(rng.randrange(3)):
        furniture.tree(mesh, x + side * rng.uniform(1.2, 2.6), rng.uniform(*span) + 2.0, rng, OUTER)


def _park(mesh: Mesh, x: float, span: tuple[float, float], side: int, rng: Random, tall: int) -> None:
    for i in range(rng.randrange(2, 5)):
        furniture.tree(mesh, x + side * (2.5 + 4.0 * i + rng.uniform(0.0, 2.0)), rng.uniform(*span) + 2.5, rng, OUTER)
    if rng.random() < 0.5:
        _enclose(mesh, x, span, side, rng)
    elif rng.random() < 0.5:
        furniture.bush(mesh, x + side * rng.uniform(1.0, 2.0), rng.uniform(*span) + 3.0, rng, OUTER)


def _enclose(mesh: Mesh, x: float, span: tuple[float, float], side: int, rng: Random) -> None:
    kind = rng.choices((furniture.wall, furniture.fence, furniture.hedge), (4, 6, 2))[0]
    kind(mesh, x, span, side, rng)


def _kerbside(mesh: Mesh, street: Street, side: int, rng: Random) -> None:
    """Adds lamps, trees, signs, posts and signals along the kerb."""
    x = (street.right + 0.55) if side > 0 else (street.left - 0.55)
    lamps_every, green = rng.uniform(16.0, 26.0), rng.choice((0.15, 0.3, 0.6))
    at = rng.uniform(5.5, 10.0)
    next_lamp = at
    while at < 85.0:
        if at >= next_lamp:
            furniture.lamp_post(mesh, x, at, -side, rng)
            next_lamp = at + lamps_every
        elif rng.random() < green:
            furniture.tree(mesh, x + side * 0.3, at, rng)
        elif rng.random() < 0.55 and at < 60.0:
            rng.choice((furniture.traffic_sign, furniture.traffic_sign, furniture.bollard))(mesh, x, at, rng)
        at += rng.uniform(3.5, 7.5)
    if street.crossing is not None and (street.junction is not None or rng.random() < 0.5):
        furniture.traffic_light(mesh, x, street.crossing - 0.5, -side, rng)
    elif rng.random() < 0.3:
        furniture.traffic_light(mesh, x, rng.uniform(8.0, 20.0), -side, rng)


def _parked(mesh: Mesh, street: Street, side: int, rng: Random) -> None:
    width = street.parking[(side + 1) // 2]
    if not width:
        return
    x = street.right - width / 2 if side > 0 else street.left + width / 2
    at = rng.uniform(6.0, 12.0)
    while at < 65.0:
        if rng.random() < 0.62 and _free_of_junction(street, at):
            yaw = 0.0 if side > 0 or rng.random() < 0.3 else math.pi
            if rng.random() < 0.06:
                vehicles.truck(mesh, x, at + 1.5, yaw, rng)
                at += 4.0
            else:
                vehicles.car(mesh, x, at, yaw, rng, parked=True)
        at += rng.uniform(5.6, 8.0)


def _free_of_junction(street: Street, at: float) -> bool:
    clear = street.junction is None or not street.junction[0] - 8.0 < at < street.junction[1] + 4.0
    return clear and (street.crossing is None or not street.crossing - 4.0 < at < street.crossing + 6.0)


def _pedestrians(mesh: Mesh, street: Street, side: int, rng: Random) -> None:
    inner = street.right + street.verges[1] if side > 0 else street.left - street.verges[0]
    for _ in range(rng.choice((1, 2, 3, 4, 6))):
        x = inner + side * rng.uniform(0.5, street.walks[(side + 1) // 2] - 0.3)
        z = 6.0 + 34.0 * rng.random() ** 1.4
        people.person(mesh, x, z, rng)
        if rng.random() < 0.25:
            people.person(mesh, x + rng.choice((-0.6, 0.6)), z + 0.3, rng)
    if rng.random() < 0.5:
        x, z = street.edge(side) - side * 0.7, rng.uniform(5.5, 16.0)
        for i in range(rng.choice((1, 2, 3))):
            people.bicycle(mesh, x - side * 0.1 * i, z + 1.3 * i, rng, side_on=rng.random() < 0.75, ridden=False)
    if rng.random() < 0.22:
        people.motorcycle(
            mesh, inner + side * 0.8, rng.uniform(7.0, 18.0), rng, side_on=rng.random() < 0.6, ridden=False
        )
    if side > 0 and street.crossing is not None:
        for _ in range(rng.choice((0, 1, 2, 3))):
            x = rng.uniform(street.left, street.right)
            people.person(mesh, x, street.crossing + rng.uniform(0.4, 3.0), rng)


def _traffic(mesh: Mesh, street: Street, rng: Random) -> None:
    for x, yaw in street.lane_middles():
        at = rng.uniform(9.0, 26.0)
        while at < 80.0:
            if rng.random() < 0.55:
                kind = rng.choices((vehicles.car, vehicles.truck, vehicles.bus), (70, 17, 15))[0]
                length = 0.0 if kind is vehicles.car else 5.0
                kind(mesh, x + rng.uniform(-0.25, 0.25), at + length, yaw, rng)
                at += 1.6 * length
            at += rng.uniform(8.0, 18.0)
    for x, yaw in zip(street.tracks, (0.0, math.pi), strict=False):
        if rng.random() < 0.62:
            vehicles.tram(mesh, x, rng.uniform(17.0, 48.0), yaw, rng)


def _two_wheelers(mesh: Mesh, street: Street, rng: Random) -> None:
    """Adds cyclists and motorcyclists between the cars and the kerb."""
    left, right = street.left + street.parking[0], street.right - street.parking[1]
    for _ in range(rng.choice((0, 1, 1, 2, 2))):
        kind = rng.choices((people.bicycle, people.motorcycle), (5, 4))[0]
        x = right - rng.uniform(0.3, 0.8) if rng.random() < 0.7 else left + rng.uniform(0.4, 1.0)
        kind(mesh, x, 6.0 + 13.0 * rng.random(), rng, side_on=False, ridden=True)
    if street.crossing is not None and rng.random() < 0.55:
        kind = rng.choice((people.bicycle, people.motorcycle))
        kind(mesh, rng.uniform(street.left, street.right), street.crossing + 2.0, rng, side_on=True, ridden=True)


def _cross_traffic(mesh: Mesh, street: Street, junction: tuple[float, float], rng: Random) -> None:
    """Adds vehicles on the crossing road, seen from their side, as far as nothing beside the street hides them."""
    start, end = junction
    for share, yaw in ((0.3, -math.pi / 2), (0.7, math.pi / 2)):
        z = start + share * (end - start)
        opening = z / (start - CORNER)
        at, until = street.edge(-1) * opening, street.edge(1) * opening
        while at < until:
            kind, half = rng.choices(((vehicles.car, 2.6), (vehicles.truck, 4.4), (vehicles.bus, 6.0)), (8, 2, 2))[0]
            if rng.random() < 0.6 and at + 2 * half < until:
                kind(mesh, at + half, z, yaw, rng)
            at += 2 * half + rng.uniform(1.0, 5.0)


def _bonnet(mesh: Mesh, camera: Camera, style: StreetStyle, rng: Random) -> None:
    """Adds the front of the car that carries the camera, which counts as no class."""
    z = 1.2
    mesh.place(0.0, z, casts=False)
    bottom = camera.eye - (camera.size[0] * 1.03 - camera.horizon) / camera.focal * z
    rise = camera.size[0] * rng.uniform(0.06, 0.1) / camera.focal * z
    half = camera.size[1] / camera.focal * z * 0.62
    rim = [
        (-half, bottom),
        (half, bottom),
        (half, bottom + rise * 0.35),
        (half * 0.7, bottom + rise * 0.8),
        (half * 0.2, bottom + rise),
        (-half * 0.2, bottom + rise),
        (-half * 0.7, bottom + rise * 0.8),
        (-half, bottom + rise * 0.35),
    ]
    tone = draw(rng, style.bonnet)
    mesh.outline(rim, Paint(IGNORE, (tone, tone, tone * 1.08)))
