"""Which set of classes is meant: one of the table by its name, a recorded one, or one of a user's own."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from zsda.core.errors import ConfigError
from zsda.data.labels import CLASS_SETS, COLOUR, IGNORE, LABEL_ID, ClassSet, SetClass

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.+-]*")


def find_classes(chosen: ClassSet | str | int | Mapping[str, Any]) -> ClassSet:
    """Returns the set of classes that is meant.

    Args:
        chosen: a set; the name of one of `CLASS_SETS`, also as a number; what `ClassSet.plain` returned; or a set of one's own,
            class -> names of the table that it takes in, painted in the colour of the first.

    Raises:
        ConfigError: it is none of these, has no class or more than 255, or a class takes in what the table does not hold or
            another class has.
    """
    if isinstance(chosen, ClassSet):
        return chosen
    if isinstance(chosen, Mapping):
        recorded = isinstance(chosen.get("name"), str)
        made = _from_plain(chosen) if recorded else _from_names(chosen)
        check_classes(made, own_names=recorded)
        return made
    if str(chosen) not in CLASS_SETS:
        raise ConfigError(
            f"classes={chosen}; expected one of {', '.join(CLASS_SETS)}, or your own as {{name: [names of classes]}}"
        )
    return CLASS_SETS[str(chosen)]


def _from_names(chosen: Mapping[str, Any]) -> ClassSet:
    for name, takes in chosen.items():
        if not isinstance(takes, list | tuple) or not takes or not all(isinstance(taken, str) for taken in takes):
            raise ConfigError(f"classes.{name}={takes}; expected a list of classes, one or more of {_known_names()}")
    colours = {name: COLOUR.get(takes[0], (0, 0, 0)) for name, takes in chosen.items()}
    return ClassSet("own", tuple(SetClass(str(n), tuple(takes), colours[n]) for n, takes in chosen.items()))


def _from_plain(chosen: Mapping[str, Any]) -> ClassSet:
    try:
        classes = tuple(
            SetClass(str(one["name"]), tuple(map(str, one["takes"])), _colour(*one["colour"]))
            for one in chosen["classes"]
        )
    except (KeyError, TypeError, ValueError) as error:
        expected = '{"name": ..., "classes": [{"name": ..., "takes": [...], "colour": [r, g, b]}, ...]}'
        raise ConfigError(f"classes: cannot be read ({error!r}); expected {expected}") from error
    return ClassSet(str(chosen["name"]), classes)


def _colour(*channels: int) -> tuple[int, int, int]:
    red, green, blue = channels
    if not all(isinstance(channel, int) and 0 <= channel <= 255 for channel in channels):
        raise ValueError(f"the colour {list(channels)}")
    return red, green, blue


def check_classes(classes: ClassSet, own_names: bool) -> None:
    """Refuses a set that is none.

    Args:
        classes: the set.
        own_names: whether it may take in names that the table does not hold, as one of a user's own data does.

    Raises:
        ConfigError: it has no class or more than 255, or two take in the same.
    """
    if not 1 <= len(classes) <= IGNORE:
        raise ConfigError(f"classes: {len(classes)} classes; expected 1 to {IGNORE}, an id is a byte")
    unreadable = [name for name in classes.names if not _NAME.fullmatch(name)]
    if unreadable:
        raise ConfigError(f"classes: {unreadable[0]!r}; expected names of letters, digits, spaces and _.+-")
    taken = [name for one in classes.classes for name in one.takes]
    unknown = [name for name in taken if name not in LABEL_ID]
    if unknown and not own_names:
        raise ConfigError(f"classes: no class is called {', '.join(unknown)}; expected some of {_known_names()}")
    for what, names in (("called", list(classes.names)), ("taken in", taken)):
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise ConfigError(f"classes: {', '.join(twice)} {what} twice; expected each name once at most")


def _known_names() -> str:
    return ", ".join(LABEL_ID)
