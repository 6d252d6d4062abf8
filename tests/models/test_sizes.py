import pytest
import torch
from torch import nn

from zsda.core.errors import ConfigError
from zsda.models.deeplab import DeepLabV3Plus
from zsda.models.sizes import check_sizes


class Picky(nn.Module):
    """Takes images of one height, and says so only when it sees values."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.seen = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), []

    def forward(self, images):
        self.seen.append((tuple(images.shape), images.device.type))
        if images.sum().item() == 0 and images.shape[-2] != 32:
            raise AssertionError("height is not 32")
        return nn.functional.dropout(self.norm(self.conv(images)))


def test_nothing_of_a_network_moves():
    model = DeepLabV3Plus(19, "resnet18")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.random.get_rng_state()
    check_sizes(model, [("data.transform.crop", [64, 96]), ("data.transform.size", (128, 256))])
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_network_that_needs_values_is_given_some_and_option_and_size_are_told():
    model, state = Picky(), torch.random.get_rng_state()
    check_sizes(model, [("size", [32, 48])])
    assert model.seen == [((2, 3, 32, 48), "meta"), ((2, 3, 32, 48), "cpu")]
    assert (model.norm.num_batches_tracked, torch.equal(torch.random.get_rng_state(), state)) == (0, True)
    with pytest.raises(
        ConfigError, match=r"^scales=\[31,48\]: the network cannot .*\(height is not 32\); give another"
    ):
        check_sizes(model, [("size", [32, 48]), ("scales", [31, 48])])
