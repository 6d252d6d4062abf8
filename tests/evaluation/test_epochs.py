"""Scores of every epoch that a run kept, of networks that answer with one class."""

import csv
import json
from dataclasses import replace

import pytest

from tests.evaluation.test_scorer import TRAINER, OneClass
from zsda.core.trained import TrainedNetwork
from zsda.data.datasets.acdc import ACDC
from zsda.data.datasets.cityscapes import Cityscapes
from zsda.data.datasets.generated import GeneratedSet
from zsda.evaluation.protocols import PROTOCOLS
from zsda.evaluation.scorer import Scorer
from zsda.models.weights import save_weights

ROAD, SKY, TRAIN = 0, 10, 16


def answer(path, train_id):
    model = OneClass()
    model.bias.data[train_id] = 1
    save_weights(model, path)
    return path


@pytest.fixture
def trained(tmp_path):
    """A run whose epoch 10 answers road, epoch 20 train, and whose last epoch, 30, sky."""
    epochs = {epoch: answer(tmp_path / f"{epoch:04d}.safetensors", cls) for epoch, cls in ((10, ROAD), (20, TRAIN))}
    weights = answer(tmp_path / "weights.safetensors", SKY)
    return TrainedNetwork("run", weights, [32, 64], tmp_path / "eval", OneClass, {**epochs, 30: weights})


@pytest.fixture
def scorer(world):
    datasets = {condition: ACDC(world / "ACDC", condition) for condition in ("fog", "rain")}
    return Scorer(datasets, PROTOCOLS["sdgpa"], TRAINER, batch_size=2, num_workers=0)


def test_each_epoch_is_scored_with_its_own_weights(scorer, trained):
    scored = scorer.score_epochs(trained)
    assert list(scored.epochs) == [10, 20, 30]
    assert scored.settings == scored.epochs[30]
    road, train, sky = (scores["fog"]["accuracy"] for scores in scored.epochs.values())
    assert road > sky > train > 0
    single = scorer.score(replace(trained, weights=trained.epochs[10], out=trained.out / "single")).settings
    for setting, scores in scored.epochs[10].items():
        assert scores == {key: single[setting][key] for key in ("miou", "miou_present", "accuracy")}
    stored = json.loads((scored.folder / "epochs.json").read_text())
    assert {int(epoch): settings for epoch, settings in stored["epochs"].items()} == scored.epochs
    rows = list(csv.DictReader((scored.folder / "epochs.csv").open()))
    assert [(row["epoch"], row["setting"]) for row in rows] == [
        (epoch, setting) for epoch in ("10", "20", "30") for setting in ("fog", "rain")
    ]
    assert float(rows[0]["miou_present"]) == scored.epochs[10]["fog"]["miou_present"]
    assert not (scored.folder / "scores.json").exists()


def test_what_is_scored_is_not_scored_again(scorer, trained, monkeypatch):
    evaluated, limit = [], 2
    really = Scorer._evaluate

    def evaluate(self, network, masks=None):
        if len(evaluated) == limit:
            raise KeyboardInterrupt
        evaluated.append(network.weights)
        return really(self, network, masks)

    monkeypatch.setattr(Scorer, "_evaluate", evaluate)
    with pytest.raises(KeyboardInterrupt):
        scorer.score_epochs(trained)
    limit = 100
    scored = scorer.score_epochs(trained)
    assert (scored.known, list(scored.epochs)) == (False, [10, 20, 30])
    assert sorted(evaluated) == sorted(trained.epochs.values()), "each once"
    assert scorer.score_epochs(trained) == scored._replace(known=True)
    assert len(evaluated) == 3
    more = replace(trained, epochs={5: trained.epochs[10], **trained.epochs})
    assert list(scorer.score_epochs(more).epochs) == [5, 10, 20, 30]
    assert len(evaluated) == 4
    answer(trained.weights, ROAD)
    scorer.score_epochs(trained)
    assert len(evaluated) == 7, "of another training"


def test_scores_of_generated_sets_say_whose_they_are(world_with_sets, trained):
    source = Cityscapes(world_with_sets / "cityscapes", "train")
    datasets = {"edited": GeneratedSet(world_with_sets, "night", "target", source)}
    scorer = Scorer(datasets, PROTOCOLS["sdgpa"], TRAINER, batch_size=4, num_workers=0)
    file = scorer.score(trained).folder / "scores.json"
    stored = json.loads(file.read_text())
    assert stored.pop("generated_sets") == {"edited": "night_target"}
    assert scorer.score(trained, known=True).known
    file.write_text(json.dumps(stored))
    assert not scorer.score(trained, known=True).known, "so that the name is learnt"
