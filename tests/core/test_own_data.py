"""What a command is configured with where ``data.file`` names a file; whether the data themselves are there makes no difference."""

import re

import pytest

from tests.conftest import one_line
from zsda.core.config import conf_dir
from zsda.core.errors import ConfigError
from zsda.core.own_data import take_own_data

SPLITS = 'splits: {train: {images: "a/*.jpg", labels: "b/*.png"}}'
TOWN = f"size: [64, 128]\nclasses: {{road: 0, car: 1}}\n{SPLITS}\n"
DATA = ("data=folder", "data.file=town.yaml", "world=miniature")

OWN = """# @package _global_
defaults:
  - night
  - override /data: folder

name: mine
generated_root: sets
classes: 9
world: {size: [32, 64], prepare: {train: 3}}
data: {file: town.yaml, setting: city, watch: [source]}
"""


@pytest.fixture
def work(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir(exist_ok=True)
    (folder / "town.yaml").write_text(TOWN)
    return folder


@pytest.fixture
def composed(zsda, work, monkeypatch):
    """What a command would be run with."""

    def call(command, *words):
        seen = []

        def take(config, *more):
            take_own_data(config, *more)
            seen.append(config.copy())
            raise ConfigError("as far as this")

        monkeypatch.setattr("zsda.core.command.take_own_data", take)
        result = zsda(command, *words)
        assert result.returncode == 2
        assert one_line(result).endswith("as far as this")
        return seen[0]

    return call


def own(folder, text=OWN, name="experiment/mine"):
    path = folder / f"own/{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_file_says_what_the_command_line_does_not(composed):
    config = composed("train", *DATA, "domain=night")
    assert config.name == "town_night_sdgpa_seed0"
    assert config.generated_root == "data/miniature/town"
    assert config.classes.name == config.data.setting == "town"
    assert (config.world.size, config.world.canvas, config.world.crop) == ([64, 128], [128, 64], [48, 96])
    assert config.data.watch == []  # there is no val
    assert config.world.prepare is None
    words = ("name=a", "generated_root=b", "classes=9", "world.size=[32,64]", "data.setting=c", "data.watch=[source]")
    config = composed("train", *DATA, "domain=night", *words, "world.prepare.train=3")
    assert (config.name, config.generated_root, config.classes, config.data.setting) == ("a", "b", 9, "c")
    assert (config.world.size, config.data.watch, config.world.prepare.train) == ([32, 64], ["source"], 3)
    assert (config.world.canvas, config.world.crop, config.world.patch_size) == ([64, 32], [24, 48], 32)


def test_so_does_an_experiment_of_the_users_own(composed, work):
    own(work)
    config = composed("train", "--config-dir", "own", "experiment=mine", "world=miniature")
    assert (config.name, config.generated_root, config.classes, config.data.setting) == ("mine", "sets", 9, "city")
    assert (config.world.size, config.data.watch, config.world.prepare.train) == ([32, 64], ["source"], 3)
    assert composed("train", "--config-dir", "own", "experiment=mine", "name=word").name == "word"


def test_a_crop_is_compared_with_the_size_in_the_file(composed, work):
    (work / "town.yaml").write_text(TOWN.replace("[64, 128]", "[256, 512]"))
    words = ("train", *DATA, "domain=night")
    assert composed(*words, "data.transform.crop=[192,384]").data.transform.size == [
        256,
        512,
    ]  # that of the world is smaller


def test_a_crop_that_is_larger_is_refused(zsda, work):
    told = refused(zsda, "domain=night", *DATA, "data.transform.crop=[80,80]")
    assert told.endswith("a crop of (80, 80) does not fit into size (64, 128) (height, width)")


def test_one_that_it_is_made_of_counts_as_well(composed, work):
    own(work)
    own(work, "# @package _global_\ndefaults:\n  - mine\n", "experiment/other")
    assert composed("train", "--config-dir", "own", "experiment=other").name == "mine"


def test_what_says_no_word_of_an_option_leaves_it_to_the_file(composed, work):
    own(work, "# @package _global_\ndefaults:\n  - override /domain: night\nseed: 3\n")
    config = composed("train", "--config-dir", "own", "experiment=mine", *DATA)
    assert (config.name, config.generated_root) == ("town_night_sdgpa_seed3", "data/miniature/town")
    assert config.classes.name == "town"


def test_data_of_the_users_own_say_their_setting(composed, work):
    own(work, "defaults:\n  - folder\n  - _self_\nfile: town.yaml\nsetting: city\n", "data/mine")
    config = composed("train", "--config-dir", "own", "data=mine", "method=source_only")
    assert (config.data.setting, config.name) == ("city", "city_source_only_seed0")
    assert config.classes.name == "town"


def test_the_sizes_of_a_world_are_for_all_data_and_those_of_the_file_for_these(composed, work):
    own(
        work,
        "# @package _global_\ndefaults: [real]\nworld: {name: mine, size: [8, 8], data_root: here}\n",
        "world/mine",
    )
    words = ("domain=night", "model=deeplabv3plus", "data=folder", "data.file=town.yaml")
    config = composed("train", "--config-dir", "own", "world=mine", *words)
    assert (config.world.size, config.generated_root) == ([64, 128], "here/town")


def test_a_published_experiment_does_not_take_its_own_name_for_other_data(composed):
    config = composed("train", "experiment=hiast_game_to_day", "data=folder_unpaired", "data.file=town.yaml")
    assert config.name == "town_game_to_day_hiast_seed0"


def test_the_check_of_a_training_looks_where_its_experiment_says(zsda, work):
    own(work, OWN.replace(", prepare: {train: 3}", ""))
    result = zsda("check", "--config-dir", "own", "experiment=mine", "world=miniature", "decode=false")
    assert "the training mine" in result.stdout
    assert "generated_root=sets, " in result.stdout


@pytest.mark.parametrize("name", ["nighttown", "night_town", "dusk_till_dawn"])
def test_runs_of_two_data_never_have_one_name(composed, work, name):
    """Whatever their names begin with."""
    (work / f"{name}.yaml").write_text(TOWN)
    words = ("data=folder", f"data.file={name}.yaml", "world=miniature")
    for domain in ("night", "dusk", name.rpartition("_")[0] or "dusk"):
        config = composed("train", *words, "domain=custom", f"domain.name={domain}")
        assert config.name == f"{name}_{domain}_sdgpa_seed0"
    assert composed("train", *words, "method=source_only").name == f"{name}_source_only_seed0"


def test_a_run_is_called_by_its_data_once_but_never_not(composed, work):
    """The name of the domain begins with that of the data."""
    config = composed("train", *DATA, "domain=custom", "domain.name=town_by_night")
    assert config.name == "town_town_by_night_sdgpa_seed0"


def refused(zsda, *words, command="train"):
    result = zsda(command, *words)
    assert result.returncode == 2
    return one_line(result)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        *((name, "a setting") for name in ("night", "day", "Snow", "edited")),
        *((name, "a folder under data_root") for name in ("ACDC", "acdc", "cityscapes", "GTA5", "miniature")),
        ("custom", "a domain"),
        ("night_target", "a generated set"),
        ("dusk_oracle", "a generated set"),
    ],
)
def test_a_name_that_something_else_has_is_refused(zsda, work, name, what):
    (work / f"{name}.yaml").write_text(TOWN)
    expected = (
        f"zsda.train: {name}.yaml: the data are called {name}, as {what} is; expected a name of their own: give name: my_{name} in it, or "
        "another"
    )
    assert refused(zsda, "experiment=night", "data=folder", f"data.file={name}.yaml", "world=miniature") == expected


def test_it_is_refused_by_every_command_and_mended_by_a_line(zsda, work, composed):
    (work / "night.yaml").write_text(TOWN)
    words = ("data.file=night.yaml", "world=miniature")
    for command, *own_words in (
        ("check", "data=folder"),
        ("generate", "data=folder", "domain=snow"),
        ("preview", "data=folder", "domain=snow"),
        ("eval", "setting=folder", "ckpt=pkg://zsda/miniature/weights/segmentation.safetensors"),
    ):
        assert "night.yaml: the data are called night, as a setting is" in refused(
            zsda, *own_words, *words, command=command
        )
    (work / "night.yaml").write_text(f"name: my_night\n{TOWN}")
    config = composed("train", "experiment=night", "data=folder", *words)
    assert config.name == "my_night_night_sdgpa_seed42"


def test_the_name_of_the_domain_is_taken_as_well(zsda, work):
    assert "called town, as a domain is" in refused(zsda, *DATA, "domain=custom", "domain.name=town")


def test_every_folder_of_a_world_is_a_name_that_is_taken(zsda, work):
    configs = [path.read_text() for path in conf_dir().rglob("*.yaml")]
    folders = {name for text in configs for name in re.findall(r"\$\{data_root\}/(\w+)", text)}
    worlds = {name for text in configs for name in re.findall(r"data_root: data/(\w+)", text)}
    assert {"ACDC", "cityscapes", "GTA5"} <= folders
    assert worlds == {"demo", "miniature", "study"}
    for name in sorted(folders | worlds):
        (work / f"{name}.yaml").write_text(TOWN)
        assert f"called {name}, as a" in refused(zsda, "method=source_only", "data=folder", f"data.file={name}.yaml")


def test_a_world_is_rendered_where_something_reads_it(composed, work):
    assert composed("eval", "setting=folder", *DATA[1:]).world.prepare is None
    assert composed("eval", "setting=[folder,night]", *DATA[1:]).world.prepare is not None
    assert composed("eval", "setting=[folder,edited]", *DATA[1:], "edits_of=night").world.prepare is not None
    generated = ("method=sdgpa_then_hiast", "domain=night", "data=folder_unpaired", "unlabelled=generated")
    for sets in ("data/miniature/town", "data/miniature"):
        assert composed("train", *generated, *DATA[1:], f"generated_root={sets}").world.prepare is None
    unlabelled = ("experiment=hiast_game_to_day", "data=folder_unpaired", "data.file=town.yaml")
    assert composed("train", *unlabelled).world.prepare is not None


def test_also_where_sets_lie_in_a_folder_of_it(composed):
    """What lies beside them is not the user's own for that."""
    words = ("setting=[folder,night]", *DATA[1:], "generated_root=data/miniature/ACDC")
    assert composed("eval", *words).world.prepare is not None


@pytest.mark.parametrize(
    ("root", "images", "reads"),
    [
        ("data/miniature/cityscapes", "leftImg8bit/train/*/*.png", True),
        ("data/miniature", "cityscapes/leftImg8bit/train/*/*.png", True),
        ("data/miniature/town", "photos/*.png", False),
        (".", "data/miniature/ACDC/rgb_anon/night/val/*/*.png", True),
        (".", "cityscapes/*.png", False),
    ],
)
def test_also_where_the_file_is_about_it(composed, work, root, images, reads):
    (work / "town.yaml").write_text(
        f'root: {root}\nclasses: 19\nids: labelIds\nsplits: {{train: {{images: "{images}"}}}}\n'
    )
    assert (composed("check", *DATA).world.prepare is not None) == reads
