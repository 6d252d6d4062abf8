import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from zsda.core.errors import ModelError
from zsda.generation.editors.pipelines import (
    check_pipeline,
    digest_pipeline,
    find_pipeline,
    load_pipeline,
    scheduler_names,
)


@pytest.fixture
def copied(pipeline_folder, tmp_path):
    return shutil.copytree(pipeline_folder, tmp_path / "copied")


def rewrite_index(folder, **changes):
    path = folder / "model_index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_genuine_folder_passes(pipeline_folder):
    check_pipeline(find_pipeline(str(pipeline_folder), None))


def test_a_folder_without_an_index_is_no_pipeline(tmp_path):
    with pytest.raises(ModelError, match=r"no pipeline, model_index.json is missing; give editor.model=FOLDER"):
        check_pipeline(tmp_path)


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_an_index_that_is_no_object(tmp_path, text):
    (tmp_path / "model_index.json").write_text(text)
    with pytest.raises(ModelError, match=r"model_index\.json"):
        check_pipeline(tmp_path)


def test_another_pipeline_is_refused(copied):
    rewrite_index(copied, _class_name="StableDiffusionPipeline")
    with pytest.raises(ModelError, match="'StableDiffusionPipeline'; expected StableDiffusionInstructPix2PixPipeline"):
        check_pipeline(copied)


@pytest.mark.parametrize(
    "part",
    [
        {"unet": ["os", "system"]},
        {"unet": ["diffusers", "StableDiffusionPipeline"]},
        {"text_encoder": ["my_module", "CLIPTextModel"]},
        {"scheduler": ["diffusers", "DPMSolverSDEScheduler"]},
        {"vae": "AutoencoderKL"},
        {"tokenizer": [None, None]},
    ],
)
def test_foreign_parts_are_refused(copied, part):
    rewrite_index(copied, **part)
    with pytest.raises(ModelError, match=f"model_index.json has {next(iter(part))}="):
        check_pipeline(copied)


def test_a_safety_checker_is_never_loaded(copied):
    rewrite_index(copied, safety_checker=["stable_diffusion", "StableDiffusionSafetyChecker"])
    check_pipeline(copied)
    assert load_pipeline(copied, torch.float32).safety_checker is None


def test_damaged_weights_are_one_line(copied):
    weights = copied / "unet/diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot be loaded") as caught:
        load_pipeline(copied, torch.float32)
    assert "\n" not in str(caught.value)


def test_pickled_weights_are_not_read(copied):
    weights = copied / "unet/diffusion_pytorch_model.safetensors"
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_pipeline(copied, torch.float32)


def test_neither_a_folder_nor_on_the_hub(tmp_path, monkeypatch):
    with pytest.raises(ModelError, match=r"no such folder; give editor.model=FOLDER"):
        find_pipeline(str(tmp_path / "nowhere"), None)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"the hub does not give it .*; give editor.model=FOLDER") as caught:
        find_pipeline("nobody/no-such-pipeline", None)
    assert "\n" not in str(caught.value)


def test_the_digest_tells_folders_apart(pipeline_folder, copied):
    before = digest_pipeline(copied)
    assert before == digest_pipeline(pipeline_folder)
    (copied / "README.md").write_text("not loaded, so it does not count")
    assert digest_pipeline(copied) == before
    config = copied / "scheduler/scheduler_config.json"
    config.write_text(config.read_text().replace("0.012", "0.013"))
    assert digest_pipeline(copied) != before


def test_schedulers_with_noise_of_their_own_are_left_out():
    assert "EulerAncestralDiscreteScheduler" in scheduler_names()
    assert "DPMSolverSDEScheduler" not in scheduler_names()
