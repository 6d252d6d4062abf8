"""A trained network as files: what it is built from, where its weights lie, and where results about it go."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zsda.core.errors import ModelError


@dataclass(frozen=True)
class TrainedNetwork:
    """One trained network; `zsda.models.weights.load_trained` makes it.

    Attributes:
        title: how tables and messages call it.
        weights: the file of its weights.
        size: height, width that it sees.
        out: folder for results.
        build: makes the network, with any weights: an ``nn.Module``.
        epochs: epoch of its training -> the file of the weights after it; the last are ``weights``. Empty where there was no run.
        classes: what it tells apart, as `zsda.data.classes.find_classes` takes it.
        source: how the labelled images that it was trained on are called; None where there was no run.
    """

    title: str
    weights: Path
    size: list[int]
    out: Path
    build: Callable[[], Any]
    epochs: Mapping[int, Path] = field(default_factory=dict)
    classes: Any = "19"
    source: str | None = None


def check_weights(path: Path) -> Path:
    """Returns the path of a file of weights.

    Raises:
        ModelError: there is none.
    """
    if not path.is_file():
        raise ModelError(f"no weights at {path}; expected a .safetensors, .pth, .pth.tar or .pt file")
    return path
