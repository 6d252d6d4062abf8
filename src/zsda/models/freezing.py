"""Parts of networks that a training leaves as they are."""

from collections.abc import Iterator
from functools import partial

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def freeze_batch_norm(network: nn.Module, statistics: bool = False) -> None:
    """Takes scale and shift of every batch normalisation out of the training.

    Without them the network is what HIAST and IAST call frozen: batch statistics go on normalising, and running statistics go on
    moving.

    Args:
        network: is changed. Batch normalisation that is later converted for several devices stays frozen.
        statistics: also keep the running statistics, and normalise with them, whatever mode the network, or what it is part of, is
            set to. A part of the network that is set to training by itself is not kept from it.
    """
    for module in _batch_norms(network):
        module.requires_grad_(False)
    if statistics:
        # The network's own method, not those of its parts: a conversion for several devices makes new parts.
        network.train = partial(_train_the_rest, network)  # type: ignore[method-assign]
        network.train(network.training)


def _train_the_rest(network: nn.Module, mode: bool = True) -> nn.Module:
    type(network).train(network, mode)
    for module in _batch_norms(network):
        nn.Module.train(module, mode=False)  # the network itself may be one
    return network


def _batch_norms(network: nn.Module) -> Iterator[nn.Module]:
    return (module for module in network.modules() if isinstance(module, _BatchNorm))
