"""The one table of classes, ids and colours, and the sets of classes that are told apart.

Cityscapes defines 34 *label ids* (0-33, and -1 for licence plates), of which 19 are evaluated; those carry a *train id*
(0-18). Everything else is `IGNORE`. ACDC and GTA5 use the same ids, SYNTHIA and RobotCar have their own. A `ClassSet` says which
classes count, and which are one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zsda.core.errors import ConfigError, DataError

IGNORE = 255
"""Value of a pixel that no loss and no score looks at."""

VOID = 19
"""Output channel of the published 20-channel networks that stands for "none of the classes"; as a prediction it is an error."""

LabelSize = Literal["input", "native"]
"""Where predictions and labels meet: at the network's input size, or at the labels' own."""


class SegClass(NamedTuple):
    """One row of the table."""

    name: str
    label_id: int
    train_id: int
    colour: tuple[int, int, int]


TABLE: tuple[SegClass, ...] = (
    SegClass("unlabeled", 0, IGNORE, (0, 0, 0)),
    SegClass("ego vehicle", 1, IGNORE, (0, 0, 0)),
    SegClass("rectification border", 2, IGNORE, (0, 0, 0)),
    SegClass("out of roi", 3, IGNORE, (0, 0, 0)),
    SegClass("static", 4, IGNORE, (0, 0, 0)),
    SegClass("dynamic", 5, IGNORE, (111, 74, 0)),
    SegClass("ground", 6, IGNORE, (81, 0, 81)),
    SegClass("road", 7, 0, (128, 64, 128)),
    SegClass("sidewalk", 8, 1, (244, 35, 232)),
    SegClass("parking", 9, IGNORE, (250, 170, 160)),
    SegClass("rail track", 10, IGNORE, (230, 150, 140)),
    SegClass("building", 11, 2, (70, 70, 70)),
    SegClass("wall", 12, 3, (102, 102, 156)),
    SegClass("fence", 13, 4, (190, 153, 153)),
    SegClass("guard rail", 14, IGNORE, (180, 165, 180)),
    SegClass("bridge", 15, IGNORE, (150, 100, 100)),
    SegClass("tunnel", 16, IGNORE, (150, 120, 90)),
    SegClass("pole", 17, 5, (153, 153, 153)),
    SegClass("polegroup", 18, IGNORE, (153, 153, 153)),
    SegClass("traffic light", 19, 6, (250, 170, 30)),
    SegClass("traffic sign", 20, 7, (220, 220, 0)),
    SegClass("vegetation", 21, 8, (107, 142, 35)),
    SegClass("terrain", 22, 9, (152, 251, 152)),
    SegClass("sky", 23, 10, (70, 130, 180)),
    SegClass("person", 24, 11, (220, 20, 60)),
    SegClass("rider", 25, 12, (255, 0, 0)),
    SegClass("car", 26, 13, (0, 0, 142)),
    SegClass("truck", 27, 14, (0, 0, 70)),
    SegClass("bus", 28, 15, (0, 60, 100)),
    SegClass("caravan", 29, IGNORE, (0, 0, 90)),
    SegClass("trailer", 30, IGNORE, (0, 0, 110)),
    SegClass("train", 31, 16, (0, 80, 100)),
    SegClass("motorcycle", 32, 17, (0, 0, 230)),
    SegClass("bicycle", 33, 18, (119, 11, 32)),
    SegClass("license plate", -1, IGNORE, (0, 0, 142)),
)

CLASSES: tuple[SegClass, ...] = tuple(sorted((c for c in TABLE if c.train_id != IGNORE), key=lambda c: c.train_id))
"""The 19 evaluated classes, in the order of their train ids."""

TRAIN_ID: dict[str, int] = {c.name: c.train_id for c in CLASSES}
LABEL_ID: dict[str, int] = {c.name: c.label_id for c in TABLE}

_TO_LABEL_IDS = np.zeros(256, np.uint8)
_TO_LABEL_IDS[: len(CLASSES)] = [c.label_id for c in CLASSES]

Colour = tuple[int, int, int]
_Group = tuple[str, ...]
_LABEL_IDS: dict[int, _Group] = {c.label_id: (c.name,) for c in TABLE if c.label_id >= 0}
_SYNTHIA = (
    "unlabeled", "sky", "building", "road", "sidewalk", "fence", "vegetation", "pole", "car", "traffic sign", "person",
    "bicycle", "motorcycle", "parking", "unlabeled", "traffic light", "terrain", "rider", "truck", "bus", "train", "wall",
    "unlabeled",
)  # fmt: skip
_ROBOTCAR: dict[int, _Group] = {
    1: ("sky",),
    2: ("person", "rider"),
    3: ("motorcycle", "bicycle"),
    4: ("car", "truck", "bus"),
    5: ("traffic sign",),
    6: ("traffic light",),
    7: ("building",),
    10: ("sidewalk",),
    **dict.fromkeys((11, 12, 13, 14, 17), ("road",)),
}
_ENCODINGS: dict[str, Mapping[int, _Group]] = {
    "labelIds": _LABEL_IDS,
    "gta5Ids": {**_LABEL_IDS, 34: ("license plate",)},
    "labelTrainIds": {c.train_id: (c.name,) for c in CLASSES},
    "synthiaIds": {number: (name,) for number, name in enumerate(_SYNTHIA)},
    "robotcarIds": {number: _ROBOTCAR.get(number, ()) for number in range(IGNORE)},
}
"""How label maps count: id -> the names in the table that it does not tell apart; `IGNORE` stands for nothing in each of them.

14 and 22 are road works and lane markings in SYNTHIA; in RobotCar, what HIAST does not count has any other id of a byte.
"""


@dataclass(frozen=True)
class LabelTable:
    """How the label maps of a user's own data count.

    Attributes:
        name: how messages call it.
        ids: the ids that a map may hold, each with the names that it does not tell apart; without one it is ignored.
        colours: RGB in a file, each with the id of ``ids`` that it stands for; empty where files hold ids.
    """

    name: str
    ids: tuple[tuple[int, tuple[str, ...]], ...]
    colours: tuple[tuple[Colour, int], ...] = ()

    def __str__(self) -> str:
        return self.name


Encoding = str | LabelTable
"""How label maps count: one of the names below, or a table of a user's own."""

_OWN_IDS = "classIds"
_BLACK = (0, 0, 0)


def to_label_ids(train_ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Translates train ids, uint8 of any shape, to Cityscapes label ids; everything unevaluated becomes 0."""
    return _TO_LABEL_IDS[train_ids]


class SetClass(NamedTuple):
    """One class of a set.

    Attributes:
        name: how tables call it.
        takes: the names of the table that it takes in.
        colour: RGB that it is painted in.
    """

    name: str
    takes: tuple[str, ...]
    colour: tuple[int, int, int]


@dataclass(frozen=True)
class ClassSet:
    """The classes that are told apart: the ids of a mask are their places, and what none of them takes in is `IGNORE`.

    Attributes:
        name: how it is chosen.
        classes: in the order of their ids.
    """

    name: str
    classes: tuple[SetClass, ...]

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the classes, in the order of their ids."""
        return tuple(one.name for one in self.classes)

    @property
    def colours(self) -> tuple[tuple[int, int, int], ...]:
        """The colours of the classes, in the order of their ids."""
        return tuple(one.colour for one in self.classes)

    @property
    def palette(self) -> NDArray[np.uint8]:
        """The colour of each of the 256 ids, uint8 [256, 3]; ids beyond the classes are black."""
        return _palette(self)

    def check_encoding(self, encoding: Encoding) -> None:
        """Refuses label maps that do not tell apart what this set does; ``encoding`` as for `to_ids`.

        Raises:
            ConfigError: an id stands for names of which this set takes in a part only, or into several classes.
        """
        _lookup(self, encoding)

    def to_ids(self, ids: NDArray[np.uint8] | NDArray[np.uint16], encoding: Encoding) -> NDArray[np.uint8]:
        """Translates a label map as stored on disk.

        Args:
            ids: uint8 or uint16, any shape.
            encoding: ``labelIds``, ``labelTrainIds``, ``gta5Ids``: label ids with 34 for licence plates, ``synthiaIds``,
                ``robotcarIds``, ``classIds``: the ids of this set; or a table of a user's own.

        Returns:
            Ids of this set and `IGNORE`, uint8, same shape.

        Raises:
            ConfigError: as `check_encoding`.
            DataError: an id that the encoding does not hold.
        """
        becomes, known = _lookup(self, encoding)
        used = _used(ids)
        outside = used[~known[used]].tolist()
        if outside:
            if isinstance(encoding, LabelTable):
                expected = f"{', '.join(str(stored) for stored, _ in encoding.ids)} and {IGNORE}"
            else:
                expected = f"0-{np.flatnonzero(known[:IGNORE]).max()} and {IGNORE}"
            raise DataError(f"ids outside the table of {encoding}: {outside}; expected {expected}")
        if ids.dtype != np.uint8:
            return becomes[ids]
        return np.asarray(_bytes(ids).point(becomes[:256].tolist())).reshape(ids.shape)

    def painted_otherwise(self, palette: NDArray[np.uint8], encoding: Encoding) -> dict[int, str]:
        """Finds the indices of a palette that are no ids: those in the colour of a class that they do not stand for.

        A single one may be chance: red, or the 21st colour of PASCAL VOC, which is that of the road. So there must be two of them,
        or half of all colours but black.

        Args:
            palette: RGB, uint8 [N, 3].
            encoding: as for `to_ids`; a table of a user's own says itself what its ids are, in whatever colours.

        Returns:
            Index -> the class whose colour it has; the names that share a colour are joined.
        """
        if isinstance(encoding, LabelTable):
            return {}
        by_colour, meant = _colours(self, encoding)
        colours = [tuple(colour) for colour in palette.tolist()]
        known = {i: by_colour[c] for i, c in enumerate(colours) if c in by_colour and i != IGNORE}
        otherwise = {i: name for i, name in known.items() if colours[i] not in meant.get(i, ())}
        coloured = {*colours} - {_BLACK}
        chance = len({colours[i] for i in otherwise}) < 2 and 2 * len({colours[i] for i in known}) < len(coloured)
        return {} if chance else otherwise

    def colourise(self, ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Paints ids of this set, uint8 [..., H, W], in its colours, uint8 [..., H, W, 3]; the rest is black."""
        return self.palette[ids]

    def plain(self) -> dict[str, Any]:
        """Returns plain values from which `zsda.data.classes.find_classes` makes the same set."""
        classes = [{"name": one.name, "takes": list(one.takes), "colour": list(one.colour)} for one in self.classes]
        return {"name": self.name, "classes": classes}


def _used(ids: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.intp]:
    """Returns the ids that occur, in ascending order."""
    return np.flatnonzero(_bytes(ids).histogram() if ids.dtype == np.uint8 else np.bincount(ids.ravel()))


def _bytes(ids: NDArray[Any]) -> Image.Image:
    """Returns ids, uint8, as an image, whose histogram and lookup take a third of the time that NumPy's do."""
    flat = np.ascontiguousarray(ids).reshape(-1)
    return Image.frombuffer("L", (flat.size, 1), flat, "raw", "L", 0, 1)


def _groups(encoding: Encoding) -> Mapping[int, _Group]:
    return dict(encoding.ids) if isinstance(encoding, LabelTable) else _ENCODINGS[encoding]


@cache
def _lookup(classes: ClassSet, encoding: Encoding) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Returns what each id of 16 bits becomes, and which of them the encoding holds."""
    if encoding == _OWN_IDS:
        found = {number: number for number in range(len(classes))}
    else:
        taken = {name: number for number, one in enumerate(classes.classes) for name in one.takes}
        _check_apart(taken, encoding)
        found = {
            stored: taken.get(group[0], IGNORE) if group else IGNORE for stored, group in _groups(encoding).items()
        }
    becomes, known = np.full(2**16, IGNORE, np.uint8), np.zeros(2**16, np.bool_)
    becomes[list(found)] = list(found.values())
    known[[*found, IGNORE]] = True
    return becomes, known


def _check_apart(taken: Mapping[str, int], encoding: Encoding) -> None:
    held = _groups(encoding).values()
    if isinstance(encoding, LabelTable) and not any(name in taken for group in held for name in group):
        names = dict.fromkeys(name for group in held for name in group)
        raise ConfigError(
            f"labels of {encoding} show {', '.join(names)}; none of them is among {', '.join(taken)}; a run scores what it was trained "
            "to tell apart: give like: [names of Cityscapes' classes] to the classes of the file, where they are the same"
        )
    groups = dict.fromkeys(group for group in held if len(group) > 1)
    for first, *others in groups:
        other = next((name for name in others if taken.get(name) != taken.get(first)), None)
        if other is not None:
            fitting = [
                s
                for s in CLASS_SETS.values()
                if all(any({*group} <= {*c.takes} for c in s.classes) for group in groups)
            ]
            named = f"classes={' or '.join(s.name for s in fitting)}, a run of these, or " if fitting else ""
            raise ConfigError(
                f"labels in {encoding} do not tell {first} from {other}; expected {named}a set that takes in "
                f"{', '.join(' + '.join(group) for group in groups)} each as one class, or not at all"
            )


@cache
def _colours(classes: ClassSet, encoding: str) -> tuple[dict[Colour, str], dict[int, set[Colour]]]:
    """Returns colour -> classes, and stored id -> the colours that it may have; black, which many share, is left out."""
    names: dict[Colour, list[str]] = {}
    for name, colour in [*((c.name, c.colour) for c in TABLE), *((c.name, c.colour) for c in classes.classes)]:
        names.setdefault(colour, []).append(name)
    names.pop(_BLACK, None)
    if encoding == _OWN_IDS:
        meant = {number: {one.colour} for number, one in enumerate(classes.classes)}
    else:
        meant = {stored: {COLOUR[name] for name in group} for stored, group in _ENCODINGS[encoding].items()}
    return {colour: "/".join(dict.fromkeys(found)) for colour, found in names.items()}, meant


@cache
def _palette(classes: ClassSet) -> NDArray[np.uint8]:
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(classes)] = classes.colours
    return palette


CITYSCAPES = ClassSet("19", tuple(SetClass(c.name, (c.name,), c.colour) for c in CLASSES))
"""The 19 classes of Cityscapes: their ids are the train ids."""

COLOUR = {c.name: c.colour for c in TABLE}


def _without(name: str, whole: ClassSet, *names: str) -> ClassSet:
    return ClassSet(name, tuple(one for one in whole.classes if one.name not in names))


def _joined(name: str, *classes: tuple[str, tuple[str, ...], str]) -> ClassSet:
    return ClassSet(name, tuple(SetClass(own, takes, COLOUR[like]) for own, takes, like in classes))


_SIXTEEN = _without("16", CITYSCAPES, "terrain", "truck", "train")
_THIRTEEN = _without("13", _SIXTEEN, "wall", "fence", "pole")
_ELEVEN = _without(
    "11", CITYSCAPES, "wall", "traffic light", "terrain", "truck", "bus", "train", "motorcycle", "bicycle"
)
_NINE = _joined(
    "9",
    ("sky", ("sky",), "sky"),
    ("person", ("person", "rider"), "person"),
    ("two-wheelers", ("motorcycle", "bicycle"), "bicycle"),
    ("automobile", ("car", "truck", "bus"), "car"),
    ("sign", ("traffic sign",), "traffic sign"),
    ("light", ("traffic light",), "traffic light"),
    ("building", ("building",), "building"),
    ("sidewalk", ("sidewalk",), "sidewalk"),
    ("road", ("road",), "road"),
)

CLASS_SETS: dict[str, ClassSet] = {s.name: s for s in (CITYSCAPES, _SIXTEEN, _THIRTEEN, _ELEVEN, _NINE)}
"""``19``: Cityscapes. ``16`` and ``13``: what SYNTHIA shares with it, and the part that small objects are left out of.
``11``: what CamVid shares with it. ``9``: Oxford RobotCar, as HIAST (Zhu et al., TPAMI 2023) counts it."""
