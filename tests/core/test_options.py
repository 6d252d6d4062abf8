import fnmatch
import math
import subprocess
import sys
from itertools import cycle

import hydra
import pytest
from omegaconf import OmegaConf

from tests.conftest import one_line
from zsda.core.config import conf_dir
from zsda.core.errors import ZsdaError, lines_of
from zsda.core.options import OPTIONS, check_options, check_together, kind_of


def composed(command, *words):
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return hydra.compose(command, list(words))


def wrong(config, command, *given):
    """Returns the lines that a command would tell."""
    try:
        check_options(config, command, given)
        check_together(config)
    except ZsdaError as error:
        return [str(one) for one in lines_of(error)]
    return []


def options_of(group):
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))


COMMANDS = {
    "generate": ["domain=fog", "recipe=[intermediate,target,whole]"],
    "preview": ["domain=fog"],
    "eval": [f"setting=[{','.join(options_of('setting'))}]", "edits_of=fog"],
    "report": [],
    "export": [],
    "predict": ["input=street.jpg"],
    "cache": [],
    "demo": [],
    "study": [],
    "check": ["domain=fog", "data=cityscapes", "unlabelled=fog", "setting=[day,edited]"],
}


def leaves(node, prefix=""):
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{key}.")
        elif not key.startswith("_"):
            yield f"{prefix}{key}"


def keys_of(command, *words):
    return set(leaves(OmegaConf.to_container(composed(command, *words), resolve=False)))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_says_what_it_can_be(command):
    unknown = [key for key in sorted(keys_of(command, *COMMANDS[command])) if kind_of(command, key) is None]
    assert not unknown


@pytest.mark.parametrize(
    "words",
    [
        ["world=miniature"],
        ["world=miniature", "method=hiast", "data=cityscapes_unpaired", "unlabelled=fog"],
        *([f"method={name}"] for name in ("sdgpa", "hiast", "adaptsegnet", "weather", "hiast_from_files")),
        *([f"model={name}"] for name in options_of("model")),
        *([f"data={name}", "unlabelled=fog"] for name in options_of("data")),
        *(
            [f"optimizer={name}", f"schedule={other}"]
            for name, other in zip(cycle(options_of("optimizer")), options_of("schedule"), strict=False)
        ),
        ["logger=[csv,tensorboard,wandb,mlflow]"],
        ["experiment=hiast_game_to_day"],
        ["trainer=ddp"],
    ],
    ids=str,
)
def test_every_option_of_a_training_says_what_it_can_be(words):
    unknown = [key for key in sorted(keys_of("train", "domain=fog", *words)) if kind_of("train", key) is None]
    assert not unknown


@pytest.mark.parametrize("experiment", options_of("experiment"))
def test_what_is_published_is_right(experiment):
    assert not wrong(composed("train", f"experiment={experiment}"), "train")


@pytest.mark.parametrize("command", COMMANDS)
def test_what_commands_have_by_themselves_is_right(command):
    for world in ("real", "miniature") if command not in ("report", "cache", "demo", "check") else (None,):
        words = [*COMMANDS[command], *([] if world is None else [f"world={world}"])]
        assert not wrong(composed(command, *words), command)


ABSURD = [-1, math.nan, 10**20, 1e20, "abc", True, [], [1], None, {}]


@pytest.mark.parametrize(
    ("command", "words", "key", "right"),
    [
        ("train", ["domain=fog"], "optimizer.lr", [1e20, 10**20]),
        ("train", ["domain=fog"], "optimizer.weight_decay", [1e20, 10**20]),
        ("train", ["domain=fog"], "model.num_classes", []),
        ("train", ["domain=fog"], "data.batch_size", []),
        ("train", ["domain=fog"], "data.transform.size", []),
        ("train", ["domain=fog"], "data.transform.crop", [None]),
        ("train", ["domain=fog"], "data.transform.flip", []),
        ("train", ["domain=fog"], "method.epochs.first", []),
        ("train", ["domain=fog"], "method.phases.target.horizon", [None]),
        ("train", ["domain=fog"], "checkpoint.every_minutes", [1e20, 10**20, None]),
        ("train", ["domain=fog"], "keep", []),
        ("train", ["domain=fog"], "seed", []),
        ("train", ["domain=fog"], "name", ["abc"]),
        ("train", ["domain=fog"], "compile", [True]),
        ("train", ["domain=fog"], "machine.num_workers", [None]),
        ("train", ["domain=fog"], "machine.cache_gb", [1e20, 10**20]),
        ("train", ["experiment=hiast_game_to_day"], "method.phases.round1.task.decay", []),
        ("train", ["experiment=hiast_game_to_day"], "method.phases.labels1.selector.alpha", []),
        ("train", ["experiment=hiast_game_to_day"], "method.phases.round1.data.copy_paste.donors", []),
        ("eval", ["setting=day"], "batch_size", []),
        ("eval", ["setting=day"], "size", [None]),
        ("eval", ["setting=day"], "scales", [None]),
        ("eval", ["setting=day"], "masks", [True]),
        ("generate", ["domain=fog"], "canvas", []),
        ("generate", ["domain=fog"], "patch_size", []),
        ("generate", ["domain=fog"], "limit", [None]),
        ("generate", ["domain=fog"], "seed", []),
        ("generate", ["domain=fog"], "retries", []),
        ("generate", ["domain=fog"], "editor.steps", []),
        ("generate", ["domain=fog"], "domain.text_guidance", [1e20, 10**20]),
        ("preview", ["domain=fog"], "domain.text_guidance", [1e20, 10**20]),
        ("preview", ["domain=fog"], "text_guidance", [1e20, 10**20, None]),
        ("preview", ["domain=fog"], "image_guidance", [1e20, 10**20, [1], None]),
        ("preview", ["domain=fog"], "keep", []),
        ("preview", ["domain=fog"], "images", []),
        ("report", [], "scenes", []),
        ("report", [], "score", [None]),
        ("report", [], "documents", ["abc", []]),
        ("demo", [], "scenes.train", []),
        ("cache", [], "clear", [True]),
    ],
)
def test_an_absurd_value_is_refused_by_name(command, words, key, right):
    config = composed(command, *words)
    OmegaConf.set_struct(config, False)
    for value in ABSURD:
        OmegaConf.update(config, key, value, merge=False)
        said = wrong(config, command, f"{key}={value}")
        if any(value is one or (value == one and type(value) is type(one)) for one in right):
            assert not said, (value, said)
        else:
            assert len(said) == 1, (value, said)
            assert said[0].startswith(f"{key}="), (value, said)
            assert "; expected " in said[0], (value, said)


def test_all_wrong_values_are_told_and_what_refers_to_them_is_not():
    config = composed("train", "domain=fog", "seed=-1", "world.size=[1]", "optimizer.lr=abc")
    said = wrong(config, "train", "domain=fog", "seed=-1", "world.size=[1]", "optimizer.lr=abc")
    assert [line.split("=")[0] for line in said] == ["seed", "world.size", "optimizer.lr"]


def test_values_that_do_not_go_together():
    assert wrong(composed("train", "domain=fog", "data.transform.crop=[600,600]"), "train") == [
        "data.transform: a crop of (600, 600) does not fit into size (512, 1024) (height, width)"
    ]
    assert "length 9 and horizon 3" in "".join(
        wrong(
            composed("train", "domain=fog", "method.phases.target.epochs=9", "method.phases.target.horizon=3"), "train"
        )
    )
    assert "patches of 4096x4096 do not fit" in "".join(
        wrong(composed("generate", "domain=fog", "patch_size=4096"), "generate")
    )


@pytest.mark.parametrize(
    "key", ["data.transform", "world.editor", "method.phases", "data.source", "method.phases.intermediate"]
)
@pytest.mark.parametrize("value", ["abc", "null", "3"])
def test_one_value_in_the_place_of_a_group_is_refused(key, value):
    (said,) = wrong(composed("train", "domain=fog", f"{key}={value}"), "train", "domain=fog", f"{key}={value}")
    assert said == f"{key}={value}; expected options below it, {key}.NAME=..., which --help shows"


@pytest.mark.parametrize(
    "word",
    [
        "method.phases.round1.data.copy_paste=null",
        "method.phases.round1.data.unlabelled_transform.strong=null",
        "data.validation=null",
        "+data.unlabelled_transform.strong=null",
        "machine.logger=null",
        "+unlabelled.suffix=''",
        "++model.decoder_channels=128",
        "++model.decoder_channels=[128,64]",
    ],
)
def test_what_may_be_left_out_or_short_is_taken(word):
    assert not wrong(composed("train", "experiment=hiast_game_to_day", word), "train", word)


def test_options_that_the_table_does_not_know_may_be_anything():
    """Those of a user's own configs, and of commands beside these."""
    config = composed("train", "domain=fog", "+mine=3", "+model.own=[1]")
    assert not wrong(config, "train", "domain=fog", "mine=3", "model.own=[1]")
    assert not wrong(OmegaConf.create({"scenes": 3}), "small_editor", "scenes=3")


def test_options_of_foreign_classes_are_left_to_those(tmp_path):
    """An optimiser of the user's own may call a list ``lr``."""
    config = composed("train", "domain=fog")
    OmegaConf.update(config, "optimizer", {"_target_": "mine.Optimizer", "lr": [1, 2]}, force_add=True, merge=False)
    assert not wrong(config, "train")


def test_no_pattern_is_for_nothing():
    known = {(command, key) for command, words in COMMANDS.items() for key in keys_of(command, *words)}
    for words in (
        ["domain=fog"], ["domain=fog", "world=miniature"], ["domain=fog", "method=source_only"],
        ["experiment=hiast_game_to_day"], ["experiment=zodi_snow"],
        *(["domain=fog", f"model={name}"] for name in options_of("model")),
        *(["domain=fog", f"optimizer={name}"] for name in options_of("optimizer")),
        *(["domain=fog", f"schedule={name}"] for name in options_of("schedule")),
        ["domain=fog", "data=cityscapes_unpaired", "method=hiast", "unlabelled=robotcar"],
        ["domain=fog", "data=cityscapes_unpaired", "method=hiast_from_files", "unlabelled=generated"],
    ):  # fmt: skip
        known |= {("train", key) for key in keys_of("train", *words)}
    names = [f"{command}:{key}" for command, key in known]
    unused = [key for key in OPTIONS if not fnmatch.filter(names, key if ":" in key else f"*:{key}")]
    # What may be null as a whole, and options of another selector.
    whole = {"layout", "*.strong", "*.copy_paste", "*.selector.portion", "*.selector.interval"}
    assert not {*unused} - whole


def test_a_wrong_value_is_told_before_anything_heavy_is_loaded(zsda, tmp_path):
    """In a process of its own, so that nothing is loaded yet."""
    code = """
import runpy, sys
sys.argv = ["train", "domain=fog", "optimizer.lr=abc"]
try:
    runpy.run_module("zsda.train", run_name="__main__")
except SystemExit as error:
    assert error.code == 2
print(sorted({"torch", "lightning", "albumentations", "cv2", "diffusers"} & sys.modules.keys()))
"""
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.stdout.strip() == "[]", ended.stderr
    assert one_line(ended) == "zsda.train: optimizer.lr=abc; expected a number above 0"
