import math

import pytest
import torch
from torch import nn

from tests.reference import image, recorded, state_dict
from zsda.core.errors import ConfigError, ModelError
from zsda.models import backbones
from zsda.models.deeplab import DeepLabV3Plus
from zsda.models.refinenet import RefineNet


def test_the_published_network_is_reproduced():
    model = DeepLabV3Plus(20, "resnet50").eval()
    model.load_state_dict(state_dict("sdgpa_deeplabv3plus_resnet50"))
    with torch.no_grad():
        logits = model(image())
    assert (logits - torch.from_numpy(recorded("sdgpa_deeplabv3plus_resnet50")["logits"])).abs().max() < 1e-4


def test_a_wrong_pyramid_rate_would_be_noticed():
    model = DeepLabV3Plus(20, "resnet50").eval()
    model.load_state_dict(state_dict("sdgpa_deeplabv3plus_resnet50"))
    # 64x128 pixels are 2x4 at stride 32, where a 3x3 kernel of rate 6 sees padding but for its centre; rate 1 does not.
    convolution = model.classifier.aspp.convs[1][0]
    convolution.dilation, convolution.padding = (1, 1), (1, 1)
    with torch.no_grad():
        logits = model(image())
    assert (logits - torch.from_numpy(recorded("sdgpa_deeplabv3plus_resnet50")["logits"])).abs().max() > 1e-4


def test_rates_and_stride_are_the_published_ones():
    model = DeepLabV3Plus(20)
    assert [branch[0].dilation for branch in model.classifier.aspp.convs[1:4]] == [(6, 6), (12, 12), (18, 18)]
    assert model.backbone(torch.zeros(1, 3, 64, 96))[-1].shape[-2:] == (2, 3)


def test_training_drops_half_of_the_pyramid():
    torch.manual_seed(0)
    pyramid = DeepLabV3Plus(20, "resnet18").classifier.aspp
    features = torch.randn(8, 512, 8, 8)
    pyramid.train()
    kept = []
    pyramid.project[-1].register_forward_hook(
        lambda _m, given, out: kept.append((out != 0)[given[0] > 0].float().mean())
    )
    pyramid(features)
    assert kept[0].item() == pytest.approx(0.5, abs=0.01)


def test_the_head_starts_from_the_published_values():
    torch.manual_seed(0)
    head = DeepLabV3Plus(20, "resnet50").classifier
    convolutions = {name: module for name, module in head.named_modules() if isinstance(module, nn.Conv2d)}
    assert len(convolutions) == 9
    for name, convolution in convolutions.items():
        expected = math.sqrt(2 / convolution.weight[0].numel())
        assert convolution.weight.std().item() == pytest.approx(expected, rel=0.02), name
        # Of a normal distribution 4.6 % lie beyond two deviations, of a uniform one of this deviation none.
        beyond = (convolution.weight.abs() > 2 * expected).float().mean().item()
        assert beyond == pytest.approx(0.0455, abs=0.015), name
    bounds = {name: p for name, p in head.named_parameters() if "bias" in name and p.abs().sum() > 0}
    assert list(bounds) == ["classifier.3.bias"]  # the rest are those of batch normalisation
    assert bounds["classifier.3.bias"].abs().max() <= 1 / math.sqrt(256)
    assert all((module.weight == 1).all() for module in head.modules() if isinstance(module, nn.BatchNorm2d))


@pytest.mark.parametrize(
    ("backbone", "pretrained", "file"),
    [
        ("resnet50", True, "IMAGENET1K_V2"),
        ("resnet101", True, "IMAGENET1K_V1"),
        ("resnet101", "IMAGENET1K_V2", "IMAGENET1K_V2"),
    ],
)
@pytest.mark.parametrize("network", [DeepLabV3Plus, RefineNet])
def test_a_backbone_starts_from_the_published_file(monkeypatch, network, backbone, pretrained, file):
    asked, original = [], backbones.torchvision.models.get_model
    monkeypatch.setattr(
        backbones.torchvision.models,
        "get_model",
        lambda name, weights: asked.append(weights) or original(name, weights=None),
    )
    with torch.device("meta"):
        network(20, backbone, pretrained=pretrained)
    assert asked == [file]


def test_unknown_imagenet_weights_are_refused():
    with pytest.raises(ConfigError, match=r"model.pretrained=V3 with resnet18; expected true, false or IMAGENET1K_V1$"):
        DeepLabV3Plus(5, "resnet18", pretrained="V3")


@pytest.mark.parametrize("backbone", ["resnet18", "resnet101"])
def test_other_backbones_and_odd_sizes(backbone):
    assert DeepLabV3Plus(5, backbone).eval()(torch.zeros(1, 3, 50, 70)).shape == (1, 5, 50, 70)


def test_an_unknown_backbone_is_refused():
    with pytest.raises(ConfigError, match="unknown backbone 'vgg'; expected one of resnet18"):
        DeepLabV3Plus(5, "vgg")


def test_unreachable_imagenet_weights_name_the_ways_out(monkeypatch):
    from urllib.error import URLError

    def unreachable(*_args, **_kwargs):
        raise URLError("name resolution failed")

    monkeypatch.setattr(backbones.torchvision.models, "get_model", unreachable)
    with pytest.raises(
        ModelError, match=r"ImageNet weights of resnet50 cannot be fetched .*model.weights=FILE.*model.pretrained=false"
    ):
        DeepLabV3Plus(5, pretrained=True)
