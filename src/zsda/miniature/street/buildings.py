"""Houses along the street: facades with a window grid, roofs, doors, shops, awnings and balconies, in metres."""

from random import Random

from zsda.data.labels import TRAIN_ID
from zsda.miniature.render.geometry import BRICK, GLASS, OUTER, PLASTER, ROW, Mesh, Paint, Windows, shade
from zsda.miniature.street.style import pick

BUILDING = TRAIN_ID["building"]


def house(
    mesh: Mesh, x: float, span: tuple[float, float], side: int, rng: Random, floors: int, layer: int = ROW
) -> None:
    """Adds a house whose facade stands at ``x`` between two distances; ``side`` is -1 left, 1 right of the street."""
    length, storey = span[1] - span[0], rng.uniform(2.9, 3.5)
    bricks = rng.random() < 0.3
    colour = pick(rng, mesh.palette.bricks if bricks else mesh.palette.plasters)
    paint = Paint(BUILDING, shade(colour, rng.uniform(0.9, 1.06)), BRICK if bricks else PLASTER)
    shops = floors > 2 and rng.random() < 0.45
    high, deep = floors * storey, x + side * rng.uniform(7.0, 9.0)
    columns = max(round(length / rng.uniform(2.2, 3.2)), 1)
    grid = Windows(
        length / columns, storey, rng.uniform(0.36, 0.56), rng.uniform(0.46, 0.62), rng.random(), float(shops)
    )
    mesh.place(0.0, span[0], layer=layer)
    _body(mesh, (min(x, deep), max(x, deep)), high, length, paint, grid)
    _roof(mesh, x, deep, high, length, side, rng, steep=floors < 5 and rng.random() < 0.75)
    facing, out = ("left", x - 0.02) if side > 0 else ("right", x + 0.02)
    if shops and span[0] < 50.0:
        _awnings(mesh, x, side, length, rng)
    elif not shops:
        _door(mesh, facing, out, rng.randrange(columns) * grid.pitch + grid.pitch / 2, rng)
    if floors > 2 and span[0] < 45.0 and rng.random() < 0.4:
        _balconies(mesh, x, side, grid, columns, floors, rng)


def block(mesh: Mesh, across: tuple[float, float], z: float, rng: Random) -> None:
    """Adds houses along a crossing street: one long facade that looks at the camera."""
    mesh.place(0.0, z, layer=OUTER, casts=False)
    colour, storey, floors = pick(rng, mesh.palette.plasters), 3.2, rng.choice((2, 3, 4))
    grid = Windows(
        (across[1] - across[0]) / round((across[1] - across[0]) / 2.8), storey, 0.45, 0.55, rng.random(), 0.0
    )
    mesh.panel("back", across, (0.0, floors * storey), 0.0, Paint(BUILDING, colour, PLASTER), grid)
    roof = [
        (across[0], floors * storey, -0.3),
        (across[0], floors * storey + 2.6, 4.0),
        (across[1], floors * storey + 2.6, 4.0),
        (across[1], floors * storey, -0.3),
    ]
    mesh.face(roof, Paint(BUILDING, pick(rng, mesh.palette.roofs), BRICK), two_sided=True)


def _body(mesh: Mesh, across: tuple[float, float], high: float, length: float, paint: Paint, grid: Windows) -> None:
    # Ends carry the same grid, cut to whole columns of their own.
    wide = across[1] - across[0]
    end_grid = grid._replace(pitch=wide / max(round(wide / grid.pitch), 1), shops=0.0)
    mesh.panel("left", (0.0, length), (0.0, high), across[0], paint, grid)
    mesh.panel("right", (0.0, length), (0.0, high), across[1], paint, grid)
    mesh.panel("back", across, (0.0, high), 0.0, paint._replace(colour=shade(paint.colour, 0.94)), end_grid)


def _roof(
    mesh: Mesh, x: float, deep: float, high: float, length: float, side: int, rng: Random, *, steep: bool
) -> None:
    tiles = Paint(BUILDING, pick(rng, mesh.palette.roofs), BRICK)
    if not steep:
        low, up = sorted((x - side * 0.15, deep))
        mesh.box(
            (low, up),
            (high - 0.1, high + 0.6),
            (0.0, length),
            Paint(BUILDING, pick(rng, mesh.palette.parapets), PLASTER),
        )
        return
    eaves, ridge, top = x - side * 0.45, (x + deep) / 2, high + rng.uniform(2.2, 3.4)
    slope = [(eaves, high - 0.1, 0.0), (eaves, high - 0.1, length), (ridge, top, length), (ridge, top, 0.0)]
    gable = [(x, high, 0.0), (ridge, top, 0.0), (deep, high, 0.0)]
    mesh.face(slope if side > 0 else slope[::-1], tiles)
    mesh.face(gable, Paint(BUILDING, pick(rng, mesh.palette.gables), PLASTER), two_sided=True)
    facing, trim = "left" if side > 0 else "right", Paint(BUILDING, pick(rng, mesh.palette.trims))
    mesh.panel(facing, (0.0, length), (high - 0.3, high - 0.06), eaves - side * 0.01, trim)
    at = rng.uniform(0.2, 0.8) * length
    chimney = ridge - side * 1.0
    mesh.box(
        (chimney - 0.35, chimney + 0.35),
        (top - 1.2, top + 0.9),
        (at, at + 0.8),
        Paint(BUILDING, pick(rng, mesh.palette.chimneys), BRICK),
    )
    _dormers(mesh, eaves, ridge, high, top, length, side, rng)


def _dormers(
    mesh: Mesh, eaves: float, ridge: float, high: float, top: float, length: float, side: int, rng: Random
) -> None:
    if rng.random() < 0.5:
        return
    at_x = eaves + (ridge - eaves) * 0.25
    low = high + (top - high) * 0.25
    facing, trim = "left" if side > 0 else "right", Paint(BUILDING, pick(rng, mesh.palette.trims), PLASTER)
    for i in range(max(int(length / 4), 1)):
        z = 1.4 + i * 4.0
        deep = at_x + side * 1.8
        mesh.box(
            (min(at_x, deep), max(at_x, deep)),
            (low, low + 1.4),
            (z, z + 1.4),
            trim,
        )
        mesh.panel(
            facing,
            (z + 0.25, z + 1.15),
            (low + 0.3, low + 1.15),
            at_x - side * 0.02,
            Paint(BUILDING, (70, 84, 98), GLASS),
        )


def _door(mesh: Mesh, facing: str, out: float, at: float, rng: Random) -> None:
    colour, frame = pick(rng, mesh.palette.doors), pick(rng, mesh.palette.door_frames)
    mesh.panel(facing, (at - 0.75, at + 0.75), (0.0, 2.5), out, Paint(BUILDING, frame))
    mesh.panel(facing, (at - 0.55, at + 0.55), (0.1, 2.3), out * 1.001, Paint(BUILDING, colour))
    mesh.panel(
        facing, (at - 0.35, at + 0.35), (1.5, 2.1), out * 1.002, Paint(BUILDING, (96, 110, 122), GLASS, (200, 160, 90))
    )


def _awnings(mesh: Mesh, x: float, side: int, length: float, rng: Random) -> None:
    if rng.random() < 0.35:
        return
    cloths = pick(rng, mesh.palette.cloths), pick(rng, mesh.palette.stripes)
    out = x - side * 1.3
    stripes = max(int(length / 0.8), 2)
    for i in range(stripes):
        z0, z1 = 0.4 + i * (length - 0.8) / stripes, 0.4 + (i + 1) * (length - 0.8) / stripes
        paint = Paint(BUILDING, cloths[i % 2])
        slope = [(out, 2.45, z0), (out, 2.45, z1), (x, 2.95, z1), (x, 2.95, z0)]
        mesh.face(slope if side > 0 else slope[::-1], paint, two_sided=True)
        mesh.panel("left" if side > 0 else "right", (z0, z1), (2.2, 2.45), out, paint)


def _balconies(mesh: Mesh, x: float, side: int, grid: Windows, columns: int, floors: int, rng: Random) -> None:
    every, paint = rng.choice((1, 2)), Paint(BUILDING, pick(rng, mesh.palette.balconies))
    out = x - side * 0.9
    for column in range(every - 1, columns, every):
        middle = (column + 0.5) * grid.pitch
        for floor in range(1, min(floors, 4)):
            low = floor * grid.floor + 0.1
            mesh.box((min(x, out), max(x, out)), (low, low + 0.95), (middle - 0.9, middle + 0.9), paint)
