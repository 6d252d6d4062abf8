"""Learning rates over a phase.

A schedule is built once for a method and called for each phase with what the phase knows: its optimiser and its `Horizon`.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR


@dataclass(frozen=True)
class Horizon:
    """What a schedule is laid out for; a phase may stop before.

    Attributes:
        length: number of units.
        unit: ``epoch`` or ``step``.
        steps_per_epoch: optimiser steps in an epoch.
    """

    length: int
    unit: str
    steps_per_epoch: int

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
    """lr = max(base * (1 - e / horizon) ** power, floor) in the unit of the phase; SDGPA counts epochs.

    Args:
        power: exponent.
        floor: lowest learning rate.
    """

    def __init__(self, power: float = 0.9, floor: float = 1e-6) -> None:
        self.power, self.floor = power, floor

    def __call__(self, optimizer: Optimizer, horizon: Horizon) -> dict[str, Any]:
        """See `Schedule`."""

        def factor(base: float, count: int) -> float:
            return max(poly_factor(count / horizon.length, self.power), self.floor / base)

        factors: list[Callable[[int], float]] = [
            functools.partial(factor, group["lr"]) for group in optimizer.param_groups
        ]
        return {"scheduler": LambdaLR(optimizer, factors), "interval": horizon.unit}


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
