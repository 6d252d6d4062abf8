"""How claims are measured: in rounds, each of which runs all rivals in turn, so that what else the machine does meets all alike."""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch


class Claim(NamedTuple):
    """One line of the table.

    Attributes:
        claim: what is compared with what.
        ratio: how many times as fast.
        at_least: what was promised.
    """

    claim: str
    ratio: float
    at_least: float


def seconds(rivals: Mapping[str, Callable[[], Any]], rounds: int, warm: int = 1) -> dict[str, list[float]]:
    """Runs all rivals in turn, so many times, and returns what each took in each round; the first ones are not counted."""
    taken: dict[str, list[float]] = {name: [] for name in rivals}
    for number in range(warm + rounds):
        for name, rival in rivals.items():
            begin = time.perf_counter()
            rival()
            if number >= warm:
                taken[name].append(time.perf_counter() - begin)
    return taken


def ratio(taken: Mapping[str, Sequence[float]], rival: str, ours: str) -> float:
    """Returns the median over the rounds of how many times as long the rival took."""
    return statistics.median(theirs / own for theirs, own in zip(taken[rival], taken[ours], strict=True))


def medians(taken: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Returns the median milliseconds of each."""
    return {name: round(1000 * statistics.median(times), 2) for name, times in taken.items()}


def main(doc: str, measure: Callable[[int], tuple[list[Claim], dict[str, Any]]], threads: int | None = 1) -> None:
    """Runs a benchmark and prints its claims and what is behind them as JSON.

    Args:
        doc: what it is.
        measure: takes a number of rounds.
        threads: of torch and OpenCV; None leaves one for each core.
    """
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="at least 5")
    parser.add_argument("--out", type=Path, help="a file for the JSON")
    asked = parser.parse_args()
    if asked.rounds < 5:
        parser.error("expected --rounds of at least 5")
    if threads is not None:
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
    claims, behind = measure(asked.rounds)
    versions = {"torch": torch.__version__, "numpy": np.__version__, "cpu": torch.backends.cpu.get_cpu_capability()}
    found = {"claims": [claim._asdict() for claim in claims], "rounds": asked.rounds, **versions, **behind}
    text = json.dumps(found, indent=2) + "\n"
    print(text, end="")
    if asked.out:
        asked.out.write_text(text)
