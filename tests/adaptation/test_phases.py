import csv
import functools
import shutil
from dataclasses import dataclass, replace

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from torch import nn

from tests.data.test_aligned import views_data
from zsda.adaptation.phases import Facts, Given, check_phases, run_phases
from zsda.adaptation.tasks.progressive import ProgressiveAdaptation
from zsda.adaptation.training import TrainingPhase
from zsda.core.errors import ConfigError, DataError, IncompleteError, StoreError
from zsda.core.run_records import PhaseReport
from zsda.core.runs import PhaseFolder, RunFolder
from zsda.data.classes import find_classes
from zsda.models.freezing import freeze_batch_norm
from zsda.models.weights import read_weights
from zsda.pseudo_labels.selectors import AllSelector
from zsda.pseudo_labels.store import PseudoLabelWriter
from zsda.training.fit import Engine
from zsda.training.schedules import OneCycle, Poly

SGD = functools.partial(torch.optim.SGD, lr=0.05, momentum=0.9)


class InterruptedTask(ProgressiveAdaptation):
    """Dies in the middle of its third epoch."""

    def training_step(self, batch, index):
        if self.current_epoch == 2 and index == 1:
            raise InterruptedError
        return super().training_step(batch, index)


def network(seed=1):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Dropout2d(0.3), nn.Conv2d(8, 20, 1))


def engine(**more):
    return Engine(
        trainer=functools.partial(L.Trainer, accelerator="cpu", enable_model_summary=False, enable_progress_bar=True),
        loggers=[functools.partial(CSVLogger, name="csv")],
        **more,
    )


def phase(root, name, views, task=ProgressiveAdaptation, **more):
    data = functools.partial(views_data, root, views=views)
    return TrainingPhase(name, task, data, **{"optimizer": SGD, "schedule": Poly(), **more})


def two_phases(root, task=ProgressiveAdaptation, epochs=4):
    return [
        phase(root, "intermediate", ["source", "intermediate"], task, epochs=epochs),
        phase(root, "target", ["target", "intermediate"], epochs=1, horizon=3, start="intermediate"),
    ]


def run_all(phases, run, seed=1, made=None):
    return run_phases(phases, network(seed), seed, made or engine(), run)


def weights(run, phase):
    return read_weights(run.phase(phase).weights)


def equal(one, other):
    return all(torch.equal(one[key], other[key]) for key in one)


def epochs_in(metrics):
    """The epochs that a CSV log tells the loss of."""
    return {int(row["epoch"]) for row in csv.DictReader(metrics.open()) if row["train/loss_epoch"]}


@pytest.fixture(scope="module")
def finished(world_with_sets, tmp_path_factory):
    run = RunFolder(tmp_path_factory.mktemp("runs") / "finished")
    run_all(two_phases(world_with_sets), run)
    return run


def test_both_phases_leave_weights_and_a_report(finished):
    assert finished.phase("target").finished
    report = finished.phase("intermediate").report()
    assert (report.epochs, report.steps, report.left_out) == (4, 16, [])
    assert 0 <= report.watched["val/source/miou"] <= 1
    assert not equal(weights(finished, "intermediate"), weights(finished, "target"))


def test_a_phase_moves_along_its_horizon(finished):
    for phase, epochs, horizon in (("intermediate", 4, 4), ("target", 1, 3)):
        (metrics,) = finished.phase(phase).path.glob("csv/*/metrics.csv")
        rates = [float(row["lr-SGD"]) for row in csv.DictReader(metrics.open()) if row.get("lr-SGD")]
        assert rates == pytest.approx([0.05 * (1 - epoch / horizon) ** 0.9 for epoch in range(epochs)])


def test_every_parameter_is_trained(finished, world_with_sets):
    start, end = network().state_dict(), weights(finished, "target")
    assert not [key for key in start if torch.equal(start[key], end[key])]


def test_a_later_phase_does_not_draw_again_what_an_earlier_one_drew(world_with_sets, tmp_path):
    orders = {"one": [], "two": []}

    def noting(name):
        class Noting(ProgressiveAdaptation):
            def training_step(self, batch, index):
                orders[name] += batch["key"]
                return super().training_step(batch, index)

        return Noting

    twins = [phase(world_with_sets, name, ["source"], noting(name), epochs=1) for name in orders]
    run_all(twins, RunFolder(tmp_path / "run"))
    assert sorted(orders["one"]) == sorted(orders["two"])
    assert orders["one"] != orders["two"]


def test_the_last_phase_starts_from_the_weights_of_the_first(finished, world_with_sets, tmp_path):
    frozen = {"optimizer": functools.partial(torch.optim.SGD, lr=1e-30), "schedule": Poly(floor=0.0)}
    still = phase(world_with_sets, "still", ["target"], epochs=1, start="intermediate", **frozen)
    run = RunFolder(tmp_path / "run")
    run.phase("intermediate").path.mkdir(parents=True)
    for file in ("weights.safetensors", "phase.json"):
        (run.phase("intermediate").path / file).write_bytes((finished.phase("intermediate").path / file).read_bytes())
    run_all([two_phases(world_with_sets)[0], still], run)
    first, second = weights(run, "intermediate"), weights(run, "still")
    assert all(
        torch.equal(first[key], second[key]) for key in first if "running" not in key and "num_batches" not in key
    )


def test_finished_phases_are_skipped(finished, world_with_sets):
    before = finished.phase("target").weights.stat().st_mtime_ns
    run_all(two_phases(world_with_sets, task=InterruptedTask), finished)
    assert finished.phase("target").weights.stat().st_mtime_ns == before


def test_an_interrupted_phase_continues_to_the_same_weights(finished, world_with_sets, tmp_path):
    run = RunFolder(tmp_path / "run")
    with pytest.raises(InterruptedError):
        run_all(two_phases(world_with_sets, task=InterruptedTask), run)
    assert not run.phase("intermediate").finished
    run_all(two_phases(world_with_sets), run)
    assert run.phase("intermediate").report().resumed
    assert equal(weights(run, "intermediate"), weights(finished, "intermediate"))
    assert equal(weights(run, "target"), weights(finished, "target"))
    first, second = (run.phase("intermediate").path / f"csv/version_{number}/metrics.csv" for number in (0, 1))
    assert epochs_in(first) == {0, 1}
    assert epochs_in(second) == {2, 3}, "finished epochs were trained again"


def test_the_seed_matters(finished, world_with_sets, tmp_path):
    run = RunFolder(tmp_path / "run")
    run_all(two_phases(world_with_sets)[:1], run, seed=2)
    assert not equal(weights(run, "intermediate"), weights(finished, "intermediate"))


def test_steps_instead_of_epochs(world_with_sets, tmp_path):
    run = RunFolder(tmp_path / "run")
    run_all([phase(world_with_sets, "short", ["source"], steps=3)], run)
    report = run.phase("short").report()
    assert report.steps == 3
    assert 0 <= report.watched["val/source/miou"] <= 1


def test_accumulated_gradients_count_as_the_steps_that_they_are(world_with_sets, tmp_path):
    made = engine()
    accumulating = replace(made, trainer=functools.partial(made.trainer, accumulate_grad_batches=3))
    run = RunFolder(tmp_path / "run")
    run_all([phase(world_with_sets, "short", ["source"], epochs=2, schedule=OneCycle())], run, made=accumulating)
    assert run.phase("short").report().steps == 4


def test_missing_views_of_any_phase_are_said(copied_world):
    shutil.rmtree(copied_world / "night_target")
    with pytest.raises(DataError, match="night_target"):
        check_phases(two_phases(copied_world))


def test_damaged_images_are_counted_at_the_end(copied_world, tmp_path):
    # Both phases meet this one; it is one file all the same.
    victim = next((copied_world / "night_intermediate").glob("leftImg8bit/train/*/*.png"))
    victim.write_bytes(victim.read_bytes()[:300])
    run = RunFolder(tmp_path / "run")
    with pytest.raises(IncompleteError, match=f"trained, .* 1 image was left out: .*{victim.name}"):
        run_all(two_phases(copied_world, epochs=1), run)
    assert run.phase("target").finished


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 1, "steps": 1}, "give either epochs or steps"),
        ({}, "give either epochs or steps"),
        ({"epochs": 5, "horizon": 4}, "expected whole numbers, 1 <= length <= horizon"),
        ({"epochs": 0}, "expected whole numbers, 1 <= length"),
        ({"epochs": 2.5}, "expected whole numbers, 1 <= length"),
    ],
)
def test_a_phase_that_makes_no_sense_is_refused(world, changes, message):
    with pytest.raises(ConfigError, match=message):
        phase(world, "odd", ["source"], **changes)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ("first", "phase 'second' needs weights of 'first'; expected some of those before it: \\[\\]"),
        ("zeroth/teacher", "needs teacher of 'zeroth'; expected some of those before it: \\['weights of zeroth'\\]"),
    ],
)
def test_a_phase_needs_what_one_before_it_leaves(world_with_sets, start, message):
    phases = [
        *([phase(world_with_sets, "zeroth", ["source"], epochs=1)] if "zeroth" in start else []),
        phase(world_with_sets, "second", ["source"], epochs=1, start=start),
        phase(world_with_sets, "first", ["source"], epochs=1),
    ]
    with pytest.raises(ConfigError, match=message):
        check_phases(phases)


def test_weights_that_are_gone_are_made_again_from_the_last_checkpoint(world_with_sets, tmp_path, caplog):
    run = RunFolder(tmp_path / "run")
    phases = two_phases(world_with_sets, epochs=1)
    run_all(phases, run)
    for name in ("intermediate", "target"):
        folder = run.phase(name)
        before, first = folder.weights.read_bytes(), folder.report()
        folder.weights.unlink()
        run_all(phases, run)
        again = folder.report()
        assert folder.weights.read_bytes() == before
        assert (again.digests, again.watched, again.steps) == (first.digests, first.watched, first.steps)
        assert f"{name}/weights.safetensors is gone, and made again from the last checkpoint" in caplog.text


@pytest.mark.parametrize("harm", ["gone", "changed"])
def test_what_an_earlier_phase_left_must_still_be_there(world_with_sets, tmp_path, harm):
    run = RunFolder(tmp_path / "run")
    phases = two_phases(world_with_sets, epochs=1)
    run_all(phases[:1], run)
    folder = run.phase("intermediate")
    if harm == "gone":
        folder.weights.unlink()
        folder.checkpoint.unlink()
        message = r"intermediate/weights.safetensors is gone; put it back, or delete \S+intermediate to make it anew"
    else:
        folder.weights.write_bytes(folder.weights.read_bytes()[:-1] + b"x")
        message = r"intermediate/weights.safetensors is not what its training wrote"
    with pytest.raises(StoreError, match=message):
        run_all(phases, run)
    assert not run.phase("target").begun


def test_data_that_takes_no_labels_is_refused_where_it_is_given_some(world_with_sets):
    class Labelling:
        name, needs, leaves = "labels", (), ("labels",)

        def check(self, number, processes, synchronised):
            return Facts()

    own = phase(world_with_sets, "own", ["source"], epochs=1, labels="labels")
    assert check_phases([Labelling(), own]).source == "cityscapes train"
    bad = replace(own, data=functools.partial(own.data, colours=3))
    with pytest.raises(ConfigError, match=r"the data of phase 'own': .*unexpected keyword argument 'colours'"):
        check_phases([Labelling(), bad])


def test_a_phase_of_another_kind_is_run_reported_and_its_labels_are_handed_on(world_with_sets, tmp_path):
    given = []

    class Labelling:
        name, needs, leaves = "labels", (), ("labels",)

        def check(self, number, processes, synchronised):
            return Facts(files={"unlabelled": "1"}, unlabelled="dusk", target="night")

        def run(self, one):
            one.folder.labels.mkdir(parents=True)
            (one.folder.labels / "frame_pseudo_label.png").touch()
            left_out = ["one image"]
            report = {"epochs": 0, "steps": 0, "seconds": 0.0, "resumed": False, "left_out": left_out, "watched": {}}
            one.folder.finish(PhaseReport(**report, leaves=["labels"]))

    def data(phase, labels=None):
        given.append((phase, labels))
        return views_data(world_with_sets, views=["source"], phase=phase)

    trained = TrainingPhase("trained", ProgressiveAdaptation, data, SGD, Poly(), epochs=1, labels="labels")
    run = RunFolder(tmp_path / "run")
    facts = check_phases([Labelling(), trained])
    assert (facts.unlabelled, facts.target, facts.source_setting) == ("dusk", "night", "day")
    assert facts.files.keys() == {"labels/unlabelled", "trained/source"}
    with pytest.raises(IncompleteError, match="1 image was left out: one image"):
        run_all([Labelling(), trained], run)
    assert given == [(1, None), (1, run.phase("labels").labels)]


@pytest.mark.parametrize(
    ("classes", "message"), [("19", "labels is not complete"), ("9", "labels of the classes '9', expected '19'")]
)
def test_labels_of_other_classes_or_not_complete_are_not_trained_on(world_with_sets, tmp_path, classes, message):
    labels = RunFolder(tmp_path / "run").phase("labels").labels
    classes = find_classes(classes)
    writer = PseudoLabelWriter(labels, AllSelector(len(classes)), classes, [4, 6], "ab12")
    writer.write("frame.png", np.zeros((4, 6), int))
    if len(classes) == 9:
        writer.finish(["frame.png"])

    def data(phase, labels=None):
        return views_data(world_with_sets, views=["source"], phase=phase)

    trained = TrainingPhase("trained", ProgressiveAdaptation, data, SGD, Poly(), epochs=1, labels="labels")
    given = Given(0, "phase", PhaseFolder(tmp_path / "trained"), RunFolder(tmp_path / "run"), None, 0, None)
    with pytest.raises(StoreError, match=message):
        trained.run(given)


def test_phases_of_different_classes_do_not_make_a_method(world_with_sets):
    one = phase(world_with_sets, "one", ["source"], epochs=1)

    def coarser(**more):
        data = one.data(**more)
        data.source = data.source.with_classes(find_classes(9))
        return data

    with pytest.raises(ConfigError, match="the phases one, two tell different classes apart"):
        check_phases([one, replace(one, name="two", data=coarser)])


def test_what_a_phase_freezes_or_changes_is_no_matter_of_the_next_one(tmp_path):
    @dataclass(frozen=True)
    class Freezing:
        name: str
        needs, leaves = (), ()

        def run(self, given):
            model = given.model.train()
            learns = all(parameter.requires_grad for parameter in model.parameters())
            seen.append((learns, model[1].training, equal(model.state_dict(), network().state_dict())))
            freeze_batch_norm(model, statistics=True)
            model.requires_grad_(False)
            model[0].weight.zero_()
            report = {"epochs": 0, "steps": 0, "seconds": 0.0, "resumed": False, "left_out": [], "watched": {}}
            given.folder.finish(PhaseReport(**report, leaves=[]))

    seen = []
    run_all([Freezing("one"), Freezing("two")], RunFolder(tmp_path / "run"))
    assert seen == [(True, True, True)] * 2
