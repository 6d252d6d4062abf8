"""Networks of segmentation-models-pytorch."""

from collections.abc import Callable
from functools import partial
from typing import Any

import segmentation_models_pytorch as smp
from torch import Tensor, nn

from zsda.errors import ConfigError, ModelError
from zsda.models.backbones import imagenet_unreachable


def library_model(
    architecture: str,
    encoder: str,
    num_classes: int,
    pretrained: bool = False,
    **options: Any,  # noqa: ANN401 - the library's own
) -> nn.Module:
    """Builds any decoder of segmentation-models-pytorch on any of its encoders.

    Args:
        architecture: e.g. ``deeplabv3plus``, ``unet``, ``fpn``, ``segformer``, ``upernet``.
        encoder: e.g. ``resnet18``, ``mit_b2``, ``tu-convnext_tiny``.
        num_classes: output channels.
        pretrained: start the encoder from ImageNet weights.
        options: what else the architecture takes, e.g. ``encoder_depth`` and ``decoder_channels``.

    Raises:
        ConfigError: the library does not know this architecture, encoder or option.
        ModelError: the ImageNet weights cannot be fetched.

    The network itself raises ConfigError for images of a size that it cannot halve often enough.
    """
    if not isinstance(pretrained, bool):
        raise ConfigError(f"model.pretrained={pretrained} with model=smp; expected true or false")
    try:
        model = smp.create_model(architecture, encoder, None, classes=num_classes, **options)
    except (KeyError, ValueError, RuntimeError, TypeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"model.architecture={architecture} model.encoder={encoder}: {reason}; expected names of segmentation-models-pytorch"
        ) from error
    if pretrained:
        try:
            model = smp.create_model(architecture, encoder, "imagenet", classes=num_classes, **options)
        except Exception as error:
            # The hub's client raises errors of several libraries; with names that are known to be right, all mean the same.
            raise ModelError(imagenet_unreachable(encoder, error)) from error
    model.check_input_shape = partial(_check_size, model.check_input_shape)
    return model


def _check_size(library_check: Callable[[Tensor], None], images: Tensor) -> None:
    try:
        library_check(images)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"{reason} Choose data.transform.size and data.transform.crop, or size= of eval, so"
        ) from error
