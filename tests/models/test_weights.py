import logging
from dataclasses import replace

import pytest
import torch
import torchvision

from zsda.core.errors import ModelError
from zsda.core.files import file_digest
from zsda.core.trained import TrainedNetwork
from zsda.models.deeplab import DeepLabV2, DeepLabV3Plus
from zsda.models.library import library_model
from zsda.models.weights import load_start_weights, load_trained, load_weights, read_weights, save_weights


def same(one, other):
    return all(torch.equal(value, other.state_dict()[key]) for key, value in one.state_dict().items())


def test_saved_weights_come_back(tmp_path):
    one, other = DeepLabV3Plus(4, "resnet18"), DeepLabV3Plus(4, "resnet18")
    save_weights(one, tmp_path / "weights.safetensors")
    assert not same(one, other)
    load_weights(other, tmp_path / "weights.safetensors")
    assert same(one, other)


@pytest.mark.parametrize(
    "network",
    [lambda: DeepLabV3Plus(4, "resnet18"), lambda: library_model("unet", "resnet18", 4)],
    ids=["own", "library"],
)
def test_an_imagenet_file_starts_the_backbone(tmp_path, network):
    classifier = torchvision.models.resnet18()
    torch.save(classifier.state_dict(), tmp_path / "resnet18.pth")
    model = network()
    load_start_weights(model, tmp_path / "resnet18.pth")
    key = next(key for key in model.state_dict() if key.endswith("layer3.0.conv1.weight"))
    assert torch.equal(model.state_dict()[key], classifier.layer3[0].conv1.weight)


def test_a_bare_encoder_of_any_kind_starts_its_network(tmp_path):
    made = library_model("fpn", "mit_b0", 4)
    torch.save(made.encoder.state_dict(), tmp_path / "mit_b0.pth")
    model = library_model("fpn", "mit_b0", 4)
    load_start_weights(model, tmp_path / "mit_b0.pth")
    assert same(made.encoder, model.encoder)


def test_a_file_of_another_network_names_the_keys(tmp_path):
    save_weights(DeepLabV3Plus(4, "resnet34"), tmp_path / "weights.safetensors")
    with pytest.raises(
        ModelError, match=r"does not fit DeepLabV3Plus: unknown: backbone.layer1.2.*more; choose the model="
    ):
        load_weights(DeepLabV3Plus(4, "resnet18"), tmp_path / "weights.safetensors")


@pytest.mark.parametrize(
    "network",
    [lambda count: DeepLabV3Plus(count, "resnet18"), lambda count: DeepLabV2(count, "resnet50")],
    ids=["one layer", "four side by side"],
)
def test_of_other_classes_all_is_taken_but_the_last_layer(tmp_path, network, caplog):
    made, model = network(5), network(4)
    save_weights(made, tmp_path / "weights.safetensors")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with caplog.at_level(logging.INFO):
        load_start_weights(model, tmp_path / "weights.safetensors", other_classes=True)
    last = {key for key, value in before.items() if value.shape != made.state_dict()[key].shape}
    assert {before[key].shape[0] for key in last} == {4}
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key] if key in last else made.state_dict()[key]), key
    assert f"{tmp_path}/weights.safetensors tells other classes apart: " in caplog.text
    assert all(key in caplog.text for key in last)


def test_of_the_same_classes_the_last_layer_is_taken_too(tmp_path):
    made, model = DeepLabV3Plus(4, "resnet18"), DeepLabV3Plus(4, "resnet18")
    save_weights(made, tmp_path / "weights.safetensors")
    load_start_weights(model, tmp_path / "weights.safetensors", other_classes=True)
    assert same(made, model)


def test_other_classes_are_refused_where_nobody_asks_for_them(tmp_path):
    save_weights(DeepLabV3Plus(5, "resnet18"), tmp_path / "weights.safetensors")
    model = DeepLabV3Plus(4, "resnet18")
    with pytest.raises(ModelError, match=r"classifier.classifier.3.bias is \(5,\), expected \(4,\)"):
        load_start_weights(model, tmp_path / "weights.safetensors")


@pytest.mark.parametrize("other", ["network", "a layer within", "a layer more", "another number in one part"])
def test_of_other_classes_the_rest_must_fit(tmp_path, other):
    state = DeepLabV3Plus(5, "resnet18").state_dict()
    if other == "network":
        state = DeepLabV3Plus(5, "resnet34").state_dict()
    elif other == "a layer within":
        state["backbone.layer1.0.conv1.weight"] = torch.zeros(64, 64, 1, 1)
    elif other == "a layer more":
        state["more.weight"] = torch.zeros(2)
    else:
        state["classifier.classifier.3.bias"] = torch.zeros(6)
    path = tmp_path / "weights.pth"
    torch.save(state, path)
    model = DeepLabV3Plus(4, "resnet18")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(ModelError, match=r"weights.pth does not fit DeepLabV3Plus"):
        load_start_weights(model, path, other_classes=True)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_another_number_of_classes_is_named(tmp_path):
    save_weights(DeepLabV3Plus(5, "resnet18"), tmp_path / "weights.safetensors")
    with pytest.raises(ModelError, match=r"shapes: classifier.classifier.3.bias is \(5,\), expected \(4,\)"):
        load_weights(DeepLabV3Plus(4, "resnet18"), tmp_path / "weights.safetensors")


class Intruder:
    def __reduce__(self):
        return (exec, ("raise SystemExit('executed')",))


def test_a_pickle_is_never_executed(tmp_path):
    torch.save({"weights": Intruder()}, tmp_path / "weights.pth")
    with pytest.raises(ModelError, match="cannot be read as weights"):
        read_weights(tmp_path / "weights.pth")


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth"])
def test_a_damaged_or_missing_file_is_named(tmp_path, name):
    with pytest.raises(ModelError, match=f"no weights at .*{name}"):
        read_weights(tmp_path / name)
    (tmp_path / name).write_bytes(b"\x01\x02 not weights")
    with pytest.raises(ModelError, match=f"{name} cannot be read as weights"):
        read_weights(tmp_path / name)


def test_a_file_without_plain_tensors_is_refused(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "weights.pth")
    with pytest.raises(ModelError, match="no plain state dict"):
        read_weights(tmp_path / "weights.pth")


@pytest.mark.parametrize("number", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("ending", ["safetensors", "pth"])
def test_weights_that_are_no_numbers_are_refused_by_name(tmp_path, number, ending):
    network, path = DeepLabV3Plus(4, "resnet18"), tmp_path / f"weights.{ending}"
    with torch.no_grad():
        network.backbone.layer3[0].conv1.weight[3, 2, 1, 0] = number
        network.backbone.bn1.running_var[0] = number
    if ending == "pth":
        torch.save(network.state_dict(), path)
    else:
        save_weights(network, path)
    named = rf"weights.{ending}: backbone.bn1.running_var \(and 1 more of its \d+ tensors\) holds NaN or infinity"
    for load in (load_weights, load_start_weights):
        with pytest.raises(ModelError, match=named):
            load(DeepLabV3Plus(4, "resnet18"), path)


def test_weights_of_a_run_must_be_what_its_training_wrote(tmp_path):
    network, path = DeepLabV3Plus(4, "resnet18"), tmp_path / "weights.safetensors"
    save_weights(network, path)
    trained = TrainedNetwork("run", path, [32, 64], tmp_path, lambda: DeepLabV3Plus(4, "resnet18"))
    kept = replace(trained, digests={path: file_digest(path)})
    assert same(load_trained(kept), network)
    flipped = bytearray(path.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    path.write_bytes(flipped)
    assert not same(load_trained(trained), network), "a file of somebody else may be anything"
    with pytest.raises(ModelError, match=r"weights.safetensors is not what its training wrote, so damaged or replaced"):
        load_trained(kept)
