"""Can a network take images of a size? Asked before hours are spent on what it is shown first, or last."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from zsda.core.errors import ConfigError
from zsda.core.reasons import reason

_REFUSED = (RuntimeError, ValueError, TypeError, LookupError, ArithmeticError, AssertionError)
"""What networks raise for images that they cannot take."""


def check_sizes(model: nn.Module, shown: Iterable[tuple[str, Iterable[int]]]) -> None:
    """Refuses sizes of images that a network cannot take.

    It is run without values, so that neither weights nor statistics nor random numbers move and even a large network takes no time.

    Args:
        model: images [B, 3, H, W] -> logits.
        shown: the option that says how large images are, and their height and width.

    Raises:
        ConfigError: the message names option and size.
    """
    for option, size in dict.fromkeys((option, tuple(size)) for option, size in shown):
        try:
            _try(model, size, "meta")
        except (*_REFUSED, ConfigError):  # of what a layer does with values, torch without them knows nothing
            _try_really(model, option, size)


def _try_really(model: nn.Module, option: str, size: tuple[int, ...]) -> None:
    named = f"{option}=[{','.join(map(str, size))}]"
    try:
        _try(model, size, next((parameter.device for parameter in model.parameters()), "cpu"))
    except ConfigError as error:
        raise ConfigError(f"{named}: {error}") from error
    except _REFUSED as error:
        raise ConfigError(
            f"{named}: the network cannot take images of that size ({reason(error)}); give another, or where model=smp has an encoder of "
            "one size +model.img_size=[HEIGHT,WIDTH] and data.transform.crop=null"
        ) from error


def _try(model: nn.Module, size: tuple[int, ...], device: str | torch.device) -> None:
    def like(tensor: Tensor) -> Tensor:
        return torch.empty_like(tensor, device=device) if device == "meta" else tensor.detach().clone()

    tensors = {
        name: like(tensor) for found in (model.named_parameters(), model.named_buffers()) for name, tensor in found
    }
    # Two, as batch normalisation learns nothing from one.
    images = torch.zeros(2, 3, *size, device=device)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        functional_call(model, tensors, (images,))
