"""Cars, vans, trucks, buses and trams; each function adds one, modelled in metres and heading along its frame's z."""

import math
from collections.abc import Iterator
from random import Random

from zsda.data.labels import TRAIN_ID
from zsda.miniature.render.geometry import BLACK, GLASS, Colour, Mesh, Paint, shade
from zsda.miniature.street.style import pick

CAR, TRUCK, BUS, TRAM = (TRAIN_ID[name] for name in ("car", "truck", "bus", "train"))

TYRE: Colour = (26, 26, 28)
TAIL: Colour = (176, 22, 20)
TAIL_LAMP: Colour = (255, 36, 24)
HEAD: Colour = (244, 244, 236)
HEAD_LAMP: Colour = (255, 246, 220)
TAIL_LIGHT: tuple[Colour, float] = ((1.0, 0.12, 0.08), 0.25)
HEAD_LIGHT: tuple[Colour, float] = ((1.0, 0.95, 0.85), 0.8)
CABIN_LAMP: Colour = (128, 112, 80)


def _tyres(mesh: Mesh, train_id: int, half: float, at: tuple[float, ...], radius: float) -> None:
    """Adds what is seen of wheels from before and behind; goes before the body that hides their upper half."""
    tyre = Paint(train_id, TYRE)
    for z in at:
        for side in (-1, 1):
            span = (min(side * half, side * (half - 0.24)), max(side * half, side * (half - 0.24)))
            mesh.panel("back", span, (0.0, radius), z - radius * 0.8, tyre)
            mesh.panel("front", span, (0.0, radius), z + radius * 0.8, tyre)


def _wheels(mesh: Mesh, train_id: int, half: float, at: tuple[float, ...], radius: float) -> None:
    """Adds wheels as seen from the side; goes after the body."""
    tyre, hub = Paint(train_id, TYRE), Paint(train_id, (136, 138, 142))
    for z in at:
        for side in (-1, 1):
            mesh.wheel(side * (half + 0.02), radius, z, radius, tyre, side)
            mesh.wheel(side * (half + 0.03), radius, z, radius * 0.55, hub, side)


def _ends(mesh: Mesh, half: float, length: float, y: float, *, parked: bool) -> None:
    """Adds head lamps, tail lamps and plates to both ends of a car, and the light that they give."""
    wide, high = 0.34, 0.2
    tail = Paint(CAR, TAIL, lamp=BLACK if parked else TAIL_LAMP)
    head = Paint(CAR, HEAD, lamp=BLACK if parked else HEAD_LAMP)
    plate = Paint(CAR, (230, 230, 220))
    for side in (-1, 1):
        span = (side * half * 0.94 - wide / 2 * (1 + side), side * half * 0.94 + wide / 2 * (1 - side))
        mesh.panel("back", span, (y, y + high), -length / 2 - 0.02, tail)
        mesh.panel("front", span, (y, y + high), length / 2 + 0.02, head)
        if not parked:
            mesh.light(side * half * 0.8, y + high / 2, -length / 2 - 0.05, *TAIL_LIGHT)
            mesh.light(side * half * 0.8, y + high / 2, length / 2 + 0.05, *HEAD_LIGHT)
    mesh.panel("back", (-0.26, 0.26), (y - 0.22, y - 0.08), -length / 2 - 0.02, plate)
    mesh.panel("front", (-0.26, 0.26), (y - 0.3, y - 0.16), length / 2 + 0.02, plate)


def car(mesh: Mesh, x: float, z: float, yaw: float, rng: Random, *, parked: bool = False) -> None:
    """Adds a hatchback, saloon, off-roader or van; parked ones have their lamps off."""
    mesh.place(x, z, yaw)
    kind = rng.choice(("hatch", "hatch", "saloon", "saloon", "tall", "van"))
    length = {"hatch": 3.9, "saloon": 4.6, "tall": 4.5, "van": 5.0}[kind]
    roof = {"hatch": 1.47, "saloon": 1.42, "tall": 1.72, "van": 2.1}[kind] * rng.uniform(0.97, 1.05)
    belt, end, half = roof * 0.6, length / 2, 0.92
    colour, pane = pick(rng, mesh.palette.cars), Paint(CAR, pick(rng, mesh.palette.panes), GLASS)
    body, dark = Paint(CAR, colour), Paint(CAR, shade(colour, 0.55))
    profile = [
        (-end, 0.3),
        (end, 0.3),
        (end + 0.04, 0.55),
        (end - 0.1, belt * 0.86),
        (end - 1.0, belt),
        (-end + 0.1, belt),
        (-end, 0.6),
    ]
    axles = (-length * 0.31, length * 0.31)
    _tyres(mesh, CAR, half - 0.02, axles, 0.33)
    mesh.prism(profile, (half, half), body, [None, dark, body, body, body, body, body])
    for side in (-1, 1):
        mesh.panel("left" if side < 0 else "right", (-end, end), (0.3, 0.42), side * (half + 0.01), dark)
    mesh.panel("back", (-half, half), (0.3, 0.46), -end - 0.01, dark)
    _ends(mesh, half, length, belt * 0.68, parked=parked)
    _cabin(mesh, kind, end, belt, roof, colour, pane)
    _wheels(mesh, CAR, half, axles, 0.33)


def _cabin(mesh: Mesh, kind: str, end: float, belt: float, roof: float, colour: Colour, pane: Paint) -> None:
    front = {"hatch": 0.95, "saloon": 1.2, "tall": 0.95, "van": 0.5}[kind]
    back = {"hatch": 0.08, "saloon": 0.75, "tall": 0.05, "van": 0.04}[kind]
    z0, z1 = -end + back, end - front
    profile = [(z0, belt), (z1, belt), (z1 - 0.75 * (roof - belt) - 0.2, roof), (z0 + 0.45 * (roof - belt), roof)]
    mesh.prism(profile, (0.9, 0.72), Paint(CAR, colour), [None, pane, Paint(CAR, shade(colour, 1.05)), pane])
    mid_z, mid_y = sum(z for z, _ in profile) / 4, (belt + roof) / 2
    for side in (-1, 1):
        for part in (0, 1):
            corners = []
            for z, y in _half_window(profile, part):
                # Shrunk towards the middle, which leaves the posts and the rim of the roof.
                at, up = mid_z + (z - mid_z) * 0.9, mid_y + (y - mid_y) * 0.74
                corners.append((side * (0.92 - 0.18 * (up - belt) / (roof - belt)), up, at))
            mesh.face(corners if side < 0 else corners[::-1], pane)
    if kind == "van":
        mesh.panel("left", (z0 + 0.2, z0 + 2.0), (belt + 0.06, roof - 0.2), -0.915, Paint(CAR, shade(colour, 0.95)))
        mesh.panel("right", (z0 + 0.2, z0 + 2.0), (belt + 0.06, roof - 0.2), 0.915, Paint(CAR, shade(colour, 0.95)))


def _half_window(profile: list[tuple[float, float]], part: int) -> list[tuple[float, float]]:
    """Splits a cabin's side view at the door post, so that two panes remain."""
    (z0, y0), (z1, y1), (z2, y2), (z3, y3) = profile
    low, high, post = (z0 + z1) / 2, (z2 + z3) / 2, 0.06
    if part == 0:
        return [(z0, y0), (low - post, y0), (high - post, y3), (z3, y3)]
    return [(low + post, y0), (z1, y1), (z2, y2), (high + post, y3)]


def _lamp(train_id: int, side: str) -> tuple[Paint, tuple[Colour, float]]:
    if side == "front":
        return Paint(train_id, HEAD, lamp=HEAD_LAMP), HEAD_LIGHT
    return Paint(train_id, TAIL, lamp=TAIL_LAMP), TAIL_LIGHT


def truck(mesh: Mesh, x: float, z: float, yaw: float, rng: Random) -> None:
    """Adds a lorry: a driver's cab before a closed or canvas box that stands higher."""
    box_colour, cab_colour = pick(rng, mesh.palette.trucks), pick(rng, mesh.palette.trucks)
    half, length, top = 1.24, rng.uniform(4.8, 6.4), rng.uniform(3.2, 3.8)
    box, frame = Paint(TRUCK, box_colour), Paint(TRUCK, (48, 48, 52))
    mesh.place(x, z, yaw, after=-length / 2 * math.cos(yaw))
    _truck_cab(mesh, half, length, cab_colour, Paint(TRUCK, pick(rng, mesh.palette.panes), GLASS))
    mesh.place(x, z, yaw)
    low, high = -length / 2 - 1.0, length / 2 - 1.0
    _tyres(mesh, TRUCK, half, (low + 1.1, low + 2.2), 0.5)
    mesh.box((-half + 0.1, half - 0.1), (0.55, 1.0), (low, high), frame)
    mesh.box((-half, half), (0.95, top), (low, high), box)
    _wheels(mesh, TRUCK, half, (low + 1.1, low + 2.2), 0.5)
    seam = Paint(TRUCK, shade(box_colour, 0.72))
    mesh.panel("back", (-0.04, 0.04), (1.0, top - 0.05), low - 0.01, seam)
    mesh.panel("back", (-half, half), (top - 0.14, top), low - 0.015, seam)
    mesh.panel("back", (-half, half), (0.95, 1.1), low - 0.015, seam)
    stripe = Paint(TRUCK, pick(rng, mesh.palette.trucks))
    for side, at in (("left", -half - 0.01), ("right", half + 0.01)):
        mesh.panel(side, (low + 0.4, high - 0.4), (top * 0.5, top * 0.72), at, stripe)
    mesh.panel("back", (-half + 0.1, half - 0.1), (0.5, 0.64), low - 0.02, Paint(TRUCK, (200, 60, 50)))
    tail = Paint(TRUCK, TAIL, lamp=TAIL_LAMP)
    for at in (-half + 0.05, half - 0.4):
        mesh.panel("back", (at, at + 0.35), (0.66, 0.9), low - 0.03, tail)
        mesh.light(at + 0.17, 0.78, low - 0.05, *TAIL_LIGHT)


def _truck_cab(mesh: Mesh, half: float, length: float, colour: Colour, pane: Paint) -> None:
    low, high, body = length / 2 - 0.9, length / 2 + 0.95, Paint(TRUCK, colour)
    _tyres(mesh, TRUCK, half, (high - 0.75,), 0.5)
    mesh.box((-half + 0.04, half - 0.04), (0.5, 2.75), (low, high), body)
    _wheels(mesh, TRUCK, half, (high - 0.75,), 0.5)
    mesh.panel("front", (-half + 0.12, half - 0.12), (1.65, 2.5), high + 0.01, pane)
    mesh.panel("front", (-0.8, 0.8), (0.95, 1.4), high + 0.01, Paint(TRUCK, shade(colour, 0.5)))
    for side, at in (("left", -half + 0.03), ("right", half - 0.03)):
        mesh.panel(side, (low + 0.7, high - 0.1), (1.65, 2.4), at, pane)
    for at in (-half + 0.08, half - 0.5):
        mesh.panel("front", (at, at + 0.42), (0.62, 0.86), high + 0.02, Paint(TRUCK, HEAD, lamp=HEAD_LAMP))
        mesh.light(at + 0.2, 0.75, high + 0.05, *HEAD_LIGHT)


def bus(mesh: Mesh, x: float, z: float, yaw: float, rng: Random) -> None:
    """Adds a city bus: one box with a band of windows, wheels and a lit route display."""
    colour, half, top = pick(rng, mesh.palette.buses), 1.27, 3.05
    pane = Paint(BUS, pick(rng, mesh.palette.panes), GLASS, CABIN_LAMP)
    for tail, nose in _sections(mesh, x, z, yaw, rng.choice((2, 3)), 4.0):
        axles = ((-0.2,) if tail else ()) + ((0.6,) if nose else ())
        _tyres(mesh, BUS, half, axles, 0.5)
        _coach(mesh, half, top, colour, pane)
        _wheels(mesh, BUS, half, axles, 0.5)
        if tail:
            _bus_end(mesh, "back", -2.0, half, colour, pane)
        if nose:
            _bus_end(mesh, "front", 2.0, half, colour, pane)


def _sections(mesh: Mesh, x: float, z: float, yaw: float, count: int, length: float) -> Iterator[tuple[bool, bool]]:
    """Places a long vehicle piece by piece, so that what stands beside it is hidden rightly; yields (is tail, is nose)."""
    for i in range(count):
        ahead = (i - (count - 1) / 2) * length
        mesh.place(x + math.sin(yaw) * ahead, z + math.cos(yaw) * ahead, yaw)
        yield i == 0, i == count - 1


def _coach(mesh: Mesh, half: float, top: float, colour: Colour, pane: Paint) -> None:
    body, skirt = Paint(BUS, colour), Paint(BUS, shade(colour, 0.6))
    mesh.box((-half, half), (0.32, top), (-2.0, 2.0), body, Paint(BUS, shade(colour, 0.9)))
    for side, at in (("left", -half - 0.01), ("right", half + 0.01)):
        mesh.panel(side, (-2.0, 2.0), (0.3, 0.62), at, skirt)
        for i in range(3):
            z0 = -2.0 + (i + 0.08) * 4.0 / 3
            mesh.panel(side, (z0, z0 + 1.12), (1.4, 2.5), at * 1.004, pane)


def _bus_end(mesh: Mesh, side: str, at: float, half: float, colour: Colour, pane: Paint) -> None:
    out = 1.01 * at
    low = 1.15 if side == "front" else 1.6
    mesh.panel(side, (-half + 0.12, half - 0.12), (low, 2.55), out, pane)
    mesh.panel(side, (-0.8, 0.8), (2.62, 2.95), out, Paint(BUS, (30, 26, 20), lamp=(255, 170, 40)))
    mesh.panel(side, (-0.6, 0.6), (2.7, 2.87), out * 1.002, Paint(BUS, (250, 170, 50), lamp=(255, 170, 40)))
    mesh.panel(side, (-half, half), (0.34, 0.55), out, Paint(BUS, shade(colour, 0.45)))
    lamp, light = _lamp(BUS, side)
    for x in (-half + 0.08, half - 0.48):
        mesh.panel(side, (x, x + 0.4), (0.68, 0.95), out * 1.002, lamp)
        mesh.light(x + 0.2, 0.8, out, *light)


def tram(mesh: Mesh, x: float, z: float, yaw: float, rng: Random) -> None:
    """Adds a tram (class train): sections close to the ground, dark window band, pantograph, bellows between the sections."""
    stripe, half, top = pick(rng, mesh.palette.trams), 1.26, 3.25
    body, roof = (Paint(TRAM, pick(rng, colours)) for colours in (mesh.palette.tram_bodies, mesh.palette.tram_roofs))
    pane = Paint(TRAM, pick(rng, mesh.palette.panes), GLASS, CABIN_LAMP)
    for tail, nose in _sections(mesh, x, z, yaw, rng.choice((3, 4)), 5.2):
        mesh.box((-half, half), (0.14, top), (-2.6, 2.6), body, roof)
        for side, at in (("left", -half), ("right", half)):
            mesh.panel(side, (-2.6, 2.6), (0.14, 1.15), at * 1.01, Paint(TRAM, stripe))
            mesh.panel(side, (-2.35, 2.35), (1.35, 2.6), at * 1.012, pane)
            for door in (-1.3, 0.7):
                mesh.panel(side, (door, door + 0.9), (0.3, 2.6), at * 1.016, Paint(TRAM, shade(stripe, 0.7)))
            mesh.panel(side, (2.35, 2.6), (0.2, top), at * 1.018, Paint(TRAM, (46, 46, 50)))
        mesh.box((-0.7, 0.7), (top, top + 0.3), (-1.2, 1.2), Paint(TRAM, (120, 122, 126)))
        if tail or nose:
            _tram_end(mesh, "front" if nose else "back", 2.6 if nose else -2.6, stripe, pane)


def _tram_end(mesh: Mesh, side: str, at: float, stripe: Colour, pane: Paint) -> None:
    out = at * 1.008
    mesh.panel(side, (-1.26, 1.26), (0.14, 1.15), out, Paint(TRAM, stripe))
    mesh.panel(side, (-1.1, 1.1), (1.3, 2.6), out, pane)
    mesh.panel(side, (-0.6, 0.6), (2.75, 3.05), out, Paint(TRAM, (250, 180, 60), lamp=(255, 170, 40)))
    mesh.panel(side, (-0.4, 0.4), (0.2, 0.5), out * 1.002, Paint(TRAM, (46, 46, 50)))
    lamp, light = _lamp(TRAM, side)
    for x in (-1.05, 0.7):
        mesh.panel(side, (x, x + 0.35), (0.7, 0.95), out * 1.002, lamp)
        mesh.light(x + 0.17, 0.82, out * 1.02, *light)
    arm = Paint(TRAM, (60, 60, 64))
    mesh.panel(side, (-0.9, 0.9), (4.15, 4.3), at * 0.3, arm)
    mesh.panel(side, (-0.06, 0.06), (3.3, 4.2), at * 0.3, arm)
