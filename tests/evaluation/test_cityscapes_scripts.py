"""The scripts of the Cityscapes benchmark score as ``protocol=full`` does."""

import math
from copy import copy
from functools import partial

import lightning as L
import numpy as np
import pytest
import torch
from cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling import args, evaluateImgLists
from PIL import Image

from tests.conftest import SMALL_NETWORK
from zsda.core.trained import TrainedNetwork
from zsda.data.datasets.cityscapes import Cityscapes
from zsda.data.labels import to_label_ids
from zsda.evaluation.protocols import find_protocol
from zsda.evaluation.scorer import Scorer
from zsda.models.deeplab import DeepLabV3Plus
from zsda.models.weights import save_weights


@pytest.mark.parametrize("trains", [True, False], ids=["trains predicted", "trains never"])
def test_the_benchmark_finds_the_same_iou(world, tmp_path, monkeypatch, trains):
    """Of a class that is not labelled, predicted or not."""
    monkeypatch.setattr("zsda.evaluation.scorer.write_confusions", lambda _folder, _results: None)
    torch.manual_seed(0)
    build = partial(DeepLabV3Plus, 19, **SMALL_NETWORK)
    network = build()
    network.classifier.classifier[-1].bias.data[16] += 0 if trains else -1000
    save_weights(network, tmp_path / "weights.safetensors")
    day = Cityscapes(world / "cityscapes", "val")
    trainer = partial(L.Trainer, accelerator="cpu", enable_model_summary=False)
    scorer = Scorer({"day": day}, find_protocol("full"), trainer, batch_size=2, num_workers=0, masks=True)
    scored = scorer.score(TrainedNetwork("tiny", tmp_path / "weights.safetensors", [32, 64], tmp_path, build))

    labels, predictions = [], []
    for sample in day.samples:
        ids = np.array(Image.open(scored.folder / f"masks/day/{sample.key}.png"))
        path = tmp_path / f"{sample.key.replace('/', '_')}.png"
        Image.fromarray(to_label_ids(ids)).save(path)
        predictions.append(str(path))
        labels.append(str(sample.image.parents[3] / f"gtFine/val/{sample.key}_gtFine_labelIds.png"))
    arguments = copy(args)
    arguments.quiet, arguments.JSONOutput, arguments.evalInstLevelScore = True, False, False
    found = evaluateImgLists(predictions, labels, arguments)["classScores"]

    ours = scored.settings["day"]["iou"]
    assert [name for name, iou in ours.items() if iou is None] == ([] if trains else ["train"])
    assert len({iou for iou in ours.values() if iou}) > 2
    for name, iou in ours.items():
        if iou is None:
            assert math.isnan(found[name])
        else:
            assert found[name] == pytest.approx(iou, abs=1e-9)
