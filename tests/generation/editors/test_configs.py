"""An editor's configs hold known names and values that an editor can have."""

import json
import os
import shutil

import pytest
import torch

from zsda.core.errors import ModelError
from zsda.generation.editors.instruct_pix2pix import InstructPix2PixEditor
from zsda.generation.editors.pipelines import check_pipeline

TOKEN = {"__type": "AddedToken", "content": "<|endoftext|>", "lstrip": False, "normalized": True, "single_word": False}

# Keys and values as folders on the hub have them that older libraries saved.
OLDER = {
    "unet/config.json": {"_name_or_path": "a/b", "attention_head_dim": 8, "sample_size": 32, "cross_attention_dim": 16},
    "vae/config.json": {"_name_or_path": "/home/a", "sample_size": 256, "force_upcast": True, "latents_mean": None},
    "text_encoder/config.json": {"dropout": 0.0, "torch_dtype": "float16", "_name_or_path": "a/b", "is_decoder": None},
    "scheduler/scheduler_config.json": {
        "clip_sample": False, "set_alpha_to_one": False, "skip_prk_steps": True, "lambda_min_clipped": float("-inf"),
        "solver_p": None, "disable_corrector": [], "trained_betas": [0.001] * 1000,
    },
    "tokenizer/tokenizer_config.json": {
        "add_prefix_space": False, "bos_token": TOKEN, "do_lower_case": True, "errors": "replace", "name_or_path": "/a/b",
        "extra_special_tokens": {}, "max_length": 77, "stride": 0, "truncation_strategy": "longest_first",
        "special_tokens_map_file": "./special_tokens_map.json", "unk_token": TOKEN, "added_tokens_decoder": {"5": TOKEN},
    },
}  # fmt: skip


@pytest.fixture
def copied(pipeline_folder, tmp_path):
    return shutil.copytree(pipeline_folder, tmp_path / "copied")


def change(folder, name, **values):
    path = folder / name
    path.write_text(json.dumps({**(json.loads(path.read_text()) if path.exists() else {}), **values}))


def test_folders_of_older_libraries_pass(copied):
    for name, values in OLDER.items():
        change(copied, name, **values)
    (copied / "tokenizer/added_tokens.json").write_text("{}")
    (copied / "tokenizer/special_tokens_map.json").write_text(json.dumps({"bos_token": TOKEN, "unk_token": "a"}))
    for name in ("unet/diffusion_pytorch_model.bin", "text_encoder/pytorch_model.bin", "README.md"):
        (copied / name).write_bytes(b"not read")
    shards = {"weight_map": {"a": "model-00001-of-00002.safetensors"}, "metadata": {"total_size": 2**70}}
    change(copied, "text_encoder/model.safetensors.index.json", **shards)
    check_pipeline(copied)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("scheduler/scheduler_config.json", {"num_train_timesteps": 10**9}),
        ("scheduler/scheduler_config.json", {"num_train_timesteps": 1e9}),
        ("scheduler/scheduler_config.json", {"trained_betas": [0.1] * 100_000}),
        ("scheduler/scheduler_config.json", {"beta_schedule": "https://a.b/c"}),
        ("scheduler/scheduler_config.json", {"beta_end": float("inf")}),
        ("text_encoder/config.json", {"_attn_implementation": "owner/kernel"}),
        ("text_encoder/config.json", {"attn_implementation": "owner/kernel"}),
        ("text_encoder/config.json", {"auto_map": {"AutoModel": "mine.Model"}}),
        ("text_encoder/config.json", {"num_hidden_layers": 10**6}),
        ("text_encoder/config.json", {"hidden_size": 10**6}),
        ("text_encoder/config.json", {"hidden_act": "owner/kernel:gelu"}),
        ("text_encoder/config.json", {"dtype": "os.system"}),
        ("text_encoder/config.json", {"tp_plan": "auto"}),
        ("text_encoder/config.json", {"hidden_size": {"_target_": "os.system"}}),
        ("text_encoder/adapter_config.json", {"base_model_name_or_path": "owner/model"}),
        ("text_encoder/generation_config.json", {"custom_generate": "owner/code"}),
        ("text_encoder/model.safetensors.index.json", {"weight_map": {"a": "../../secret.safetensors"}}),
        ("text_encoder/model.safetensors.index.json", {"weight_map": ["a"]}),
        ("unet/config.json", {"quantization_config": {"quant_method": "torchao", "quant_type": "int8wo"}}),
        ("unet/config.json", {"layers_per_block": 10**6}),
        ("unet/config.json", {"block_out_channels": [16] * 1000}),
        ("unet/config.json", {"block_out_channels": [[[[1]]]]}),
        ("unet/config.json", {"down_block_types": ["${oc.env:HOME}"]}),
        ("vae/config.json", {"encoder_file": "a"}),
        ("tokenizer/tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["mine.Tokenizer", None]}}),
        ("tokenizer/tokenizer_config.json", {"model_max_length": 10**30}),
        ("tokenizer/tokenizer_config.json", {"tokenizer_file": "/etc/passwd"}),
        ("tokenizer/special_tokens_map.json", {"vocab_file": "/tmp/vocab.json"}),
        ("tokenizer/special_tokens_map.json", {"name_or_path": "owner/model", "gguf_file": "x.gguf"}),
        ("unet/config.json", {"transformer_layers_per_block": 128}),
        ("model_index.json", {"controlnet": ["mine", "ControlNet"]}),
        ("model_index.json", {"_class_name": ["mine", "Pipeline"]}),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else value.partition("/")[0],
)
def test_other_names_and_values_are_refused_by_file_and_key(copied, name, values):
    change(copied, name, **values)
    with pytest.raises(ModelError, match=r"editor\.model=.*/copied: ") as caught:
        check_pipeline(copied)
    message = str(caught.value)
    assert name in message or "model_index.json" in message
    whole = ("adapter_config.json", "generation_config.json", "index.json", "map.json")
    assert name.endswith(whole) or next(iter(values)) in message
    assert "\n" not in message


def test_code_beside_the_weights_is_refused(copied):
    (copied / "unet/mine.py").write_text("raise SystemExit")
    with pytest.raises(ModelError, match=r"unet/mine.py is no file of such an editor"):
        check_pipeline(copied)


def test_a_pipe_among_the_files_is_refused(copied):
    os.mkfifo(copied / "unet/notes.txt")
    with pytest.raises(ModelError, match=r"unet/notes.txt is neither a file nor a folder"):
        check_pipeline(copied)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("scheduler/scheduler_config.json", {"timestep_spacing": "nonsense"}),
        ("scheduler/scheduler_config.json", {"prediction_type": "nonsense"}),
        ("vae/config.json", {"scaling_factor": "abc"}),
        ("unet/config.json", {"class_embed_type": "identity"}),
        ("tokenizer/tokenizer_config.json", {"model_max_length": "abc"}),
    ],
)
def test_parts_that_do_not_work_together_are_one_line(copied, name, values):
    change(copied, name, **values)
    editor = InstructPix2PixEditor(str(copied), steps=2)
    patches = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    with pytest.raises(ModelError, match=r"editor\.model=.*; give editor\.model=FOLDER") as caught:
        editor.to("cpu").edit(patches, "make it night", [1], 7.5, 1.5)
    assert "\n" not in str(caught.value)
