import pytest
import torch

from zsda.core.errors import ConfigError, ModelError
from zsda.models.library import library_model
from zsda.models.sizes import check_sizes


@pytest.mark.parametrize("architecture", ["deeplabv3plus", "fpn"])
def test_any_architecture(architecture):
    assert library_model(architecture, "resnet18", 7).eval()(torch.zeros(1, 3, 64, 96)).shape == (1, 7, 64, 96)


def test_a_size_that_does_not_fit_is_told_with_one_that_does():
    with pytest.raises(ConfigError, match=r"height=120, width=160.*\(128, 160\)\. Choose data\.transform\.size"):
        library_model("deeplabv3plus", "resnet18", 7)(torch.zeros(1, 3, 120, 160))


@pytest.mark.parametrize(("architecture", "encoder"), [("deeplabv9", "resnet18"), ("unet", "resnet19")])
def test_unknown_names_are_refused_with_the_known_ones(architecture, encoder):
    with pytest.raises(
        ConfigError, match=f"model.architecture={architecture} model.encoder={encoder}: .*expected names of"
    ):
        library_model(architecture, encoder, 7)


@pytest.mark.parametrize(
    ("encoder", "options", "message"),
    [
        ("tu-hf-hub:owner/model", {}, "model.encoder=tu-hf-hub:owner/model: no such encoder"),
        ("tu-hf_hub:owner/model", {}, "no such encoder"),
        ("tu-local-dir:/tmp", {}, "no such encoder"),
        ("timm-regnethf-hub:owner/model", {}, "model.encoder=timm-regnethf-hub:owner/model: no such encoder"),
        (
            "tu-resnet10t",
            {"checkpoint_path": "evil.pth"},
            "model.checkpoint_path is no option of unet; expected .*encoder_depth",
        ),
        ("tu-resnet10t", {"pretrained_cfg": {"file": "evil.pth"}}, "model.pretrained_cfg is no option"),
        ("tu-resnet10t", {"cache_dir": "/tmp"}, "model.cache_dir is no option"),
        ("resnet18", {"encoder_weights": "imagenet"}, "model.encoder_weights is no option"),
        ("resnet18", {"kwargs": {"checkpoint_path": "evil.pth"}}, "model.kwargs is no option"),
        ("resnet18", {"decoder_channels": [2**40] * 5}, "model.architecture=unet model.encoder=resnet18: "),
    ],
    ids=range(10),
)
def test_what_the_library_would_load_or_fetch_is_no_option(encoder, options, message):
    with pytest.raises(ConfigError, match=message):
        library_model("unet", encoder, 7, **options)


def test_older_names_of_encoders_are_known():
    assert library_model("unet", "timm-mobilenetv3_small_minimal_100", 7)


def test_an_encoder_takes_the_size_of_its_images():
    model = library_model("unet", "tu-swin_tiny_patch4_window7_224", 7, img_size=[64, 128])
    assert model.eval()(torch.zeros(1, 3, 64, 128)).shape == (1, 7, 64, 128)


@pytest.mark.parametrize(
    ("architecture", "encoder"),
    [
        ("unet", "tu-swin_tiny_patch4_window7_224"),
        ("fpn", "tu-swinv2_tiny_window8_256"),
        ("dpt", "tu-vit_tiny_patch16_224"),
    ],
)
def test_encoders_made_for_one_size_take_others(architecture, encoder):
    model = library_model(architecture, encoder, 7).eval()
    for height, width in ((64, 128), (96, 96)):
        assert model(torch.zeros(1, 3, height, width)).shape == (1, 7, height, width)


def test_what_is_asked_of_an_encoder_is_not_changed():
    model = library_model("unet", "tu-swin_tiny_patch4_window7_224", 7, strict_img_size=True)
    with pytest.raises(ConfigError, match=r"size=\[64,128\]: .* \+model\.img_size="):
        check_sizes(model, [("size", (64, 128))])


@pytest.mark.parametrize("kind", [ConnectionError, RuntimeError])
def test_unreachable_imagenet_weights_name_the_ways_out(monkeypatch, kind):
    import segmentation_models_pytorch as smp

    def unreachable(_architecture, _encoder, weights, **_kwargs):
        if weights is not None:
            raise kind("no route to host")

    monkeypatch.setattr(smp, "create_model", unreachable)
    with pytest.raises(ModelError, match=r"no route to host.*model.weights=FILE"):
        library_model("unet", "resnet18", 7, pretrained=True)
