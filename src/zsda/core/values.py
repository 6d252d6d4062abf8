"""Kinds of values that options take, each with the words that a message has for it."""

import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from zsda.core.errors import ConfigError
from zsda.core.records import NAME as _NAME
from zsda.core.records import printable

LONGEST_SIDE = 2**13
"""Pixels of the longest side that a network sees, or that an image is edited at."""

_LARGEST = 2**31 - 1
_LONGEST_NAME = 200
_LONGEST_PART, _LONGEST_PATH = 255, 4095  # bytes, of Linux
_SHOWN = 80
_WRITTEN = 10**1000


@dataclass(frozen=True)
class Kind:
    """What an option may be.

    Attributes:
        expected: ends a message that refuses another value; ``{key}`` stands for the option.
        fits: tells whether a value is of the kind.
        is_text: whether it is a text, which a command line takes as it stands: ``1.10`` is a name, and no number.
        is_names: whether it is such a text, or a list of them.
        is_path: whether it is a path, whose ``~`` a shell leaves to us behind an equals sign.
    """

    expected: str
    fits: Callable[[Any], bool]
    is_text: bool = False
    is_names: bool = False
    is_path: bool = False

    def check(self, key: str, value: object) -> None:
        """Refuses a value that is of another kind.

        Args:
            key: the option, as a message calls it.
            value: what was given.

        Raises:
            ConfigError: it is.
        """
        if not self.fits(value):
            raise ConfigError(f"{key}={shown(value)}; expected {self.expected.replace('{key}', key)}")

    def or_none(self) -> Self:
        """Returns the kind that takes null as well."""
        return replace(self, expected=f"{self.expected}, or null", fits=lambda value: value is None or self.fits(value))


def shown(value: object) -> str:
    """Writes a value as a command line has it, shortened."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        text = f"[{','.join(map(shown, value))}]"
    elif isinstance(value, dict):
        text = f"{{{','.join(f'{key}:{shown(inner)}' for key, inner in value.items())}}}"
    else:
        text = "a number of very many digits" if is_whole(value) and abs(value) > _WRITTEN else str(value)  # type: ignore[arg-type]
    text = printable(text)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def is_whole(value: object) -> bool:
    """Tells whether a value is a whole number; true and false are none."""
    return type(value) is int


def is_number(value: object) -> bool:
    """Tells whether a value is a finite number."""
    try:
        return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]  # a number
    except OverflowError:  # of a whole number
        return False


def whole(least: int, most: int = _LARGEST) -> Kind:
    """Returns the kind of whole numbers in a range, both ends included."""
    bounds = f"of at least {least}" if most == _LARGEST else f"from {least} to {most}"
    return Kind(f"a whole number {bounds}", lambda value: is_whole(value) and least <= value <= most)


def number(least: float, most: float = math.inf) -> Kind:
    """Returns the kind of finite numbers in a range, both ends included."""
    bounds = f"of at least {least}" if math.isinf(most) else f"from {least} to {most}"
    return Kind(f"a number {bounds}", lambda value: is_number(value) and least <= value <= most)


def above(limit: float) -> Kind:
    """Returns the kind of finite numbers above one."""
    return Kind(f"a number above {limit}", lambda value: is_number(value) and value > limit)


def limits(least: float, most: float = math.inf, of_whole: bool = False) -> Kind:
    """Returns the kind of two finite numbers in a range, the lower one first."""
    bounds = f"of at least {least}" if math.isinf(most) else f"from {least} to {most}"
    fits = is_whole if of_whole else is_number
    return Kind(
        f"two {'whole ' * of_whole}numbers {bounds}, the lower one first",
        lambda value: _are(value, fits, 2) and least <= value[0] <= value[1] <= most,
    )


def one_of(*choices: object) -> Kind:
    """Returns the kind of some values alone."""
    *first, last = map(shown, choices)
    # Types, too: true is 1.
    known = [(type(choice), choice) for choice in choices]
    return Kind(
        f"{', '.join(first)} or {last}" if first else last,
        lambda value: isinstance(value, str | int | float | None) and (type(value), value) in known,
    )


def list_of(kind: Kind, what: str, least: int = 0) -> Kind:
    """Returns the kind of lists whose values are all of one kind.

    Args:
        kind: of each value.
        what: how a message calls the list.
        least: how many there are at least.
    """
    return Kind(what, lambda value: _are(value, kind.fits) and len(value) >= least)


def either(expected: str, *kinds: Kind) -> Kind:
    """Returns the kind of what is of any of several kinds."""
    return Kind(expected, lambda value: any(kind.fits(value) for kind in kinds))


def _are(value: object, fits: Callable[[Any], bool], count: int | None = None) -> bool:
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and (count is None or len(value) == count)
        and all(map(fits, value))
    )


def _is_side(value: object) -> bool:
    return is_whole(value) and 1 <= value <= LONGEST_SIDE  # type: ignore[operator]  # a whole number


def _is_name(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_NAME and re.fullmatch(_NAME, value) is not None


def _is_path(value: object) -> bool:
    if not isinstance(value, str) or not value.strip() or "\0" in value or value.startswith("~"):
        return False
    try:
        encoded = os.fsencode(value)
    except UnicodeEncodeError:
        return False
    return all(len(part) <= _LONGEST_PART for part in encoded.split(b"/")) and len(encoded) <= _LONGEST_PATH


ANY = Kind("anything", lambda value: True)
FLAG = Kind("true or false", lambda value: isinstance(value, bool))
COUNT = whole(1)
SEED = Kind("a whole number from 0 to 2**32 - 1", lambda value: is_whole(value) and 0 <= value < 2**32)
NOT_NEGATIVE = number(0)
POSITIVE = above(0)
SHARE = number(0, 1)
PART = Kind("a number above 0, up to 1", lambda value: SHARE.fits(value) and POSITIVE.fits(value))
PROBABILITY = Kind("a probability, a number from 0 to 1", SHARE.fits)
SIZE = Kind(
    f"height and width in pixels, {LONGEST_SIDE} at most, e.g. {{key}}=[512,1024]",
    lambda value: _are(value, _is_side, 2),
)
SIDES = Kind(
    f"width and height in pixels, {LONGEST_SIDE} at most, e.g. {{key}}=[1024,512]",
    lambda value: _are(value, _is_side, 2),
)
PATCH = Kind(
    f"a side in pixels, {LONGEST_SIDE} at most, or width and height, e.g. {{key}}=512",
    lambda value: _is_side(value) or _are(value, _is_side, 2),
)
TEXT = Kind("a text", lambda value: isinstance(value, str) and bool(value.strip()), is_text=True)
SENTENCE = Kind('a sentence, {key}="..."', TEXT.fits, is_text=True)
NAME = Kind(
    f"a name for a folder, of letters, digits, _ - . and + only, {_LONGEST_NAME} at most; in a file within quotes",
    _is_name,
    is_text=True,
)
PATH = Kind(
    f"a path, no part of it longer than {_LONGEST_PART} bytes, and no ~; in a file within quotes",
    _is_path,
    is_text=True,
    is_path=True,
)
FACTORS = limits(0)
HUE = limits(-0.5, 0.5)
HEIGHTS = limits(1, of_whole=True)
JITTER = number(0, 0.5)
KERNELS = limits(3, of_whole=True)
OFFSET = limits(-1, 1)
BITS = whole(1, 8)
THRESHOLD = whole(0, 256)
RETRIES = whole(0, 1000)
TEXT_GUIDANCE = above(1)
IMAGE_GUIDANCE = number(1)
KEEP = either("last, all, or a whole number N of at least 1, every N-th epoch", one_of("last", "all"), COUNT)
SIMILARITY = Kind("a number, 0 leaves the term out", is_number)
SIZES = list_of(SIZE, "a list of heights and widths in pixels, e.g. {key}=[[512,1024],[768,1536]]", least=1)
GUIDED = Kind("begin and end of the guided steps, as shares of them, e.g. [0,0.5]", limits(0, 1).fits)
NAMES = Kind("a name, a pattern, or a list of them", either("", TEXT, list_of(TEXT, "", least=1)).fits, is_names=True)


def check_crop(key: str, size: Sequence[int], crop: Sequence[int] | None, scale: Sequence[float] | None) -> None:
    """Refuses a crop that is larger than what it is cut from.

    Args:
        key: the options that they are below.
        size: height, width.
        crop: the same of the crop; None is the whole.
        scale: range of what the size is multiplied by first; None is 1.

    Raises:
        ConfigError: it is, or can be.
    """
    least = 1 if scale is None else min(1, scale[0])
    if crop is not None and (crop[0] > size[0] * least or crop[1] > size[1] * least):
        scaled = "" if scale is None else f" scaled by {scale[0]}"
        raise ConfigError(
            f"{key}: a crop of {tuple(crop)} does not fit into size {tuple(size)}{scaled} (height, width)"
        )


def check_patch(recipe: str, canvas: Sequence[int], patch: Sequence[int]) -> None:
    """Refuses patches that are larger than the canvas.

    Args:
        recipe: whose they are.
        canvas: width, height.
        patch: the same.

    Raises:
        ConfigError: they are.
    """
    if patch[0] > canvas[0] or patch[1] > canvas[1]:
        raise ConfigError(
            f"recipe {recipe}: patches of {patch[0]}x{patch[1]} do not fit into a canvas of {canvas[0]}x{canvas[1]}; choose a smaller "
            "patch_size= or a larger canvas="
        )


def check_length(phase: str, epochs: int | None, steps: int | None, horizon: int | None) -> None:
    """Refuses a training that has no length, two of them, or one beyond the horizon of its schedule.

    Raises:
        ConfigError: it has.
    """
    if (epochs is None) == (steps is None):
        raise ConfigError(f"phase {phase!r}: give either epochs or steps, not both and not none of them")
    count = steps if epochs is None else epochs
    if not all(map(COUNT.fits, (count, count if horizon is None else horizon))) or count > (horizon or count):  # type: ignore[operator]
        raise ConfigError(
            f"phase {phase!r}: length {count} and horizon {horizon}; expected whole numbers, 1 <= length <= horizon"
        )
