"""What is evaluated: a network, the weights that it is loaded with, and how the results are called."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import nn

from zsda.config import build_network, recorded_group
from zsda.models.weights import load_weights
from zsda.runs import RunFolder


@dataclass(frozen=True)
class Subject:
    """One network to evaluate.

    Attributes:
        title: how tables and messages call it.
        weights: the file of its weights.
        size: height, width that it sees.
        out: folder for the results.
        build: makes it, with any weights.
    """

    title: str
    weights: Path
    size: list[int]
    out: Path
    build: Callable[[], nn.Module]

    def network(self) -> nn.Module:
        """Returns the network with its weights, images [B, 3, H, W] -> logits [B, C, H, W].

        Raises:
            ModelError: the file is no weights, or those of another network.
        """
        model = self.build()
        load_weights(model, self.weights)
        return model


def run_subject(
    run: RunFolder, phase: str | None = None, size: Sequence[int] | None = None, out: Path | None = None
) -> Subject:
    """Returns what a run trained, as it recorded it; to be called by a command, whose config knows the networks.

    Args:
        run: a run of ``zsda.train``.
        phase: one of its phases; None is the last.
        size: height, width that the network is shown; None is what it was trained at.
        out: folder for the results; None is ``eval`` in the run's folder.

    Raises:
        StoreError: there is no such run or phase, or it is not finished.
        ConfigError: its network is an option that is not among the configs.
    """
    folder = run.finished_phase(phase)
    record = run.record()
    settings = record["settings"]
    node = recorded_group("eval", "model", record["choices"]["model"], settings["model"])
    part = "" if folder.path.name == run.phase_names()[-1] else folder.path.name
    return Subject(
        title=f"{run.path.name}/{part}".rstrip("/"),
        weights=folder.weights,
        size=list(size or settings["data"]["transform"]["size"]),
        out=out or run.path / "eval" / part,
        build=partial(build_network, node, pretrained=False),
    )
