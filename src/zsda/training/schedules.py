"""Learning rates over a phase.

A schedule is built once for a method and called for each optimiser of a phase with what the phase knows: the optimiser and its
`Horizon`.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR, StepLR

from zsda.core.values import COUNT, NOT_NEGATIVE, SHARE, one_of


@dataclass(frozen=True)
class Horizon:
    """What a schedule is laid out for; a phase may stop before.

    Attributes:
        length: number of units.
        unit: ``epoch`` or ``step``.
        steps_per_epoch: optimiser steps in an epoch.
        lr: learning rate of the first group of the first optimiser, the same for all optimisers of a task.
    """

    length: int
    unit: str
    steps_per_epoch: int
    lr: float

    @property
    def steps(self) -> int:
        """The horizon in optimiser steps."""
        return self.length * self.steps_per_epoch if self.unit == "epoch" else self.length


class Schedule(Protocol):
    """Makes what Lightning's ``configure_optimizers`` returns under ``lr_scheduler``."""

    def __call__(self, optimizer: Optimizer, horizon: Horizon) -> dict[str, Any]:
        """Returns ``scheduler`` and ``interval``."""
        ...


def poly_factor(progress: float, power: float = 0.9) -> float:
    """Returns (1 - progress) ** power for progress in [0, 1] (Chen et al., DeepLab, TPAMI 2018, section 4.1)."""
    return (1 - min(progress, 1.0)) ** power


class Poly:
    """lr = max(base * (1 - k / horizon) ** power, floor).

    Args:
        power: exponent.
        floor: lowest learning rate.
        by: what k counts: ``unit``, that of the phase (SDGPA counts epochs), or ``step`` (DeepLab, HIAST).

    Raises:
        ConfigError: k shall count something else, or power or floor is negative.
    """

    def __init__(self, power: float = 0.9, floor: float = 1e-6, by: str = "unit") -> None:
        one_of("unit", "step").check("schedule.by", by)
        NOT_NEGATIVE.check("schedule.power", power)
        NOT_NEGATIVE.check("schedule.floor", floor)
        self.power, self.floor, self.by = power, floor, by

    def __call__(self, optimizer: Optimizer, horizon: Horizon) -> dict[str, Any]:
        """See `Schedule`."""
        interval, length = ("step", horizon.steps) if self.by == "step" else (horizon.unit, horizon.length)

        def factor(base: float, count: int) -> float:
            return max(poly_factor(count / length, self.power), self.floor / base)

        return {"scheduler": _for_each_group(optimizer, factor), "interval": interval}


class Cosine:
    """Half a cosine from the learning rate of each group to one floor for all, step by step (SGDR, Loshchilov and Hutter, ICLR 2017).

    As published for HIAST and IAST, the floor is a share of the backbone's rate in every group and every optimiser: a head that
    starts ten times higher ends at a smaller share of its own.

    Args:
        floor: share of `Horizon.lr` that all of them end at.

    Raises:
        ConfigError: the floor is negative.
    """

    def __init__(self, floor: float = 0.001) -> None:
        NOT_NEGATIVE.check("schedule.floor", floor)
        self.floor = floor

    def __call__(self, optimizer: Optimizer, horizon: Horizon) -> dict[str, Any]:
        """See `Schedule`."""
        lowest = self.floor * horizon.lr

        def factor(base: float, count: int) -> float:
            progress = min(count / horizon.steps, 1.0)
            return (lowest + (base - lowest) * (1 + math.cos(math.pi * progress)) / 2) / base

        return {"scheduler": _for_each_group(optimizer, factor), "interval": "step"}


class Step:
    """Keeps the learning rate for a while, then multiplies it, again and again; an option of SDGPA's code.

    Args:
        every: how long it is kept, in the unit of the phase.
        factor: what it is multiplied by then.

    Raises:
        ConfigError: either makes no sense.
    """

    def __init__(self, every: int, factor: float = 0.1) -> None:
        COUNT.check("schedule.every", every)
        SHARE.check("schedule.factor", factor)
        self.every, self.factor = every, factor

    def __call__(self, optimizer: Optimizer, horizon: Horizon) -> dict[str, Any]:
        """See `Schedule`."""
        return {"scheduler": StepLR(optimizer, self.every, self.factor), "interval": horizon.unit}


class OneCycle:
    """Rises to the optimiser's learning rate and falls to nearly 0, step by step (Smith and Topin, 2019).

    Args:
        rise: share of the horizon in which the rate rises.
    """

    def __init__(self, rise: float = 0.3) -> None:
        self.rise = rise

    def __call__(self, optimizer: Optimizer, horizon: Horizon) -> dict[str, Any]:
        """See `Schedule`."""
        peaks = [group["lr"] for group in optimizer.param_groups]
        return {
            "scheduler": OneCycleLR(optimizer, peaks, total_steps=horizon.steps, pct_start=self.rise),
            "interval": "step",
        }


def _for_each_group(optimizer: Optimizer, factor: Callable[[float, int], float]) -> LambdaLR:
    """Returns a schedule in which ``factor`` of a group's base rate, above 0, and a count gives what the base is multiplied by."""
    factors: list[Callable[[int], float]] = [functools.partial(factor, group["lr"]) for group in optimizer.param_groups]
    return LambdaLR(optimizer, factors)
