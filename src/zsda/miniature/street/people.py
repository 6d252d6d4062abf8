"""Persons, riders, bicycles and motorcycles: flat figures turned to the camera, in metres."""

from random import Random

from zsda.data.labels import TRAIN_ID
from zsda.miniature.render.geometry import BLACK, Colour, Mesh, Paint, shade
from zsda.miniature.street.style import pick

PERSON, RIDER = TRAIN_ID["person"], TRAIN_ID["rider"]
BICYCLE, MOTORCYCLE = TRAIN_ID["bicycle"], TRAIN_ID["motorcycle"]

SHOE: Colour = (30, 26, 26)
RUBBER: Colour = (30, 30, 32)


def person(mesh: Mesh, x: float, z: float, rng: Random) -> None:
    """Adds a pedestrian, standing or walking, sometimes a child, sometimes with a bag or in a coat."""
    mesh.place(x, z)
    tall = rng.uniform(1.62, 1.92) if rng.random() < 0.88 else rng.uniform(1.15, 1.4)
    wide = tall * rng.uniform(0.92, 1.15)
    step = rng.choice((0.03, 0.06, 0.1, 0.14)) * tall
    side = rng.choice((-1.0, 1.0))
    top, trousers = pick(rng, mesh.palette.tops), pick(rng, mesh.palette.trousers)
    _legs(mesh, tall, step, trousers)
    if rng.random() < 0.2:
        bag = Paint(PERSON, pick(rng, mesh.palette.tops))
        mesh.outline(
            [
                (-side * 0.2 - 0.14, 0.52 * tall),
                (-side * 0.2 + 0.14, 0.52 * tall),
                (-side * 0.2 + 0.12, 0.78 * tall),
                (-side * 0.2 - 0.12, 0.78 * tall),
            ],
            bag,
        )
    hem = 0.34 if rng.random() < 0.25 else 0.46
    _torso(mesh, PERSON, (0.0, hem * tall), (0.0, 0.83 * tall), wide * 0.15, top)
    _arms(mesh, tall, wide, step, top, rng)
    _head(mesh, PERSON, 0.0, 0.915 * tall, 0.075 * tall, rng)


def _legs(mesh: Mesh, tall: float, step: float, colour: Colour) -> None:
    for sign, factor in ((-1, 0.8), (1, 1.0)):
        paint, shoe = Paint(PERSON, shade(colour, factor)), Paint(PERSON, SHOE)
        hip, foot = (sign * 0.05 * tall, 0.5 * tall), (sign * (step * 0.9 + 0.03), 0.04)
        mesh.bar(hip, foot, 0.11 * tall, paint)
        mesh.bar((foot[0] - 0.07, 0.04), (foot[0] + 0.11, 0.04), 0.09, shoe)


def _torso(
    mesh: Mesh, train_id: int, low: tuple[float, float], high: tuple[float, float], half: float, colour: Colour
) -> None:
    (x0, y0), (x1, y1) = low, high
    paint, shadow = Paint(train_id, colour), Paint(train_id, shade(colour, 0.72))
    rim = [
        (x0 - half * 0.85, y0),
        (x0 + half * 0.85, y0),
        (x1 + half, y1 - 0.1),
        (x1 + half * 0.6, y1),
        (x1 - half * 0.6, y1),
        (x1 - half, y1 - 0.1),
    ]
    mesh.outline(rim, paint)
    mesh.outline([(x0 - half * 0.85, y0), (x0 - half * 0.3, y0), (x1 - half * 0.3, y1), (x1 - half, y1 - 0.1)], shadow)


def _arms(mesh: Mesh, tall: float, wide: float, step: float, colour: Colour, rng: Random) -> None:
    sleeve = Paint(PERSON, shade(colour, 0.86))
    hand = Paint(PERSON, pick(rng, mesh.palette.hands))
    for sign in (-1, 1):
        shoulder = (sign * wide * 0.135, 0.79 * tall)
        wrist = (sign * (wide * 0.16 + step * rng.uniform(0.0, 0.5)), 0.5 * tall)
        mesh.bar(shoulder, wrist, 0.07 * tall, sleeve)
        mesh.disc(wrist[0], wrist[1] - 0.02, 0.0, (0.055, 0.055), hand)


def _head(mesh: Mesh, train_id: int, x: float, y: float, radius: float, rng: Random) -> None:
    mesh.disc(x, y + radius * 0.2, 0.0, (radius * 1.08, radius * 1.15), Paint(train_id, pick(rng, mesh.palette.hair)))
    mesh.disc(x, y - radius * 0.12, 0.0, (radius * 0.86, radius), Paint(train_id, pick(rng, mesh.palette.skin)))


def _helmet(mesh: Mesh, x: float, y: float, radius: float, colour: Colour, rng: Random) -> None:
    mesh.disc(x, y, 0.0, (radius * 0.85, radius), Paint(RIDER, pick(rng, mesh.palette.skin)))
    dome = [
        (x - radius * 1.15, y + radius * 0.15),
        (x + radius * 1.15, y + radius * 0.15),
        (x + radius * 0.8, y + radius * 1.05),
        (x, y + radius * 1.35),
        (x - radius * 0.8, y + radius * 1.05),
    ]
    mesh.outline(dome, Paint(RIDER, colour))


def bicycle(mesh: Mesh, x: float, z: float, rng: Random, *, side_on: bool, ridden: bool) -> None:
    """Adds a bicycle seen from its side or from behind, with a rider or parked."""
    mesh.place(x, z)
    colour = pick(rng, mesh.palette.frames)
    if side_on:
        turn = rng.choice((-1.0, 1.0))
        _bicycle_side(mesh, colour, turn)
        if ridden:
            _cyclist_side(mesh, turn, rng)
    else:
        if ridden:
            _cyclist_legs(mesh, rng)
        _bicycle_rear(mesh, colour, ridden=ridden)
        if ridden:
            _rider_rear(mesh, 0.92, 1.58, rng)


def _spoked_wheel(mesh: Mesh, x: float, radius: float) -> None:
    tyre, hub, spoke = Paint(BICYCLE, RUBBER), Paint(BICYCLE, (124, 126, 128)), Paint(BICYCLE, (70, 70, 74))
    mesh.disc(x, radius, 0.0, (radius, radius), tyre)
    mesh.disc(x, radius, 0.0, (radius * 0.76, radius * 0.76), hub)
    for dx, dy in ((0.7, 0.0), (0.0, 0.7), (0.5, 0.5), (0.5, -0.5)):
        mesh.bar((x - dx * radius, radius - dy * radius), (x + dx * radius, radius + dy * radius), 0.035, spoke)


def _bicycle_side(mesh: Mesh, colour: Colour, turn: float) -> None:
    tube, dark = Paint(BICYCLE, colour), Paint(BICYCLE, RUBBER)
    for at in (-0.56, 0.56):
        _spoked_wheel(mesh, at, 0.36)
    rear, front, crank = (-0.56 * turn, 0.36), (0.56 * turn, 0.36), (-0.05 * turn, 0.32)
    saddle, bar = (-0.22 * turn, 0.86), (0.4 * turn, 0.92)
    for start, end in (
        (rear, crank),
        (crank, saddle),
        (rear, saddle),
        (crank, bar),
        (saddle, (0.43 * turn, 0.8)),
        (front, bar),
    ):
        mesh.bar(start, end, 0.07, tube)
    mesh.bar((saddle[0] - 0.14, 0.92), (saddle[0] + 0.14, 0.92), 0.08, dark)
    mesh.bar(bar, (bar[0] - 0.12 * turn, 1.04), 0.06, dark)


def _cyclist_side(mesh: Mesh, turn: float, rng: Random) -> None:
    top, trousers = pick(rng, mesh.palette.tops), pick(rng, mesh.palette.trousers)
    hip, shoulder = (-0.2 * turn, 0.98), (0.12 * turn, 1.48)
    leg = Paint(RIDER, trousers)
    mesh.bar(hip, (0.16 * turn, 0.74), 0.17, leg)
    mesh.bar((0.16 * turn, 0.76), (0.02 * turn, 0.28), 0.13, leg)
    mesh.bar((-0.04 * turn, 0.26), (0.18 * turn, 0.26), 0.09, Paint(RIDER, SHOE))
    mesh.bar(hip, shoulder, 0.32, Paint(RIDER, top))
    mesh.bar(shoulder, (0.36 * turn, 1.04), 0.11, Paint(RIDER, shade(top, 0.8)))
    _helmet(mesh, 0.2 * turn, 1.66, 0.12, pick(rng, mesh.palette.frames), rng)


def _bicycle_rear(mesh: Mesh, colour: Colour, *, ridden: bool) -> None:
    mesh.outline(
        [(-0.06, 0.0), (0.06, 0.0), (0.07, 0.36), (0.06, 0.72), (-0.06, 0.72), (-0.07, 0.36)], Paint(BICYCLE, RUBBER)
    )
    mesh.bar((-0.1, 0.5), (-0.05, 0.98), 0.05, Paint(BICYCLE, colour))
    mesh.bar((0.1, 0.5), (0.05, 0.98), 0.05, Paint(BICYCLE, colour))
    lamp = Paint(BICYCLE, (200, 30, 26), lamp=(255, 36, 24) if ridden else BLACK)
    mesh.outline([(-0.07, 0.6), (0.07, 0.6), (0.07, 0.7), (-0.07, 0.7)], lamp)
    if ridden:
        mesh.light(0.0, 0.65, -0.05, (1.0, 0.12, 0.08), 0.12)
    else:
        mesh.bar((-0.32, 1.04), (0.32, 1.04), 0.07, Paint(BICYCLE, RUBBER))
        mesh.bar((-0.14, 0.94), (0.14, 0.94), 0.1, Paint(BICYCLE, RUBBER))


def _cyclist_legs(mesh: Mesh, rng: Random) -> None:
    leg = Paint(RIDER, pick(rng, mesh.palette.trousers))
    for sign, foot in ((-1, 0.2), (1, 0.42)):
        mesh.bar((sign * 0.12, 1.0), (sign * 0.17, foot), 0.14, leg)
        mesh.bar((sign * 0.17 - 0.06, foot), (sign * 0.17 + 0.06, foot), 0.1, Paint(RIDER, SHOE))


def _rider_rear(mesh: Mesh, low: float, high: float, rng: Random) -> None:
    top = pick(rng, mesh.palette.tops)
    _torso(mesh, RIDER, (0.0, low), (0.0, high), 0.24, top)
    for sign in (-1, 1):
        mesh.bar((sign * 0.2, high - 0.08), (sign * 0.33, low + 0.16), 0.11, Paint(RIDER, shade(top, 0.82)))
    _helmet(mesh, 0.0, high + 0.12, 0.125, pick(rng, mesh.palette.frames), rng)


def motorcycle(mesh: Mesh, x: float, z: float, rng: Random, *, side_on: bool, ridden: bool) -> None:
    """Adds a motorcycle or scooter seen from its side or from behind, with a rider or parked."""
    mesh.place(x, z)
    colour = pick(rng, mesh.palette.frames)
    if side_on:
        turn = rng.choice((-1.0, 1.0))
        _motorcycle_side(mesh, colour, turn, ridden=ridden)
        if ridden:
            _biker_side(mesh, turn, rng)
        return
    _motorcycle_rear(mesh, colour, ridden=ridden)
    if ridden:
        _biker_legs(mesh, rng)
        _rider_rear(mesh, 0.86, 1.48, rng)


def _motorcycle_side(mesh: Mesh, colour: Colour, turn: float, *, ridden: bool) -> None:
    tyre, metal, body, dark = (Paint(MOTORCYCLE, c) for c in (RUBBER, (138, 140, 146), colour, (40, 40, 44)))
    for at in (-0.68, 0.68):
        mesh.disc(at, 0.34, 0.0, (0.35, 0.35), tyre)
        mesh.disc(at, 0.34, 0.0, (0.2, 0.2), metal)
    mesh.bar((0.68 * turn, 0.34), (0.42 * turn, 1.0), 0.11, metal)
    mesh.outline(_turned([(-0.36, 0.28), (0.34, 0.28), (0.42, 0.6), (-0.3, 0.62)], turn), metal)
    mesh.outline(_turned([(-0.1, 0.58), (0.4, 0.56), (0.5, 0.86), (0.2, 0.98), (-0.12, 0.8)], turn), body)
    mesh.outline(_turned([(-0.8, 0.72), (-0.05, 0.66), (-0.05, 0.84), (-0.74, 0.9)], turn), dark)
    mesh.outline(_turned([(-0.95, 0.6), (-0.5, 0.56), (-0.5, 0.74), (-0.92, 0.78)], turn), body)
    mesh.bar((-0.2 * turn, 0.3), (-0.9 * turn, 0.34), 0.12, metal)
    mesh.bar((0.42 * turn, 1.0), (0.2 * turn, 1.12), 0.07, dark)
    lamp = Paint(MOTORCYCLE, (240, 240, 226), lamp=(255, 246, 220) if ridden else BLACK)
    mesh.disc(0.56 * turn, 0.88, 0.0, (0.11, 0.13), lamp)
    if ridden:
        mesh.light(0.6 * turn, 0.88, -0.05, (1.0, 0.95, 0.85), 0.4)


def _turned(points: list[tuple[float, float]], turn: float) -> list[tuple[float, float]]:
    return [(x * turn, y) for x, y in points]


def _biker_side(mesh: Mesh, turn: float, rng: Random) -> None:
    top, leg = pick(rng, mesh.palette.tops), Paint(RIDER, pick(rng, mesh.palette.trousers))
    hip, shoulder = (-0.3 * turn, 0.94), (-0.04 * turn, 1.42)
    mesh.bar(hip, (0.16 * turn, 0.8), 0.2, leg)
    mesh.bar((0.14 * turn, 0.82), (0.0, 0.34), 0.15, leg)
    mesh.bar((-0.04 * turn, 0.3), (0.18 * turn, 0.3), 0.1, Paint(RIDER, SHOE))
    mesh.bar(hip, shoulder, 0.36, Paint(RIDER, top))
    mesh.bar(shoulder, (0.28 * turn, 1.08), 0.13, Paint(RIDER, shade(top, 0.8)))
    mesh.disc(0.06 * turn, 1.62, 0.0, (0.17, 0.18), Paint(RIDER, pick(rng, mesh.palette.frames)))
    mesh.disc(0.14 * turn, 1.6, 0.0, (0.08, 0.07), Paint(RIDER, (30, 36, 44)))


def _motorcycle_rear(mesh: Mesh, colour: Colour, *, ridden: bool) -> None:
    tyre, body, metal = Paint(MOTORCYCLE, RUBBER), Paint(MOTORCYCLE, colour), Paint(MOTORCYCLE, (138, 140, 146))
    mesh.outline([(-0.11, 0.0), (0.11, 0.0), (0.12, 0.35), (0.1, 0.68), (-0.1, 0.68), (-0.12, 0.35)], tyre)
    mesh.bar((0.2, 0.3), (0.2, 0.5), 0.14, metal)
    mesh.outline([(-0.22, 0.56), (0.22, 0.56), (0.26, 0.8), (0.16, 0.92), (-0.16, 0.92), (-0.26, 0.8)], body)
    mesh.bar((-0.42, 1.06), (0.42, 1.06), 0.08, tyre)
    for sign in (-1, 1):
        mesh.disc(sign * 0.44, 1.2, 0.0, (0.09, 0.07), metal)
    lamp = Paint(MOTORCYCLE, (190, 24, 22), lamp=(255, 36, 24) if ridden else BLACK)
    mesh.outline([(-0.13, 0.7), (0.13, 0.7), (0.13, 0.82), (-0.13, 0.82)], lamp)
    if ridden:
        mesh.light(0.0, 0.76, -0.05, (1.0, 0.12, 0.08), 0.2)


def _biker_legs(mesh: Mesh, rng: Random) -> None:
    leg = Paint(RIDER, pick(rng, mesh.palette.trousers))
    for sign in (-1, 1):
        mesh.bar((sign * 0.16, 0.9), (sign * 0.3, 0.62), 0.18, leg)
        mesh.bar((sign * 0.3, 0.66), (sign * 0.26, 0.26), 0.14, leg)
