import shutil
import subprocess
import sys
from functools import partial

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from zsda.miniature.school import course as school
from zsda.miniature.school import tasks
from zsda.miniature.school.lessons import LOOKS, Lessons
from zsda.miniature.school.parts import save_editor
from zsda.runs import RunFolder

SIZE = (64, 128)
trainer = partial(L.Trainer, accelerator="cpu", devices=1, enable_model_summary=False)
DENOISER = {"held_out": 1, "steps": 4, "batch_size": 2, "lr": 1e-4, "ema": 0.5}


@pytest.fixture(scope="module")
def lessons(tmp_path_factory):
    made = Lessons(tmp_path_factory.mktemp("lessons"), 3, SIZE)
    made.render(processes=1)
    return made


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(school, "STEPS_PER_EPOCH", 2)
    monkeypatch.setattr(school, "teach_words", partial(tasks.teach_words, steps=10))


def course(folder, lessons, make=trainer):
    return school.Course(RunFolder(folder), lessons, make, seed=3, num_workers=0)


def train(made):
    autoencoder = made.autoencoder(steps=4, batch_size=2, crop=16, lr=1e-3)
    latents, scale = made.latents(autoencoder)
    encoder, tokenizer, encoded, numbers = made.words()
    unet = made.denoiser(latents, scale, encoded, numbers, **DENOISER)
    return autoencoder, encoder, tokenizer, unet, latents, scale


@pytest.fixture(scope="module")
def finished(lessons, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(school, "STEPS_PER_EPOCH", 2)
        patch.setattr(school, "teach_words", partial(tasks.teach_words, steps=10))
        return folder, train(course(folder, lessons))


class Stop(Callback):
    """Interrupts the training of the denoiser in its second epoch."""

    def on_train_epoch_start(self, trainer, pl_module):
        if isinstance(pl_module, tasks.DenoisingTask) and trainer.current_epoch == 1:
            raise RuntimeError("the power is gone")


def test_an_interrupted_course_ends_with_the_same_weights(lessons, finished, tmp_path):
    def stopping(callbacks=(), **arguments):
        return trainer(callbacks=[*callbacks, Stop()], **arguments)

    with pytest.raises(RuntimeError, match="the power is gone"):
        train(course(tmp_path, lessons, stopping))
    autoencoder, encoder, _, unet, *_ = train(course(tmp_path, lessons))
    for made, expected in zip((autoencoder, encoder, unet), (*finished[1][:2], finished[1][3]), strict=True):
        for (name, value), other in zip(made.state_dict().items(), expected.state_dict().values(), strict=True):
            assert torch.equal(value, other), name


def test_a_course_that_died_before_its_last_mark_ends_with_the_averaged_weights(lessons, finished, tmp_path):
    folder = shutil.copytree(finished[0], tmp_path / "again")
    for name in ("phase.json", "weights.safetensors"):
        (folder / "denoiser" / name).unlink()
    unet = train(course(folder, lessons))[3]
    for value, expected in zip(unet.state_dict().values(), finished[1][3].state_dict().values(), strict=True):
        assert torch.equal(value, expected)


def test_what_is_finished_is_not_trained_again(lessons, finished):
    folder, _ = finished
    before = {
        path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.suffix in (".safetensors", ".npy", ".ckpt")
    }
    assert len(before) == 6

    def never(**_):
        raise AssertionError("trains again")

    train(course(folder, lessons, never))
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_latents_are_those_of_the_pictures_in_order(lessons, finished):
    autoencoder, *_, latents, scale = finished[1]
    pictures = np.concatenate(list(lessons.shards()))
    assert latents.shape == (3, len(LOOKS), 8, 16, 32)
    image = torch.from_numpy(pictures[2, 4].transpose(2, 0, 1).copy()).float()[None] / 127.5 - 1
    with torch.no_grad():
        expected = autoencoder.encode(image).latents[0]
    assert torch.allclose(torch.from_numpy(latents[2, 4].astype(np.float32)), expected, atol=0.05)
    assert scale == pytest.approx(1 / latents[::50].astype(np.float32).std(), rel=1e-3)


def test_the_editor_opens_and_edits_with_diffusers_alone(finished, tmp_path):
    autoencoder, encoder, tokenizer, unet, *_ = finished[1]
    save_editor(tmp_path / "editor", autoencoder, encoder, tokenizer, unet)
    assert {path.suffix for path in (tmp_path / "editor/unet").iterdir()} == {".json", ".safetensors"}
    code = """
import sys, numpy
from diffusers import StableDiffusionInstructPix2PixPipeline
from PIL import Image
pipeline = StableDiffusionInstructPix2PixPipeline.from_pretrained(sys.argv[1])
pipeline.set_progress_bar_config(disable=True)
image = Image.fromarray(numpy.zeros((64, 64, 3), numpy.uint8))
edited = pipeline("make it rain", image, num_inference_steps=2, guidance_scale=2.0, image_guidance_scale=1.2).images[0]
assert edited.size == (64, 64) and "zsda" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code, tmp_path / "editor"], check=True, cwd=tmp_path)
