"""Places: in which colours a street is painted, and from where its camera may look at it.

The benchmark shows one place. Whatever is to be trained for it without having seen it, such as the small image editor, is
trained in another one, which shares no colour and no view with it.
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
class Place:
    """Where a street lies.

    Attributes:
        name: how it is called.
        first_seed: all its scenes are drawn from seeds from here on, below 2**60 more, so that no two places share one.
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
    """Picks a colour; a place that has only one does not call ``rng`` for it."""
    return colours[0] if len(colours) == 1 else rng.choice(colours)


def _colours(codes: str) -> Colours:
    """Reads colours written as #rrggbb with blanks between them."""
    return tuple((red, green, blue) for red, green, blue in (bytes.fromhex(code[1:]) for code in codes.split()))


CITY = Place(
    name="city",
    first_seed=0,
    palette=Palette(
        plasters=_colours("#d6c8ac #c4b296 #ded4c4 #ba9474 #acb0b2 #d0ba80 #b0806e #969e98 #e2ded6 #a0928a #c29e8c"),
        bricks=_colours("#965240 #844c3e #a87054 #76544c"),
        roofs=_colours("#8e4634 #763e32 #545256 #604c42 #40444c"),
        parapets=_colours("#b0aca4"),
        gables=_colours("#aa9e8c"),
        trims=_colours("#cec8be"),
        chimneys=_colours("#8c5442"),
        doors=_colours("#5c3824 #283e36 #303854 #6e2422 #464648"),
        door_frames=_colours("#d2ccc2"),
        cloths=_colours("#b42c28 #2c684a #2e4c8c #d6aa3c #e0d8c8"),
        stripes=_colours("#e8e4da"),
        balconies=_colours("#c4c0ba #464a50 #967864"),
        steels=_colours("#84888c #62666a #4a544e #989894"),
        leaves=_colours("#4a702c #5c8034 #3c6232 #6e8232 #887c2e #406c42"),
        barks=_colours("#5c4836"),
        walls=_colours("#969086 #94604c #aea490 #808082"),
        planks=_colours("#846242 #aa967a #d8d4ca #604a38"),
        railings=_colours("#3c4e42 #46484c #969896 #2c3458"),
        far_houses=_colours("#9e9692"),
        far_trees=_colours("#5c744e"),
        housings=_colours("#222624"),
        sign_reds=_colours("#ce1c24"),
        sign_whites=_colours("#f4f4f0"),
        sign_yellows=_colours("#f0be1e"),
        sign_blues=_colours("#1c54aa"),
        directions=_colours("#ecba28 #1e50a0 #1e6e46"),
        plates=_colours("#ecece6"),
        cars=_colours(
            "#dee0e2 #bcc0c6 #787e86 #26282e #42464e #a81e22 #22428a #3c68a0 #22523a #c4a03a #7a4a2c #d06024"
        ),
        trucks=_colours("#e2e2de #c84628 #3c6446 #465a96 #d6b43c #96969c"),
        buses=_colours("#e2b022 #c42428 #286eb0 #5a963c #e4e4e0"),
        trams=_colours("#ce282c #ecd046 #3a8054 #285496"),
        tram_bodies=_colours("#e8e6e0"),
        tram_roofs=_colours("#96989c"),
        panes=_colours("#34404c"),
        skin=_colours("#e8bc9c #ce9874 #966446 #604030"),
        hands=_colours("#ce9874"),
        hair=_colours("#281e18 #5a3c22 #be965a #787674 #1a181a"),
        tops=_colours("#be282c #2c4a96 #282a30 #e2ded4 #dea02e #327454 #703c78 #70747c #ce6e82"),
        trousers=_colours("#262e46 #1c1c20 #605442 #3c4864 #8c8474"),
        frames=_colours("#be2424 #1e5a96 #18181c #dcdcd6 #28825a #e28c1e"),
        grass=_colours("#688c3e #7a9046 #5c7e3a #929256"),
        slabs=_colours("#a8a096 #b8b2aa #9c928a #ac988a"),
        marks=_colours("#e2e2dc"),
        kerbs=_colours("#b2b2b2"),
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
"""The place of the benchmark."""

ABROAD = Place(
    name="abroad",
    first_seed=2**60,
    palette=Palette(
        plasters=_colours(
            "#eee0be #ccba8c #dcac5e #be7054 #d8947a #cea6a0 #eccabc #b2c6ae #8a967e #a4bed0 #78889c #f4f2ec #c6cacc "
            "#848688 #8e7e70 #80624e #ecd88c #b6a6bc #a0b296 #e4bc98"
        ),
        bricks=_colours("#ae5c3e #be8666 #683a30 #8c685c #ccac84 #584242 #a04030 #987a68 #78603c"),
        roofs=_colours("#a6543a #825440 #62322a #303238 #686a70 #4a5662 #706050 #505e50 #986a4e #3c3832"),
        parapets=_colours("#c4c0ba #969490 #a29c8c #bab09e #84888e"),
        gables=_colours("#bcb0a0 #968a76 #c4a080 #ccc8be #8c7060"),
        trims=_colours("#e2ded6 #bcb6aa #968c7e #acbabe #ece4c8 #6e5442"),
        chimneys=_colours("#a0624a #764436 #80685c #968c80 #605a58"),
        doors=_colours(
            "#704a30 #3c281a #1c302c #3e584a #1e2a46 #465878 #8a3028 #56181e #5e5e62 #2c2c2e #baa054 #d2d0c8"
        ),
        door_frames=_colours("#e6e2da #beb6aa #9e886e #787c80 #604634"),
        cloths=_colours(
            "#ce3e32 #921c24 #1e503c #4c8654 #1c3670 #5074b0 #e8be54 #de802c #ccc4b2 #f0ece0 #703c68 #40969c"
        ),
        stripes=_colours("#f6f2ec #dad0bc #f0daa0 #ced6dc"),
        balconies=_colours("#d6d4ce #aca8a0 #303438 #5e646c #a88a70 #7c5c48 #3c544c"),
        steels=_colours("#a8aaac #74787c #54585e #3a423e #687054 #3e4a62 #928a76 #303034 #7e6854"),
        leaves=_colours(
            "#547820 #689040 #305426 #4c643a #7c8e28 #96883c #7a6c24 #34644c #58864e #8e9a4e #a47a2c #3a5840 #607440"
        ),
        barks=_colours("#6a5442 #4e3a2a #706a62 #58544c #7e6042"),
        walls=_colours("#aca8a2 #8c867e #707276 #a0a09c #a66c52 #80503e #bcb49e #967c5c #c4946e #786850 #8e969a"),
        planks=_colours("#94704e #745436 #baa68a #96846c #eae6dc #c8c2b4 #4e3a2a #586c5a #68788c #8c4834"),
        railings=_colours("#2c3c32 #4e6050 #323438 #5a5c62 #acaeac #828688 #202846 #3e486e #d6d4ce #604230"),
        far_houses=_colours("#aea8a4 #8e8682 #96a0aa #ac9684 #848e8e"),
        far_trees=_colours("#50663e #6a825c #687c3c #4c6a5a #7a7850"),
        housings=_colours("#161618 #323632 #3c3e28 #183024"),
        sign_reds=_colours("#de302c #bc101e #be2c34 #e61a3c"),
        sign_whites=_colours("#fefefc #e8e8e2 #e2e6ea #f8ecd6"),
        sign_yellows=_colours("#face32 #e2ae10 #fad854 #f49e18"),
        sign_blues=_colours("#104294 #2c68c2 #146096 #3c50b4"),
        directions=_colours("#face46 #daaa14 #123e88 #3064ba #125a36 #328258 #785434 #f4f4f0"),
        plates=_colours("#fafaf8 #e0ded4 #f6e296"),
        cars=_colours(
            "#f0f0f0 #d0d2d2 #eae4d2 #aeb2ba #9aa0a6 #8c8e8e #686c72 #545860 #32363e #181a1e #bc2c30 #92121c #701622 "
            "#ce3e28 #163270 #3252a0 #5480b8 #7ea6c8 #16422c #36684c #809278 #d6b44a #eccc3c #b68c2c #905e3c #643a22 "
            "#e0782c #c4b092 #5c3868 #3c8c92"
        ),
        trucks=_colours(
            "#f2f2ee #d0cec8 #dc5834 #b03222 #9e1c22 #4e7a56 #2c5036 #36487e #5870ac #78a0c4 #e6c450 #c6a02c #e08a2c "
            "#82848a #a8aab0 #3c3e44 #866a50"
        ),
        buses=_colours(
            "#eec23c #d29c16 #e87828 #d43634 #ac1624 #1c5c98 #3a84c4 #82b0ce #488230 #6ea850 #286254 #f4f4f0 #cccece "
            "#6c3058 #222c5a"
        ),
        trams=_colours(
            "#de3a38 #b81a28 #f6de60 #dab830 #2e6e46 #4c9268 #6ea03c #1c4280 #3a68ac #649cc4 #ea822c #6e2c48 #3c3e46"
        ),
        tram_bodies=_colours("#f6f4ee #dad8d2 #ece0c0 #caced4 #cebe96 #e2dace"),
        tram_roofs=_colours("#a8aaac #84868c #6c6e74 #b0a496"),
        panes=_colours("#28323a #424e58 #284842 #3e3c46 #222834 #4e5454"),
        skin=_colours("#f6ceb2 #dcac8a #be8864 #ac7656 #84543a #704c3a #503226"),
        hands=_colours("#dcac8a #be8864 #84543a"),
        hair=_colours("#36281e #0e0c0c #48301e #6a482c #8c6036 #b08648 #d0ac74 #8c8a88 #626060 #c4c0ba #803a22"),
        tops=_colours(
            "#ce3c3a #a81824 #e05c40 #1c3876 #3e5caa #6e9ccc #1a1c22 #3a3c44 #f0eee6 #d0ccc0 #ecb446 #d08c1e #f0d86e "
            "#246240 #428666 #809654 #5e2e64 #84548e #60646a #82868e #989a9e #dc8096 #be5c74 #ecb0b4 #7a563c #2e828c"
        ),
        trousers=_colours(
            "#182238 #323c56 #2e3034 #101014 #504636 #6c604e #485676 #5a6e92 #9a9282 #7a7464 #b2aa98 #505446 #585a60"
        ),
        frames=_colours(
            "#ce3430 #a61824 #144a7e #2e6cb0 #6496be #0a0a0c #2c2e34 #ecece8 #cacac8 #1c7048 #3c9670 #eea034 #d47a12 "
            "#ecce46 #80848a #964678"
        ),
        grass=_colours("#749a4c #5c8c46 #507030 #707c36 #869e52 #888446 #9ea064 #a4965e #66804e"),
        slabs=_colours("#c4c0ba #b6a89c #9c9ea0 #8e867e #aa8e7a #bea492 #988674 #a8aaa6 #828080 #b2a284"),
        marks=_colours("#f2f2ee #d4d4cc #eee4c4 #eac45a #ccd2d8"),
        kerbs=_colours("#c2c2c0 #a0a0a0 #bab0a2 #929498 #cec6ba"),
    ),
    focal=((0.64, 0.75), (0.99, 1.16)),
    centre=((0.3, 0.355), (0.605, 0.68)),
    horizon=((0.34, 0.395), (0.505, 0.56)),
    eye=((1.15, 1.38), (2.15, 2.8)),
    curve=((-0.0028, -0.0017), (0.0017, 0.0028)),
    shift=((-0.9, -0.52), (0.52, 0.9)),
    bonnet=((8.0, 22.0), (63.0, 120.0)),
    sun=((15.0, 21.0), (59.0, 70.0)),
    sunshine=(0.1, 0.45, 0.6, 0.9, 0.9),
    asphalt=((62.0, 82.0), (120.0, 140.0)),
    tint=((0.92, 0.975), (1.065, 1.12)),
    walks=((1.6, 1.95), (4.6, 6.0)),
)
"""A place around it: more colours and wider views than the city's, and none of the same."""
