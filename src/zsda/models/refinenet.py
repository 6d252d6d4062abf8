"""RefineNet, the second network that the papers train, with the key names of their checkpoints."""

import torch.nn.functional as F
from torch import Tensor, nn

from zsda.models.backbones import ResNetFeatures

_WIDTHS = (512, 256, 256, 256)
"""Channels of the four stages of the decoder, from the deepest features to the finest."""


def _conv(inputs: int, outputs: int, bias: bool = False) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)


def _resize(maps: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(maps, size=like.shape[-2:], mode="bilinear", align_corners=True)


class ResidualUnits(nn.Module):
    """A chain of residual convolution units (Lin et al., CVPR 2017, section 3.2): relu, conv, relu, conv, added to the input.

    Args:
        width: channels of the features and of the result.
        units: length of the chain.
    """

    def __init__(self, width: int, units: int) -> None:
        super().__init__()
        self.names = [(f"{unit}_conv", f"{unit}_conv_relu_varout_dimred") for unit in range(1, units + 1)]
        for first, second in self.names:
            self.add_module(first, _conv(width, width, bias=True))
            self.add_module(second, _conv(width, width))

    def forward(self, features: Tensor) -> Tensor:
        """Maps [B, width, h, w] to the same shape."""
        for first, second in self.names:
            inner = self.get_submodule(first)(F.relu(features))
            features = features + self.get_submodule(second)(F.relu(inner))
        return features


class ChainedPooling(nn.Module):
    """Chained residual pooling (Lin et al., CVPR 2017, section 3.2): every link pools what the one before it gave.

    Args:
        width: channels of the features and of the result, which is the sum of the features and of all links.
        links: length of the chain.
    """

    def __init__(self, width: int, links: int = 4) -> None:
        super().__init__()
        self.names = [f"{link}_outvar_dimred" for link in range(1, links + 1)]
        for name in self.names:
            self.add_module(name, _conv(width, width))

    def forward(self, features: Tensor) -> Tensor:
        """Maps [B, width, h, w] to the same shape."""
        link = features
        for name in self.names:
            link = self.get_submodule(name)(F.max_pool2d(link, 5, stride=1, padding=2))
            features = features + link
        return features


class _Decoder(nn.Module):
    """Refines the deepest features with those of each finer stage, and classifies.

    The publishers keep the parts of all stages side by side, so the parts of one stage are found by its number.
    """

    def __init__(self, inputs: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        previous = None
        for stage, (channels, width) in enumerate(zip(inputs, _WIDTHS, strict=True), start=1):
            if previous is not None:
                self.add_module(f"mflow_conv_g{stage - 1}_b3_joint_varout_dimred", _conv(previous, width))
                self.add_module(f"adapt_stage{stage}_b2_joint_varout_dimred", _conv(width, width))
            self.add_module(f"p_ims1d2_outl{stage}_dimred", _conv(channels, width))
            self.add_module(f"adapt_stage{stage}_b", nn.Sequential(ResidualUnits(width, 2)))
            self.add_module(f"mflow_conv_g{stage}_pool", nn.Sequential(ChainedPooling(width)))
            self.add_module(f"mflow_conv_g{stage}_b", nn.Sequential(ResidualUnits(width, 3)))
            previous = width
        self.dropout = nn.Dropout(0.5)
        self.clf_conv = _conv(_WIDTHS[-1], num_classes, bias=True)

    def forward(self, stages: tuple[Tensor, ...], images: Tensor) -> Tensor:
        """Maps the features of the stages, the deepest first, to logits [B, num_classes, H, W]."""
        refined: Tensor | None = None
        for stage, features in enumerate(stages, start=1):
            adapted = self._adapted(stage, features)
            if refined is not None:
                adapted = self._joined(stage, adapted, refined)
            pooled = self._part(f"mflow_conv_g{stage}_pool", F.relu(adapted))
            refined = self._part(f"mflow_conv_g{stage}_b", pooled)
        # Published so: features are spread to all pixels before they are classified, not logits after it.
        return self.clf_conv(_resize(self.dropout(refined), images))

    def _adapted(self, stage: int, features: Tensor) -> Tensor:
        if stage <= 2:
            features = self.dropout(features)
        return self._part(f"adapt_stage{stage}_b", self._part(f"p_ims1d2_outl{stage}_dimred", features))

    def _joined(self, stage: int, adapted: Tensor, deeper: Tensor) -> Tensor:
        own = self._part(f"adapt_stage{stage}_b2_joint_varout_dimred", adapted)
        return own + _resize(self._part(f"mflow_conv_g{stage - 1}_b3_joint_varout_dimred", deeper), own)

    def _part(self, name: str, features: Tensor) -> Tensor:
        return self.get_submodule(name)(features)


class RefineNet(nn.Module):
    """RefineNet (Lin et al., CVPR 2017) as ZoDi and SDGPA train it, on a ResNet.

    Args:
        num_classes: output channels; the published networks have 20, the last of them "void".
        backbone: a torchvision ResNet, ``resnet18`` to ``resnet152``.
        pretrained: start the backbone from ImageNet weights: the published ones, or others of torchvision by their name; see
            `zsda.models.backbones.IMAGENET`.

    Raises:
        ConfigError: an unknown backbone.
        ModelError: the ImageNet weights cannot be fetched.
    """

    def __init__(self, num_classes: int, backbone: str = "resnet50", pretrained: bool | str = False) -> None:
        super().__init__()
        self.backbone = ResNetFeatures(backbone, pretrained)
        self.classifier = _Decoder(self.backbone.out_channels[::-1], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Maps normalised images [B, 3, H, W] of any size to logits [B, num_classes, H, W]."""
        return self.classifier(self.backbone(images)[::-1], images)
