import functools
import io
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import torch
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.adaptation.test_phases import engine, equal, phase, run_all
from tests.data.test_aligned import views_data
from zsda.core.runs import RunFolder
from zsda.data.colours import normalise
from zsda.data.datasets.cityscapes import Cityscapes
from zsda.data.labels import CITYSCAPES, IGNORE, VOID
from zsda.models.weights import read_weights
from zsda.training import panels
from zsda.training.panels import Panels, panel

BESIDE = [functools.partial(CSVLogger, name="csv"), functools.partial(TensorBoardLogger, name="tensorboard")]


def events(folder):
    """What a phase told TensorBoard."""
    (version,) = (folder.path / "tensorboard").iterdir()
    found = EventAccumulator(str(version), size_guidance={"images": 0})
    found.Reload()
    return found


def shown(height=64, width=128, count=3):
    """A batch of blue scenes that were taken for roads and void, and are half car, half nothing."""
    images = torch.full((count, height, width, 3), 30, dtype=torch.uint8)
    images[..., 2] = 200
    predictions = [torch.zeros(height, width, dtype=torch.int64) for _ in range(count)]
    labels = [torch.full((height, width), 13, dtype=torch.uint8) for _ in range(count)]
    for prediction, label in zip(predictions, labels, strict=True):
        prediction[: height // 2], label[: height // 2] = VOID, IGNORE
    return {
        "set": "day",
        "images": normalise(images),
        "predictions": predictions,
        "labels": labels,
        "classes": CITYSCAPES,
    }


def cells(sheet, width, rows):
    """The pictures of a sheet, by row and column: the margin is 12 pixels, the gap 6."""
    across = [12 + column * (width + 6) for column in range(3)]
    height = width // 2
    bottom = sheet.height - 12
    down = [bottom - (rows - row) * height - (rows - row - 1) * 6 for row in range(rows)]
    pixels = np.asarray(sheet)
    return [[pixels[top : top + height, left : left + width] for left in across] for top in down]


def test_a_panel_is_image_prediction_and_ground_truth_of_two_scenes():
    sheet = panel(shown(count=3))
    assert sheet.size == panel(shown(count=2)).size == (2 * 12 + 3 * 128 + 2 * 6, sheet.height)
    for image, prediction, truth in cells(sheet, 128, 2):
        assert (image == (30, 30, 200)).all()
        assert (prediction[:32] == 0).all() and (prediction[32:] == (128, 64, 128)).all()
        assert (truth[:32] == 0).all() and (truth[32:] == (0, 0, 142)).all()


def test_a_panel_is_small_whatever_the_network_sees():
    assert panel(shown(512, 1024, count=1)).width == 2 * 12 + 3 * 384 + 2 * 6
    assert panel(shown(1024, 512, count=1)).height < 384 + 100


def test_one_process_shows_the_first_batch_of_a_set_alone(monkeypatch):
    recorded = []
    monkeypatch.setattr(panels, "log_picture", lambda *told: recorded.append(told))
    told, task = Panels(["a", "b"]), SimpleNamespace(steps=7)
    first, other = (SimpleNamespace(is_global_zero=zero) for zero in (True, False))
    told.on_validation_batch_end(first, task, shown(), None, 1)
    told.on_validation_batch_end(first, task, None, None, 0)  # all its files are damaged
    told.on_validation_batch_end(other, task, shown(), None, 0)
    assert not recorded
    told.on_validation_batch_end(first, task, shown(), None, 0, 1)
    assert [(logger, tag, step) for logger, tag, _, step in recorded] == [
        ("a", "panels/day", 6),
        ("b", "panels/day", 6),
    ]


def watching(root, view, names):
    """Makes data of a view that watch the first of these sets, and the second by another name."""

    def make(**more):
        data = views_data(root, views=[view], watch=names[:1], **more)
        data.watched.settings.update({name: Cityscapes(root / "cityscapes", "train") for name in names[1:]})
        return data

    return make


def test_logs_and_panels_change_no_bit_of_a_training(world_with_sets, tmp_path):
    runs = {"plain": [], "showing": BESIDE}
    for name, loggers in runs.items():
        phases = [
            replace(
                phase(world_with_sets, "first", [], epochs=2),
                data=watching(world_with_sets, "source", ["source", "other"]),
            ),
            replace(
                phase(world_with_sets, "second", [], epochs=1, start="first"),
                data=watching(world_with_sets, "target", []),
            ),
        ]
        runs[name] = RunFolder(tmp_path / name)
        run_all(phases, runs[name], made=replace(engine(), loggers=loggers))
    for one, other in ((run.phase(name) for run in runs.values()) for name in ("first", "second")):
        assert equal(read_weights(one.weights), read_weights(other.weights))
        assert one.report().watched == other.report().watched
    found = events(runs["showing"].phase("first"))
    assert set(found.Tags()["images"]) == {"panels/source", "panels/other"}
    for name, part in (("source", "val"), ("other", "train")):
        told = found.Images(f"panels/{name}")
        assert [picture.step for picture in told] == [v.step for v in found.Scalars(f"val/{name}/miou")] == [3, 7]
        last = Image.open(io.BytesIO(told[-1].encoded_image_string)).convert("RGB")
        for number, (image, _, truth) in enumerate(cells(last, 128, 2)):
            scene = Cityscapes(world_with_sets / "cityscapes", part).load(number, (64, 128), (64, 128))
            assert (image == scene["image"]).all()
            assert (truth == CITYSCAPES.colourise(scene["mask"])).all()
    assert events(runs["showing"].phase("second")).Tags()["images"] == []


def test_where_nothing_shows_pictures_none_is_drawn(world_with_sets, tmp_path, monkeypatch):
    monkeypatch.setattr(panels, "panel", None)
    one = phase(world_with_sets, "source", ["source"], epochs=1)
    run_all([one], RunFolder(tmp_path / "run"), made=replace(engine(), loggers=BESIDE[:1]))
