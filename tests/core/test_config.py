from importlib.resources import files

import hydra
import pytest
import torch
import yaml
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch.plugins.environments import SLURMEnvironment
from omegaconf import OmegaConf, open_dict

from zsda.adaptation.phases import check_phases
from zsda.core.config import build, build_machine, build_network, build_phases, conf_dir
from zsda.core.departures import departures
from zsda.core.errors import ConfigError
from zsda.data.labels import CLASS_SETS, ClassSet, SetClass
from zsda.models import backbones
from zsda.training.fit import Length
from zsda.training.schedules import Horizon

CONF = conf_dir()
OPTIONS = sorted(path.relative_to(CONF) for path in CONF.glob("*/*.yaml"))
STUDY = (
    *("source_only", "source_2x", "weather", "whole", "target_only", "intermediate_only", "one_phase", "reversed"),
    *("keep_source", "sdgpa"),
)
COMMAND_OF = {"recipe": "generate", "editor": "generate", "setting": "eval", "list": "study"}


def compose(command, *overrides):
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        return hydra.compose(command, overrides=list(overrides))


def targets(node):
    """Every ``_target_`` of a YAML tree."""
    if isinstance(node, dict):
        own = [node["_target_"]] if "_target_" in node else []
        return own + [target for child in node.values() for target in targets(child)]
    return [target for child in node for target in targets(child)] if isinstance(node, list) else []


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_every_option_composes_and_its_targets_exist(option):
    group, name = option.parent.name, option.stem
    command = COMMAND_OF.get(group, "train")
    value = f"[{name}]" if group in ("recipe", "setting", "logger") else name
    more = ["domain=night"] if command == "generate" else []
    config = compose(command, f"{group}={value}", *more)
    for target in targets(yaml.safe_load((CONF / option).read_text())):
        assert hydra.utils.get_object(target)
    assert config.world.name


@pytest.mark.parametrize(
    "words",
    [
        *(f"experiment={option.stem}" for option in OPTIONS if option.parent.name == "experiment"),
        "experiment=snow method=sdgpa_then_hiast",
        "experiment=snow method=sdgpa_then_hiast unlabelled=snow",
        "experiment=game method=sdgpa_then_hiast unlabelled=game world=miniature",
    ],
)
def test_every_experiment_can_be_shown_resolved(words):
    config = compose("train", *words.split())
    OmegaConf.resolve(config)  # as --cfg job --resolve does
    assert "${" not in OmegaConf.to_yaml(config)


@pytest.mark.parametrize("name", ["deeplabv3plus", "refinenet", "deeplabv2", "smp"])
def test_every_network_is_built(name):
    config = compose("train", f"model={name}", "world=miniature")
    assert sum(p.numel() for p in build_network(config.model).parameters()) > 1e6


def test_a_file_of_weights_is_the_way_out_where_none_can_be_fetched(monkeypatch):
    fetched = []
    original = backbones.torchvision.models.get_model
    monkeypatch.setattr(
        backbones.torchvision.models,
        "get_model",
        lambda name, weights: fetched.append(weights) or original(name, weights=None),
    )
    build_network(compose("train", "model.backbone=resnet18").model)
    build_network(compose("train", "model.backbone=resnet18", "model.weights=file.pth").model)
    build_network(compose("train", "model.backbone=resnet18").model, pretrained=False)
    assert fetched == ["IMAGENET1K_V1", None, None]


def test_the_miniature_world_has_a_size_for_the_protocol_of_larger_images():
    small = ["setting=[day]", "world=miniature"]
    assert compose("eval", *small, "protocol=hiast").size == [128, 256]
    assert compose("eval", *small, "protocol=hiast", "size=[64,128]").size == [64, 128]
    assert compose("eval", *small).size is None
    assert compose("eval", "setting=[day]", "protocol=hiast").size is None


def test_one_word_says_where_generated_sets_lie_and_renders_stay_with_the_data():
    words = ["data_root=/data", "generated_root=/sets"]
    train = compose("train", "domain=fog", "unlabelled=generated", *words)
    assert (train.data.generated_root, train.data.rendered_root, train.data.source.root) == (
        "/sets", "/data", "/data/cityscapes",
    )  # fmt: skip
    assert train.unlabelled.images.root == "/sets"
    scored = compose("eval", "setting=[edited,rendered]", "edits_of=fog", *words).settings
    assert (scored.edited.root, scored.rendered.root) == ("/sets", "/data")
    assert {scored[name].source.root for name in scored} == {"/data/cityscapes"}
    for command in ("generate", "train", "eval", "preview"):
        assert compose(command, "world=miniature").generated_root == "data/miniature"
        assert compose(command, "data_root=/data").generated_root == "/data"


def test_views_of_a_source_beside_unlabelled_images_are_the_published_ones():
    def published(*words):
        data = compose("train", *words).data
        both = (data.transform, data.unlabelled_transform)
        return [(list(transform.size), list(transform.heights)) for transform in both]

    wide = [512, 1024]
    assert published("data=gta5_unpaired", "unlabelled=cityscapes") == [(wide, [341, 950]), (wide, [341, 1000])]
    assert published("data=synthia_unpaired", "unlabelled=fog") == [(wide, [341, 640]), (wide, [341, 1000])]
    oxford = [768, 1024]
    to_robotcar = ["data=cityscapes_unpaired", "unlabelled=robotcar"]
    assert published(*to_robotcar) == [(oxford, [341, 1000]), (oxford, [341, 900])]
    assert published(*to_robotcar, "data.transform.size=[64,64]") == [([64, 64], [341, 1000]), ([64, 64], [341, 900])]
    small = published("data=cityscapes_unpaired", "unlabelled=night", "world=miniature")
    assert small == [([128, 256], [43, 125])] * 2


def test_the_miniature_world_is_told_what_is_trained_on_and_keeps_it_from_what_is_scored():
    def asked(command, *words):
        prepare = OmegaConf.to_container(compose(command, "world=miniature", *words).world.prepare, resolve=True)
        return {setting for setting in prepare["trained_on"] if setting is not None}

    assert asked("train", "experiment=snow") == {"day"}
    assert asked("train", "experiment=hiast_game_to_day") == {"game"}
    assert asked("train", "data=cityscapes_unpaired", "unlabelled=fog") == {"day", "fog"}
    assert asked("train", "data=cityscapes_unpaired", "unlabelled=folder", "domain=fog") == {"day"}
    assert asked("train", "experiment=fog", "method=sdgpa_then_hiast") == {"day"}
    assert asked("train", "experiment=game", "method=sdgpa_then_hiast", "unlabelled=game") == {"day", "game"}
    assert asked("eval", "setting=fog") == set()
    game = "data/miniature/GTA5"
    for data in ("gta5", "gta5_unpaired"):
        assert compose("train", "world=miniature", f"data={data}").data.source.subset == f"{game}/train_subset.txt"
        assert compose("train", f"data={data}").data.source.subset == "train"
    assert compose("eval", "world=miniature", "setting=game").settings.game.subset == f"{game}/val_subset.txt"


def test_a_run_beside_unlabelled_images_is_named_after_their_condition():
    words = ["method=source_only", "~method.scope", "data=gta5_unpaired"]
    assert compose("train", *words, "unlabelled=fog").name == "fog_source_only_seed0"
    assert compose("train", *words, "unlabelled=folder", "domain=snow").name == "snow_source_only_seed0"
    assert compose("train", *words).name == "game_source_only_seed0"


UNPAIRED = ("hiast", "hiast_from_files", "hiast_source_only", "adaptsegnet", "advent", "minent")
BRIDGE = "sdgpa_then_hiast"
METHODS = [o.stem for o in OPTIONS if o.parent.name == "method"]


@pytest.mark.parametrize("option", [name for name in METHODS if name not in (*UNPAIRED, BRIDGE)])
def test_every_method_is_built(option, world):
    config = compose("train", f"method={option}", f"data_root={world}")
    phases = build_phases(config, workers=3)
    for phase, node in zip(phases, config.method.phases.values(), strict=True):
        assert phase.length == Length(node.epochs, "epoch")
        assert phase.data.keywords["views"] == list(node.data.views)
        assert phase.data.keywords["num_workers"] == 3
        assert phase.optimizer.keywords["lr"] == 1e-3


@pytest.mark.parametrize("option", UNPAIRED)
def test_every_method_of_unlabelled_images_is_built_and_finds_its_data(option, world):
    assert option in METHODS
    config = compose("train", f"method={option}", f"data_root={world}", "data=gta5_unpaired", "unlabelled=cityscapes")
    phases = build_phases(config, workers=3)
    if option == "hiast_from_files":
        phases = [phase for phase in phases if not hasattr(phase, "file")]
        assert len(phases) == len(config.method.phases) - 2
        assert all(phase.check(0, 1, False).unlabelled == "cityscapes train" for phase in phases)
        return
    facts = check_phases(phases)
    assert (facts.source, facts.source_setting) == ("gta5", "game")
    seen = (None, None) if option == "hiast_source_only" else ("cityscapes train", "day")
    assert (facts.unlabelled, facts.target) == seen
    assert all(phase.data.keywords["num_workers"] == 3 for phase in phases)


@pytest.mark.parametrize(
    ("unlabelled", "seen"),
    [([], "night_target"), (["unlabelled=night", "unlabelled.images.split=val"], "acdc night val")],
)
def test_the_bridge_is_built_and_finds_what_it_trains_itself_on(world_with_sets, unlabelled, seen):
    config = compose("train", f"method={BRIDGE}", "domain=night", f"data_root={world_with_sets}", *unlabelled)
    facts = check_phases(build_phases(config, workers=3))
    assert (facts.source, facts.source_setting, facts.unlabelled, facts.target) == (
        "cityscapes train",
        "day",
        seen,
        "night",
    )
    assert {name.partition("/")[2] for name in facts.files} == {"source", "intermediate", "target", "unlabelled"}


def test_the_bridge_is_named_after_what_it_trains_itself_on():
    words = ["experiment=snow", f"method={BRIDGE}"]
    assert compose("train", *words).name == f"snow_{BRIDGE}_generated_seed42"
    assert compose("train", *words, "unlabelled=snow").name == f"snow_{BRIDGE}_seed42"


def test_the_small_world_changes_sdgpa_and_the_rounds_of_the_bridge_as_it_does_each():
    def phases(*words):
        return compose("train", *words, "world=miniature").method.phases

    bridge = phases(f"method={BRIDGE}", "domain=night")
    for name, phase in phases("method=sdgpa", "domain=night").items():
        assert bridge[name] == phase
    for name, phase in phases("method=hiast", "data=cityscapes_unpaired", "unlabelled=night").items():
        if name.startswith("round"):
            for key in ("task", "optimizer", "schedule", "steps", "horizon"):
                assert bridge[name][key] == phase[key], (name, key)


def test_what_a_phase_says_itself_wins_over_the_run(world):
    own = ["+method.phases.target.optimizer.lr=0.5", "method.phases.target.data.batch_size=2"]
    adam = "+method.phases.intermediate.optimizer={_target_:torch.optim.Adam,_partial_:true}"
    config = compose("train", f"data_root={world}", adam, own[0], f"+{own[1]}")
    first, second = build_phases(config, workers=0)
    assert (first.optimizer.func, first.optimizer.keywords) == (torch.optim.Adam, {})
    assert (second.optimizer.func, second.optimizer.keywords["lr"]) == (torch.optim.SGD, 0.5)
    assert second.optimizer.keywords["momentum"] == 0.9
    assert (first.data.keywords["batch_size"], second.data.keywords["batch_size"]) == (4, 2)


class Painting:
    def __init__(self, name, colour):
        self.name, self.colour = name, colour


def test_a_phase_of_another_kind_is_given_only_what_it_takes():
    config = compose(
        "train", "+method.phases.more={_target_:tests.core.test_config.Painting,colour:3}", "~method.phases.target"
    )
    with open_dict(config):
        del config.method.phases.intermediate
    (phase,) = build_phases(config, workers=0)
    assert vars(phase) == {"name": "more", "colour": 3}


@pytest.mark.parametrize(
    ("classes", "outputs"), [("19", (20, 19)), ("9", (9, 9)), ("{near:[road],far:[sky,building],rest:[car]}", (3, 3))]
)
def test_a_network_has_an_output_for_each_class(classes, outputs):
    found = [compose("train", f"classes={classes}", f"model={m}").model.num_classes for m in ("deeplabv3plus", "smp")]
    assert tuple(found) == outputs
    assert compose("eval", f"classes={classes}", "model=deeplabv3plus").model.num_classes == outputs[0]


def test_a_class_set_of_any_name_has_its_outputs(monkeypatch):
    streets = ClassSet("streets", tuple(SetClass(name, (name,), (0, 0, 0)) for name in ("road", "car")))
    monkeypatch.setitem(CLASS_SETS, "streets", streets)
    assert compose("train", "classes=streets", "model=deeplabv3plus").model.num_classes == 2


def plain(node):
    return OmegaConf.to_container(node, resolve=True)


def check_numbers(config, lengths):
    """What SDGPA and ZoDi share; ``lengths`` are the epochs and the horizon of each phase."""
    assert plain(config.optimizer) == {
        "_target_": "torch.optim.SGD",
        "_partial_": True,
        "lr": 1e-3,
        "momentum": 0.9,
        "weight_decay": 1e-4,
    }
    assert plain(config.schedule) == {"_target_": "zsda.training.schedules.Poly", "power": 0.9, "floor": 1e-6}
    assert plain(config.model) == {
        "_target_": "zsda.models.deeplab.DeepLabV3Plus",
        "num_classes": 20,
        "backbone": "resnet50",
        "pretrained": "IMAGENET1K_V2",
        "output_stride": 32,
        "rates": [6, 12, 18],
        "width": 256,
        "skip": 48,
        "weights": None,
    }
    assert plain(config.data.transform) == {
        "_target_": "zsda.data.transforms.TrainingTransform",
        "size": [512, 1024],
        "scale": None,
        "crop": [384, 768],
        "flip": 0.5,
        "brightness": [0.5, 1.5],
        "contrast": [0.5, 1.5],
        "saturation": [0.5, 1.5],
        "hue": [-0.3, 0.3],
        "blur": 0.0,
        "cutout": 0.0,
    }
    data = plain(config.data)
    assert (data["batch_size"], data["min_layout_score"], data["source"]["split"]) == (4, None, "train")
    assert (config.world.name, data["seed"]) == ("real", config.seed)

    # What the numbers come to: the rate of each epoch.
    parameter = torch.nn.Parameter(torch.zeros(1))
    for epochs, horizon in lengths:
        optimizer = build(config.optimizer)([parameter])
        schedule = build(config.schedule)(optimizer, Horizon(horizon, "epoch", 743, 1e-3))["scheduler"]
        for epoch in range(epochs):
            rate = optimizer.param_groups[0]["lr"]
            assert rate == pytest.approx(max(1e-3 * (1 - epoch / 100) ** 0.9, 1e-6), abs=1e-12)
            optimizer.step()
            schedule.step()


@pytest.mark.parametrize("domain", ["night", "snow", "rain", "fog", "game"])
def test_an_experiment_is_the_published_procedure(domain):
    config = compose("train", f"experiment={domain}")
    assert (config.domain.name, config.name, config.seed) == (domain, f"{domain}_sdgpa_seed42", 42)
    assert config.published == domain
    progressive = {
        "_target_": "zsda.adaptation.tasks.progressive.ProgressiveAdaptation",
        "_partial_": True,
        "similarity": 0.0,
    }
    phase = {"_target_": "zsda.adaptation.training.TrainingPhase", "task": progressive}
    first = {**phase, "data": {"views": ["source", "intermediate"]}, "epochs": 100, "horizon": 100}
    second = {
        **phase,
        "data": {"views": ["target", "intermediate"]},
        "epochs": 65,
        "horizon": 100,
        "start": "intermediate",
    }
    assert plain(config.method.phases) == {"intermediate": first, "target": second}
    check_numbers(config, [(100, 100), (65, 100)])


@pytest.mark.parametrize("domain", ["night", "snow", "rain", "fog", "game"])
def test_an_experiment_of_zodi_is_the_published_procedure(domain):
    config = compose("train", f"experiment=zodi_{domain}")
    assert (config.domain.name, config.name, config.seed) == (domain, f"{domain}_zodi_seed1", 1)
    assert config.published == f"zodi_{domain}"
    phase = {
        "_target_": "zsda.adaptation.training.TrainingPhase",
        "task": {"_target_": "zsda.adaptation.tasks.zodi.ZoDi", "_partial_": True, "similarity": 0.1},
        "data": {"views": ["source", "target"]},
        "epochs": 100,
        "horizon": 100,
    }
    assert plain(config.method.phases) == {"synthetic": phase}
    check_numbers(config, [(100, 100)])


@pytest.mark.parametrize("model", ["deeplabv3plus", "refinenet"])
def test_both_networks_of_the_papers_are_trained_on_both_backbones(model):
    for backbone, file in (("resnet50", "IMAGENET1K_V2"), ("resnet101", "IMAGENET1K_V1")):
        config = compose("train", "experiment=zodi_snow", f"model={model}", f"model.backbone={backbone}")
        assert (config.model.num_classes, config.model.pretrained) == (20, file)
        blocks = len(build_network(config.model, pretrained=False).backbone.layer3)
        assert blocks == (6 if backbone == "resnet50" else 23)


@pytest.mark.parametrize("network", ["deeplabv3plus", "refinenet"])
def test_the_imagenet_file_of_a_backbone_is_named_in_the_config(network):
    for backbone, file in (("resnet50", "IMAGENET1K_V2"), ("resnet101", "IMAGENET1K_V1")):
        words = [f"model={network}", f"model.backbone={backbone}"]
        assert compose("train", *words).model.pretrained == file == backbones.IMAGENET[backbone]
        assert compose("train", *words, "world=miniature").model.pretrained is False
        assert compose("train", *words, "model.pretrained=false").model.pretrained is False
    assert compose("train", f"model={network}", "model.backbone=resnet152").model.pretrained is True


@pytest.mark.parametrize(("trainer", "devices"), [("auto", 1), ("cpu", 1), ("gpu", 1), ("ddp", -1)])
def test_an_experiment_is_trained_in_the_published_precision_on_any_device(trainer, devices):
    config = compose("train", "experiment=snow", f"trainer={trainer}")
    assert (config.trainer.precision, config.machine.devices, config.data.batch_size) == ("32-true", devices, 4)
    assert config.machine.sync_batchnorm is (trainer == "ddp")
    assert compose("train", f"trainer={trainer}", "trainer.precision=bf16-mixed").trainer.precision == "bf16-mixed"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], []),
        (["seed=1", "trainer=ddp", "data_root=/elsewhere", "data.watch=[source,target]", "machine.num_workers=1"], []),
        (["generated_root=/sets"], []),
        (["trainer.precision=bf16-mixed"], ["trainer.precision=bf16-mixed (published: 32-true)"]),
        (["data.batch_size=8"], ["data.batch_size=8 (published: 4)"]),
        (["method.epochs.second=5"], ["method.phases.target.epochs=5 (published: 65)"]),
        (["method=source_only", "model=smp"], ["method=source_only (published: sdgpa)", "model=smp (published: real)"]),
        (["+trainer.accumulate_grad_batches=2"], ["trainer.accumulate_grad_batches=2 (published: nothing)"]),
        (["world=miniature"], ["world=miniature (published: real)"]),
        (
            ["world=miniature", "method=source_only", "domain=night", "data.batch_size=2"],
            [
                "world=miniature (published: real)",
                "domain=night (published: snow)",
                "method=source_only (published: sdgpa)",
                "data.batch_size=2 (published: 4)",
            ],
        ),
        (["world=miniature", "model=smp"], ["world=miniature (published: real)", "model=smp (published: real)"]),
        (["data.domain=night"], ["data.domain=night (published: snow)"]),
        (["data.source.root=/mine"], ["data.source.root=/mine (published: data/cityscapes)"]),
        (["trainer.precision=32"], []),
        (["trainer=ddp", "machine.num_nodes=2"], []),
        (["machine.devices=2"], ["machine.devices=2 (published: 1)"]),
        (["model.pretrained=false"], ["model.pretrained=False (published: IMAGENET1K_V2)"]),
        (["optimizer=adamw"], ["optimizer=adamw (published: sgd)"]),
    ],
)  # fmt: skip
def test_what_leaves_the_published_setting_is_told(words, told):
    assert told_of("experiment=snow", *words) == told


def told_of(*words):
    """What `departures` names inside a command that was given these words."""
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        config = hydra.compose("train", overrides=list(words), return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        with open_dict(config):
            del config.hydra
        return departures(config)


def test_an_experiment_of_ones_own_is_compared_with_the_one_it_was_made_from(tmp_path):
    (tmp_path / "experiment").mkdir()
    mine = "# @package _global_\ndefaults:\n  - /experiment/snow@_global_\n\ndata: {batch_size: 16}\n"
    (tmp_path / "experiment/mine.yaml").write_text(mine)
    search = [f"hydra.searchpath=[file://{tmp_path}]", "experiment=mine"]
    assert told_of(*search) == ["data.batch_size=16 (published: 4)"]


def test_what_names_no_published_setting_leaves_none():
    assert departures(compose("train", "method=sdgpa", "domain=snow")) == []


def test_the_evaluation_is_the_published_one():
    config = compose("eval", "setting=[day,night,snow,rain,fog,game]")
    assert (config.protocol, config.world.size) == ("sdgpa", [512, 1024])
    settings = plain(config.settings)
    assert {name: node.get("condition") for name, node in settings.items()} == {
        "day": None, "night": "night", "snow": "snow", "rain": "rain", "fog": "fog", "game": None,
    }  # fmt: skip
    assert all(node["split"] == "val" for name, node in settings.items() if name != "game")
    assert {name: node.get("only_size") for name, node in settings.items() if node.get("only_size")} == {
        "fog": [1920, 1080]
    }
    assert settings["game"]["subset"] == "val"
    assert len((files("zsda.data.datasets") / "gta5_val.txt").read_text().split()) == 1000


def test_edits_are_made_as_published():
    config = compose("generate", "domain=snow")
    assert (config.editor.model, config.editor.steps, config.editor.scheduler) == (
        "timbrooks/instruct-pix2pix",
        50,
        None,
    )
    recipes = {name: build(node) for name, node in config.recipes.items()}
    assert {name: recipe.describe() for name, recipe in recipes.items()} == {
        name: {"name": name, "canvas": [1024, 512], "resampling": "bicubic", "patch": [512, 512]}
        for name in ("intermediate", "target")
    }


def test_the_methods_of_the_study_differ_in_their_views_alone():
    """All train equally long, by one task, on pairs; `source_only` on single images, `keep_source` on three views in its second phase."""
    views = {}
    for name in (*STUDY, "oracle"):
        method = compose("train", f"method={name}", "domain=fog").method
        phases = method.phases.values()
        assert sum(phase.epochs for phase in phases) == 165
        assert {phase.task["_target_"] for phase in phases} == {
            "zsda.adaptation.tasks.progressive.ProgressiveAdaptation"
        }
        assert {phase.task.similarity for phase in phases} == {0.0}
        if len(phases) == 1:
            assert next(iter(phases)).horizon == 165
        else:
            assert [(phase.epochs, phase.horizon) for phase in phases] == [(100, 100), (65, 100)]
        views[name] = [list(phase.data.views) for phase in phases]
    assert views == {
        "source_only": [["source"]],
        "source_2x": [["source", "source"]],
        "weather": [["source", "weather"]],
        "whole": [["whole", "whole"]],
        "target_only": [["target", "target"]],
        "intermediate_only": [["source", "intermediate"], ["source", "intermediate"]],
        "one_phase": [["source", "target"]],
        "reversed": [["target", "intermediate"], ["source", "intermediate"]],
        "keep_source": [["source", "intermediate"], ["source", "target", "intermediate"]],
        "sdgpa": [["source", "intermediate"], ["target", "intermediate"]],
        "oracle": [["oracle", "oracle"]],
    }


@pytest.mark.parametrize(
    ("domain", "prompt", "text", "image"),
    [
        ("night", "Make it evening", 20, 1.7),
        ("snow", "What would it look like if it were snowing?", 15, 1.1),
        ("rain", "make it rain", 20, 2.0),
        ("fog", "Make it foggy", 7, 2.0),
        ("game", "have it be a 3d game", 12, 2.0),
    ],
)
def test_domains_have_the_published_prompts_and_scales(domain, prompt, text, image):
    found = compose("generate", f"domain={domain}").domain
    assert (found.name, found.prompt, found.text_guidance, found.image_guidance) == (domain, prompt, text, image)


def test_the_command_line_wins_over_the_experiment_and_the_world():
    config = compose("train", "experiment=snow", "domain=night", "world=miniature", "data_root=/elsewhere")
    assert config.domain.name == "night"
    assert config.data.source.root == "/elsewhere/cityscapes"
    assert list(config.data.transform.size) == [128, 256]


@pytest.mark.parametrize("method", [name for name in METHODS if name not in (*UNPAIRED, BRIDGE)])
def test_a_small_world_changes_the_numbers_of_every_method(method):
    config = compose("train", f"method={method}", "world=miniature")
    assert sum(phase.epochs for phase in config.method.phases.values()) == 10
    assert config.optimizer.lr == config.method.lr == 0.01


@pytest.mark.parametrize("method", UNPAIRED)
def test_a_small_world_changes_every_phase_of_unlabelled_images_and_adds_none(method):
    words = [f"method={method}", "data=gta5_unpaired", "unlabelled=cityscapes"]
    small, real = (compose("train", *words, f"world={world}").method.phases for world in ("miniature", "real"))
    assert [*small] == [*real]
    for name, phase in small.items():
        if "optimizer" in phase:
            assert phase.optimizer.lr > real[name].optimizer.lr
            assert phase.task.head == 1
            assert (phase.get("epochs"), phase.get("steps")) != (real[name].get("epochs"), real[name].get("steps"))
        elif "size" in phase:
            assert list(phase.size) == [128, 256]


def test_the_command_line_wins_over_the_scale():
    changed = compose("train", "experiment=snow", "world=miniature", "method.lr=0.5", "method.epochs.first=7")
    assert (changed.optimizer.lr, changed.method.phases.intermediate.epochs) == (0.5, 7)


def test_a_world_without_a_scale_of_its_own_has_the_numbers_of_the_paper(tmp_path):
    (tmp_path / "world").mkdir()
    (tmp_path / "world/mine.yaml").write_text((CONF / "world/real.yaml").read_text())
    config = compose("train", f"hydra.searchpath=[file://{tmp_path}]", "world=mine", "model=real", "method=sdgpa")
    assert (config.optimizer.lr, config.data.batch_size) == (1e-3, 4)
    assert [phase.epochs for phase in config.method.phases.values()] == [100, 65]


def test_a_world_holds_paths_sizes_editor_and_network_alone():
    known = {
        "name", "data_root", "prepare", "cache", "size", "crop", "crop_heights", "protocol_size", "canvas", "patch_size", "max_drift",
        "fog_frames", "gta5_subset", "gta5_train", "editor", "network",
    }  # fmt: skip
    for path in (CONF / "world").glob("*.yaml"):
        assert yaml.safe_load(path.read_text())["world"].keys() <= known


def test_a_trainer_is_made_without_changing_what_it_is_made_of():
    config = compose("train", "trainer=cpu", "world=miniature")
    before = config.copy()
    assert config.trainer.precision == "fast"
    assert build_machine(config).trainer(logger=False).precision in ("32-true", "bf16-mixed")
    assert config == before


def test_where_it_runs_is_not_said_twice():
    config = compose("train", "+trainer.strategy=ddp")
    with pytest.raises(ConfigError, match=r"trainer\.strategy says where it runs; give machine.strategy="):
        build_machine(config)


def test_workers_are_as_many_as_the_cores_unless_told():
    assert 1 <= build_machine(compose("train")).workers <= 4
    assert build_machine(compose("train", "machine.num_workers=7")).workers == 7


def test_lightning_neither_requeues_a_job_of_slurm_nor_looks_for_what_another_left(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hpc_ckpt_1.ckpt").write_bytes(b"")
    for name, value in (("NTASKS", "1"), ("JOB_ID", "1"), ("JOB_NAME", "batch"), ("PROCID", "0")):
        monkeypatch.setenv(f"SLURM_{name}", value)
    trainer = build_machine(compose("train", "trainer=cpu")).trainer(logger=False, enable_checkpointing=False)
    environment = trainer._accelerator_connector.cluster_environment
    assert isinstance(environment, SLURMEnvironment)
    assert not environment.auto_requeue
    assert trainer._checkpoint_connector._hpc_resume_path is None
