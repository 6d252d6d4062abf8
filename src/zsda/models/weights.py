"""Reading and writing weights: plain tensors, never anything that is executed."""

import logging
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor, nn

from zsda.core.errors import ModelError
from zsda.core.files import write_atomic
from zsda.core.trained import TrainedNetwork, check_weights
from zsda.models.backbones import backbone_of
from zsda.models.matching import load_exactly
from zsda.models.published import read_published

_HEADS = ("fc.", "head.", "classifier.")

_log = logging.getLogger(__name__)


def save_weights(model: nn.Module, path: Path) -> None:
    """Writes a network's parameters and buffers as safetensors."""
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    write_atomic(path, safetensors.torch.save(state))


def read_weights(path: Path) -> dict[str, Tensor]:
    """Reads a state dict from ``.safetensors``, a PyTorch file or a checkpoint of the papers; says what else stood in the last.

    Raises:
        ModelError: the file is missing, damaged, or holds more than tensors and plain values.
    """
    check_weights(path)
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    state, report = read_published(path)
    if report.others:
        _log.info("read %s", report)
    return state


def load_trained(trained: TrainedNetwork) -> nn.Module:
    """Returns a trained network with its weights, images [B, 3, H, W] -> logits [B, C, H, W].

    Raises:
        ModelError: the file is no weights, or those of another network.
    """
    network: nn.Module = trained.build()
    load_weights(network, trained.weights)
    return network


def load_weights(model: nn.Module, path: Path) -> None:
    """Loads a whole network, every key of it.

    Raises:
        ModelError: the file cannot be read, or is of another network; the message names keys, shapes and what to choose.
    """
    load_exactly(model, read_weights(path), path)


def load_start_weights(model: nn.Module, path: Path) -> None:
    """Loads what a training may start from: a whole network, or an ImageNet classifier for its backbone.

    Raises:
        ModelError: the file fits neither the network nor its backbone.
    """
    state = read_weights(path)
    whole = state.keys() & model.state_dict().keys()
    backbone = backbone_of(model)
    if backbone is not None and not whole and state.keys() & backbone.state_dict().keys():
        model, state = backbone, {key: value for key, value in state.items() if not key.startswith(_HEADS)}
    load_exactly(model, state, path, ", or model.weights=null to start without it")


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except (OSError, RuntimeError, ValueError, safetensors.SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{path} cannot be read as weights: {reason}; expected a complete file of tensors only"
        ) from error
