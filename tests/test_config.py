import re
from pathlib import Path

import hydra
import pytest
import yaml

from tests.conftest import one_line
from zsda.config import build, build_network, conf_dir
from zsda.models import backbones

CONF = conf_dir()
OPTIONS = sorted(path.relative_to(CONF) for path in CONF.glob("*/*.yaml"))
COMMAND_OF = {"recipe": "generate", "editor": "generate", "setting": "eval"}


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


@pytest.mark.parametrize("name", ["deeplabv3plus", "smp"])
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
    assert fetched == ["DEFAULT", None, None]


@pytest.mark.parametrize("option", [o.stem for o in OPTIONS if o.parent.name == "method"])
def test_every_method_is_built(option):
    config = compose("train", f"method={option}")
    phases = [build(node, name=name) for name, node in config.method.phases.items()]
    assert all(phase.length == node.epochs for phase, node in zip(phases, config.method.phases.values(), strict=True))


@pytest.mark.parametrize("domain", ["night", "snow", "rain", "fog", "game"])
def test_an_experiment_is_the_published_procedure(domain):
    config = compose("train", f"experiment={domain}")
    first, second = config.method.phases.intermediate, config.method.phases.target
    assert (config.domain.name, config.name) == (domain, f"{domain}_sdgpa_seed0")
    assert (list(first.views), first.epochs, first.horizon) == (["source", "intermediate"], 100, 100)
    assert (list(second.views), second.epochs, second.horizon, second.start) == (
        ["target", "intermediate"],
        65,
        100,
        "intermediate",
    )
    assert (config.optimizer.lr, config.optimizer.momentum, config.optimizer.weight_decay) == (1e-3, 0.9, 1e-4)
    assert (config.schedule.power, config.schedule.floor, config.data.batch_size) == (0.9, 1e-6, 4)
    assert (config.model.num_classes, config.model.backbone, config.model.pretrained) == (20, "resnet50", True)
    assert (list(config.data.transform.size), list(config.data.transform.crop)) == ([512, 1024], [384, 768])
    assert list(config.data.transform.hue) == [-0.3, 0.3]
    assert all(list(config.data.transform[name]) == [0.5, 1.5] for name in ("brightness", "contrast", "saturation"))


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


@pytest.mark.parametrize(
    ("command", "words", "message"),
    [
        (
            "train",
            ["domain=sunny"],
            "Could not find 'domain/sunny' Available options in 'domain': custom fog game night rain snow",
        ),
        (
            "eval",
            ["setting=dawn"],
            "Could not find 'setting/dawn' Available options in 'setting': day edited fog game night rain rendered snow",
        ),
        ("train", ["data.batchsize=3"], "no option 'data.batchsize'; did you mean data.batch_size"),
        ("train", ["trainer.max_epoch"], "trainer.max_epoch"),
        ("train", ["name=../elsewhere"], "name=../elsewhere cannot name a folder"),
        ("train", ["seed=abc"], "seed=abc; expected a whole number"),
        ("train", ["optimizer.rate=1"], "no option 'optimizer.rate'; did you mean optimizer"),
        ("eval", [], "which setting? give setting=day"),
        ("eval", ["setting=night"], "no finished run under runs; train one"),
    ],
)
def test_a_wrong_word_gets_one_line(zsda, command, words, message):
    result = zsda(command, *words)
    assert result.returncode == 2
    assert message in one_line(result)


@pytest.mark.parametrize("command", ["generate", "train", "eval"])
def test_help_explains_the_groups(zsda, command):
    text = zsda(command, "--help").stdout
    assert f"python -m zsda.{command}" in text
    for group in re.findall(
        r"^(\w+): ", text.split("Options of each group:")[1].split("The config as it stands")[0], re.MULTILINE
    ):
        assert re.search(rf"^  [\w, ]*\b{group}\b", text, re.MULTILINE), group


def test_zsda_lists_its_commands(zsda):
    import subprocess
    import sys

    text = subprocess.run([sys.executable, "-m", "zsda"], capture_output=True, text=True, check=True).stdout
    commands = {path.stem for path in Path(conf_dir()).glob("*.yaml")}
    assert set(re.findall(r"python -m zsda\.([\w.]+)", text)) == commands


def test_a_traceback_is_shown_on_request(zsda):
    result = zsda("eval", env={"ZSDA_TRACEBACK": "1"})
    assert "Traceback" in result.stderr
    assert result.returncode != 0
