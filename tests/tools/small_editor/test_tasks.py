import numpy as np
import pytest
import torch

from tools.small_editor import tasks
from tools.small_editor.parts import make_scheduler

SCHEDULER = make_scheduler()


def test_crops_are_a_function_of_epoch_and_index():
    shards = [np.random.default_rng(0).integers(0, 256, (2, 3, 32, 64, 3), np.uint8)]
    crops = tasks.RandomCrops(shards, length=8, side=16, seed=1)
    again = tasks.RandomCrops(shards, length=8, side=16, seed=1)
    assert torch.equal(crops[0, 3], again[0, 3])
    assert not torch.equal(crops[0, 3], crops[1, 3])
    assert crops[0, 0].shape == (3, 16, 16) and crops[0, 0].min() >= -1 and crops[0, 0].max() <= 1


def test_a_crop_is_part_of_a_picture():
    shard = np.arange(4 * 6, dtype=np.uint8).reshape(1, 1, 4, 6, 1).repeat(3, -1)
    crop = ((tasks.RandomCrops([shard], 1, 3, 0)[0, 0] + 1) * 127.5).round()[0]
    first = int(crop[0, 0])
    assert torch.equal(
        crop, torch.tensor([[first + 6 * row + column for column in range(3)] for row in range(3)]).float()
    )


def test_edit_pairs_show_the_same_part_of_the_same_scene_with_a_sentence_of_its_look():
    scenes, looks, width = 5, 3, 9
    latents = np.zeros((scenes, looks, 1, 4, width), np.float16)
    # Whole numbers up to 2048 are exact in half precision.
    latents += np.arange(scenes)[:, None, None, None, None] * 20 + np.arange(looks)[:, None, None, None] * 200
    latents += np.arange(width)
    sentences = [[0], [1, 2], [3]]
    pairs = tasks.EditPairs(latents, sentences, 64, 0)
    seen = set()
    for index in range(64):
        pair = pairs[0, index]
        difference = pair["after"] - pair["before"]
        look = int(difference.flatten()[0]) // 200
        assert torch.all(difference == 200 * look)
        assert pair["sentence"] in sentences[look]
        seen.add(pair["sentence"])
    assert seen == {0, 1, 2, 3}


class Spy(torch.nn.Module):
    """Stands for the denoiser and keeps what it is given."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def forward(self, inputs, times, words):
        self.seen = inputs, times, words
        return type("Output", (), {"sample": inputs[:, :2] * 0 + self.weight})


def batch(size):
    sentence = torch.arange(size) % 3
    return {"before": torch.ones(size, 2, 4, 4), "after": torch.randn(size, 2, 4, 4), "sentence": sentence}


def test_conditions_are_left_out_as_often_as_they_should():
    torch.manual_seed(0)
    spy = Spy()
    sentences = torch.arange(4.0)[:, None, None].expand(4, 5, 6)
    task = tasks.DenoisingTask(spy, SCHEDULER, sentences, scale=1.0, lr=1e-3, steps=10, ema=0.5)
    task.log = lambda *_, **__: None
    task.training_step(batch(20_000), 0)
    inputs, _, words = spy.seen
    without_image = inputs[:, 2:].abs().sum((1, 2, 3)) == 0
    without_text = words[:, 0, 0] == 3
    both = without_image & without_text
    shares = [float(mask.float().mean()) for mask in (without_image & ~both, without_text & ~both, both)]
    assert shares == pytest.approx([0.05, 0.05, 0.05], abs=0.006)


def test_validation_leaves_nothing_out_and_draws_the_same_noise_without_disturbing_the_training():
    spy = Spy()
    task = tasks.DenoisingTask(spy, SCHEDULER, torch.arange(4.0)[:, None, None].expand(4, 5, 6), 1.0, 1e-3, 10, 0.5)
    losses = []
    task.log = lambda _, value, **__: losses.append(value.item())
    fixed = batch(8)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    for _ in range(2):
        task.on_validation_epoch_start()
        task.validation_step(fixed, 0)
        task.on_validation_epoch_end()
    assert losses[0] == losses[1]
    assert torch.equal(torch.rand(3), expected)
    seen = task.networks()["weights"].seen
    assert seen[0][:, 2:].eq(1).all() and seen[2][:, 0, 0].tolist() == fixed["sentence"].tolist()
    assert task.watched == {"val/loss": pytest.approx(losses[0])}


def test_the_noise_schedule_ends_without_signal():
    noise = torch.randn(1, 2, 4, 4)
    ended = SCHEDULER.add_noise(torch.full((1, 2, 4, 4), 5.0), noise, torch.tensor([999]))
    assert torch.allclose(ended, noise, atol=1e-3)
    SCHEDULER.set_timesteps(10)
    assert SCHEDULER.timesteps[0] == 999
