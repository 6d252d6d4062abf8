"""What HIAST's experiments are made of, number for number, against tables that are read from the papers and their code alone."""

import hydra
import pytest

from zsda.core import config as boundary
from zsda.core.config import build_network, build_phases, conf_dir, plain
from zsda.models import backbones

GTA5, SYNTHIA, ROBOTCAR = (
    f"hiast_{way}" for way in ("gta5_to_cityscapes", "synthia_to_cityscapes", "cityscapes_to_robotcar")
)

# The published optimiser, at a rate of the backbone; the rest learns ten times faster.
ADAM = {"_target_": "torch.optim.Adam", "_partial_": True, "betas": [0.9, 0.999], "weight_decay": 0.0005}
COSINE = {"_target_": "zsda.training.schedules.Cosine", "floor": 0.001}
TRAINING = {"_target_": "zsda.adaptation.training.TrainingPhase", "schedule": COSINE}

# Published by IAST, whose rates are the head's: 1e-4 and 2e-5.
SOURCE = {
    **TRAINING,
    "task": {
        "_target_": "zsda.adaptation.tasks.warm_up.WarmUp",
        "_partial_": True,
        "source_weight": 1.0,
        "entropy_weight": 0.0,
        "head": 10,
        "freeze_batch_norm": False,
    },
    "data": {"parts": ["source"], "batch_size": 8},
    "optimizer": {**ADAM, "lr": 1e-5},
    "epochs": 8,
    "horizon": 8,
}
WARM_UP = {
    **TRAINING,
    "task": {
        "_target_": "zsda.adaptation.tasks.adversarial.Adversarial",
        "_partial_": True,
        "source_weight": 1.0,
        "adversarial_weight": 0.05,
        "entropy_weight": 0.0,
        "maps": "probabilities",
        "distance": "least_squares",
        "discriminator_weight": 1.0,
        "discriminator_optimizer": {**ADAM, "lr": 2e-5, "weight_decay": 0.0},
        "head": 10,
        "freeze_batch_norm": True,
    },
    "data": {"parts": ["source", "unlabelled"], "batch_size": 4},
    "optimizer": {**ADAM, "lr": 2e-6},
    "start": "source",
    "epochs": 4,
    "horizon": 4,
}

# Published by HIAST, its colours by the ranges of what they draw.
LABELS = {
    "_target_": "zsda.adaptation.labelling.LabellingPhase",
    "selector": {
        "_target_": "zsda.pseudo_labels.selectors.InstanceAdaptiveSelector",
        "_partial_": True,
        "alpha": 0.5,
        "beta": 0.9,
        "gamma": 8.0,
        "start": 0.9,
    },
    "size": [768, 1536],
    "batch_size": 2,
    "check_labels": False,
    "data": {"batch_size": 6},  # which a labelling does not look at
}
ROUND = {
    **TRAINING,
    "task": {
        "_target_": "zsda.adaptation.tasks.self_training.SelfTraining",
        "_partial_": True,
        "pseudo_weight": 1.0,
        "kld_weight": 0.1,
        "entropy_weight": 1.0,
        "consistency_weight": 0.5,
        "region": "ignored",
        "decay": 0.999,
        "head": 10,
        "freeze_batch_norm": True,
    },
    "data": {
        "parts": ["unlabelled"],
        "batch_size": 6,
        "copy_paste": {
            "_target_": "zsda.pseudo_labels.copy_paste.HardAwareCopyPaste",
            "_partial_": True,
            "hard": 14,
            "donors": 1,
            "left_out": [],
        },
        "unlabelled_transform": {
            "strong": {
                "_target_": "zsda.data.weak_strong.StrongColours",
                "count": 3,
                "probability": 0.5,
                "jitter": 0.2,
                "kernels": [3, 41],
                "gain": [1, 4],
                "offset": [-0.5, 0.5],
                "bits": 4,
                "threshold": 128,
            }
        },
    },
    "steps": 8000,
    "horizon": 8000,
}
ROUNDS = {
    "labels1": {**LABELS, "network": "warm_up"},
    "round1": {**ROUND, "optimizer": {**ADAM, "lr": 3e-6}, "labels": "labels1", "start": "warm_up"},
    "labels2": {**LABELS, "network": "round1/teacher"},
    "round2": {**ROUND, "optimizer": {**ADAM, "lr": 2e-6}, "labels": "labels2", "start": "round1"},
    "labels3": {**LABELS, "network": "round2/teacher"},
    "round3": {**ROUND, "optimizer": {**ADAM, "lr": 1e-6}, "labels": "labels3", "start": "round2"},
}

# Height and width of a view, heights of a window of the source and of the condition, all in pixels.
VIEWS = {
    GTA5: ([512, 1024], [341, 950], [341, 1000]),
    SYNTHIA: ([512, 1024], [341, 640], [341, 1000]),
    ROBOTCAR: ([768, 1024], [341, 1000], [341, 900]),
}
SETS = {
    GTA5: ("gta5.GTA5", "train", 19, "game", "cityscapes.Cityscapes", "day"),
    SYNTHIA: ("synthia.SYNTHIA", None, 19, "synthia", "cityscapes.Cityscapes", "day"),
    ROBOTCAR: ("cityscapes.Cityscapes", "train", 9, "day", "robotcar.RobotCar", "robotcar"),
}

FILE = {"_target_": "zsda.adaptation.weights.WeightsPhase", "file": None}
ADVENT = {
    "task.adversarial_weight": 0.001,
    "task.maps": "self_information",
    "task.distance": "binary_cross_entropy",
    "task.discriminator_optimizer.lr": 1e-4,
}
MINENT = {
    **SOURCE,
    "task": {**SOURCE["task"], "entropy_weight": 3.0, "freeze_batch_norm": True},
    "data": {"parts": ["source", "unlabelled"], "batch_size": 4},
    "optimizer": {**ADAM, "lr": 2e-6},
    "start": "source",
    "epochs": 4,
    "horizon": 4,
}


def flat(node, at=""):
    """Dotted key -> value of a tree of dicts."""
    if not isinstance(node, dict):
        return {at: node}
    return {
        key: value for name, child in node.items() for key, value in flat(child, f"{at}.{name}".lstrip(".")).items()
    }


def compose(*words):
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return hydra.compose("train", list(words))


@pytest.fixture
def phases_of(monkeypatch):
    """Returns what the phases of a method would be built of: name -> dotted key -> value."""
    monkeypatch.setattr(boundary, "build", lambda node, **more: {**plain(node), **more})
    return lambda config: {phase.pop("name"): flat(phase) for phase in build_phases(config, 0)}


def expected(experiment, phases, **changes):
    """Returns the same of a table, with the data of an experiment, and dotted keys changed wherever they are."""
    size, source_heights, heights = VIEWS[experiment]
    source, subset, classes, setting, unlabelled, target = SETS[experiment]
    weak = {"_target_": "zsda.data.weak_strong.WeakStrongTransform", "size": size, "flip": 0.5}
    cityscapes = {"split": "train", "subset": None}
    own_source = cityscapes if "Cityscapes" in source else {"subset": subset}
    data = {
        "_target_": "zsda.data.unpaired.UnpairedData",
        "_partial_": True,
        "source": {"_target_": f"zsda.data.datasets.{source}", "classes": classes, **own_source},
        "setting": setting,
        "unlabelled": {"_target_": f"zsda.data.datasets.{unlabelled}", **cityscapes},
        "target": target,
        "transform": {**weak, "heights": source_heights},
        "unlabelled_transform": {**weak, "heights": heights},
        "seed": 888,
        "num_workers": 0,
        "cache": None,
    }
    table = {name: {**(flat({"data": data}) if "data" in own else {}), **flat(own)} for name, own in phases.items()}
    return {name: {key: changes.get(key, value) for key, value in own.items()} for name, own in table.items()}


def without_places(phases):
    """Leaves out folders, and what does not bear on what is learnt: where scores are watched, and whether labels are looked for."""
    idle = ("root", "needs_labels")
    return {
        name: {
            key: value
            for key, value in own.items()
            if key.rpartition(".")[2] not in idle and not key.startswith(("data.validation", "data.watch"))
        }
        for name, own in phases.items()
    }


@pytest.mark.parametrize(
    ("experiment", "changes"),
    [
        (GTA5, {}),
        (SYNTHIA, {"task.adversarial_weight": 0.001, "data.copy_paste.left_out": ["terrain", "truck", "train"]}),
        (ROBOTCAR, {"data.copy_paste.hard": 9, "size": [768, 1024]}),
    ],
)
def test_every_number_of_the_method_is_the_published_one(phases_of, experiment, changes):
    found = without_places(phases_of(compose(f"experiment={experiment}")))
    table = expected(experiment, {"source": SOURCE, "warm_up": WARM_UP, **ROUNDS}, **changes)
    assert list(found) == list(table)
    for name, own in table.items():
        assert found[name] == own, name


@pytest.mark.parametrize(
    ("method", "phases", "changes"),
    [
        ("hiast_source_only", {"source": SOURCE}, {}),
        ("adaptsegnet", {"source": SOURCE, "warm_up": WARM_UP}, {}),
        ("advent", {"source": SOURCE, "warm_up": WARM_UP}, ADVENT),
        ("minent", {"source": SOURCE, "warm_up": MINENT}, {}),
        (
            "hiast_from_files",
            {
                "teacher": FILE,
                "student": FILE,
                **ROUNDS,
                "labels1": {**ROUNDS["labels1"], "network": "teacher"},
                "round1": {**ROUNDS["round1"], "start": "student"},
            },
            {},
        ),
    ],
)
def test_its_parts_are_methods_of_their_own(phases_of, method, phases, changes):
    config = compose(f"experiment={GTA5}", f"method={method}")
    found = without_places(phases_of(config))
    assert config.method.name == method and method in config.name
    assert list(found) == list(phases)
    assert found == expected(GTA5, phases, **changes)


@pytest.mark.parametrize(
    ("words", "edges"),
    [
        (["unlabelled=snow"], {"class": "acdc.ACDC", "heights": [341, 1000], "checked": False}),
        ([], {"class": "generated.GeneratedSet", "heights": [170, 500], "checked": True}),
    ],
    ids=["unlabelled", "generated"],
)
def test_after_sdgpa_the_rounds_are_the_published_ones_at_its_sizes(phases_of, words, edges):
    found = without_places(phases_of(compose("experiment=snow", "method=sdgpa_then_hiast", *words)))
    alone = without_places(phases_of(compose("experiment=snow")))
    assert list(found) == [*alone, *ROUNDS]
    assert {name: found[name] for name in alone} == alone
    for name, own in ROUNDS.items():
        changed = {"network" if "network" in own else "start": "target"} if name in ("labels1", "round1") else {}
        expects = {**flat(own), **changed, "data.seed": 42, "data.target": "snow", "data.setting": "day"}
        if "size" in own:
            expects |= {"size": [512, 1024], "check_labels": edges["checked"]}
            del expects["data.batch_size"]
        else:
            expects |= {f"data.{part}.size": [384, 768] for part in ("transform", "unlabelled_transform")}
            expects |= {"data.transform.heights": [341, 1000], "data.unlabelled_transform.heights": edges["heights"]}
        expects["data.unlabelled._target_"] = f"zsda.data.datasets.{edges['class']}"
        assert {key: found[name].get(key) for key in expects} == expects, name


@pytest.mark.parametrize("method", ["adaptsegnet", "hiast"])
def test_synthia_has_a_weight_of_its_own_in_every_method_with_it(phases_of, method):
    found = phases_of(compose(f"experiment={SYNTHIA}", f"method={method}"))
    assert found["warm_up"]["task.adversarial_weight"] == 0.001


@pytest.mark.parametrize(("experiment", "outputs"), [(GTA5, 19), (SYNTHIA, 19), (ROBOTCAR, 9)])
def test_the_network_is_the_published_one(monkeypatch, experiment, outputs):
    config, asked = compose(f"experiment={experiment}"), []
    get_model = backbones.torchvision.models.get_model

    def without_weights(name, weights, **more):
        asked.append((name, weights))
        return get_model("resnet50", weights=None, **more)

    monkeypatch.setattr(backbones.torchvision.models, "get_model", without_weights)
    network = build_network(config.model)
    assert (type(network).__name__, asked) == ("DeepLabV2", [("resnet101", "IMAGENET1K_V1")])
    assert [branch.out_channels for branch in network.aspp.conv2d_list] == [outputs] * 4
    assert (config.seed, config.trainer.precision, config.published) == (888, "fast", experiment)
    assert config.model["weights"] is None
