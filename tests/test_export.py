import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import SMALL_NETWORK, one_line
from tests.core.test_config import compose
from zsda.core.config import build_network
from zsda.core.errors import ConfigError, ModelError
from zsda.core.files import file_digest
from zsda.data.classes import find_classes
from zsda.data.labels import CITYSCAPES
from zsda.models import portable, refinenet
from zsda.models.deeplab import DeepLabV3Plus
from zsda.models.portable import check_formats, class_names, export_network, to_onnx
from zsda.models.weights import load_weights

RUN = "night_sdgpa_seed0"


def run_onnx(content, images):
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"images": images.numpy()})
    return logits


def test_a_run_is_exported_and_computes_the_same_elsewhere(zsda, trained, tmp_path):
    out = tmp_path / "exported"
    result = zsda("export", f"out={out}", cwd=trained)
    assert result.returncode == 0, result.stdout + result.stderr
    assert not result.stderr.strip()
    assert len(result.stdout.splitlines()) == 2, result.stdout
    record = json.loads((out / "export.json").read_text())
    weights = trained / "runs" / RUN / "target/weights.safetensors"
    assert record["source"]["weights_digest"] == file_digest(weights)
    assert record["files"] == {name: file_digest(out / name) for name in ("weights.safetensors", "network.onnx")}
    assert sorted(path.name for path in out.iterdir()) == sorted([*record["files"], "export.json"])
    assert (record["size"], record["onnx"]["opset"], len(record["classes"])) == ([64, 128], 18, 20)
    assert (record["classes"][0], record["classes"][-2:]) == ("road", ["bicycle", "void"])
    assert record["normalisation"] == {"scale": 255, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    assert record["onnx"]["largest_difference"] <= 1e-3
    assert f"logits differ by {record['onnx']['largest_difference']:.1e} at most" in result.stdout

    exported, original = load_file(out / "weights.safetensors"), load_file(weights)
    assert exported.keys() == original.keys()
    assert all(torch.equal(value, original[key]) for key, value in exported.items())
    model = DeepLabV3Plus(20, **SMALL_NETWORK).eval()
    load_weights(model, weights)
    images = torch.randn(3, 3, 64, 128)
    with torch.no_grad():
        assert np.abs(run_onnx((out / "network.onnx").read_bytes(), images) - model(images).numpy()).max() < 1e-3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["format=[safetensors,torchscript]"], "format=[safetensors,torchscript]; expected one or both of safetensors"),
        (["model=refinenet"], "model= goes with ckpt=FILE only"),
    ],
)
def test_bad_input_gets_one_line(zsda, trained, words, message):
    result = zsda("export", *words, cwd=trained)
    assert result.returncode == 2, result.stderr
    assert message in one_line(result)


@pytest.mark.parametrize("name", ["refinenet", "miniature"])
def test_other_networks_take_any_batch(name, monkeypatch):
    monkeypatch.setattr(refinenet, "_WIDTHS", (32, 16, 16, 16))  # the same graph, in a quarter of the time
    options = ["model.backbone=resnet18"] if name == "refinenet" else []
    model = build_network(compose("train", "world=miniature", f"model={name}", *options).model).eval()
    network = to_onnx(model, (32, 64))
    images = torch.randn(2, 3, 32, 64)
    with torch.no_grad():
        expected = model(images).numpy()
    assert network.difference < 1e-4
    for batch in (1, 2):
        assert np.abs(run_onnx(network.content, images[:batch]) - expected[:batch]).max() < 1e-3


class Deceitful(torch.nn.Module):
    """Computes something else when it is exported."""

    def __init__(self, error):
        super().__init__()
        self.error = error
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, images):
        return images * self.weight + (self.error if torch.compiler.is_exporting() else 0)


@pytest.mark.parametrize("error", [2e-3, float("nan")])
def test_a_network_that_differs_is_not_left_behind(tmp_path, error):
    with pytest.raises(
        ModelError, match=r"Deceitful in ONNX differs from torch by (2\.0e-03|nan), expected at most 1e-03"
    ):
        export_network(Deceitful(error), (8, 8), ["safetensors", "onnx"], tmp_path / "out", {}, CITYSCAPES.names)
    assert not (tmp_path / "out").exists()


def test_a_network_that_cannot_be_translated_is_named(tmp_path):
    class Untranslatable(torch.nn.Module):
        def forward(self, images):
            return images + images.sum().item() if images.sum().item() > 1 else images

    with pytest.raises(ModelError, match=r"Untranslatable cannot be written as ONNX: .*; give format=safetensors"):
        export_network(Untranslatable(), (8, 8), ["onnx"], tmp_path / "out", {}, CITYSCAPES.names)
    assert not (tmp_path / "out").exists()


def test_without_onnx_there_is_a_record_all_the_same(tmp_path):
    record = export_network(Deceitful(0.0), (8, 8), ["safetensors"], tmp_path, {"of": "a test"}, CITYSCAPES.names)
    assert (record["onnx"], record["classes"]) == (None, ["road", "sidewalk", "building"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export.json", "weights.safetensors"]


def test_a_missing_package_is_named_with_the_way_to_it(monkeypatch):
    monkeypatch.setattr(portable, "_PACKAGES", ("onnx", "onnxnowhere"))
    check_formats(["safetensors"])
    with pytest.raises(
        ConfigError, match=r"format=onnx needs onnxnowhere, not installed here; pip install 'zsda\[onnx\]'"
    ):
        check_formats(["safetensors", "onnx"])


def test_a_size_that_is_none_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"size=\[64\]; expected height and width"):
        export_network(Deceitful(0.0), [64], ["safetensors"], tmp_path, {}, CITYSCAPES.names)


def test_channels_beyond_the_classes_are_void():
    assert class_names(19, CITYSCAPES.names)[-1] == "bicycle"
    assert class_names(21, CITYSCAPES.names)[-3:] == ["bicycle", "void", "void"]
    assert class_names(10, find_classes(9).names)[-2:] == ["road", "void"]
