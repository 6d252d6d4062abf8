"""A trained network as files: what it is built from, where its weights lie, and where results about it go."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zsda.core.digests import content_digests
from zsda.core.errors import ModelError

CHANGED = "is not what its training wrote, so damaged or replaced; put it back, or delete it and start its python -m zsda.train again"
"""What messages say of files whose digest is not the recorded one."""


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
        digests: file -> SHA-256 that it must have, of ``weights`` and those of ``epochs``; of others anything goes.
        network: what ``build`` builds: dotted argument -> plain value.
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
    digests: Mapping[Path, str] = field(default_factory=dict)
    network: Mapping[str, Any] = field(default_factory=dict)

    def check(self, *files: Path) -> None:
        """Refuses files of weights that are not there, or no longer what its training wrote.

        Raises:
            ModelError: one is.
        """
        for path in files:
            check_weights(path)
        for path, digest in content_digests(path for path in files if path in self.digests).items():
            if digest != self.digests[path]:
                raise ModelError(f"{path} {CHANGED}")


def check_weights(path: Path) -> Path:
    """Returns the path of a file of weights.

    Raises:
        ModelError: there is none.
    """
    if not path.is_file():
        raise ModelError(f"no weights at {path}; expected a .safetensors, .pth, .pth.tar or .pt file")
    return path
