"""Reading and writing weights: plain tensors, never anything that is executed."""

import pickle
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from zsda.errors import ModelError
from zsda.runs import write_atomic

_HEADS = ("fc.", "head.", "classifier.")
_BACKBONES = ("backbone", "encoder")


def save_weights(model: nn.Module, path: Path) -> None:
    """Writes a network's parameters and buffers as safetensors."""
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    write_atomic(path, safetensors.torch.save(state))


def read_weights(path: Path) -> dict[str, Tensor]:
    """Reads a state dict from ``.safetensors`` or from a PyTorch file, the latter with ``weights_only=True``.

    Raises:
        ModelError: the file is missing, damaged, or holds more than tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelError(f"no weights at {path}; expected a .safetensors, .pth or .pt file") from error
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError, safetensors.SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{path} cannot be read as weights ({reason}); expected a complete file of tensors only"
        ) from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(f"{path} holds no plain state dict; expected a mapping from parameter names to tensors")
    return dict(state)


def load_weights(model: nn.Module, path: Path) -> None:
    """Loads a whole network, every key of it.

    Raises:
        ModelError: keys are missing or unknown, or shapes differ; the message names them.
    """
    _load_exactly(model, read_weights(path), path)


def load_start_weights(model: nn.Module, path: Path) -> None:
    """Loads what a training may start from: a whole network, or an ImageNet classifier for its backbone.

    Raises:
        ModelError: the file fits neither the network nor its backbone.
    """
    state = read_weights(path)
    for name in _BACKBONES:
        backbone = getattr(model, name, None)
        if isinstance(backbone, nn.Module) and not state.keys() & model.state_dict().keys():
            body = {key: value for key, value in state.items() if not key.startswith(_HEADS)}
            _load_exactly(backbone, body, path)
            return
    _load_exactly(model, state, path)


def _load_exactly(model: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    own = model.state_dict()
    differing = [
        f"{key} is {tuple(state[key].shape)}, expected {tuple(own[key].shape)}"
        for key in own.keys() & state.keys()
        if state[key].shape != own[key].shape
    ]
    for what, keys in (
        ("missing", own.keys() - state.keys()),
        ("unknown", state.keys() - own.keys()),
        ("shapes", differing),
    ):
        if keys:
            names = sorted(keys)
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise ModelError(
                f"{path} does not fit {type(model).__name__}: {what}: {', '.join(names[:3])}{more}; "
                "choose the model= that the file was made with"
            )
    model.load_state_dict(dict(state))
