"""What is evaluated: a network, the weights that it is loaded with, and how the results are called."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from zsda.models.weights import load_weights


@dataclass(frozen=True)
class Subject:
    """One network to evaluate.

    Attributes:
        title: how tables and messages call it.
        weights: the file of its weights.
        size: height, width that it sees.
        out: folder for the results.
        build: makes it, with any weights.
        epochs: epoch of its training -> the file of the weights after it; the last are ``weights``. Empty where there was no run.
    """

    title: str
    weights: Path
    size: list[int]
    out: Path
    build: Callable[[], nn.Module]
    epochs: Mapping[int, Path] = field(default_factory=dict)

    def network(self) -> nn.Module:
        """Returns the network with its weights, images [B, 3, H, W] -> logits [B, C, H, W].

        Raises:
            ModelError: the file is no weights, or those of another network.
        """
        model = self.build()
        load_weights(model, self.weights)
        return model
