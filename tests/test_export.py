import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import SMALL_NETWORK, one_line
from tests.core.test_config import compose
from zsda.core.config import build_network
from zsda.core.errors import ConfigError, ModelError, StoreError
from zsda.core.files import file_digest
from zsda.data.classes import find_classes
from zsda.data.labels import CITYSCAPES
from zsda.models import onnx_files, portable, refinenet
from zsda.models.deeplab import DeepLabV2, DeepLabV3Plus
from zsda.models.library import library_model
from zsda.models.onnx_files import OnnxNetwork, to_onnx
from zsda.models.portable import check_formats, class_names, export_network
from zsda.models.published import load_published
from zsda.models.refinenet import RefineNet
from zsda.models.weights import load_weights, save_weights

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
    names = ("weights.safetensors", "network.onnx")
    assert record["files"] == {name: file_digest(out / name) for name in names}
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
        (
            ["format=[safetensors,torchscript]"],
            "format=[safetensors,torchscript]; expected some of safetensors, onnx, smp",
        ),
        (
            ["format=smp"],
            "format=smp is for networks of segmentation-models-pytorch (model=smp), this is a DeepLabV3Plus",
        ),
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


WITHOUT_ZSDA = """
import sys
sys.modules["zsda"] = None
import numpy, segmentation_models_pytorch, torch
model = segmentation_models_pytorch.from_pretrained(sys.argv[1]).eval()
with torch.no_grad():
    numpy.save(sys.argv[2], model(torch.from_numpy(numpy.load(sys.argv[2]))).numpy())
"""


@pytest.mark.parametrize(
    ("architecture", "encoder", "options"),
    [("segformer", "mit_b0", {}), ("deeplabv3plus", "tu-mobilenetv3_small_100", {"decoder_channels": 64})],
)
def test_a_network_of_the_library_is_read_by_the_library_alone(tmp_path, architecture, encoder, options):
    torch.manual_seed(0)
    model = library_model(architecture, encoder, 20, **options)
    record = export_network(model, (64, 64), ["smp"], tmp_path, {"of": "snow_run"}, CITYSCAPES.names)
    assert set(record["files"]) == {"smp/config.json", "smp/model.safetensors", "smp/README.md"}
    card = (tmp_path / "smp/README.md").read_text()
    assert "# `snow_run`" in card and "| 18 | `bicycle` |\n| 19 | `void` |" in card and "license: other" in card
    images, file = torch.randn(2, 3, 64, 64), tmp_path / "logits.npy"
    np.save(file, images.numpy())
    offline = {**os.environ, "HF_HUB_OFFLINE": "1"}
    subprocess.run([sys.executable, "-c", WITHOUT_ZSDA, tmp_path / "smp", file], check=True, cwd=tmp_path, env=offline)
    with torch.no_grad():
        assert np.abs(np.load(file) - model(images).numpy()).max() < 1e-5


def test_the_published_files_are_those_of_each_code(tmp_path):
    for kind, options, keys, name in (
        (RefineNet, (20, "resnet50"), "module.backbone.", "published.pth.tar"),
        (DeepLabV3Plus, (20, "resnet101"), "module.backbone.", "published.pth.tar"),
        (DeepLabV2, (19, "resnet101"), "seg_model.", "published.pth"),
    ):
        network, again = kind(*options), kind(*options)
        record = export_network(network, (64, 64), ["published"], tmp_path, {"of": "a test"}, CITYSCAPES.names, 65)
        assert list(record["files"]) == [name]
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "export.json",
            name,
        ]  # no other of an earlier export
        content = torch.load(tmp_path / name, weights_only=True)
        state = content.get("model_state_dict", content)
        assert next(iter(state)).startswith(keys)
        assert content.get("epoch") == (65 if name.endswith(".tar") else None)
        assert load_published(again, tmp_path / name).path == tmp_path / name
        assert all(torch.equal(value, network.state_dict()[key]) for key, value in again.state_dict().items())


def test_all_that_a_network_can_have_is_written_where_nothing_is_chosen(tmp_path, monkeypatch):
    monkeypatch.setattr(portable, "to_onnx", lambda _model, _size: OnnxNetwork(b"onnx", 18, 0.0))
    for network, more in (
        (DeepLabV3Plus(20, "resnet50"), {"published.pth.tar"}),
        (DeepLabV3Plus(20, "resnet50", rates=(1, 2, 3)), set()),
        (DeepLabV3Plus(19, "resnet50"), set()),
        (library_model("unet", "resnet18", 20), {"smp/config.json", "smp/model.safetensors", "smp/README.md"}),
        (Deceitful(0.0), set()),
    ):
        record = export_network(network, (64, 64), None, tmp_path, {"of": "a test"}, CITYSCAPES.names)
        assert set(record["files"]) == {"weights.safetensors", "network.onnx", *more}


@pytest.mark.parametrize(
    ("format", "message"),
    [
        ("smp", r"format=smp is for networks of segmentation-models-pytorch \(model=smp\), this is a Deceitful"),
        ("published", "format=published is for the networks that the code of the papers builds, .* this Deceitful"),
    ],
)
def test_a_format_that_a_network_cannot_have_is_refused(tmp_path, format, message):
    with pytest.raises(ConfigError, match=message):
        export_network(Deceitful(0.0), (8, 8), ["safetensors", format], tmp_path / "out", {}, CITYSCAPES.names)
    assert not (tmp_path / "out").exists()


def small(tmp_path, seed=0, formats=("safetensors", "smp")):
    torch.manual_seed(seed)
    return export_network(library_model("unet", "resnet18", 5), (32, 32), formats, tmp_path, {"of": "a"}, ["road"])


def test_an_earlier_export_is_replaced_as_a_whole(tmp_path):
    before = small(tmp_path)
    after = small(tmp_path, 1, ["smp"])
    assert before["files"]["smp/model.safetensors"] != after["files"]["smp/model.safetensors"]
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"export.json", *after["files"]}


@pytest.mark.parametrize("name", ["weights.safetensors", "smp/README.md", "export.json"])
def test_files_of_others_are_left_alone(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text('{"mine": 1}')
    with pytest.raises(StoreError, match=rf"{name}( is there, and no export wrote it|: names no files)"):
        small(tmp_path)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [Path(name).name]


def test_what_was_changed_since_its_export_is_left_alone(tmp_path):
    small(tmp_path)
    (tmp_path / "smp/README.md").write_text("license: apache-2.0")
    with pytest.raises(StoreError, match=r"smp/README\.md was changed since it was exported"):
        small(tmp_path, 1)
    assert (tmp_path / "smp/README.md").read_text() == "license: apache-2.0"


def test_a_record_names_no_files_elsewhere(tmp_path):
    mine = tmp_path / "mine"
    mine.write_text("mine")
    small(tmp_path / "out")
    record = json.loads((tmp_path / "out/export.json").read_text())
    record["files"] |= {"../mine": file_digest(mine), str(mine): file_digest(mine)}
    (tmp_path / "out/export.json").write_text(json.dumps(record))
    small(tmp_path / "out", 1)
    assert mine.read_text() == "mine"


def test_a_killed_export_is_in_nobodys_way(tmp_path, monkeypatch):
    before, write = small(tmp_path), portable.write_atomic

    def fail(path, content):
        if path.name == "model.safetensors":
            raise StoreError("the disk is full")
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(portable, "write_atomic", fail)
        with pytest.raises(StoreError, match="the disk is full"):
            small(tmp_path, 1)
    assert small(tmp_path)["files"] == before["files"]


def test_a_card_may_be_shown_to_all(zsda, tmp_path):
    torch.manual_seed(0)
    save_weights(library_model("unet", "resnet18", 19), tmp_path / "secret/mine.safetensors")
    words = (
        f"ckpt={tmp_path}/secret/mine.safetensors",
        "model=smp",
        "model.architecture=unet",
        "model.encoder=resnet18",
    )
    result = zsda("export", *words, "model.num_classes=19", "format=smp", "out=out", "world=miniature")
    assert result.returncode == 0, result.stderr
    card = (tmp_path / "work/out/smp/README.md").read_text()
    assert "# `mine.safetensors`" in card
    assert "secret" not in card and "void" not in card


def test_a_missing_package_is_named_with_the_way_to_it(monkeypatch):
    monkeypatch.setattr(onnx_files, "_PACKAGES", ("onnx", "onnxnowhere"))
    check_formats(["safetensors"])
    with pytest.raises(
        ConfigError, match=r"format=onnx needs onnxnowhere, not installed here; pip install 'zsda\[onnx\]'"
    ):
        check_formats(None)


def test_a_size_that_is_none_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"size=\[64\]; expected height and width"):
        export_network(Deceitful(0.0), [64], ["safetensors"], tmp_path, {}, CITYSCAPES.names)


def test_channels_beyond_the_classes_are_void():
    assert class_names(19, CITYSCAPES.names)[-1] == "bicycle"
    assert class_names(21, CITYSCAPES.names)[-3:] == ["bicycle", "void", "void"]
    assert class_names(10, find_classes(9).names)[-2:] == ["road", "void"]
