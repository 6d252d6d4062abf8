import math

import pytest
import torch
from torch import nn

from tests.reference import image, recorded, state_dict
from zsda.core.errors import ConfigError, ModelError
from zsda.models import backbones
from zsda.models.deeplab import DeepLabV2, DeepLabV3Plus
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
@pytest.mark.parametrize("network", [DeepLabV3Plus, RefineNet, DeepLabV2])
def test_a_backbone_starts_from_the_published_file(monkeypatch, network, backbone, pretrained, file):
    asked, original = [], backbones.torchvision.models.get_model
    monkeypatch.setattr(
        backbones.torchvision.models,
        "get_model",
        lambda name, weights, **more: asked.append(weights) or original(name, weights=None, **more),
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


def hiast():
    model = DeepLabV2(19).eval()
    model.load_state_dict(state_dict("hiast_deeplabv2_resnet101"))
    return model


@torch.no_grad()
def differing(model):
    return (
        (model.forward_features(image()) - torch.from_numpy(recorded("hiast_deeplabv2_resnet101")["logits"]))
        .abs()
        .max()
    )


def test_the_network_of_hiast_is_reproduced():
    assert differing(hiast()) < 1e-4


@pytest.mark.parametrize("wrong", ["rate", "dilation", "mean"])
def test_another_pyramid_or_dilation_would_be_noticed(wrong):
    model = hiast()
    if wrong == "rate":
        # At 8x16 features a 3x3 kernel of rate 24 sees its centre alone, one of rate 1 does not.
        model.aspp.conv2d_list[3].dilation = model.aspp.conv2d_list[3].padding = (1, 1)
    elif wrong == "dilation":
        model.backbone.layer3[0].conv2.dilation = model.backbone.layer3[0].conv2.padding = (2, 2)
    else:
        for convolution in model.aspp.conv2d_list:
            convolution.weight.data /= 4
            convolution.bias.data /= 4
    assert differing(model) > 1e-4


def test_dilations_are_the_published_ones():
    backbone = hiast().backbone
    for stage, first, others in ((backbone.layer3, 1, 2), (backbone.layer4, 2, 4)):
        assert [block.conv2.dilation[0] for block in stage] == [first] + [others] * (len(stage) - 1)
        assert all(block.conv2.stride == (1, 1) for block in stage)
    assert [c.dilation[0] for c in hiast().aspp.conv2d_list] == [6, 12, 18, 24]


def test_logits_reach_the_images_size_from_corner_to_corner():
    model = DeepLabV2(3, "resnet50").eval()
    images = torch.randn(1, 3, 33, 65, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features, logits = model.forward_features(images), model(images)
    assert features.shape == (1, 3, 5, 9)
    assert logits.shape == (1, 3, 33, 65)
    # With corners aligned every eighth pixel is a feature.
    assert (logits[:, :, ::8, ::8] - features).abs().max() < 1e-4 * features.abs().max()


def test_the_pyramid_starts_from_the_published_values():
    torch.manual_seed(0)
    for convolution in DeepLabV2(19, "resnet50").aspp.conv2d_list:
        assert convolution.weight.std().item() == pytest.approx(0.01, rel=0.02)
        assert 0 < convolution.bias.abs().max() <= 1 / math.sqrt(9 * 2048)


def test_the_representation_is_kept_and_not_trained():
    model = DeepLabV2(3, "resnet50")
    model(torch.randn(2, 3, 33, 33)).sum().backward()
    assert model.representation[0].weight.shape == (256, 2048, 1, 1)
    assert not any(p.requires_grad for p in model.representation.parameters())  # what several devices would wait for
    assert not [name for name, p in model.named_parameters() if (p.grad is None) != name.startswith("representation.")]


def test_a_backbone_that_cannot_be_dilated_is_refused():
    with pytest.raises(ConfigError, match="output_stride=8 with resnet18; expected 32"):
        DeepLabV2(3, "resnet18")
