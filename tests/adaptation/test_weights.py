from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from tests.adaptation.tasks.small import SmallNetwork, same
from zsda.adaptation.phases import LABELS, Need, run_phases
from zsda.adaptation.weights import WeightsPhase, taken_phases
from zsda.core.errors import ConfigError, ModelError, StoreError
from zsda.core.runs import RunFolder
from zsda.models.weights import load_weights


def published(path, network):
    """Writes weights as HIAST's warm-up does, a discriminator among them."""
    state = {f"seg_model.{key}": value for key, value in network.state_dict().items()}
    torch.save({**state, "D.conv1.weight": torch.zeros(1)}, path)


def plain(path, network):
    save_file(network.state_dict(), path)


def run(path, folder, network=None):
    phase = WeightsPhase("teacher", str(path))
    return run_phases([phase], network or SmallNetwork(seed=2), 0, None, RunFolder(folder))


@pytest.mark.parametrize(("write", "name"), [(published, "a.pth"), (plain, "a.safetensors")])
def test_the_weights_of_the_file_are_what_it_leaves(tmp_path, write, name):
    write(tmp_path / name, SmallNetwork(seed=1))
    folder, found = run(tmp_path / name, tmp_path / "run"), SmallNetwork(seed=2)
    load_weights(found, folder.network(Need.of("teacher").what))
    assert same(found, SmallNetwork(seed=1))
    report = folder.report()
    assert (folder.finished, report.steps, report.leaves) == (True, 0, ["weights"])
    assert report.leaves == list(WeightsPhase.leaves)


def test_it_is_not_read_again_once_it_is_finished(tmp_path):
    plain(tmp_path / "a.safetensors", SmallNetwork(seed=1))
    left = run(tmp_path / "a.safetensors", tmp_path / "run").weights.read_bytes()
    (tmp_path / "a.safetensors").unlink()
    assert run(tmp_path / "a.safetensors", tmp_path / "run").weights.read_bytes() == left


def test_the_network_of_the_run_stays_as_it_was_built(tmp_path):
    plain(tmp_path / "a.safetensors", SmallNetwork(seed=1))
    network = SmallNetwork(seed=2)
    run(tmp_path / "a.safetensors", tmp_path / "run", network)
    assert same(network, SmallNetwork(seed=2))


def test_other_files_make_another_run(tmp_path):
    digests = []
    for seed in (1, 1, 2):
        plain(tmp_path / "a.safetensors", SmallNetwork(seed=seed))
        facts = WeightsPhase("teacher", str(tmp_path / "a.safetensors")).check(0, 1, False)
        digests.append(facts.files["teacher"])
    assert digests[0] == digests[1] != digests[2]
    assert (facts.source, facts.target, facts.classes) == (None, None, None)


@pytest.mark.parametrize("file", [None, ""])
def test_a_file_is_asked_for(file):
    with pytest.raises(ConfigError, match=r"which weights\? give method\.phases\.teacher\.file=FILE"):
        WeightsPhase("teacher", file).check(0, 1, False)


def test_a_file_that_is_not_there_is_said_before_anything_starts(tmp_path):
    with pytest.raises(ModelError, match=r"no weights at .*a\.pth; expected a \.safetensors, \.pth"):
        WeightsPhase("teacher", str(tmp_path / "a.pth")).check(0, 1, False)


@pytest.mark.parametrize("write", [published, plain])
def test_weights_of_another_network_are_refused_and_leave_nothing(tmp_path, write):
    path = tmp_path / ("a.pth" if write is published else "a.safetensors")
    write(path, SmallNetwork(outputs=9))
    with pytest.raises(ModelError, match=rf"{path.name}.*aspp\.weight"):
        run(path, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def a_run(folder, monkeypatch, names, finished=None):
    """A run of phases of which the first so many are finished."""
    found = RunFolder(folder)
    monkeypatch.setattr(RunFolder, "phase_names", lambda self: list(names))
    for name in names[: len(names) if finished is None else finished]:
        plain(folder / "a.safetensors", SmallNetwork(seed=1))
        WeightsPhase(name, str(folder / "a.safetensors")).run(
            SimpleNamespace(title=name, model=SmallNetwork(seed=1), folder=found.phase(name))
        )
    return found


def named(*names):
    return [SimpleNamespace(name=name, leaves=[LABELS] if name.startswith("labels") else ["weights"]) for name in names]


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (["a", "b"], ["a", "b"]),
        (["b", "a", "other"], ["a", "b"]),
        (["a"], ["a"]),
        (["a", "c"], ["a"]),
        (["a", "b", "labels", "c"], ["a", "b"]),
    ],
    ids=str,
)
def test_what_a_method_begins_with_is_taken_up_to_its_first_labelling(tmp_path, monkeypatch, names, taken):
    found = taken_phases(a_run(tmp_path, monkeypatch, names), named("a", "b", "labels", "c"))
    assert [phase.name for phase in found] == taken
    assert [phase.file for phase in found] == [str(tmp_path / name / "weights.safetensors") for name in taken]


@pytest.mark.parametrize("names", [["b", "labels"], ["x"], ["labels"]], ids=str)
def test_a_run_without_what_the_method_begins_with_is_refused(tmp_path, monkeypatch, names):
    with pytest.raises(ConfigError, match=r"start_run=.* has the phases .*, the method a, b, labels; expected a run"):
        taken_phases(a_run(tmp_path, monkeypatch, names), named("a", "b", "labels"))


def test_a_run_that_leaves_nothing_to_train_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="expected a run that has the first of these, and not all"):
        taken_phases(a_run(tmp_path, monkeypatch, ["a", "b"]), named("a", "b"))


def test_a_run_that_is_not_finished_is_refused(tmp_path, monkeypatch):
    with pytest.raises(StoreError, match=r"phase 'b' of .* is not finished"):
        taken_phases(a_run(tmp_path, monkeypatch, ["a", "b"], finished=1), named("a", "b", "labels"))
