"""The DeepLab networks of the two papers, with the key names of their checkpoints."""

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zsda.models.backbones import ResNetFeatures


def _conv_bn_relu(inputs: int, outputs: int, kernel: int = 1, dilation: int = 1) -> nn.Sequential:
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def _resize(maps: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(maps, size=like.shape[-2:], mode="bilinear", align_corners=False)


def _initialise(head: nn.Module) -> None:
    """Gives every convolution of a head the published start values (He et al., ICCV 2015, equation 10): gain sqrt 2, fan-in."""
    for module in head.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)


class _PooledContext(nn.Sequential):
    """The image-level branch of the pyramid: pooled to one pixel and spread again."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(1), *_conv_bn_relu(inputs, outputs))

    def forward(self, features: Tensor) -> Tensor:
        return _resize(super().forward(features), features)


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling (Chen et al., ECCV 2018, section 3.1).

    Args:
        inputs: channels of the features.
        rates: dilation of each of the 3x3 branches.
        width: channels of each branch and of the result.
    """

    def __init__(self, inputs: int, rates: Sequence[int], width: int) -> None:
        super().__init__()
        dilated = [_conv_bn_relu(inputs, width, 3, rate) for rate in rates]
        self.convs = nn.ModuleList([_conv_bn_relu(inputs, width), *dilated, _PooledContext(inputs, width)])
        self.project = nn.Sequential(*_conv_bn_relu(width * len(self.convs), width), nn.Dropout(0.5))

    def forward(self, features: Tensor) -> Tensor:
        """Maps [B, inputs, h, w] to [B, width, h, w]."""
        return self.project(torch.cat([branch(features) for branch in self.convs], dim=1))


class _Decoder(nn.Module):
    """Joins the pyramid with the low-level features and classifies."""

    def __init__(self, low_level: int, skip: int, pyramid: ASPP, width: int, num_classes: int) -> None:
        super().__init__()
        self.project = _conv_bn_relu(low_level, skip)
        self.aspp = pyramid
        self.classifier = nn.Sequential(*_conv_bn_relu(width + skip, width, 3), nn.Conv2d(width, num_classes, 1))

    def forward(self, low_level: Tensor, high_level: Tensor) -> Tensor:
        skip = self.project(low_level)
        return self.classifier(torch.cat([skip, _resize(self.aspp(high_level), skip)], dim=1))


class DeepLabV3Plus(nn.Module):
    """DeepLabV3+ (Chen et al., ECCV 2018); the defaults are what SDGPA trains.

    Args:
        num_classes: output channels; the published networks have 20, the last of them "void".
        backbone: a torchvision ResNet, ``resnet18`` to ``resnet152``.
        pretrained: start the backbone from ImageNet weights: the published ones, or others of torchvision by their name; see
            `zsda.models.backbones.IMAGENET`.
        output_stride: pixels per feature that the pyramid sees: 32, 16 or 8.
        rates: dilation of the pyramid's 3x3 branches.
        width: channels of the pyramid and the decoder.
        skip: channels of the low-level features that the decoder sees.

    Raises:
        ConfigError: an unknown backbone or stride.
        ModelError: the ImageNet weights cannot be fetched.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: str = "resnet50",
        pretrained: bool | str = False,
        output_stride: int = 32,
        rates: Sequence[int] = (6, 12, 18),
        width: int = 256,
        skip: int = 48,
    ) -> None:
        super().__init__()
        self.backbone = ResNetFeatures(backbone, pretrained, output_stride)
        low_level, *_, high_level = self.backbone.out_channels
        self.classifier = _Decoder(low_level, skip, ASPP(high_level, rates, width), width, num_classes)
        _initialise(self.classifier)

    def forward(self, images: Tensor) -> Tensor:
        """Maps normalised images [B, 3, H, W] to logits [B, num_classes, H, W]."""
        low_level, *_, high_level = self.backbone(images)
        return _resize(self.classifier(low_level, high_level), images)


class _SummedASPP(nn.Module):
    """The pyramid of DeepLab v2 (Chen et al., TPAMI 2018, section 3.2): dilated classifiers side by side, summed."""

    def __init__(self, inputs: int, num_classes: int, rates: Sequence[int]) -> None:
        super().__init__()
        convolutions = [nn.Conv2d(inputs, num_classes, 3, padding=rate, dilation=rate) for rate in rates]
        for convolution in convolutions:
            nn.init.normal_(convolution.weight, std=0.01)
        self.conv2d_list = nn.ModuleList(convolutions)

    def forward(self, features: Tensor) -> Tensor:
        return sum((convolution(features) for convolution in self.conv2d_list[1:]), start=self.conv2d_list[0](features))


class DeepLabV2(nn.Module):
    """DeepLab v2 (Chen et al., TPAMI 2018) at output stride 8, as HIAST and IAST train it.

    The published network also has a ``representation`` of its features that nothing reads. It is kept for the checkpoints that hold
    it, gets no gradient, and is not calculated.

    Args:
        num_classes: output channels.
        backbone: a torchvision ResNet with bottlenecks, ``resnet50`` to ``resnet152``.
        pretrained: start the backbone from ImageNet weights: the published ones, or others of torchvision by their name; see
            `zsda.models.backbones.IMAGENET`.

    Attributes:
        may_lack: beginnings of the keys of parts that a file may lack (`zsda.models.matching.load_exactly`).

    Raises:
        ConfigError: an unknown backbone, or one that cannot be dilated.
        ModelError: the ImageNet weights cannot be fetched.
    """

    may_lack: ClassVar[tuple[str, ...]] = ("representation.",)

    def __init__(self, num_classes: int, backbone: str = "resnet101", pretrained: bool | str = False) -> None:
        super().__init__()
        self.backbone = ResNetFeatures(backbone, pretrained, output_stride=8)
        width = self.backbone.out_channels[-1]
        self.aspp = _SummedASPP(width, num_classes, (6, 12, 18, 24))
        self.representation = nn.Sequential(nn.Conv2d(width, 256, 1)).requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """Maps normalised images [B, 3, H, W] to logits [B, num_classes, H, W]."""
        logits = self.forward_features(images)
        return F.interpolate(logits, size=images.shape[-2:], mode="bilinear", align_corners=True)

    def forward_features(self, images: Tensor) -> Tensor:
        """Maps normalised images [B, 3, H, W] to logits at stride 8, [B, num_classes, ceil(H / 8), ceil(W / 8)]."""
        *_, high_level = self.backbone(images)
        return self.aspp(high_level)
