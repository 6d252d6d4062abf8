"""The options of ``tools/small_editor/conf`` hold the numbers that editor and start weights were made with."""

import os
from pathlib import Path

import hydra
import pytest
import yaml

from tests.starting import call
from tools.small_editor.world import write_training_world

ROOT = Path(__file__).resolve().parents[3]
CONF = ROOT / "tools/small_editor/conf"
START_WEIGHTS = ["--config-dir", str(CONF), "world=training_streets", "method=source_only"]


def composed(module, *words):
    result = call(module, [*words, "--cfg", "job", "--resolve"], ROOT, os.environ)
    assert result.returncode == 0, result.stderr
    return yaml.safe_load(result.stdout)


@pytest.fixture(scope="module")
def start_weights():
    return composed("zsda.train", *START_WEIGHTS)


def test_the_editor():
    config = composed("tools.small_editor.train")
    assert config["trainer"]["precision"] == "fast"
    assert (config["machine"]["accelerator"], config["machine"]["devices"]) == ("auto", 1)
    assert {key: value for key, value in config.items() if key not in ("trainer", "machine")} == {
        "out": "editors/miniature",
        "scenes": 6000,
        "size": [128, 256],
        "held_out": 100,
        "seed": 0,
        "autoencoder": {"steps": 6000, "batch_size": 16, "crop": 64, "lr": 1e-3},
        "denoiser": {"steps": 10_000, "batch_size": 16, "lr": 6e-4, "ema": 0.998},
    }


def test_the_world_of_the_start_weights(start_weights):
    assert start_weights["world"]["prepare"] == {
        "_target_": "tools.small_editor.world.write_training_world",
        "root": "data/training_streets",
        "train": 6000,
        "val": 100,
    }
    assert hydra.utils.get_method(start_weights["world"]["prepare"]["_target_"]) is write_training_world
    assert start_weights["data"]["source"]["root"] == "data/training_streets/cityscapes"
    assert not start_weights["world"]["editor"]


def test_the_training_of_the_start_weights(start_weights):
    (phase,) = start_weights["method"]["phases"].values()
    assert (phase["epochs"], phase["horizon"], phase["data"]["views"]) == (8, 8, ["source"])
    assert start_weights["optimizer"]["lr"] == 0.03
    data = start_weights["data"]
    assert (data["batch_size"], data["transform"]["size"], data["transform"]["crop"]) == (8, [128, 256], [96, 192])
    assert start_weights["trainer"]["precision"] == "fast"
    miniature = {**yaml.safe_load((ROOT / "conf/model/miniature.yaml").read_text()), "num_classes": 19}
    assert start_weights["model"] == {**miniature, "weights": None}


def test_the_words_that_made_the_start_weights():
    """As docs/miniature.md gives them."""
    words = ["optimizer=adamw", "optimizer.lr=0.002", "schedule=one_cycle"]
    config = composed("zsda.train", *START_WEIGHTS, *words)
    assert config["optimizer"]["_target_"] == "torch.optim.AdamW" and config["optimizer"]["lr"] == 0.002
    assert config["schedule"]["_target_"] == "zsda.training.schedules.OneCycle"
    (phase,) = config["method"]["phases"].values()
    assert (phase["epochs"], phase["data"]["views"]) == (8, ["source"])
