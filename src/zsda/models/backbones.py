"""ResNets as feature extractors, with ImageNet weights where asked for."""

import torchvision
from torch import Tensor, nn

from zsda.errors import ConfigError, ModelError

RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")


class ResNetFeatures(nn.Module):
    """A torchvision ResNet (He et al., CVPR 2016) without its classifier; torchvision's key names are kept.

    Args:
        name: one of `RESNETS`.
        pretrained: load torchvision's newest ImageNet weights (``IMAGENET1K_V2`` for ResNet-50).

    Raises:
        ConfigError: an unknown name.
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

    def __init__(self, name: str, pretrained: bool = False) -> None:
        super().__init__()
        if name not in RESNETS:
            raise ConfigError(f"unknown backbone {name!r}; expected one of {', '.join(RESNETS)}")
        resnet = _resnet(name, pretrained)
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


def _resnet(name: str, pretrained: bool) -> nn.Module:
    try:
        return torchvision.models.get_model(name, weights="DEFAULT" if pretrained else None)
    except (OSError, RuntimeError) as error:
        raise ModelError(imagenet_unreachable(name, error)) from error


def imagenet_unreachable(name: str, error: Exception) -> str:
    """Says that ImageNet weights cannot be fetched, and the two ways out."""
    reason = " ".join(str(error).split())[:200]
    return (
        f"the ImageNet weights of {name} cannot be fetched ({reason}); fetch them on a machine with network and give "
        "model.weights=FILE, or start from random weights with model.pretrained=false"
    )
