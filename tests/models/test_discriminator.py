import pytest
import torch

from tests.reference import image, recorded, state_dict
from zsda.models.discriminator import Discriminator


def test_the_published_discriminator_is_reproduced():
    model = Discriminator(19)
    model.load_state_dict(state_dict("hiast_discriminator"))
    with torch.no_grad():
        verdicts = model(image(19))
    assert (verdicts - torch.from_numpy(recorded("hiast_discriminator")["logits"])).abs().max() < 1e-5


@pytest.mark.parametrize(("kernel", "size"), [(4, (2, 4)), (3, (2, 4))])
def test_the_first_kernel_is_an_option(kernel, size):
    model = Discriminator(5, first_kernel=kernel)
    assert model.conv1.kernel_size == (kernel, kernel)
    assert [getattr(model, name).kernel_size for name in ("conv2", "conv3", "conv4", "classifier")] == [(4, 4)] * 4
    assert model(torch.zeros(2, 5, 64, 128)).shape == (2, 1, *size)
