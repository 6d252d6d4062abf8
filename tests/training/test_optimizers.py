from functools import partial

import pytest
import torch
from torch import nn

from zsda.core.errors import ConfigError
from zsda.training.optimizers import with_faster_head


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Linear(2, 3)
        self.head = nn.Linear(3, 1)
        self.unused = nn.Linear(3, 1).requires_grad_(False)


def test_the_head_learns_ten_times_faster_and_nothing_is_left_out():
    network = Small()
    optimizer = with_faster_head(partial(torch.optim.Adam, lr=3e-6, weight_decay=5e-4), network)
    slow, fast = optimizer.param_groups
    assert [group["lr"] for group in (slow, fast)] == pytest.approx([3e-6, 3e-5])
    assert {id(p) for p in slow["params"]} == {id(p) for p in network.backbone.parameters()}
    assert len(slow["params"]) + len(fast["params"]) == len(list(network.parameters()))
    assert slow["weight_decay"] == fast["weight_decay"] == 5e-4


def test_a_rate_that_is_a_tensor_is_not_shared():
    optimizer = with_faster_head(partial(torch.optim.Adam, lr=torch.tensor(1e-3)), Small())
    assert [float(group["lr"]) for group in optimizer.param_groups] == pytest.approx([1e-3, 1e-2])


def test_what_takes_no_gradient_does_not_decay():
    network = Small()
    before = network.unused.weight.clone()
    optimizer = with_faster_head(partial(torch.optim.SGD, lr=0.1, weight_decay=0.5), network, factor=2)
    network.head(network.backbone(torch.ones(1, 2))).sum().backward()
    optimizer.step()
    assert optimizer.param_groups[1]["lr"] == pytest.approx(0.2)
    assert torch.equal(network.unused.weight, before)


def test_a_network_without_backbone_is_refused():
    with pytest.raises(ConfigError, match="head learns 10 times faster than a backbone, and Linear has none"):
        with_faster_head(partial(torch.optim.SGD, lr=0.1), nn.Linear(1, 1))
