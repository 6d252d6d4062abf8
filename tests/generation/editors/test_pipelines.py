import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from zsda.core.errors import ModelError
from zsda.generation.editors.pipelines import (
    check_pipeline,
    digest_pipeline,
    find_pipeline,
    find_variants,
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


def rename_weights(folder, variant, *parts):
    """As ``save_pretrained(variant=...)`` names them."""
    for part in parts:
        (path,) = (folder / part).glob("*.safetensors")
        path.rename(path.with_suffix(f".{variant}.safetensors"))


def outputs(pipeline):
    return {
        part: [
            value for name, value in sorted(getattr(pipeline, part).state_dict().items()) if value.is_floating_point()
        ]
        for part in ("vae", "unet", "text_encoder")
    }


@pytest.mark.parametrize("parts", [("vae", "unet", "text_encoder"), ("unet",)], ids=["all", "one"])
def test_weights_that_are_there_as_a_variant_alone_are_found(pipeline_folder, copied, parts):
    rename_weights(copied, "fp16", *parts)
    check_pipeline(copied)
    assert find_variants(copied) == dict.fromkeys(parts, "fp16")
    found, expected = (outputs(load_pipeline(folder, torch.float32)) for folder in (copied, pipeline_folder))
    for part, values in expected.items():
        assert all(torch.equal(one, other) for one, other in zip(found[part], values, strict=True)), part
    assert digest_pipeline(copied) != digest_pipeline(pipeline_folder)


def test_of_several_variants_the_one_without_a_name_is_taken_or_none(pipeline_folder, copied):
    for part in ("vae", "unet"):
        (path,) = (copied / part).glob("*.safetensors")
        damaged = {name: torch.zeros_like(value) for name, value in load_file(path).items()}
        for variant in ("fp16", "ema"):
            save_file(damaged, path.with_suffix(f".{variant}.safetensors"))
    assert find_variants(copied) == {}
    unet, expected = (load_pipeline(folder, torch.float32).unet for folder in (copied, pipeline_folder))
    assert torch.equal(unet.conv_in.weight, expected.conv_in.weight)
    (copied / "unet/diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ModelError, match="unet has weights as ema and as fp16; expected one of them"):
        load_pipeline(copied, torch.float32)


@pytest.mark.parametrize("variant", [None, "fp16"])
def test_weights_in_several_files_are_read_and_a_missing_one_is_told(pipeline_folder, copied, variant):
    (copied / "unet/diffusion_pytorch_model.safetensors").unlink()
    whole = load_pipeline(pipeline_folder, torch.float32)
    whole.unet.save_pretrained(copied / "unet", variant=variant, max_shard_size="20KB")
    shards = sorted((copied / "unet").glob("*.safetensors"))
    assert len(shards) > 2
    check_pipeline(copied)
    assert find_variants(copied) == ({} if variant is None else {"unet": variant})
    found = load_pipeline(copied, torch.float32).unet.state_dict()
    assert all(torch.equal(value, found[name]) for name, value in whole.unet.state_dict().items())
    shards[1].unlink()
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_pipeline(copied, torch.float32)


@pytest.mark.parametrize("text", ["{", '{"weight_map": {"a": "../b.safetensors"}}'])
def test_a_list_of_files_that_is_none_is_refused(copied, text):
    (copied / "unet/diffusion_pytorch_model.safetensors.index.fp16.json").write_text(text)
    with pytest.raises(ModelError, match=r"index\.fp16\.json"):
        check_pipeline(copied)


def test_neither_a_folder_nor_on_the_hub(tmp_path, monkeypatch):
    with pytest.raises(ModelError, match=r"no such folder; give editor.model=FOLDER"):
        find_pipeline(str(tmp_path / "nowhere"), None)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        ModelError, match=r"the hub does not give it .*; fetch it .* with hf download nobody/no"
    ) as caught:
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
