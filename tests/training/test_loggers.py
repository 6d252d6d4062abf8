import importlib
import os
import shutil
import struct
from importlib.machinery import ModuleSpec
from types import SimpleNamespace

import hydra
import pytest
from lightning.pytorch.loggers.logger import DummyLogger
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image

from tests.training.toys import KilledError, ends_as, train
from zsda.core.config import build, conf_dir
from zsda.core.errors import ConfigError
from zsda.core.run_records import RunRecord
from zsda.core.runs import RunFolder
from zsda.training import loggers
from zsda.training.loggers import MlflowRuns, WandbRuns, log_picture

SETTINGS = {"seed": 3, "optimizer": {"class": "torch.optim.SGD", "lr": 0.5}, "data": {"views": ["source", "target"]}}


@pytest.fixture
def run(tmp_path):
    """A run of two phases that has begun."""
    folder = RunFolder(tmp_path / "runs/snow_seed3")
    folder.claim(RunRecord(header=None, settings=SETTINGS, choices={}, phases=["first", "second"]), {})
    return folder


@pytest.fixture
def wandb(monkeypatch, tmp_path):
    """W&B without a network, and without the process that it leaves."""
    found = pytest.importorskip("wandb")
    for name, value in {"MODE": "offline", "SILENT": "true", "CONSOLE": "off", "CONFIG_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    for name in ("PROJECT", "DIR"):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)
    found.teardown()  # it keeps what it read of the environment
    yield found
    found.teardown()


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory):
    """A local store of MLflow, which takes seconds to make."""
    found, file = pytest.importorskip("mlflow"), tmp_path_factory.mktemp("store") / "mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        found.MlflowClient(f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture
def mlflow(empty_store, run, monkeypatch):
    """MLflow without a server, and without its reports home."""
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    for name in ("TRACKING_URI", "EXPERIMENT_NAME"):
        monkeypatch.delenv(f"MLFLOW_{name}", raising=False)
    shutil.copy(empty_store, run.path.parent)
    return importlib.import_module("mlflow")


class Pictured:
    """A maker of loggers whose loggers are given a picture at once."""

    def __init__(self, make):
        self.make = make

    def __call__(self, save_dir):
        made = self.make(save_dir=save_dir)
        log_picture(made, "panels/day", Image.new("RGB", (8, 4), (9, 8, 7)), 5)
        return made


def records(file):
    """What W&B wrote for its server: blocks of 32 kB of length-prefixed parts of records, behind 7 bytes of a header."""
    parsed = importlib.import_module("wandb.proto.wandb_internal_pb2").Record
    content, at, parts = file.read_bytes(), 7, b""
    while at + 7 <= len(content):
        if 2**15 - at % 2**15 < 7:
            at += 2**15 - at % 2**15
            continue
        _, length, kind = struct.unpack("<IHB", content[at : at + 7])
        parts += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield parsed.FromString(parts)
            parts = b""


def told(folder):
    """Of each start of a phase what W&B was told: the run, its exit code, and the names of what was recorded."""
    found = []
    for file in sorted(folder.path.glob("wandb/offline-run-*/*.wandb")):
        every = [(record.WhichOneof("record_type"), record) for record in records(file)]
        (run,) = (record.run for kind, record in every if kind == "run")
        exits = [record.exit.exit_code for kind, record in every if kind == "exit"]
        names = {i.key or "/".join(i.nested_key) for kind, r in every if kind == "history" for i in r.history.item}
        found.append(SimpleNamespace(run=run, exits=exits, names=names))
    return found


def test_each_phase_is_a_run_of_wandb_that_ends_with_it_and_goes_on_when_resumed(wandb, run, tmp_path):
    first, second = run.phase("first"), run.phase("second")
    with pytest.raises(KilledError):
        train(first.path, dies_at=8, loggers=[Pictured(WandbRuns())])
    assert wandb.run is None
    _, resumed = train(first.path, loggers=[Pictured(WandbRuns())])
    train(second.path, loggers=[Pictured(WandbRuns(project="mine", tags=["night"]))])
    _, plain = train(tmp_path / "plain")
    assert ends_as(resumed, plain)
    killed, ended = told(first)
    (other,) = told(second)
    assert (killed.exits, ended.exits, other.exits) == ([1], [0], [0])
    assert killed.run.run_id == ended.run.run_id != other.run.run_id
    assert [one.run.display_name for one in (ended, other)] == ["snow_seed3/first", "snow_seed3/second"]
    assert {one.run.run_group for one in (killed, ended, other)} == {"snow_seed3"}
    assert (ended.run.project, other.run.project, list(other.run.tags)) == ("zsda", "mine", ["night"])
    config = {entry.key: entry.value_json for entry in ended.run.config.update}
    assert config["optimizer"] == '{"class":"torch.optim.SGD","lr":0.5}'
    assert {"train/loss_step", "train/loss_epoch", "panels/day"} <= {
        name.removesuffix("/_type") for name in ended.names
    }


def test_a_phase_that_begins_anew_begins_a_run_anew(wandb, run):
    first = run.phase("first")
    with pytest.raises(KilledError):
        train(first.path, dies_at=2, loggers=[WandbRuns()])
    for checkpoint in (first.checkpoint, first.checkpoint_before):
        checkpoint.unlink()
    with pytest.raises(KilledError):
        train(first.path, dies_at=2, loggers=[WandbRuns()])
    assert len({one.run.run_id for one in told(first)}) == 2


def test_a_refusal_of_wandb_is_one_line(wandb, run, monkeypatch):
    def refuse(**_):
        raise wandb.errors.UsageError("No API key configured.\nUse `wandb login` to log in.")

    monkeypatch.setattr(wandb, "init", refuse)
    with pytest.raises(
        ConfigError, match=r"^logger=wandb: No API key configured. Use .*; log in with wandb login, set WANDB_MODE="
    ):
        WandbRuns()(run.phase("first").path)


def test_an_option_that_wandb_does_not_know_is_one_line(wandb, run):
    with pytest.raises(ConfigError, match=r"^logger=wandb: .*tag"):
        WandbRuns(tag="night")(run.phase("first").path)


def runs_of(mlflow, run, experiment="zsda"):
    """The client of the local store, and name -> run in it."""
    client = mlflow.MlflowClient(f"sqlite:///{run.path.parent / 'mlflow.db'}")
    found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    assert len({one.info.run_name for one in found}) == len(found)
    return client, {one.info.run_name: one for one in found}


def test_each_phase_is_a_run_of_mlflow_that_ends_with_it_and_goes_on_when_resumed(mlflow, run, tmp_path):
    first, second = run.phase("first"), run.phase("second")
    with pytest.raises(KilledError):
        train(first.path, dies_at=8, loggers=[MlflowRuns()])
    client, found = runs_of(mlflow, run)
    assert found["snow_seed3/first"].info.status == "FAILED"
    _, resumed = train(first.path, loggers=[Pictured(MlflowRuns())])
    train(second.path, loggers=[MlflowRuns()])
    _, plain = train(tmp_path / "plain")
    assert ends_as(resumed, plain)
    _, found = runs_of(mlflow, run)
    assert found.keys() == {"snow_seed3/first", "snow_seed3/second"}
    assert {one.info.status for one in found.values()} == {"FINISHED"}
    whole = found["snow_seed3/first"]
    assert whole.data.params["optimizer.lr"] == "0.5" and whole.data.params["data.views"] == "['source', 'target']"
    assert (whole.data.tags["run"], whole.data.tags["phase"]) == ("snow_seed3", "first")
    steps = [metric.step for metric in client.get_metric_history(whole.info.run_id, "train/loss_step")]
    assert sorted(steps) == list(range(15))
    assert [file for file in client.list_artifacts(whole.info.run_id, "images") if file.path.endswith(".png")]
    assert (run.path.parent / "mlartifacts" / whole.info.run_id).is_dir()
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_what_mlflow_does_not_know_any_more_begins_a_run_anew(mlflow, run):
    first = run.phase("first")
    with pytest.raises(KilledError):
        train(first.path, dies_at=8, loggers=[MlflowRuns()])
    kept = first.path / "mlflow/run_id"
    before = kept.read_text()
    client, _ = runs_of(mlflow, run)
    client.delete_run(before)
    for gone in (before, "0" * 32, "../../etc"):
        kept.write_text(gone)
        MlflowRuns()(save_dir=first.path)
        _, found = runs_of(mlflow, run)
        assert found["snow_seed3/first"].info.run_id == kept.read_text() != gone
        client.delete_run(kept.read_text())


def test_a_server_that_is_lost_ends_no_training(mlflow, run, tmp_path, monkeypatch, caplog):
    calls = []

    def lose(*_, **__):
        calls.append(1)
        raise mlflow.exceptions.MlflowException("API request failed:\nno route to host")

    class Lost(MlflowRuns):
        def __call__(self, save_dir):
            made = super().__call__(save_dir)
            monkeypatch.setattr(made._mlflow_client, "log_batch", lose)
            return made

    _, ended = train(run.phase("first").path, loggers=[Lost()])
    _, plain = train(tmp_path / "plain")
    assert ends_as(ended, plain)
    assert len(calls) == 1
    assert "mlflow: API request failed: no route to host; this phase goes on without it" in caplog.text


def test_a_server_that_is_not_there_is_one_line(mlflow, run, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://server")
    with pytest.raises(ConfigError, match=r"^logger=mlflow: .*; set MLFLOW_TRACKING_URI to a server that answers"):
        MlflowRuns()(run.phase("first").path)


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
@pytest.mark.parametrize("found", [None, ModuleSpec("a folder where the command is started", None)])
def test_a_package_that_is_missing_is_one_line_before_anything_is_trained(monkeypatch, name, found):
    monkeypatch.setattr(loggers.importlib.util, "find_spec", lambda _: found)
    with pytest.raises(ConfigError, match=rf"^logger={name} needs the package {name}, .*pip install 'zsda\[{name}\]'"):
        build(chosen(f"logger={name}"))


def chosen(word):
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return hydra.compose("train", overrides=[word]).machine.logger


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("logger=wandb", {"csv", "wandb"}),
        ("logger=mlflow", {"csv", "mlflow"}),
        ("logger=[csv,tensorboard,wandb]", {"csv", "tensorboard", "wandb"}),
        ("logger=[wandb,mlflow]", {"csv", "wandb", "mlflow"}),
        ("logger=csv", {"csv"}),
    ],
)
def test_csv_stays_whatever_is_chosen_beside_it(word, expected):
    assert set(chosen(word)) == expected


@pytest.mark.parametrize("make", [WandbRuns, MlflowRuns])
def test_other_processes_than_the_first_record_nothing(tmp_path, monkeypatch, make):
    monkeypatch.setattr(loggers, "_check_installed", lambda _: None)
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    assert isinstance(make()(tmp_path / "runs/snow/first"), DummyLogger)
    assert not list(tmp_path.iterdir())
