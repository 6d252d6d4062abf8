"""A user's own data as a file of a few lines describes them: where images and labels lie, and what the labels mean.

    name: neustadt                      # of runs, sets and tables; else that of the file
    root: /data/Neustadt                # else the folder of the file; a relative one counts from there
    size: [144, 192]                    # height, width that a network sees; else that of the world
    classes:
      road: 3                           # the id in label maps, or several: [3, 4]
      car: {ids: [5, 6], like: [car, truck], paint: "#00008e"}    # the same as these of Cityscapes
      sky: "#8080c0"                    # the colour instead, or several, where label maps are painted
    ignore: [0]                         # ids or colours that are no class; 255 always
    splits:
      train: {images: "Photos/*/*.JPG", labels: "Labels/*/*_L.png"}
      val: {images: "More/*.jpg", labels: "More/*.png"}

``classes: 19`` (or 16, 13, 11, 9) names a set instead; ``ids:`` says then how labels count: ``classIds`` (its own numbers, the
default), ``labelIds``, ``labelTrainIds`` or ``colours`` (painted in those of the set). What the stars of ``images`` stand for is what
those of ``labels`` stand for; of fewer stars it is the last.
"""

import colorsys
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from zsda.core.errors import ConfigError, ZsdaError
from zsda.core.files import read_regular
from zsda.core.reasons import reason
from zsda.core.values import NAME, PATH, SIZE, shown
from zsda.data.classes import check_classes, find_classes
from zsda.data.labels import CLASS_SETS, COLOUR, IGNORE, LABEL_ID, ClassSet, Colour, Encoding, LabelTable, SetClass

_MOST_BYTES = 2**20
_KEYS = ("name", "root", "size", "classes", "ids", "ignore", "splits")
_PAINTED = "colours"
_IDS = ("classIds", "labelIds", "labelTrainIds", _PAINTED)
_OF_A_CLASS = ("ids", "colours", "like", "paint")
_OF_A_SPLIT = ("images", "labels")
_HEX = re.compile(r"#([0-9a-fA-F]{6})")
_EXAMPLE = 'see docs/own_data.md, or its shortest form: classes: {road: 0, car: 1}, splits: {train: {images: "a/*.jpg", labels: "b/*.png"}}'


@dataclass(frozen=True)
class Split:
    """Where a part of the data lies.

    Attributes:
        images: pattern of the paths of images, from the root.
        labels: pattern of those of their labels; None where they have none.
    """

    images: str
    labels: str | None


@dataclass(frozen=True)
class Description:
    """What a file says of a user's own data.

    Attributes:
        path: the file.
        name: of the data.
        root: what paths count from.
        size: height, width that a network sees; None where the file does not say.
        classes: that are told apart.
        encoding: how labels count.
        splits: the parts, by name.
    """

    path: Path
    name: str
    root: Path
    size: tuple[int, int] | None
    classes: ClassSet
    encoding: Encoding
    splits: Mapping[str, Split]

    def setting(self, split: str) -> str:
        """Returns what a split is called as a setting: the name of the data for ``val``, that of the split for others."""
        return self.name if split == "val" else split


def read_description(path: str | Path | None) -> Description:
    """Reads the file of a user's own data.

    Raises:
        ConfigError: none is named, it cannot be read, or something in it is not as it must be; the message says what and where.
    """
    if not path:
        raise ConfigError("which data? give data.file=FILE.yaml, which says where they lie (docs/own_data.md)")
    reading = _Reading(Path(path))
    try:
        return reading.description()
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


class _Loader(yaml.SafeLoader):
    """Refuses what YAML allows and nobody means: a key that stands twice, and copies of what stands elsewhere."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:  # noqa: ANN401 - PyYAML's
        if self.check_event(yaml.AliasEvent):
            alias = self.peek_event()
            raise ConfigError(
                f"line {alias.start_mark.line + 1}: *{alias.anchor} stands for what is written elsewhere; expected it here, or a path "
                "that begins with a star in quotes"
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = [key for key, count in Counter(keys).items() if count > 1]
        if twice:
            raise ConfigError(
                f"line {node.start_mark.line + 1}: {twice[0]}: stands there twice; expected each key once"
            )
        return super().construct_mapping(node, deep)


class _Reading:
    def __init__(self, path: Path) -> None:
        self._path = path

    def description(self) -> Description:
        found = self._load()
        _only(found, _KEYS, "the file")
        for key in ("classes", "splits"):
            if not found.get(key):
                raise ConfigError(f"no {key}: in it; {_EXAMPLE}")
        name = found.get("name", re.sub(r"[^A-Za-z0-9_.+-]", "_", self._path.stem).lstrip(".+-"))
        NAME.check("name", name)
        root = _folder(found.get("root", "."))
        size = found.get("size")
        SIZE.or_none().check("size", size)
        classes, encoding = self._classes(found, str(name))
        splits = self._splits(found["splits"])
        if "val" in splits and name in splits and name != "val":
            raise ConfigError(
                f"splits.{name}: is called as the data are, which is what val is called; give another name:"
            )
        return Description(
            path=self._path,
            name=str(name),
            root=self._path.parent / root,
            size=None if size is None else (int(size[0]), int(size[1])),
            classes=classes,
            encoding=encoding,
            splits=splits,
        )

    def _load(self) -> dict[str, Any]:
        try:
            content = read_regular(self._path)
            if len(content) > _MOST_BYTES:
                raise ConfigError(f"{len(content)} bytes; expected at most {_MOST_BYTES}")
            found = yaml.load(content.decode("utf-8-sig"), _Loader)
        except ZsdaError:
            raise
        except OSError as error:
            raise ConfigError(f"cannot be read ({error.strerror}); expected a YAML file; {_EXAMPLE}") from error
        except Exception as error:  # what is no YAML makes its reader stumble in ways that are not enumerable
            raise ConfigError(f"cannot be read ({reason(error)}); expected YAML in UTF-8; {_EXAMPLE}") from error
        if not isinstance(found, dict):
            raise ConfigError(f"holds no names and values; {_EXAMPLE}")
        return {str(key): value for key, value in found.items()}

    def _splits(self, found: object) -> dict[str, Split]:
        if not isinstance(found, dict):
            raise ConfigError(f"splits={shown(found)}; expected names of splits, each with images: and labels:")
        splits = {}
        for key, said in found.items():
            NAME.check("splits", key)
            place = f"splits.{key}"
            if not isinstance(said, dict) or said.get("images") is None:
                raise ConfigError(f'{place}={shown(said)}; expected {{images: "Photos/*.jpg", labels: "Labels/*.png"}}')
            _only(said, _OF_A_SPLIT, place)
            patterns = {one: _pattern(f"{place}.{one}", said[one]) for one in _OF_A_SPLIT if said.get(one) is not None}
            images, labels = patterns["images"], patterns.get("labels")
            if "*" not in images:
                raise ConfigError(f"{place}.images={shown(images)}; expected a * for what tells one image from another")
            if labels is not None and not 1 <= _stars(labels) <= _stars(images):
                raise ConfigError(
                    f"{place}.labels={shown(labels)}; expected one * at least, which stands for what it stands for in images, and no more "
                    f"of them than the {_stars(images)} there"
                )
            splits[str(key)] = Split(images, labels)
        return splits

    def _classes(self, found: Mapping[str, Any], name: str) -> tuple[ClassSet, Encoding]:
        chosen, ids = found["classes"], found.get("ids")
        ignored = found.get("ignore", [])
        if not isinstance(ignored, list):
            ignored = [ignored]
        if isinstance(chosen, dict):
            if ids is not None:
                raise ConfigError("ids: belongs to a named set of classes; each class of your own says its ids itself")
            return _own_classes(chosen, ignored, name)
        if str(chosen) not in CLASS_SETS:
            raise ConfigError(
                f"classes={shown(chosen)}; expected names with their ids, {{road: 0, car: 1}}, or one of {', '.join(CLASS_SETS)}"
            )
        classes = find_classes(chosen)
        if ids not in (None, *_IDS):
            raise ConfigError(f"ids={shown(ids)}; expected {', '.join(_IDS)}")
        if ids == _PAINTED:
            painted = {one.name: {"colours": list(one.colour)} for one in classes.classes}
            return classes, _table(painted, ignored, name, {one.name: one.takes for one in classes.classes})
        if ids in ("labelIds", "labelTrainIds"):
            if ignored:
                raise ConfigError(f"ignore: has no place beside ids: {ids}, which says itself what is no class")
            return classes, str(ids)
        own = {one.name: {"ids": number} for number, one in enumerate(classes.classes)}
        return classes, _table(own, ignored, name, {one.name: one.takes for one in classes.classes})


def _own_classes(chosen: Mapping[Any, Any], ignored: list[Any], name: str) -> tuple[ClassSet, LabelTable]:
    classes, said = [], {}
    for number, (key, value) in enumerate(chosen.items()):
        own, place = str(key), f"classes.{key}"
        said[own] = one = value if isinstance(value, dict) else {"colours" if _is_colours(value) else "ids": value}
        _only(one, _OF_A_CLASS, place)
        like = one.get("like", own.lower() if own.lower() in LABEL_ID else own)
        takes = tuple(map(str, like if isinstance(like, list) else [like]))
        unknown = [taken for taken in takes if "like" in one and taken not in LABEL_ID]
        if unknown or not takes:
            raise ConfigError(f"{place}.like={shown(like)}; expected one or more of {', '.join(LABEL_ID)}")
        classes.append(SetClass(own, takes, _paint(one, takes, number, len(chosen), place)))
    made = ClassSet(name, tuple(classes))
    check_classes(made, own_names=True)
    return made, _table(said, ignored, name, {one.name: one.takes for one in classes})


def _paint(one: Mapping[str, Any], takes: tuple[str, ...], number: int, count: int, place: str) -> Colour:
    """Returns what a class is painted in: what is said, its first colour, that of Cityscapes, or one of a circle of hues."""
    if one.get("paint") is not None:
        return _colour(f"{place}.paint", one["paint"])
    if one.get("colours") is not None:
        return _colours(f"{place}.colours", one["colours"])[0]
    if takes[0] in COLOUR:
        return COLOUR[takes[0]]
    red, green, blue = colorsys.hsv_to_rgb(number / count, 0.6, 0.9)
    return round(255 * red), round(255 * green), round(255 * blue)


def _table(
    said: Mapping[str, Mapping[str, Any]], ignored: list[Any], name: str, takes: Mapping[str, tuple[str, ...]]
) -> LabelTable:
    """Puts together what labels hold; all classes by ids, or all by colours."""
    painted = [own for own, one in said.items() if one.get("colours") is not None]
    bare = [own for own, one in said.items() if one.get("colours") is None and one.get("ids") is None]
    both = [own for own in painted if said[own].get("ids") is not None]
    if bare or both:
        own = (bare or both)[0]
        raise ConfigError(f"classes.{own}: expected either ids or colours, in quotes, which label maps have for it")
    if painted and len(painted) < len(said):
        other = next(own for own in said if own not in painted)
        raise ConfigError(f"classes.{painted[0]} has colours and classes.{other} ids; expected one of both for all")
    if painted:
        colours = {own: _colours(f"classes.{own}.colours", one["colours"]) for own, one in said.items()}
        rest_of_colours = _colours("ignore", ignored) if ignored else []
        _check_once({**{f"classes.{own}": found for own, found in colours.items()}, "ignore": rest_of_colours})
        numbered = [(colour, number) for number, found in enumerate(colours.values()) for colour in found]
        numbered += [(colour, IGNORE) for colour in rest_of_colours]
        return LabelTable(name, tuple(enumerate(takes[own] for own in said)), tuple(numbered))
    ids = {own: _ids(f"classes.{own}.ids", one["ids"]) for own, one in said.items()}
    rest = [number for value in ignored for number in _ids("ignore", value, most=IGNORE)]
    _check_once({**{f"classes.{own}": found for own, found in ids.items()}, "ignore": rest})
    groups = [(number, takes[own]) for own, found in ids.items() for number in found]
    return LabelTable(name, tuple(sorted([*groups, *((number, ()) for number in rest if number != IGNORE)])))


def _check_once(found: Mapping[str, list[Any]]) -> None:
    seen: dict[Any, str] = {}
    for place, values in found.items():
        for value in values:
            if value in seen:
                where = "stands there twice" if seen[value] == place else f"is that of {seen[value]} as well"
                raise ConfigError(f"{place}: {_told(value)} {where}; expected each once")
            seen[value] = place


def _told(value: Any) -> str:  # noqa: ANN401 - an id or a colour
    return "#{:02x}{:02x}{:02x}".format(*value) if isinstance(value, tuple) else str(value)


def _ids(place: str, value: object, most: int = IGNORE - 1) -> list[int]:
    values = value if isinstance(value, list) else [value]
    if not values or not all(type(one) is int and 0 <= one <= most for one in values):
        raise ConfigError(f"{place}={shown(value)}; expected an id of a label map from 0 to {most}, or a list of them")
    return list(values)


def _is_colours(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and bool(value) and isinstance(value[0], str | list))


def _colours(place: str, value: object) -> list[Colour]:
    several = isinstance(value, list) and bool(value) and isinstance(value[0], str | list)
    return [_colour(place, one) for one in (value if isinstance(value, list) and several else [value])]


def _colour(place: str, value: object) -> Colour:
    if isinstance(value, str) and _HEX.fullmatch(value):
        red, green, blue = bytes.fromhex(value[1:])
        return red, green, blue
    if isinstance(value, list) and len(value) == 3 and all(type(one) is int and 0 <= one <= 255 for one in value):
        return value[0], value[1], value[2]
    raise ConfigError(f'{place}={shown(value)}; expected a colour as "#804080", in quotes, or [128,64,128]')


def _pattern(place: str, value: object) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ConfigError(f"{place}={shown(value)}; expected a path with stars, from the root")
    if Path(value).is_absolute() or ".." in Path(value).parts:
        raise ConfigError(f"{place}={shown(value)}; expected a path from the root, without ..; root: may lie anywhere")
    if "*" in Path(value).suffix:
        raise ConfigError(f"{place}={shown(value)}; expected an ending without a star, e.g. .jpg")
    return str(PurePosixPath(value))  # a//b and ./a are a/b and a


def _folder(root: object) -> Path:
    try:
        folder = str(Path(root).expanduser()) if isinstance(root, str) and root else root
    except RuntimeError:  # a ~ of nobody
        folder = root
    PATH.check("root", folder)
    return Path(str(folder))


def _stars(pattern: str) -> int:
    return len(re.findall(r"\*+", pattern))


def _only(found: Mapping[Any, Any], known: tuple[str, ...], place: str) -> None:
    unknown = [str(key) for key in found if key not in known]
    if unknown:
        raise ConfigError(f"{place}: no {unknown[0]!r} is known there; expected some of {', '.join(known)}")
