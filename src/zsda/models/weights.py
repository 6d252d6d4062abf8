"""Reading and writing weights: plain tensors, never anything that is executed."""

import logging
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from zsda.core.errors import ModelError
from zsda.core.files import write_atomic
from zsda.core.reasons import reason
from zsda.core.trained import TrainedNetwork, check_weights
from zsda.models.backbones import backbone_of
from zsda.models.matching import load_exactly
from zsda.models.published import read_published

_HEADS = ("fc.", "head.", "classifier.")

_log = logging.getLogger(__name__)


def save_weights(model: nn.Module, path: Path) -> None:
    """Writes a network's parameters and buffers as safetensors."""
    write_atomic(path, to_safetensors(model))


def to_safetensors(model: nn.Module) -> bytes:
    """Returns the content of a file of a network's parameters and buffers."""
    return safetensors.torch.save({key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()})


def read_weights(path: Path) -> dict[str, Tensor]:
    """Reads a state dict from ``.safetensors``, a PyTorch file or a checkpoint of the papers; says what else stood in the last.

    Raises:
        ModelError: the file is missing, damaged, holds more than tensors and plain values, or numbers that are not finite.
    """
    check_weights(path)
    if path.suffix == ".safetensors":
        state, others = _read_safetensors(path), None
    else:
        state, report = read_published(path)
        others = report if report.others else None
    broken = not_finite(state)
    if broken:
        more = f" (and {len(broken) - 1} more of its {len(state)} tensors)" if len(broken) > 1 else ""
        raise ModelError(
            f"{path}: {broken[0]}{more} holds NaN or infinity, of a training that failed or a damaged file; expected other weights"
        )
    if others is not None:
        _log.info("read %s", others)
    return state


def not_finite(state: Mapping[str, Tensor]) -> list[str]:
    """Returns the names of the tensors that hold NaN or infinity."""
    numbers = {key: value for key, value in state.items() if value.is_floating_point()}
    if not numbers:
        return []
    # One question for all: each is a wait for the device.
    finite = torch.stack([value.isfinite().all() for value in numbers.values()]).tolist()
    return [key for key, good in zip(numbers, finite, strict=True) if not good]


def load_trained(trained: TrainedNetwork) -> nn.Module:
    """Returns a trained network with its weights, images [B, 3, H, W] -> logits [B, C, H, W].

    Raises:
        ModelError: the file is no weights, those of another network, or no longer what its training wrote.
    """
    trained.check(trained.weights)
    network: nn.Module = trained.build()
    load_weights(network, trained.weights)
    return network


def load_weights(model: nn.Module, path: Path) -> None:
    """Loads a whole network, every key of it.

    Raises:
        ModelError: the file cannot be read, or is of another network; the message names keys, shapes and what to choose.
    """
    load_exactly(model, read_weights(path), path)


def load_start_weights(model: nn.Module, path: Path, other_classes: bool = False) -> None:
    """Loads what a training may start from: a whole network, or an ImageNet classifier for its backbone.

    Args:
        model: the network.
        path: the file.
        other_classes: whether of a network for another number of classes all is taken but its last layer, which begins anew.

    Raises:
        ModelError: the file fits neither the network nor its backbone.
    """
    state = read_weights(path)
    whole = state.keys() & model.state_dict().keys()
    backbone = backbone_of(model)
    if backbone is not None and not whole and state.keys() & backbone.state_dict().keys():
        model, state = backbone, {key: value for key, value in state.items() if not key.startswith(_HEADS)}
    other = _of_other_classes(model, state) if other_classes else []
    if other:
        state = {**state, **{key: model.state_dict()[key] for key in other}}
        _log.info("%s tells other classes apart: %s begin anew", path, ", ".join(other))
    load_exactly(model, state, path, ", or model.weights=null to start without it")


def _of_other_classes(model: nn.Module, state: Mapping[str, Tensor]) -> list[str]:
    """Returns the tensors of a classifier for another number of classes, where nothing else keeps the file from fitting."""
    own = model.state_dict()
    if own.keys() != state.keys():
        return []
    other = [key for key in own if own[key].shape != state[key].shape]
    outputs = {(*own[key].shape[:1], *state[key].shape[:1]) for key in other}
    last = all(own[key].shape[1:] == state[key].shape[1:] for key in other)
    return other if last and len(outputs) == 1 else []


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except (OSError, RuntimeError, ValueError, safetensors.SafetensorError) as error:
        raise ModelError(
            f"{path} cannot be read as weights: {reason(error)}; expected a complete file of tensors only"
        ) from error
