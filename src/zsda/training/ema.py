"""Networks that follow another one slowly."""

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from zsda.core.errors import ConfigError


class Average(AveragedModel):
    """A copy of a network whose parameters move by 1 - ``decay`` of the way at every step; buffers are copied as they are.

    It is in evaluation mode, takes no gradients, and passes images on like the network itself.

    Args:
        network: what it follows.
        decay: share of itself that it keeps.
        start: the first so many steps are not followed; the next one copies the network.

    Raises:
        ConfigError: the decay is no share.
    """

    def __init__(self, network: nn.Module, decay: float, start: int = 0) -> None:
        if not isinstance(decay, int | float) or not 0 <= decay <= 1:
            raise ConfigError(f"decay={decay}; expected a number from 0 to 1")
        super().__init__(network, multi_avg_fn=get_ema_multi_avg_fn(decay))
        self.requires_grad_(False)
        if not start:
            self.n_averaged += 1  # it is a copy already, and needs not copy the first step
        self._network = (network,)  # hidden from PyTorch, which would count it as a part
        self._start = start
        self.train(mode=False)

    def train(self, mode: bool = True) -> "Average":
        """Stays in evaluation mode."""
        return super().train(mode=False)

    def follow(self, steps: int) -> None:
        """Moves on after a step.

        Args:
            steps: how many the optimisers have taken.
        """
        if steps > self._start:
            self.update_parameters(self._network[0])
