import lightning as L
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from zsda.core.errors import ModelError
from zsda.data.colours import normalise
from zsda.data.datasets.acdc import ACDC
from zsda.data.evaluation import EvaluationData
from zsda.data.labels import CITYSCAPES
from zsda.evaluation.inference import (
    EvaluationTask,
    ResizedInference,
    SummedInference,
    evaluate,
    inference_by,
    predict_images,
)
from zsda.evaluation.protocols import PROTOCOLS


class Constant(torch.nn.Module):
    def __init__(self, channel: int) -> None:
        super().__init__()
        self.channel = channel

    def forward(self, images):
        logits = torch.zeros(len(images), 20, *images.shape[-2:])
        logits[:, self.channel] = 1
        return logits


def test_logits_and_not_labels_are_upsampled():
    logits = torch.tensor([[[[0.0, 0.0]], [[3.0, -1.0]]]])
    (prediction,) = ResizedInference((1, 2)).labels(lambda _: logits, torch.zeros(1, 3, 1, 2), [(1, 8)])
    # The second channel falls 3, 3, 2.5, 1.5, 0.5, -0.5, -1, -1; upsampled labels would change in the middle.
    assert prediction.tolist() == [[1, 1, 1, 1, 1, 0, 0, 0]]


def test_without_sizes_the_answer_has_the_size_of_the_input():
    asked = []

    def coarse(images):
        asked.append(tuple(images.shape))
        return Constant(3)(images)[..., ::4, ::4]

    inference = ResizedInference((8, 16))
    image = inference.prepare(Image.new("RGB", (50, 40)))
    predictions = inference.labels(coarse, torch.stack([image, image]))
    assert [tuple(prediction.shape) for prediction in predictions] == [(8, 16)] * 2
    assert asked == [(2, 3, 8, 16)]
    own = inference.labels(coarse, torch.stack([image, image]), [(40, 50), (2, 4)])
    assert [tuple(prediction.shape) for prediction in own] == [(40, 50), (2, 4)]
    assert all((prediction == 3).all() for prediction in (*predictions, *own))


@pytest.mark.parametrize(("protocol", "shape"), [("sdgpa", (32, 64)), ("full", (64, 128))])
def test_the_protocol_says_where_predictions_and_labels_meet(world, tmp_path, protocol, shape):
    settings, inference = {"fog": ACDC(world / "ACDC", "fog")}, ResizedInference((32, 64))
    data = EvaluationData(settings, inference.size, (32, 64) if protocol == "sdgpa" else None, 2, 0)
    task = EvaluationTask(Constant(0), ["fog"], CITYSCAPES, PROTOCOLS[protocol], inference, masks=tmp_path)
    for batch in data.test_dataloader()[0]:
        task.test_step(batch, 0)
    masks = [Image.open(path).size for path in (tmp_path / "fog").glob("*/*.png")]
    assert masks == [shape[::-1]] * 3
    confusion = task.scores.results()["fog"]["confusion"]
    assert shape[0] * shape[1] * 2 < confusion.sum() <= shape[0] * shape[1] * 3


def test_a_network_that_always_says_road(world, tmp_path):
    dataset = ACDC(world / "ACDC", "fog")
    inference = ResizedInference((32, 64))
    data = EvaluationData({"fog": dataset}, inference.size, batch_size=2, num_workers=0)
    task = EvaluationTask(Constant(0), ["fog"], CITYSCAPES, PROTOCOLS["full"], inference, masks=tmp_path)
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False)
    trainer.test(task, datamodule=data, verbose=False)
    scores = task.scores.results()["fog"]
    share = sum((dataset[i]["mask"] == 0).sum() for i in range(3)) / sum(
        (dataset[i]["mask"] != 255).sum() for i in range(3)
    )
    assert scores["accuracy"].item() == scores["iou"][0].item() == share
    assert len(list((tmp_path / "fog").glob("*/*.png"))) == 3


class BrightIsRoad(torch.nn.Module):
    """Channel 0 where the image is bright, else channel 1; in training mode the other way round."""

    def __init__(self) -> None:
        super().__init__()
        self.sign = torch.nn.Parameter(torch.ones(()))

    def forward(self, images):
        brightness = self.sign * images.mean(dim=1) * (-1 if self.training else 1)
        return torch.stack([brightness, -brightness], dim=1)


def test_photographs_are_predicted_at_their_own_size():
    half = np.zeros((8, 16, 3), np.uint8)
    half[:, 8:] = 255
    images = [Image.fromarray(half), Image.fromarray(np.full((4, 6, 3), 255, np.uint8))]
    first, second = predict_images(BrightIsRoad().train(), images, ResizedInference((4, 8)))
    assert first.dtype == np.uint8
    assert (first == np.where(half[..., 0] == 255, 0, 1)).mean() > 0.9  # but for the border, which is interpolated
    assert first.shape == (8, 16)
    assert second.tolist() == [[0] * 6] * 4


def test_a_void_prediction_is_kept():
    (prediction,) = ResizedInference((4, 8)).labels(Constant(19), torch.zeros(1, 3, 4, 8))
    assert (prediction == 19).all()


def logits_of(images):
    """Two channels that differ where an image does, at half its size, and not symmetric from left to right."""
    brightness = images.mean(dim=1, keepdim=True)[..., ::2, ::2] + torch.linspace(-1, 1, images.shape[-1] // 2)
    return torch.cat([brightness, brightness.square() - 0.5, -brightness], dim=1)


@pytest.mark.parametrize("mirror", [False, True])
def test_probabilities_are_summed_over_sizes_and_the_mirrored_image(mirror):
    generator = torch.Generator().manual_seed(0)
    images = [torch.randn(3, *size, generator=generator) for size in ((10, 20), (7, 15))]
    scales = [(8, 12), (10, 20), (6, 16)]
    asked = []

    def model(seen):
        asked.append(tuple(seen.shape))
        return logits_of(seen)

    predictions = SummedInference(scales, mirror).labels(model, images, [(10, 20), (9, 18)])
    assert asked == [(2, 3, *scale) for scale in scales for _ in range(1 + mirror)]
    for image, prediction, size in zip(images, predictions, [(10, 20), (9, 18)], strict=True):
        total = torch.zeros(1, 3, *size)
        for scale in scales:
            seen = F.interpolate(image[None], scale, mode="bilinear", align_corners=True)
            found = logits_of(seen).softmax(1)
            if mirror:
                found = found + logits_of(seen.flip(-1)).softmax(1).flip(-1)
            total += F.interpolate(found, size, mode="bilinear", align_corners=True)
        assert torch.equal(prediction, total.argmax(1)[0])
    if mirror:
        single = SummedInference(scales).labels(logits_of, images, [(10, 20), (9, 18)])
        assert any(not torch.equal(*pair) for pair in zip(single, predictions, strict=True))


def test_an_image_to_sum_over_keeps_its_size():
    picture = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    inference = SummedInference([(2, 4)])
    prepared = inference.prepare(Image.fromarray(picture))
    assert torch.equal(prepared, normalise(torch.from_numpy(picture)))
    (prediction,) = inference.labels(logits_of, prepared[None])
    assert prediction.shape == (4, 6)


def test_each_protocol_asks_in_its_own_way():
    image = Image.new("RGB", (40, 30))
    assert inference_by(PROTOCOLS["full"], (8, 16)).prepare(image).shape == (3, 8, 16)
    assert inference_by(PROTOCOLS["hiast"], (8, 16)).prepare(image).shape == (3, 30, 40)


@pytest.mark.parametrize("number", [torch.nan, torch.inf])
@pytest.mark.parametrize("protocol", ["sdgpa", "hiast"])
def test_a_network_that_overflows_has_no_score(world, number, protocol):
    """Its weights may be whole, as in half precision."""

    class Overflowing(Constant):
        def forward(self, images):
            logits = super().forward(images)
            logits[-1, 4, 3, 2] = number
            return logits

    settings, inference = {"fog": ACDC(world / "ACDC", "fog")}, inference_by(PROTOCOLS[protocol], (32, 64))
    data = EvaluationData(settings, inference.size, (32, 64), 2, 0)
    task = EvaluationTask(Overflowing(0), ["fog"], CITYSCAPES, PROTOCOLS[protocol], inference)
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_model_summary=False)
    with pytest.raises(
        ModelError, match=r"outputs are not finite \(NaN or infinity\) at precision 32-true; try trainer.precision"
    ):
        evaluate(task, data, trainer)
