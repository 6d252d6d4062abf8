"""The checkpoints of the papers.

SDGPA and ZoDi keep the weights under ``model_state_dict``, beside the state of their training. HIAST and IAST keep a plain state dict
of all that they train: the network under ``seg_model.``, and in files of the warm-up a discriminator under ``D.``.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path

import torch
from torch import Tensor, nn

from zsda.core.errors import ModelError
from zsda.models.deeplab import DeepLabV2, DeepLabV3Plus
from zsda.models.discriminator import Discriminator
from zsda.models.matching import load_exactly
from zsda.models.refinenet import RefineNet
from zsda.models.torch_files import read_torch_file

PUBLISHED = "deeplabv3plus and refinenet of 20 outputs on resnet50 or resnet101, and deeplabv2 on resnet101"
"""The networks that `publishes`."""

_OUTPUTS = 20
_STATE = "model_state_dict"
_NETWORK, _DISCRIMINATOR = "seg_model.", "D."
_WRAPPED = "module."  # what a parallel training puts before every key


@dataclass(frozen=True)
class PublishedReport:
    """What was read from a file.

    Attributes:
        path: the file.
        tensors: number of parameters and buffers.
        others: what stands beside the weights and was not used; empty for a plain state dict of one network.
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
    """Loads a checkpoint into a network, every key of it.

    Those of SDGPA (Luo et al., IROS 2025) and ZoDi (Azuma et al., 2024) are for `DeepLabV3Plus` or `RefineNet` with 20 outputs, the
    20th of which is "void"; those of HIAST (Zhu et al., TPAMI 2025) and IAST (Mei et al., ECCV 2020) for `DeepLabV2`, and in files of
    the warm-up for a `Discriminator`. Their own code drops keys that do not fit without a word; here they are refused.

    Args:
        model: the network.
        path: ``.pth`` or ``.pth.tar``; a plain state dict is read as well.

    Raises:
        ModelError: the file is missing, damaged or holds more than tensors and plain values; or it is of another network, and
            the message names keys, shapes and what to choose.
    """
    discriminator = isinstance(model, Discriminator)
    state, report = read_published(path, discriminator)
    load_exactly(model, state, path, choose="the num_classes= and first_kernel=" if discriminator else "the model=")
    return report


def read_published(path: Path, discriminator: bool = False) -> tuple[dict[str, Tensor], PublishedReport]:
    """Reads a state dict, by itself or under ``model_state_dict``, in the names that the networks here give to their parameters.

    Args:
        path: the file.
        discriminator: read the one of a warm-up of HIAST or IAST, not the network.

    Raises:
        ModelError: the file is missing, damaged, or holds something else than what is asked for.
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
    weights, others = _part_of(unwrapped, _DISCRIMINATOR if discriminator else _NETWORK, path)
    if state is content:
        return weights, PublishedReport(path, len(weights), others, None)
    others = (*others, *(str(key) for key in entries if key != _STATE))
    epoch = entries.get("epoch")
    return weights, PublishedReport(path, len(weights), others, int(epoch) if isinstance(epoch, Integral) else None)


def publishes(model: nn.Module) -> bool:
    """Whether the code of the papers builds this network, in all its numbers, so that it can read files of it; see `PUBLISHED`."""
    built: list[nn.Module] = []
    with torch.device("meta"):
        if isinstance(model, DeepLabV2):
            built = [DeepLabV2(len(next(model.aspp.parameters())))]
        elif isinstance(model, DeepLabV3Plus | RefineNet):
            built = [type(model)(_OUTPUTS, backbone) for backbone in ("resnet50", "resnet101")]
    return repr(model) in map(repr, built)


def to_published(model: nn.Module, epoch: int | None) -> tuple[str, bytes]:
    """Returns the name and the content of a file of weights as the papers' code writes it.

    Args:
        model: a network that `publishes`. `DeepLabV2` is HIAST's, the others are SDGPA's and ZoDi's.
        epoch: after which these weights were kept; None leaves it out. HIAST's files have none.
    """
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    buffer = io.BytesIO()
    if isinstance(model, DeepLabV2):
        torch.save({f"{_NETWORK}{key}": value for key, value in state.items()}, buffer)
        return "published.pth", buffer.getvalue()
    wrapped = {f"{_WRAPPED}{key}": value for key, value in state.items()}
    torch.save({**({} if epoch is None else {"epoch": epoch}), _STATE: wrapped}, buffer)
    return "published.pth.tar", buffer.getvalue()


def _part_of(state: dict[str, Tensor], part: str, path: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Returns the tensors of a part of what HIAST trains, and which other part there is; of other files, all tensors."""
    if not any(name.startswith((_NETWORK, _DISCRIMINATOR)) for name in state):
        return state, ()
    foreign = [name for name in state if not name.startswith((_NETWORK, _DISCRIMINATOR))]
    if foreign:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise ModelError(
            f"{path} holds {foreign[0]}{more}; expected names under {_NETWORK} and {_DISCRIMINATOR} only, as in HIAST"
        )
    found = {name.removeprefix(part): value for name, value in state.items() if name.startswith(part)}
    if not found:
        what = "discriminator" if part == _DISCRIMINATOR else "network"
        raise ModelError(f"{path} holds no {what}; expected names under {part}, as in a warm-up of HIAST or IAST")
    other = _NETWORK if part == _DISCRIMINATOR else _DISCRIMINATOR
    return found, (other.rstrip("."),) if len(found) < len(state) else ()
