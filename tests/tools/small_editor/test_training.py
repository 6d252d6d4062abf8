import json
import shutil
from functools import partial

import lightning as L
import numpy as np
import pytest
import torch
from diffusers import StableDiffusionInstructPix2PixPipeline, UNet2DConditionModel
from lightning.pytorch.callbacks import Callback
from PIL import Image

from tools.small_editor import tasks, training
from tools.small_editor.pairs import STORED, PicturePairs
from tools.small_editor.parts import make_unet, save_editor
from zsda.core.runs import RunFolder

SIZE = (64, 128)
trainer = partial(L.Trainer, accelerator="cpu", devices=1, enable_model_summary=False, limit_val_batches=2)
DENOISER = {"held_out": 1, "steps": 4, "batch_size": 2, "lr": 1e-4, "ema": 0.5}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    made = PicturePairs(tmp_path_factory.mktemp("pairs"), 3, SIZE)
    made.render(processes=1)
    return made


def narrow_unet():
    return UNet2DConditionModel.from_config({**make_unet().config, "block_out_channels": (16, 32, 32)})


@pytest.fixture(scope="module", autouse=True)
def short():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "STEPS_PER_EPOCH", 2)
        patch.setattr(training, "train_text_encoder", partial(tasks.train_text_encoder, steps=10))
        patch.setattr(training, "make_unet", narrow_unet)
        yield


def start(folder, pairs, make=trainer):
    return training.EditorTraining(RunFolder(folder), pairs, make, seed=3, num_workers=0)


def train(made):
    autoencoder = made.autoencoder(steps=4, batch_size=2, crop=16, lr=1e-3)
    latents, scale = made.latents(autoencoder)
    encoder, tokenizer, encoded, numbers = made.text_encoder()
    unet = made.denoiser(latents, scale, encoded, numbers, **DENOISER)
    return autoencoder, encoder, tokenizer, unet, latents, scale


@pytest.fixture(scope="module")
def finished(pairs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    return folder, train(start(folder, pairs))


class Stop(Callback):
    """Interrupts the training of the denoiser in the middle of its second epoch, in which nothing was written yet."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if isinstance(pl_module, tasks.DenoisingTask) and trainer.global_step == 3:
            raise RuntimeError("the power is gone")


def test_an_interrupted_training_ends_with_the_same_weights(pairs, finished, tmp_path):
    def stopping(callbacks=(), **arguments):
        return trainer(callbacks=[*callbacks, Stop()], **arguments)

    with pytest.raises(RuntimeError, match="the power is gone"):
        train(start(tmp_path, pairs, stopping))
    autoencoder, encoder, _, unet, *_ = train(start(tmp_path, pairs))
    for made, expected in zip((autoencoder, encoder, unet), (*finished[1][:2], finished[1][3]), strict=True):
        for (name, value), other in zip(made.state_dict().items(), expected.state_dict().values(), strict=True):
            assert torch.equal(value, other), name


def test_a_training_that_died_before_its_last_mark_ends_with_the_averaged_weights(pairs, finished, tmp_path):
    folder = shutil.copytree(finished[0], tmp_path / "again")
    for name in ("phase.json", "weights.safetensors"):
        (folder / "denoiser" / name).unlink()
    unet = train(start(folder, pairs))[3]
    for value, expected in zip(unet.state_dict().values(), finished[1][3].state_dict().values(), strict=True):
        assert torch.equal(value, expected)


def test_what_is_finished_is_not_trained_again(pairs, finished):
    folder, _ = finished
    before = {
        path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.suffix in (".safetensors", ".npy", ".ckpt")
    }
    assert len(before) == 6

    def never(**_):
        raise AssertionError("trains again")

    train(start(folder, pairs, never))
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_latents_are_those_of_the_pictures_in_order(pairs, finished):
    autoencoder, *_, latents, scale = finished[1]
    pictures = np.concatenate(list(pairs.shards()))
    assert latents.shape == (3, len(STORED), 8, 16, 32)
    image = torch.from_numpy(pictures[2, 4].transpose(2, 0, 1).copy()).float()[None] / 127.5 - 1
    with torch.no_grad():
        expected = autoencoder.encode(image).latents[0]
    assert torch.allclose(torch.from_numpy(latents[2, 4].astype(np.float32)), expected, atol=0.05)
    assert scale == pytest.approx(1 / latents[::50].astype(np.float32).std(), rel=1e-3)


def test_the_editor_opens_and_edits_with_diffusers_alone(finished, tmp_path):
    autoencoder, encoder, tokenizer, unet, *_ = finished[1]
    folder = tmp_path / "editor"
    save_editor(folder, autoencoder, encoder, tokenizer, unet)
    assert {path.suffix for path in (folder / "unet").iterdir()} == {".json", ".safetensors"}
    # What it is opened with stands in its index; nothing of ours is among it.
    index = json.loads((folder / "model_index.json").read_text())
    parts = {library for library, _ in (part for part in index.values() if isinstance(part, list)) if library}
    assert parts == {"diffusers", "transformers"}
    pipeline = StableDiffusionInstructPix2PixPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    image = Image.fromarray(np.zeros((64, 64, 3), np.uint8))
    how = {"num_inference_steps": 2, "guidance_scale": 2.0, "image_guidance_scale": 1.2}
    assert pipeline("make it rain", image, **how).images[0].size == (64, 64)
