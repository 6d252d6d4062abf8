"""ResNets as feature extractors, with ImageNet weights where asked for."""

import logging
from collections.abc import Sequence
from typing import Any

import torchvision
from torch import Tensor, nn

from zsda.core.errors import ConfigError, ModelError
from zsda.core.reasons import reason

IMAGENET = {
    "resnet18": "IMAGENET1K_V1",
    "resnet34": "IMAGENET1K_V1",
    "resnet50": "IMAGENET1K_V2",  # SDGPA's and ZoDi's: resnet50-11ad3fa6
    "resnet101": "IMAGENET1K_V1",  # ZoDi's and HIAST's: resnet101-5d3b4d8f
    "resnet152": "IMAGENET1K_V1",
}
"""The ResNets, and the file of torchvision that each starts from: for those of the papers, the published one."""

_log = logging.getLogger(__name__)

_PLAIN = ("resnet18", "resnet34")  # torchvision dilates bottlenecks only
_STRIDES = {32: [False, False, False], 16: [False, False, True], 8: [False, True, True]}


class ResNetFeatures(nn.Module):
    """A torchvision ResNet (He et al., CVPR 2016) without its classifier; torchvision's key names are kept.

    Args:
        name: one of `IMAGENET`.
        pretrained: load torchvision's ImageNet weights: those of `IMAGENET`, or others by their name there.
        output_stride: pixels per feature of the last stage, 32, 16 or 8; below 32 the last stages dilate instead of striding.

    Raises:
        ConfigError: an unknown name, stride or name of weights, or a stride that only bottleneck networks can have.
        ModelError: the weights cannot be fetched.
    """

    conv1: nn.Conv2d
    bn1: nn.BatchNorm2d
    relu: nn.ReLU
    maxpool: nn.MaxPool2d
    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential

    def __init__(self, name: str, pretrained: bool | str = False, output_stride: int = 32) -> None:
        super().__init__()
        if name not in IMAGENET:
            raise ConfigError(f"unknown backbone {name!r}; expected one of {', '.join(IMAGENET)}")
        if output_stride not in _STRIDES or (output_stride < 32 and name in _PLAIN):
            possible = "32" if name in _PLAIN else "32, 16 or 8"
            raise ConfigError(f"output_stride={output_stride} with {name}; expected {possible}")
        resnet = _resnet(name, pretrained, output_stride)
        for part in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"):
            self.add_module(part, getattr(resnet, part))
        self.out_channels = tuple(_width(getattr(self, f"layer{stage}")) for stage in (1, 2, 3, 4))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps [B, 3, H, W] to the outputs of the four stages."""
        features = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        stages = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            features = stage(features)
            stages.append(features)
        return tuple(stages)


def _width(stage: nn.Module) -> int:
    last = list(stage.children())[-1]
    return int(getattr(last, "conv3", getattr(last, "conv2", None)).out_channels)  # type: ignore[union-attr]  # one of both exists


def _resnet(name: str, pretrained: bool | str, output_stride: int) -> nn.Module:
    dilated = {} if output_stride == 32 else {"replace_stride_with_dilation": _STRIDES[output_stride]}
    weights = _imagenet_file(name, pretrained) if pretrained else None
    try:
        return torchvision.models.get_model(name, weights=weights, **dilated)
    except (OSError, RuntimeError) as error:
        raise ModelError(imagenet_unreachable(name, error)) from error


def _imagenet_file(name: str, pretrained: bool | str) -> str:
    chosen = IMAGENET[name] if pretrained is True else str(pretrained)
    known = [weights.name for weights in torchvision.models.get_model_weights(name)]
    if chosen not in known:
        raise ConfigError(f"model.pretrained={pretrained} with {name}; expected true, false or {', '.join(known)}")
    _log.info("%s starts from torchvision's %s", name, chosen)
    return chosen


def imagenet_unreachable(name: str, error: Exception) -> str:
    """Says that ImageNet weights cannot be fetched, and the two ways out."""
    return (
        f"the ImageNet weights of {name} cannot be fetched ({reason(error)}); fetch them on a machine with network and give "
        "model.weights=FILE, or start from random weights with model.pretrained=false"
    )


def backbone_of(model: nn.Module) -> nn.Module | None:
    """Returns the part of a segmentation network that ImageNet weights fit; None where it has none."""
    found = (getattr(model, name, None) for name in ("backbone", "encoder"))  # here; in segmentation-models-pytorch
    return next((part for part in found if isinstance(part, nn.Module)), None)


def _needed(model: nn.Module, purpose: str) -> nn.Module:
    backbone = backbone_of(model)
    if backbone is None:
        raise ConfigError(f"{purpose} needs a network with a backbone or encoder, {type(model).__name__} has none")
    return backbone


class LastFeatures:
    """Collects what the last stage of a network's backbone returns, [B, C, h, w], at every pass within ``with``.

    It stays with the network: compiled networks do not see what is hooked on later.

    Args:
        model: the network.
        purpose: what the features are for, for the message.

    Raises:
        ConfigError: the network has no backbone.
    """

    def __init__(self, model: nn.Module, purpose: str) -> None:
        self.backbone = _needed(model, purpose)
        self._found: list[Tensor] | None = None
        self.backbone.register_forward_hook(self._take)

    def __enter__(self) -> list[Tensor]:
        """Returns the list that they come into, in the order of the passes."""
        self._found = []
        return self._found

    def __exit__(self, *_error: object) -> None:
        """Collects no more."""
        self._found = None

    def _take(self, _module: nn.Module, _images: Any, stages: Sequence[Any]) -> None:  # noqa: ANN401 - torch's
        if self._found is not None:
            # Encoders of transformers may return tokens beside their stages.
            self._found.append(stages[-1] if isinstance(stages[0], Tensor) else stages[0][-1])
