"""A run records its network whole and plain, and from that the same one is built; nothing else can be built from it."""

import json
import shutil
from contextlib import contextmanager
from pathlib import Path

import hydra
import pytest

from tests.conftest import one_line
from zsda.core.config import build_network, conf_dir, plain
from zsda.core.errors import ConfigError
from zsda.core.recording import record_network, recordable, recorded_network
from zsda.core.run_records import NetworkRecord

SMP = {"model": "zsda.models.library.library_model"}


@contextmanager
def composed(*overrides, conf=None):
    """The node ``model`` of a training, while Hydra is as it is in a running command."""
    with hydra.initialize_config_dir(str(conf or conf_dir()), version_base="1.3"):
        yield hydra.compose("train", overrides=list(overrides)).model


@pytest.mark.parametrize(
    ("overrides", "recorded"),
    [
        (["model=smp", "model.pretrained=false"], {"encoder": "resnet18", "num_classes": 19}),
        (["model=smp", "+model.encoder_output_stride=8"], {"encoder_output_stride": 8}),
        (["model=smp", "model.architecture=unet", "+model.decoder_channels=[8,8]"], {"decoder_channels": [8, 8]}),
        (["model=smp", "+model.decoder_use_norm={type:instancenorm}"], {"decoder_use_norm.type": "instancenorm"}),
        (["model=miniature"], {"encoder": "tu-resnet10t", "encoder_depth": 4}),
        (["model=deeplabv3plus", "model.rates=[1,2]", "model.backbone=resnet18"], {"rates": [1, 2]}),
        (["model=refinenet", "world=miniature"], {"pretrained": False}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_built_again_is_what_was_recorded(overrides, recorded):
    with composed(*overrides) as node:
        option = overrides[0].removeprefix("model=")
        record = record_network(node, option)
        again = plain(recorded_network(NetworkRecord.model_validate(json.loads(record.model_dump_json()))))
    assert again == {key: value for key, value in plain(node).items() if key != "weights"}
    assert record.arguments.items() >= recorded.items()
    assert "weights" not in record.arguments


def test_an_argument_that_was_taken_away_is_not_put_back():
    with composed("model=deeplabv3plus", "~model.rates", "model.pretrained=false") as node:
        again = recorded_network(record_network(node, "deeplabv3plus"))
    assert "rates" not in again
    assert build_network(again, pretrained=False)


def test_nested_classes_come_from_the_users_option_and_their_arguments_from_the_run(tmp_path):
    conf = shutil.copytree(conf_dir(), tmp_path / "conf")
    (conf / "model/mine.yaml").write_text(
        "_target_: torch.nn.Sequential\n_args_: [1]\ninner: {_target_: torch.nn.Conv2d, in_channels: 3}\n"
        "parts: [{_target_: torch.nn.ReLU}]\n"
    )
    with composed("model=mine", "model.inner.in_channels=5", conf=conf) as node:
        record = record_network(node, "mine")
        assert record.classes == {"model": "torch.nn.Sequential", "model.inner": "torch.nn.Conv2d"}
        assert record.arguments == {"inner.in_channels": 5}
        assert plain(recorded_network(record)) == plain(node)


def test_a_network_may_refer_to_keys_of_its_world_and_lie_in_a_folder(tmp_path):
    conf = shutil.copytree(conf_dir(), tmp_path / "conf")
    (conf / "model/own").mkdir()
    (conf / "model/own/mine.yaml").write_text(
        "_target_: torch.nn.Conv2d\nin_channels: ${world.depth}\nsizes: {stage-1: 2}\n"
    )
    with composed("model=own/mine", "+world.depth=3", conf=conf) as node:
        record = record_network(node, "own/mine")
        assert record.arguments == {"in_channels": 3, "sizes.stage-1": 2}
        assert plain(recorded_network(record)) == plain(node)


@pytest.mark.parametrize(
    ("option", "overrides", "message"),
    [
        ("smp", ["model=smp", "model._target_=torch.nn.Identity"], "other classes than its file says"),
        ("smp", ["model=smp", "+model.part={_target_:torch.nn.Identity}"], "other classes than its file says"),
        ("smp", ["model=smp", "+model._args_=[1]"], "is not built again from what a run records"),
        ("smp", ["model=smp", "+model.parts=[{a:1}]"], "is not built again from what a run records"),
        ("../model/smp", ["model=smp"], "no option '../model/smp' of model; expected one of .*deeplabv3plus"),
    ],
)
def test_what_a_run_cannot_record_is_refused_before_it_is_trained(option, overrides, message):
    with composed(*overrides) as node, pytest.raises(ConfigError, match=message):
        record_network(node, option)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"option": "evil"}, "no option 'evil' of model; .*give its --config-dir"),
        (
            {"classes": {"model": "os.system"}},
            "the run trained a network of os.system, model=smp is one of zsda.models",
        ),
        ({"classes": {**SMP, "model.encoder": "os.system"}}, "the run trained a network of"),
        ({"arguments": {"encoder._target_": "os.system"}}, r"model.encoder._target_ is no argument of a network"),
        ({"arguments": {"_target_": "os.system"}}, "model._target_ is no argument"),
        ({"arguments": {"a..b": 1}}, "model.a..b is no argument"),
        ({"arguments": {"encoder": "resnet18", "encoder.depth": 3}}, "recorded beside a value of model.encoder"),
    ],
)
def test_a_foreign_record_builds_nothing(change, message):
    record = NetworkRecord(**{"option": "smp", "classes": SMP, "arguments": {}, **change})
    with composed("model=smp"), pytest.raises(ConfigError, match=message):
        recorded_network(record)


def test_settings_name_classes_and_no_places():
    settings = {
        "data": {
            "_target_": "a.B",
            "_partial_": True,
            "root": "/x",
            "generated_root": "/x",
            "size": [1, {"_target_": "c"}],
        },
        "subset": "/x",
        "roots": 3,
    }
    assert recordable(settings) == {"data": {"class": "a.B", "partial": True, "size": [1, {"class": "c"}]}, "roots": 3}


STEPS = ["method=source_only", "method.epochs.single=1", "trainer=cpu"]
SMALL = ["data.transform.size=[32,64]", "data.transform.crop=null", "data.batch_size=4", "machine.num_workers=0"]


@pytest.mark.parametrize(
    "model",
    [
        ["model.architecture=deeplabv3plus", "+model.encoder_output_stride=8"],
        ["model.architecture=unet", "+model.encoder_depth=3", "+model.decoder_channels=[32,16,16]"],
    ],
    ids=["of equal weights", "of other weights"],
)
def test_the_network_that_was_trained_is_the_one_that_is_scored(zsda, world, tmp_path, model):
    words = ["model=smp", "model.pretrained=false", *model, "optimizer=adamw", *STEPS, *SMALL, f"data_root={world}"]
    assert zsda("train", *words, "name=a").returncode == 0
    result = zsda("eval", "run=a", "setting=day", f"data_root={world}", "trainer=cpu", "machine.num_workers=0")
    assert result.returncode == 0, result.stderr
    run = tmp_path / "work/runs/a"
    watched = json.loads((run / "source/phase.json").read_text())["watched"]["val/source/miou"]
    scored = json.loads((run / "eval/day_sdgpa/scores.json").read_text())["settings"]["day"]["miou"]
    assert scored == pytest.approx(watched, abs=1e-6)
    assert watched > 0


def test_an_option_given_as_a_path_is_refused_before_anything_is_written(zsda, world, tmp_path):
    (tmp_path / "mine.yaml").write_text((conf_dir() / "model/smp.yaml").read_text())
    path = f"{'../' * 20}{str(tmp_path / 'mine').lstrip('/')}"
    result = zsda("train", f"model={path}", "model.pretrained=false", *STEPS, *SMALL, f"data_root={world}", "name=a")
    assert result.returncode == 2
    assert "no option" in one_line(result)
    assert not list(Path(tmp_path / "work").iterdir())
