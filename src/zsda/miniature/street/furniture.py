"""What stands along a street: poles, lamps, traffic lights, signs, trees, hedges, walls and fences, in metres."""

import math
from random import Random

from zsda.data.labels import TRAIN_ID
from zsda.miniature.render.geometry import (
    BACKDROP,
    BRICK,
    LEAF,
    PLANKS,
    PLASTER,
    ROW,
    STREET,
    Colour,
    Mesh,
    Paint,
    shade,
)
from zsda.miniature.street.style import pick

POLE, SIGNAL, SIGN = TRAIN_ID["pole"], TRAIN_ID["traffic light"], TRAIN_ID["traffic sign"]
GREEN, WALL, FENCE = TRAIN_ID["vegetation"], TRAIN_ID["wall"], TRAIN_ID["fence"]

WARM_LIGHT: Colour = (1.0, 0.78, 0.46)
COLD_LIGHT: Colour = (0.82, 0.9, 1.0)


def _upright(mesh: Mesh, half: float, low: float, high: float, paint: Paint) -> None:
    """Adds a round post as two strips, the left one in its own shade."""
    dark = paint._replace(colour=shade(paint.colour, 0.74))
    mesh.bar((0.0, low), (0.0, high), 2 * half, paint)
    mesh.bar((-half * 0.55, low), (-half * 0.55, high), half * 0.9, dark)


def lamp_post(mesh: Mesh, x: float, z: float, inward: float, rng: Random) -> None:
    """Adds a street lamp whose arm reaches ``inward`` (-1 or 1) over the street."""
    mesh.place(x, z)
    paint = Paint(POLE, pick(rng, mesh.palette.steels))
    high, reach = rng.uniform(5.2, 6.8), rng.uniform(1.0, 1.8)
    _upright(mesh, 0.12, 0.0, high, paint)
    _upright(mesh, 0.17, 0.0, 0.9, paint)
    mesh.bar((0.0, high - 0.05), (inward * reach, high + 0.25), 0.16, paint)
    warm = rng.random() < 0.75
    glow = (255, 214, 140) if warm else (226, 238, 255)
    mesh.bar(
        (inward * (reach - 0.1), high + 0.2),
        (inward * (reach + 0.6), high + 0.24),
        0.24,
        Paint(POLE, (214, 214, 206), lamp=glow),
    )
    mesh.light(inward * (reach + 0.25), high + 0.1, -0.05, WARM_LIGHT if warm else COLD_LIGHT, 1.0, street=True)


def bollard(mesh: Mesh, x: float, z: float, rng: Random) -> None:
    """Adds a short post at the kerb."""
    mesh.place(x, z)
    paint = Paint(POLE, pick(rng, mesh.palette.steels))
    _upright(mesh, 0.12, 0.0, 1.05, paint)
    mesh.bar((-0.12, 0.85), (0.12, 0.85), 0.14, Paint(POLE, (226, 226, 220)))


def traffic_light(mesh: Mesh, x: float, z: float, inward: float, rng: Random) -> None:
    """Adds a signal on a post and often a second one on an arm over the street."""
    mesh.place(x, z)
    paint = Paint(POLE, pick(rng, mesh.palette.steels))
    on, housing = rng.choice((0, 0, 1, 2, 2)), pick(rng, mesh.palette.housings)
    _upright(mesh, 0.11, 0.0, 3.4, paint)
    _signal_head(mesh, 0.0, 2.3, on, housing)
    if rng.random() < 0.55:
        _upright(mesh, 0.13, 3.0, 5.3, paint)
        mesh.bar((0.0, 5.2), (inward * 4.2, 5.4), 0.17, paint)
        _signal_head(mesh, inward * 3.9, 4.4, on, housing)


def _signal_head(mesh: Mesh, x: float, low: float, on: int, housing: Colour) -> None:
    """Adds a housing with red, amber and green, of which number ``on`` is lit."""
    box = [(x - 0.24, low), (x + 0.24, low), (x + 0.24, low + 1.12), (x - 0.24, low + 1.12)]
    mesh.outline(box, Paint(SIGNAL, housing))
    lit = ((255, 52, 40), (255, 190, 50), (60, 240, 130))
    for i, colour in enumerate(lit):
        shown = colour if i == on else shade(colour, 0.28)
        y = low + 0.9 - 0.34 * i
        mesh.disc(x, y, 0.0, (0.14, 0.14), Paint(SIGNAL, shown, lamp=colour if i == on else (0.0, 0.0, 0.0)))
    red, green, blue = lit[on]
    mesh.light(x, low + 0.9 - 0.34 * on, -0.05, (red / 255, green / 255, blue / 255), 0.25)


def traffic_sign(mesh: Mesh, x: float, z: float, rng: Random) -> None:
    """Adds one or two plates on a post: ban, warning, priority, direction or information."""
    mesh.place(x, z)
    _upright(mesh, 0.09, 0.0, 3.1, Paint(POLE, pick(rng, mesh.palette.steels)))
    y = rng.uniform(2.2, 2.7)
    kind = rng.choice((_ban, _ban, _warning, _priority, _direction, _information))
    kind(mesh, y, rng)
    if rng.random() < 0.3:
        mesh.outline(
            [(-0.32, y - 0.85), (0.32, y - 0.85), (0.32, y - 0.56), (-0.32, y - 0.56)],
            Paint(SIGN, pick(rng, mesh.palette.plates)),
        )


def _ban(mesh: Mesh, y: float, rng: Random) -> None:
    white = Paint(SIGN, pick(rng, mesh.palette.sign_whites))
    mesh.disc(0, y, 0, (0.5, 0.5), Paint(SIGN, pick(rng, mesh.palette.sign_reds)))
    if rng.random() < 0.4:
        mesh.bar((-0.32, y), (0.32, y), 0.2, white)
    else:
        mesh.disc(0, y, 0, (0.36, 0.36), white)
        mesh.bar((-0.14, y), (0.14, y), 0.26, Paint(SIGN, (40, 40, 44)))


def _warning(mesh: Mesh, y: float, rng: Random) -> None:
    for size, colour in ((0.58, pick(rng, mesh.palette.sign_reds)), (0.36, pick(rng, mesh.palette.sign_whites))):
        mesh.outline([(-size, y - size * 0.6), (size, y - size * 0.6), (0.0, y + size)], Paint(SIGN, colour))
    mesh.bar((0.0, y - 0.12), (0.0, y + 0.14), 0.1, Paint(SIGN, (30, 30, 34)))


def _priority(mesh: Mesh, y: float, rng: Random) -> None:
    for size, colour in ((0.56, pick(rng, mesh.palette.sign_whites)), (0.4, pick(rng, mesh.palette.sign_yellows))):
        mesh.outline([(0.0, y - size), (size, y), (0.0, y + size), (-size, y)], Paint(SIGN, colour))


def _direction(mesh: Mesh, y: float, rng: Random) -> None:
    colour = pick(rng, mesh.palette.directions)
    ink = (30, 30, 34) if colour[0] > 200 else (240, 240, 240)
    mesh.outline([(-0.8, y - 0.3), (0.7, y - 0.3), (0.98, y), (0.7, y + 0.3), (-0.8, y + 0.3)], Paint(SIGN, colour))
    mesh.bar((-0.6, y + 0.1), (0.5, y + 0.1), 0.12, Paint(SIGN, ink))
    mesh.bar((-0.6, y - 0.12), (0.2, y - 0.12), 0.1, Paint(SIGN, ink))


def _information(mesh: Mesh, y: float, rng: Random) -> None:
    blue, white = (Paint(SIGN, pick(rng, colours)) for colours in (mesh.palette.sign_blues, mesh.palette.sign_whites))
    mesh.outline([(-0.44, y - 0.46), (0.44, y - 0.46), (0.44, y + 0.46), (-0.44, y + 0.46)], blue)
    mesh.bar((0.0, y - 0.3), (0.0, y + 0.28), 0.14, white)
    mesh.bar((-0.18, y + 0.18), (0.2, y + 0.18), 0.14, white)


def tree(mesh: Mesh, x: float, z: float, rng: Random, layer: int = STREET) -> None:
    """Adds a broad-leaved tree or, now and then, a conifer."""
    mesh.place(x, z, layer=layer)
    leaf = pick(rng, mesh.palette.leaves)
    if rng.random() < 0.18:
        _conifer(mesh, shade(leaf, 0.75), rng)
        return
    trunk, radius = rng.uniform(2.0, 3.0), rng.uniform(1.5, 2.6)
    wood = Paint(GREEN, pick(rng, mesh.palette.barks))
    mesh.outline([(-0.2, 0.0), (0.2, 0.0), (0.12, trunk + 1.0), (-0.12, trunk + 1.0)], wood)
    mesh.bar((0.0, trunk), (radius * 0.5, trunk + 1.2), 0.14, wood)
    mesh.bar((0.0, trunk), (-radius * 0.5, trunk + 1.1), 0.14, wood)
    _crown(mesh, trunk + radius * 0.95, radius, leaf, rng, 13 if z < 30.0 else 8)


def _crown(mesh: Mesh, middle: float, radius: float, leaf: Colour, rng: Random, number: int) -> None:
    """Adds clumps of leaves, dark ones inside and below first; their normals make the crown round."""
    clumps = sorted(
        (rng.uniform(-0.9, 1.0), rng.uniform(-math.pi, math.pi), rng.uniform(0.2, 0.85)) for _ in range(number)
    )
    for up, angle, out in clumps:
        across = out * math.cos(angle) * math.sqrt(max(1.0 - up * up * 0.8, 0.1))
        paint = Paint(GREEN, shade(leaf, 0.86 + 0.16 * up + rng.uniform(-0.06, 0.06)), LEAF)
        size = radius * rng.uniform(0.36, 0.56) * (13 / number) ** 0.4
        mesh.disc(
            across * radius, middle + up * radius * 0.72, 0.0, (size, size * 0.85), paint, (across, up + 0.45, -0.6)
        )


def _conifer(mesh: Mesh, leaf: Colour, rng: Random) -> None:
    high, half = rng.uniform(5.0, 7.5), rng.uniform(1.3, 1.8)
    mesh.bar((0.0, 0.0), (0.0, 1.2), 0.3, Paint(GREEN, pick(rng, mesh.palette.barks)))
    for i in range(4):
        low = 0.8 + i * (high - 1.0) / 4.6
        wide = half * (1.0 - i * 0.2)
        paint = Paint(GREEN, shade(leaf, 0.85 + 0.08 * i), LEAF)
        points = [(-wide, low, 0.0), (wide, low, 0.0), (0.0, low + (high - 1.0) / 2.4, 0.0)]
        mesh.face(points, paint, (0.1, 0.6, -0.7), two_sided=True)


def bush(mesh: Mesh, x: float, z: float, rng: Random, layer: int = STREET) -> None:
    """Adds a shrub."""
    mesh.place(x, z, layer=layer)
    leaf, size = pick(rng, mesh.palette.leaves), rng.uniform(0.5, 0.9)
    for dx, y, factor in ((-0.6, 0.5, 0.8), (0.6, 0.5, 0.85), (0.0, 0.45, 0.75), (-0.25, 0.95, 1.0), (0.35, 0.9, 1.05)):
        paint = Paint(GREEN, shade(leaf, factor), LEAF)
        mesh.disc(dx * size * 1.3, y * size, 0.0, (size * 0.8, size * 0.6), paint, (dx, y, -0.6))


def hedge(mesh: Mesh, x: float, span: tuple[float, float], side: int, rng: Random) -> None:
    """Adds a clipped hedge along the street, its face at ``x``; ``side`` is -1 left, 1 right of the street."""
    mesh.place(0.0, span[0], layer=ROW)
    paint = Paint(GREEN, pick(rng, mesh.palette.leaves), LEAF)
    high, deep = rng.uniform(1.1, 1.9), x + side * 0.9
    mesh.box(
        (min(x, deep), max(x, deep)),
        (0.0, high),
        (0.0, span[1] - span[0]),
        paint,
        paint._replace(colour=shade(paint.colour, 1.1)),
    )


def wall(mesh: Mesh, x: float, span: tuple[float, float], side: int, rng: Random) -> None:
    """Adds a garden or retaining wall with a coping."""
    mesh.place(0.0, span[0], layer=ROW)
    colour = pick(rng, mesh.palette.walls)
    texture = PLASTER if max(colour) - min(colour) < 20 else BRICK
    high, deep, length = rng.uniform(1.5, 2.8), x + side * 0.4, span[1] - span[0]
    low, up = min(x, deep), max(x, deep)
    mesh.box((low, up), (0.0, high), (0.0, length), Paint(WALL, colour, texture))
    mesh.box((low - 0.08, up + 0.08), (high, high + 0.16), (0.0, length), Paint(WALL, shade(colour, 1.18), PLASTER))
    facing = "left" if side > 0 else "right"
    for i in range(int(length / 4) + 1):
        mesh.panel(
            facing, (i * 4.0, i * 4.0 + 0.35), (0.0, high), x - side * 0.02, Paint(WALL, shade(colour, 0.86), texture)
        )


def fence(mesh: Mesh, x: float, span: tuple[float, float], side: int, rng: Random) -> None:
    """Adds a fence of planks or of railings; railings let the ground behind show between them."""
    mesh.place(0.0, span[0], layer=ROW, casts=False)
    length, high = span[1] - span[0], rng.uniform(1.2, 1.8)
    facing = "left" if side > 0 else "right"
    if rng.random() < 0.5:
        colour = pick(rng, mesh.palette.planks)
        mesh.panel(facing, (0.0, length), (0.05, high), x, Paint(FENCE, colour, PLANKS))
        mesh.panel(
            facing, (0.0, length), (high - 0.25, high - 0.12), x - side * 0.03, Paint(FENCE, shade(colour, 0.75))
        )
        return
    paint = Paint(FENCE, pick(rng, mesh.palette.railings))
    for low in (0.12, high * 0.55, high - 0.12):
        mesh.panel(facing, (0.0, length), (low, low + 0.12), x, paint)
    steps = max(int(length / 0.42), 1)
    for i in range(steps + 1):
        at = i * length / steps
        mesh.panel(facing, (at - 0.07, at + 0.07), (0.0, high), x, paint)


def skyline(mesh: Mesh, rng: Random) -> None:
    """Adds what closes the view far ahead: tree tops and, behind them, town roofs."""
    building = TRAIN_ID["building"]
    mesh.place(0.0, 230.0, layer=BACKDROP, casts=False)
    for i in range(30):
        if rng.random() < 0.55:
            x, high, wide = (i - 15) * 17.0, rng.uniform(7, 26), rng.uniform(8, 13)
            tone = rng.uniform(0.8, 1.05)
            mesh.outline(
                [(x - wide, -2.0), (x + wide, -2.0), (x + wide, high), (x - wide, high)],
                Paint(building, shade(pick(rng, mesh.palette.far_houses), tone)),
            )
    mesh.place(0.0, 200.0, layer=BACKDROP, casts=False)
    leaf = pick(rng, mesh.palette.far_trees)
    for i in range(36):
        size = rng.uniform(6.0, 10.5)
        mesh.disc(
            (i - 18) * 13.0 + rng.uniform(-3, 3),
            size * 0.35,
            0.0,
            (size * 1.3, size),
            Paint(GREEN, shade(leaf, rng.uniform(0.85, 1.1)), LEAF),
        )
