"""Networks that follow another one slowly."""

import copy
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from zsda.core.values import SHARE


class Average(nn.Module):
    """A copy of a network whose parameters move by 1 - ``decay`` of the way at every step; buffers are copied as they are.

    It is in evaluation mode, takes no gradients, and passes images on like the network itself. PyTorch's ``AveragedModel`` counts its
    updates on the device, and waits for it at each.

    Args:
        network: what it follows.
        decay: share of itself that it keeps.
        start: the first so many steps are not followed; the next one copies the network.

    Raises:
        ConfigError: the decay is no share.
    """

    def __init__(self, network: nn.Module, decay: float, start: int = 0) -> None:
        SHARE.check("decay", decay)
        super().__init__()
        self.module = copy.deepcopy(network).requires_grad_(False)
        self._network = (network,)  # hidden from PyTorch, which would count it as a part
        self._move = get_ema_multi_avg_fn(decay)
        self._start = start
        self.train(mode=False)

    def forward(self, *inputs: Any) -> Any:  # noqa: ANN401 - those of the network
        """Returns what the copy returns."""
        return self.module(*inputs)

    def train(self, mode: bool = True) -> "Average":
        """Stays in evaluation mode."""
        return super().train(mode=False)

    @torch.no_grad()
    def follow(self, steps: int) -> None:
        """Moves on after a step.

        Args:
            steps: how many the optimisers have taken.
        """
        if steps <= self._start:
            return
        own, followed = (list(network.parameters()) for network in (self.module, *self._network))
        if self._start and steps == self._start + 1:
            for mine, theirs in zip(own, followed, strict=True):
                mine.copy_(theirs)
        else:
            self._move(own, followed, None)
        for buffer, current in zip(self.module.buffers(), self._network[0].buffers(), strict=True):
            buffer.copy_(current)
