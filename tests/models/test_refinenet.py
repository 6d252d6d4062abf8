import pytest
import torch

from tests.reference import image, recorded, state_dict
from zsda.core.errors import ConfigError
from zsda.models.refinenet import RefineNet


def test_the_published_network_is_reproduced():
    model = RefineNet(20, "resnet50").eval()
    model.load_state_dict(state_dict("zodi_refinenet_resnet50"))
    with torch.no_grad():
        logits = model(image())
    expected = torch.from_numpy(recorded("zodi_refinenet_resnet50")["logits"])
    assert (logits - expected).abs().max() < 1e-3 * expected.abs().max()


@pytest.mark.parametrize("backbone", ["resnet18", "resnet34", "resnet101"])
def test_other_backbones_and_odd_sizes(backbone):
    with torch.no_grad():
        assert RefineNet(5, backbone).eval()(torch.zeros(1, 3, 50, 70)).shape == (1, 5, 50, 70)


def test_features_are_dropped_in_training_only():
    model, dropped = RefineNet(5, "resnet18"), []
    model.classifier.dropout.register_forward_hook(lambda _module, inputs, _outputs: dropped.append(inputs[0].shape[1]))
    images = torch.randn(2, 3, 64, 64)
    model.backbone.eval()  # its batch statistics would change outputs as well
    with torch.no_grad():
        assert not torch.equal(model(images), model(images))
        model.eval()
        assert torch.equal(model(images), model(images))
    assert dropped[:3] == [512, 256, 256]  # the two deepest stages of a ResNet-18, and the classifier's input


def test_every_weight_is_trained():
    model = RefineNet(5, "resnet18")
    model(torch.randn(2, 3, 64, 64)).square().mean().backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()] == []


def test_an_unknown_backbone_is_refused():
    with pytest.raises(ConfigError, match="unknown backbone 'vgg'; expected one of resnet18"):
        RefineNet(5, "vgg")
