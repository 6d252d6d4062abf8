"""Networks of segmentation-models-pytorch."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import segmentation_models_pytorch as smp
import timm
import torch
from segmentation_models_pytorch.encoders import is_equivalent_to_timm_universal
from torch import Tensor, nn

from zsda.core.errors import ConfigError, ModelError
from zsda.core.reasons import reason
from zsda.models.backbones import imagenet_unreachable

_TIMM = "tu-"
_FREES = {"strict_img_size": False, "dynamic_img_size": True}
_SET_HERE = {"encoder_name", "encoder_weights", "in_channels", "classes", "kwargs"}
ENCODER_OPTIONS = {"drop_path_rate", "drop_rate", "dynamic_img_size", "img_size", "strict_img_size"}
"""What encoders of timm take beside what their decoder decides."""


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
        options: what else the architecture takes by name, e.g. ``encoder_depth`` and ``decoder_channels``, and of an encoder of
            timm `ENCODER_OPTIONS`. Others, by which timm would read files of weights, are refused: a run folder may name them.

    Raises:
        ConfigError: the library does not know this architecture, encoder or option, or has no memory for the network.
        ModelError: the ImageNet weights cannot be fetched.

    Encoders of timm that can take images of any size are made so, unless an option says otherwise. The network itself raises
    ConfigError for images of a size that it cannot halve often enough.
    """
    if not isinstance(pretrained, bool):
        raise ConfigError(f"model.pretrained={pretrained} with model=smp; expected true or false")
    _check_names(architecture, encoder, options)
    options = {**_of_any_size(encoder, options), **options}
    try:
        model = smp.create_model(architecture, encoder, None, classes=num_classes, **options)
    except (KeyError, ValueError, RuntimeError, TypeError, MemoryError, AssertionError) as error:
        raise ConfigError(
            f"model.architecture={architecture} model.encoder={encoder}: {reason(error)}; expected names of segmentation-models-pytorch"
        ) from error
    if pretrained:
        try:
            model = smp.create_model(architecture, encoder, "imagenet", classes=num_classes, **options)
        except Exception as error:
            # The hub's client raises errors of several libraries; with names that are known to be right, all mean the same.
            raise ModelError(imagenet_unreachable(encoder, error)) from error
    model.check_input_shape = partial(_check_size, model.check_input_shape)
    return model


def _check_names(architecture: str, encoder: str, options: Mapping[str, Any]) -> None:
    """Refuses what the library would take for more than a name: an address of weights, a folder, an argument of a loader."""
    chosen = f"model.architecture={architecture} model.encoder={encoder}"
    kind = smp.MODEL_ARCHITECTURES_MAPPING.get(str(architecture).lower())
    if kind is None:
        known = ", ".join(smp.MODEL_ARCHITECTURES_MAPPING)
        raise ConfigError(f"{chosen}: no such architecture; expected names of segmentation-models-pytorch: {known}")
    if encoder not in smp.encoders.get_encoder_names() and not timm.is_model(_of_timm(encoder)):
        raise ConfigError(
            f"{chosen}: no such encoder; expected names of segmentation-models-pytorch, or {_TIMM} and a name of timm"
        )
    takes = inspect.signature(kind).parameters.keys() - _SET_HERE
    unknown = sorted(options.keys() - takes - ENCODER_OPTIONS)
    if unknown:
        raise ConfigError(
            f"model.{unknown[0]} is no option of {architecture}; expected {', '.join(sorted(takes))}, or of an encoder of timm "
            f"{', '.join(sorted(ENCODER_OPTIONS))}"
        )


def _of_timm(encoder: str) -> str:
    """Returns the name that an encoder has in timm; none if it is not from there."""
    name = str(encoder)
    if is_equivalent_to_timm_universal(name):  # older names, which the library writes anew in this way
        name = name.replace("timm-", _TIMM).replace("tu-mobilenetv3", "tu-tf_mobilenetv3")
    return name.removeprefix(_TIMM) if name.startswith(_TIMM) else ""


def _of_any_size(encoder: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the option by which an encoder of timm takes images of other sizes than it is made for; none where it takes none."""
    if not _of_timm(encoder) or options.keys() & {"img_size", *_FREES}:
        return {}
    for option, value in _FREES.items():
        asked: dict[str, Any] = {option: value}
        try:
            with torch.device("meta"), torch.random.fork_rng(devices=[]):
                timm.create_model(_of_timm(encoder), features_only=True, **asked)
            return asked
        except (TypeError, ValueError, RuntimeError, AttributeError, AssertionError):
            continue  # it does not know the option; what else is wrong is told when it is built
    return {}


def _check_size(library_check: Callable[[Tensor], None], images: Tensor) -> None:
    try:
        library_check(images)
    except RuntimeError as error:
        raise ConfigError(
            f"{reason(error, most=400)}. Choose data.transform.size and data.transform.crop, or size= of eval, so"
        ) from error
