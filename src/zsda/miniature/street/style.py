"""Street styles: in which colours streets are painted, and from where the camera may look at them.

The benchmark has one style. What is to be used on it without having seen it, such as the small image editor, is trained on streets
of another one, which shares no colour and no view with it.
"""

from dataclasses import dataclass
from random import Random

Colour = tuple[float, float, float]
Colours = tuple[Colour, ...]
Spans = tuple[tuple[float, float], ...]
"""One or more intervals that a number is drawn from, in rising order."""


@dataclass(frozen=True)
class Palette:
    """The colours that things are drawn from, 0-255; parts that are alike everywhere, such as tyres, are not among them.

    Attributes:
        plasters, bricks: facades.
        roofs, parapets, gables, trims, chimneys: what finishes a house at its top.
        doors, door_frames, balconies: what a facade carries.
        cloths, stripes: the two colours of an awning.
        steels: every kind of post.
        leaves, barks: trees, bushes and hedges.
        walls: along gardens; greys are rendered, other colours are bricks.
        planks, railings: the two kinds of fence.
        far_houses, far_trees: what closes the view.
        housings: of traffic lights, whose lamps are alike everywhere.
        sign_reds, sign_whites, sign_yellows, sign_blues, directions, plates: traffic signs.
        cars, trucks, buses: bodywork.
        trams, tram_bodies, tram_roofs: the stripe, the walls and the roof of a tram.
        panes: windows of vehicles.
        skin, hands, hair, tops, trousers: persons and riders.
        frames: bicycles, motorcycles and helmets.
        grass, slabs, marks, kerbs: the ground, but for asphalt.
    """

    plasters: Colours
    bricks: Colours
    roofs: Colours
    parapets: Colours
    gables: Colours
    trims: Colours
    chimneys: Colours
    doors: Colours
    door_frames: Colours
    cloths: Colours
    stripes: Colours
    balconies: Colours
    steels: Colours
    leaves: Colours
    barks: Colours
    walls: Colours
    planks: Colours
    railings: Colours
    far_houses: Colours
    far_trees: Colours
    housings: Colours
    sign_reds: Colours
    sign_whites: Colours
    sign_yellows: Colours
    sign_blues: Colours
    directions: Colours
    plates: Colours
    cars: Colours
    trucks: Colours
    buses: Colours
    trams: Colours
    tram_bodies: Colours
    tram_roofs: Colours
    panes: Colours
    skin: Colours
    hands: Colours
    hair: Colours
    tops: Colours
    trousers: Colours
    frames: Colours
    grass: Colours
    slabs: Colours
    marks: Colours
    kerbs: Colours


@dataclass(frozen=True)
class StreetStyle:
    """How streets look and from where the camera sees them.

    Attributes:
        name: how it is called.
        first_seed: all its scenes are drawn from seeds from here on, below 2**60 more, so that no two styles share one.
        palette: its colours.
        focal: focal length of the camera as a share of the image's width.
        centre: column of the vanishing point as a share of the width.
        horizon: row of the horizon as a share of the height.
        eye: height of the camera above the road in metres.
        curve: sideways bend of streets that are not straight, in metres per square metre ahead.
        shift: how far the camera is from the middle of its lane in metres.
        bonnet: grey of the car that carries the camera.
        sun: height of the sun in degrees.
        sunshine: how strongly the sun shines, from 0 for an overcast sky to 1; one of these numbers.
        asphalt: grey of the road.
        tint: how blue that grey is, 1 for neutral.
        walks: width of the sidewalks in metres.
    """

    name: str
    first_seed: int
    palette: Palette
    focal: Spans
    centre: Spans
    horizon: Spans
    eye: Spans
    curve: Spans
    shift: Spans
    bonnet: Spans
    sun: Spans
    sunshine: tuple[float, ...]
    asphalt: Spans
    tint: Spans
    walks: Spans


def draw(rng: Random, spans: Spans) -> float:
    """Draws a number uniformly from all intervals together, with one call to ``rng`` however many there are."""
    rest = rng.uniform(0.0, sum(high - low for low, high in spans))
    for low, high in spans[:-1]:
        if rest < high - low:
            return low + rest
        rest -= high - low
    return spans[-1][0] + rest


def pick(rng: Random, colours: Colours) -> Colour:
    """Picks a colour; a palette that has only one does not call ``rng`` for it."""
    return colours[0] if len(colours) == 1 else rng.choice(colours)


def read_colours(codes: str) -> Colours:
    """Reads colours written as #rrggbb with blanks between them."""
    return tuple((red, green, blue) for red, green, blue in (bytes.fromhex(code[1:]) for code in codes.split()))


CITY = StreetStyle(
    name="city",
    first_seed=0,
    palette=Palette(
        plasters=read_colours(
            "#d6c8ac #c4b296 #ded4c4 #ba9474 #acb0b2 #d0ba80 #b0806e #969e98 #e2ded6 #a0928a #c29e8c"
        ),
        bricks=read_colours("#965240 #844c3e #a87054 #76544c"),
        roofs=read_colours("#8e4634 #763e32 #545256 #604c42 #40444c"),
        parapets=read_colours("#b0aca4"),
        gables=read_colours("#aa9e8c"),
        trims=read_colours("#cec8be"),
        chimneys=read_colours("#8c5442"),
        doors=read_colours("#5c3824 #283e36 #303854 #6e2422 #464648"),
        door_frames=read_colours("#d2ccc2"),
        cloths=read_colours("#b42c28 #2c684a #2e4c8c #d6aa3c #e0d8c8"),
        stripes=read_colours("#e8e4da"),
        balconies=read_colours("#c4c0ba #464a50 #967864"),
        steels=read_colours("#84888c #62666a #4a544e #989894"),
        leaves=read_colours("#4a702c #5c8034 #3c6232 #6e8232 #887c2e #406c42"),
        barks=read_colours("#5c4836"),
        walls=read_colours("#969086 #94604c #aea490 #808082"),
        planks=read_colours("#846242 #aa967a #d8d4ca #604a38"),
        railings=read_colours("#3c4e42 #46484c #969896 #2c3458"),
        far_houses=read_colours("#9e9692"),
        far_trees=read_colours("#5c744e"),
        housings=read_colours("#222624"),
        sign_reds=read_colours("#ce1c24"),
        sign_whites=read_colours("#f4f4f0"),
        sign_yellows=read_colours("#f0be1e"),
        sign_blues=read_colours("#1c54aa"),
        directions=read_colours("#ecba28 #1e50a0 #1e6e46"),
        plates=read_colours("#ecece6"),
        cars=read_colours(
            "#dee0e2 #bcc0c6 #787e86 #26282e #42464e #a81e22 #22428a #3c68a0 #22523a #c4a03a #7a4a2c #d06024"
        ),
        trucks=read_colours("#e2e2de #c84628 #3c6446 #465a96 #d6b43c #96969c"),
        buses=read_colours("#e2b022 #c42428 #286eb0 #5a963c #e4e4e0"),
        trams=read_colours("#ce282c #ecd046 #3a8054 #285496"),
        tram_bodies=read_colours("#e8e6e0"),
        tram_roofs=read_colours("#96989c"),
        panes=read_colours("#34404c"),
        skin=read_colours("#e8bc9c #ce9874 #966446 #604030"),
        hands=read_colours("#ce9874"),
        hair=read_colours("#281e18 #5a3c22 #be965a #787674 #1a181a"),
        tops=read_colours("#be282c #2c4a96 #282a30 #e2ded4 #dea02e #327454 #703c78 #70747c #ce6e82"),
        trousers=read_colours("#262e46 #1c1c20 #605442 #3c4864 #8c8474"),
        frames=read_colours("#be2424 #1e5a96 #18181c #dcdcd6 #28825a #e28c1e"),
        grass=read_colours("#688c3e #7a9046 #5c7e3a #929256"),
        slabs=read_colours("#a8a096 #b8b2aa #9c928a #ac988a"),
        marks=read_colours("#e2e2dc"),
        kerbs=read_colours("#b2b2b2"),
    ),
    focal=((0.76, 0.98),),
    centre=((0.36, 0.6),),
    horizon=((0.4, 0.5),),
    eye=((1.4, 2.1),),
    curve=((-0.0016, 0.0016),),
    shift=((-0.5, 0.5),),
    bonnet=((24.0, 60.0),),
    sun=((22.0, 58.0),),
    sunshine=(0.25, 0.8, 1.0, 1.0),
    asphalt=((84.0, 118.0),),
    tint=((0.98, 1.06),),
    walks=((2.0, 4.5),),
)
"""The benchmark streets."""
