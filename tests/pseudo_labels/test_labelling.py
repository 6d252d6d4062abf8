import functools

import cv2
import lightning as L
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tests.layouts import stripes, write_image
from zsda.core.errors import ConfigError, StoreError
from zsda.data.colours import normalise
from zsda.data.datasets.folder import ImageFolder
from zsda.data.labels import CITYSCAPES, IGNORE
from zsda.data.resizing import resize_to_nearest
from zsda.data.samples import Sample, SegmentationDataset, pseudo_label
from zsda.pseudo_labels.labelling import LabellingData, LabellingTask, label
from zsda.pseudo_labels.selectors import ClassBalancedSelector, InstanceAdaptiveSelector
from zsda.pseudo_labels.store import PseudoLabelWriter

SIZE = [32, 64]
SELECTORS = {"instance": InstanceAdaptiveSelector, "balanced": ClassBalancedSelector}


class Killed(BaseException):
    """Ends a labelling as a signal would."""


class Mortal(PseudoLabelWriter):
    """Writes so many label maps."""

    lives = 99

    def write(self, image, labels):
        if not self.lives:
            raise Killed
        self.lives -= 1
        super().write(image, labels)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    root = tmp_path_factory.mktemp("frames")
    for number in range(7):
        write_image(root / f"frame_{number}.png", number, (40, 70))
    return ImageFolder(root)


def network(outputs=19):
    torch.manual_seed(4)
    made = nn.Sequential(nn.Conv2d(3, outputs, 3, padding=1), nn.BatchNorm2d(outputs))
    nn.init.constant_(made[1].weight, 20.0)  # so that it is sure of something
    return made


def run(images, folder, selector=InstanceAdaptiveSelector, lives=99, model=None, workers=0, seed=3, with_labels=False):
    selector = selector(19)
    data = LabellingData(images, SIZE, 2, workers, seed, selector.observes, with_labels)
    writer = Mortal(folder / "labels", selector, CITYSCAPES, SIZE, "network")
    writer.lives = lives
    paths = [sample.image for sample in images.samples]
    task = LabellingTask(model or network(), selector, data, paths, SIZE, writer, folder / "last.ckpt")
    trainer = L.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        use_distributed_sampler=False,
    )
    label(task, data, trainer)
    writer.finish(paths)
    return task, data, selector


def written(folder):
    return {p.name: p.read_bytes() for p in (folder / "labels").iterdir()}, (
        folder / "class_threshold.npy"
    ).read_bytes()


@pytest.mark.parametrize("name", SELECTORS)
def test_labels_are_those_of_a_plain_loop(images, tmp_path, name):
    _, data, _ = run(images, tmp_path, SELECTORS[name])
    model, selector = network().eval(), SELECTORS[name](19)

    def probabilities(batch):
        pixels = [cv2.resize(np.asarray(images.image(i)), (64, 32), interpolation=cv2.INTER_LINEAR) for i in batch]
        with torch.no_grad():
            return model(torch.stack([normalise(torch.from_numpy(p)) for p in pixels])).softmax(dim=1)

    batches = data.batches[:4]
    order = [index for batch in batches for index in batch]
    assert sorted(order) == list(range(7)) != order and [len(batch) for batch in batches] == [2, 2, 2, 1]
    if selector.observes:
        assert data.batches[4:] == batches
        for batch in batches:
            selector.observe(probabilities(batch))
    for batch in batches:
        for index, expected in zip(batch, selector.select(probabilities(batch)).numpy(), strict=True):
            found = np.asarray(Image.open(tmp_path / "labels" / pseudo_label(images.samples[index].image)))
            assert (found == expected).all()
    assert (np.load(tmp_path / "class_threshold.npy") == selector.thresholds.numpy()).all()
    assert (np.load(tmp_path / "statics_class.npy") == selector.class_pixels.numpy()).all()
    assert 0 < int(selector.class_pixels.sum()) < int(selector.predicted_pixels.sum()) == 7 * 32 * 64


@pytest.mark.parametrize("name", SELECTORS)
def test_an_interrupted_labelling_ends_with_the_same_labels(images, tmp_path, name):
    run(images, tmp_path / "whole", SELECTORS[name])
    for lives in (0, 3, 1, 2):
        with pytest.raises(Killed):
            run(images, tmp_path / "killed", SELECTORS[name], lives)
    _, data, selector = run(images, tmp_path / "killed", SELECTORS[name])
    assert data.done > 0
    assert written(tmp_path / "killed") == written(tmp_path / "whole")
    assert int(selector.predicted_pixels.sum()) == 7 * 32 * 64


@pytest.fixture
def edits(images, tmp_path):
    """The images with labels three times as large, as edits have them."""
    samples = []
    for number, sample in enumerate(images.samples):
        label_map = np.kron(stripes([number, 3, IGNORE, 11, 0], (40, 70)), np.ones((3, 3))).astype(np.uint8)
        path = tmp_path / f"given_{number}.png"
        Image.fromarray(label_map).save(path)
        samples.append(Sample(sample.key, sample.image, path, "classIds", "own"))
    return SegmentationDataset(samples, "edits", tmp_path, classes=CITYSCAPES)


def test_labels_that_the_images_bring_are_checked_at_the_size_of_the_label_maps(images, edits, tmp_path):
    run(edits, tmp_path / "checked", with_labels=True)
    run(images, tmp_path / "anew")
    dropped = 0
    for index, sample in enumerate(images.samples):
        name = f"labels/{pseudo_label(sample.image)}"
        checked, anew = (np.asarray(Image.open(tmp_path / folder / name)) for folder in ("checked", "anew"))
        given = resize_to_nearest(edits.mask(index), (32, 64))
        assert checked.shape == (32, 64)
        assert (checked == np.where((anew != IGNORE) & (anew != given), IGNORE, given)).all()
        dropped += (checked != given).sum()
    assert 0 < dropped < 7 * 32 * 64


@pytest.mark.parametrize("name", SELECTORS)
def test_an_interrupted_check_ends_with_the_same_labels(edits, tmp_path, name):
    run(edits, tmp_path / "whole", SELECTORS[name], with_labels=True)
    with pytest.raises(Killed):
        run(edits, tmp_path / "killed", SELECTORS[name], 3, with_labels=True)
    _, data, _ = run(edits, tmp_path / "killed", SELECTORS[name], with_labels=True)
    assert data.done > 0
    assert written(tmp_path / "killed") == written(tmp_path / "whole")


def test_a_damaged_label_leaves_the_whole_image_ignored_and_is_counted(edits, tmp_path):
    edits.samples[2].label.write_bytes(b"no image")
    task, _, _ = run(edits, tmp_path / "run", with_labels=True)
    assert len(task.faults.messages) == 1 and "given_2.png" in task.faults.messages[0]
    assert (np.asarray(Image.open(tmp_path / "run/labels/frame_2_pseudo_label.png")) == IGNORE).all()


def test_workers_make_no_difference_and_the_seed_decides_the_order(images, tmp_path):
    _, one, _ = run(images, tmp_path / "one")
    _, two, _ = run(images, tmp_path / "two", workers=2)
    _, other, _ = run(images, tmp_path / "other", seed=4)
    assert written(tmp_path / "one") == written(tmp_path / "two")
    assert one.batches == two.batches != other.batches


def test_a_damaged_image_is_ignored_everywhere_and_counted(images, tmp_path):
    root = tmp_path / "frames"
    for sample in images.samples:
        write_image(root / sample.image.name, 1, (40, 70))
    (root / "frame_2.png").write_bytes(b"no image")
    task, _, _ = run(ImageFolder(root), tmp_path)
    assert len(task.faults.messages) == 1 and "frame_2.png" in task.faults.messages[0]
    assert (np.asarray(Image.open(tmp_path / "labels/frame_2_pseudo_label.png")) == IGNORE).all()
    assert len(list((tmp_path / "labels").iterdir())) == 7


def test_an_output_for_void_is_never_a_label(images, tmp_path):
    model = network(20)
    with torch.no_grad():
        model[1].bias[19] = 100.0
    run(images, tmp_path, model=model)
    assert not (np.load(tmp_path / "statics_class.npy") == 0).all()


def test_too_few_outputs_are_refused(images, tmp_path):
    with pytest.raises(ConfigError, match=r"the network has 18 outputs; expected at least 19, see model\.num_classes"):
        run(images, tmp_path, model=network(18))


@pytest.mark.parametrize("content", [b"no state", {"selector": {}}, {"selector": {}, "batches": 1, "left_out": []}])
def test_a_foreign_state_is_refused(images, tmp_path, content):
    path = tmp_path / "last.ckpt"
    torch.save(content, path) if isinstance(content, dict) else path.write_bytes(content)
    with pytest.raises(StoreError, match=r"last.ckpt|the state of another selector"):
        run(images, tmp_path)


def test_the_state_of_another_selector_is_refused(images, tmp_path):
    with pytest.raises(Killed):
        run(images, tmp_path, lives=3)
    (tmp_path / "pseudo_labels.json").unlink()
    with pytest.raises(StoreError):
        run(images, tmp_path, functools.partial(InstanceAdaptiveSelector, alpha=0.3))


@pytest.mark.parametrize("changes", [{"size": [0, 64]}, {"batch_size": 0}, {"num_workers": -1}])
def test_numbers_that_make_no_sense_are_refused(images, changes):
    with pytest.raises(ConfigError):
        LabellingData(**{"dataset": images, "size": SIZE, "batch_size": 2, "num_workers": 0, "seed": 1, **changes})
