"""Optimisers whose parameters do not all learn alike."""

from collections.abc import Callable, Iterable
from typing import Any

from torch import nn
from torch.optim import Optimizer

from zsda.core.errors import ConfigError
from zsda.models.backbones import backbone_of

OptimizerFactory = Callable[[Iterable[Any]], Optimizer]
"""Makes an optimiser of parameters, or of groups of them."""


def with_faster_head(factory: OptimizerFactory, network: nn.Module, factor: float = 10.0) -> Optimizer:
    """Makes an optimiser of two groups: the backbone at the rate of the factory, everything else at a multiple of it.

    DeepLab v2 (Chen et al., TPAMI 2018, section 4.1) and HIAST take 10.

    Args:
        factory: makes the optimiser, e.g. a partial of ``torch.optim.Adam`` with its ``lr``.
        network: has a backbone or encoder.
        factor: of the learning rate of the rest.

    Raises:
        ConfigError: the network has no backbone.
    """
    backbone = backbone_of(network)
    if backbone is None:
        raise ConfigError(
            f"the head learns {factor:g} times faster than a backbone, and {type(network).__name__} has none"
        )
    slow = list(backbone.parameters())
    known = {id(parameter) for parameter in slow}
    fast = [parameter for parameter in network.parameters() if id(parameter) not in known]
    optimizer = factory([{"params": slow}, {"params": fast}])
    fast_group = optimizer.param_groups[1]
    fast_group["lr"] = fast_group["lr"] * factor  # not in place: the groups may share a tensor
    return optimizer
