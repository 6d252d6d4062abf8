"""The weights in the package do what the benchmark relies on."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from tools.small_editor.instructions import instructions, is_held_out
from zsda.core.config import conf_dir
from zsda.core.resources import located
from zsda.generation.editors.instruct_pix2pix import InstructPix2PixEditor
from zsda.generation.editors.pipelines import check_pipeline
from zsda.miniature.render.scenes import render_scene
from zsda.models.library import library_model
from zsda.models.weights import load_start_weights

EDITOR = located("pkg://zsda/miniature/weights/editor")
NETWORK = located("pkg://zsda/miniature/weights/segmentation.safetensors")
SETTINGS = OmegaConf.load(conf_dir() / "world/miniature.yaml").world.editor
PROMPTS = {d: OmegaConf.load(conf_dir() / f"domain/{d}.yaml").prompt for d in ("night", "snow", "rain", "fog", "game")}


def size(*paths):
    return sum(file.stat().st_size for path in paths for file in ([path] if path.is_file() else path.rglob("*")))


@pytest.fixture(scope="module")
def editor():
    return InstructPix2PixEditor(EDITOR, precision="fp32", steps=SETTINGS.steps).to("cpu")


@pytest.fixture(scope="module")
def patches():
    """One half of each of two streets of the benchmark, uint8 [2, 3, 128, 128]."""
    halves = np.stack([render_scene(101).image[:, :128], render_scene(102).image[:, 128:]])
    return torch.from_numpy(halves.transpose(0, 3, 1, 2).copy())


def edit(editor, patches, prompt, text=SETTINGS.text_guidance, image=SETTINGS.image_guidance):
    return editor.edit(patches, prompt, range(len(patches)), text, image).images.float()


@pytest.fixture(scope="module")
def edited(editor, patches):
    return {domain: edit(editor, patches, prompt) for domain, prompt in PROMPTS.items()}


def test_they_are_small_enough_for_the_package():
    assert size(EDITOR) <= 24e6
    assert size(EDITOR, NETWORK) <= 30e6


def test_the_editor_is_half_precision_and_of_known_parts():
    check_pipeline(EDITOR)
    for part in ("unet", "vae", "text_encoder"):
        (file,) = (EDITOR / part).glob("*.safetensors")
        header = json.loads(file.read_bytes()[8 : 8 + int.from_bytes(file.read_bytes()[:8], "little")])
        kinds = {entry["dtype"] for name, entry in header.items() if name != "__metadata__"}
        assert kinds <= {"F16", "I64"}


def brightness(images):
    return float(images.mean())


def saturation(images):
    return float((images.amax(1) - images.amin(1)).mean())


def contrast(images):
    return float(images.std(dim=(2, 3)).mean())


def test_the_published_prompts_do_what_they_say(edited, patches):
    day = patches.float()
    others = {name: [edited[other] for other in edited if other != name] for name in edited}
    assert brightness(edited["night"]) < 0.7 * brightness(day)
    assert all(brightness(edited["night"]) < brightness(other) for other in others["night"])
    ground = slice(90, 118)
    assert all(
        brightness(edited["snow"][:, :, ground]) > 1.15 * brightness(other[:, :, ground]) for other in others["snow"]
    )
    assert brightness(edited["rain"]) < 0.9 * brightness(day) and saturation(edited["rain"]) < saturation(day)
    assert all(contrast(edited["fog"]) < contrast(other) for other in (*others["fog"][:2], day))
    assert all(saturation(edited["game"]) > 1.1 * saturation(other) for other in (*others["game"], day))


@pytest.mark.parametrize("domain", PROMPTS)
def test_sentences_it_never_read_do_the_same(editor, edited, patches, domain):
    sentence = sorted(filter(is_held_out, instructions(domain)))[0]
    assert sentence != PROMPTS[domain].lower()
    made = edit(editor, patches[:1], sentence)
    away = {name: float((made - other[:1]).abs().mean()) for name, other in edited.items()}
    assert min(away, key=away.get) == domain


def test_both_guidance_scales_work(editor, patches):
    patch, prompt = patches[:1], PROMPTS["night"]
    weak, strong = (float((edit(editor, patch, prompt, text=scale) - patch).abs().mean()) for scale in (1.01, 3.0))
    assert strong > 1.1 * weak
    loose, tight = (edit(editor, patch, prompt, image=scale) for scale in (1.0, 2.0))
    assert float((loose - tight).abs().mean()) > 1.0


def test_an_edit_keeps_its_layout_where_another_street_does_not(edited, patches):
    def edges(images):
        grey = images.float().mean(1)
        steps = (grey.diff(dim=1)[:, :, 1:].abs() + grey.diff(dim=2)[:, 1:].abs()).flatten(1)
        return (steps - steps.mean(1, keepdim=True)) / steps.std(1, keepdim=True)

    for domain in ("night", "snow", "fog", "game"):
        agreement = edges(edited[domain]) @ edges(patches).T / edges(patches).shape[1]
        own, foreign = agreement.diagonal(), agreement[~torch.eye(2, dtype=torch.bool)]
        assert own.min() > foreign.max() + 0.05


def test_plain_diffusers_opens_it_and_edits(tmp_path):
    code = """
import sys, numpy
from diffusers import StableDiffusionInstructPix2PixPipeline
from PIL import Image
pipeline = StableDiffusionInstructPix2PixPipeline.from_pretrained(sys.argv[1])
pipeline.set_progress_bar_config(disable=True)
image = Image.fromarray(numpy.full((128, 128, 3), 150, numpy.uint8))
edited = pipeline("make it evening", image, num_inference_steps=4, guidance_scale=2.0, image_guidance_scale=1.2).images[0]
assert edited.size == (128, 128) and numpy.asarray(edited).mean() < 110
assert "zsda" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code, EDITOR], check=True, cwd=tmp_path)


def test_the_start_weights_fit_the_network():
    arguments = {**OmegaConf.to_container(OmegaConf.load(conf_dir() / "model/miniature.yaml")), "num_classes": 19}
    for key in ("_target_", "weights", "pretrained"):
        arguments.pop(key)
    network = library_model(**arguments)
    before = network.segmentation_head[0].weight.clone()
    load_start_weights(network, NETWORK)
    assert not torch.equal(network.segmentation_head[0].weight, before)
