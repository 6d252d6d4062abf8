"""The checkpoints of the papers: weights under ``model_state_dict``, beside the state of their training."""

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path

from torch import Tensor, nn

from zsda.core.errors import ModelError
from zsda.models.matching import load_exactly
from zsda.models.torch_files import read_torch_file

_STATE = "model_state_dict"
_WRAPPED = "module."  # what torch.nn.DataParallel puts before every key


@dataclass(frozen=True)
class PublishedReport:
    """What was read from a file.

    Attributes:
        path: the file.
        tensors: number of parameters and buffers.
        others: names of the entries beside the weights, which were not used; empty for a plain state dict.
        epoch: the epoch that the file says it is from, if any.
    """

    path: Path
    tensors: int
    others: tuple[str, ...]
    epoch: int | None

    def __str__(self) -> str:
        when = "" if self.epoch is None else f" of epoch {self.epoch}"
        beside = f"; not used: {', '.join(self.others)}" if self.others else ""
        return f"{self.path}: {self.tensors} tensors{when}{beside}"


def load_published(model: nn.Module, path: Path) -> PublishedReport:
    """Loads a checkpoint of SDGPA (Luo et al., IROS 2025) or ZoDi (Azuma et al., 2024) into a network, every key of it.

    Args:
        model: e.g. `DeepLabV3Plus` or `RefineNet` with 20 outputs; the 20th is "void".
        path: ``.pth`` or ``.pth.tar``; a plain state dict is read as well.

    Raises:
        ModelError: the file is missing, damaged or holds more than tensors and plain values; or it is of another network, and
            the message names keys, shapes and what to choose.
    """
    state, report = read_published(path)
    load_exactly(model, state, path)
    return report


def read_published(path: Path) -> tuple[dict[str, Tensor], PublishedReport]:
    """Reads a state dict, by itself or under ``model_state_dict``, without the ``module.`` of a parallel training.

    Raises:
        ModelError: the file is missing, damaged, or holds something else.
    """
    content = read_torch_file(path)
    entries = content if isinstance(content, Mapping) else {}
    state = entries.get(_STATE, content)
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        found = f"a mapping with {', '.join(map(str, list(entries)[:8]))}" if entries else f"a {type(content).__name__}"
        raise ModelError(
            f"{path} holds no plain state dict, but {found}; expected a mapping from parameter names to tensors, by itself or "
            f"under {_STATE}"
        )
    names = [str(key) for key in state]
    cut = len(_WRAPPED) if all(name.startswith(_WRAPPED) for name in names) else 0
    unwrapped = {name[cut:]: value for name, value in zip(names, state.values(), strict=True)}
    if state is content:
        return unwrapped, PublishedReport(path, len(unwrapped), (), None)
    others = tuple(str(key) for key in entries if key != _STATE)
    epoch = entries.get("epoch")
    return unwrapped, PublishedReport(path, len(unwrapped), others, int(epoch) if isinstance(epoch, Integral) else None)
