import pytest
import torch

from tests.pipeline import make_pipeline
from tools.small_editor import install
from zsda.core.errors import ModelError
from zsda.models.weights import read_weights, save_weights


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A folder that stands for the package's."""
    monkeypatch.setattr(install, "WEIGHTS", tmp_path / "weights")
    return tmp_path / "weights"


@pytest.fixture
def network(tmp_path):
    save_weights(torch.nn.BatchNorm2d(3), tmp_path / "network.safetensors")
    return tmp_path / "network.safetensors"


def test_both_are_put_in_place(package, network, tmp_path):
    editor = make_pipeline(tmp_path / "editor")
    (package / "editor/rest").mkdir(parents=True)
    install.install(editor, network)
    assert sorted(path.name for path in (package / "editor").iterdir()) == sorted(p.name for p in editor.iterdir())
    state = read_weights(package / "segmentation.safetensors")
    assert (state["weight"].dtype, state["num_batches_tracked"].dtype) == (torch.float16, torch.int64)


@pytest.mark.parametrize(("editor", "weights"), [("nowhere", "network.safetensors"), ("editor", "nowhere.safetensors")])
def test_what_cannot_be_read_replaces_nothing(package, network, tmp_path, editor, weights):
    make_pipeline(tmp_path / "editor")
    (package / "editor").mkdir(parents=True)
    (package / "editor/model_index.json").write_text("{}")
    with pytest.raises(ModelError):
        install.install(tmp_path / editor, tmp_path / weights)
    assert [path.name for path in package.rglob("*")] == ["editor", "model_index.json"]
