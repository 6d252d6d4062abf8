"""How much is asked of a machine at most: pixels that are decoded, processes that run at once."""

import math
import os

from zsda.core.errors import ConfigError

VARIABLE = "ZSDA_MOST_MEGAPIXELS"
"""Of the environment: the workers that read images have it, however they are started, and so has a reader in a notebook."""

_MEGA = 10**6
_MOST = 64.0  # a frame of twenty times Full HD; what a few kilobytes can ask for is without end


class TooLargeError(ValueError):
    """An image has more pixels than are decoded."""


def most_pixels() -> int:
    """Returns how many pixels an image may have that is decoded, 64 megapixels or what ``ZSDA_MOST_MEGAPIXELS`` says.

    Raises:
        ConfigError: that is no positive number.
    """
    text = os.environ.get(VARIABLE)
    try:
        most = _MOST if text is None else float(text)
    except ValueError:
        most = math.nan
    if not 0 < most < math.inf:
        raise ConfigError(f"{VARIABLE}={text} in the environment; expected a positive number, {_MOST:g} without it")
    return int(most * _MEGA)


def check_pixels(width: int, height: int) -> None:
    """Refuses to decode what its header says to be too large.

    Raises:
        TooLargeError: it has more pixels than `most_pixels`.
    """
    found, most = width * height, most_pixels()
    if found > most:
        raise TooLargeError(
            f"{width}x{height}, {math.ceil(found / _MEGA)} megapixels; expected at most {most / _MEGA:g}: make it smaller, or raise "
            f"{VARIABLE} in the environment if you know where it is from"
        )


def cores() -> int:
    """Returns how many cores this process may use, which a job of Slurm or a container has fewer of than the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
