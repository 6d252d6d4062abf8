"""What tells maps of the source from maps of unlabelled images."""

import torch.nn.functional as F
from torch import Tensor, nn

_WIDTH = 64
_SLOPE = 0.2


class Discriminator(nn.Module):
    """Five strided convolutions (DCGAN, Radford et al., ICLR 2016, as in AdaptSegNet, Tsai et al., CVPR 2018), as HIAST trains it.

    Args:
        num_classes: channels of the maps.
        first_kernel: size of the first kernel: 4 in HIAST, 3 in IAST.
    """

    def __init__(self, num_classes: int, first_kernel: int = 4) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(num_classes, _WIDTH, first_kernel, stride=2, padding=1)
        self.conv2 = nn.Conv2d(_WIDTH, 2 * _WIDTH, 4, stride=2, padding=1)
        self.conv3 = nn.Conv2d(2 * _WIDTH, 4 * _WIDTH, 4, stride=2, padding=1)
        self.conv4 = nn.Conv2d(4 * _WIDTH, 8 * _WIDTH, 4, stride=2, padding=1)
        self.classifier = nn.Conv2d(8 * _WIDTH, 1, 4, stride=2, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps [B, num_classes, H, W], of the size of the images, to logits [B, 1, about H / 32, about W / 32], one for each patch."""
        for convolution in (self.conv1, self.conv2, self.conv3, self.conv4):
            maps = F.leaky_relu(convolution(maps), _SLOPE)
        return self.classifier(maps)
