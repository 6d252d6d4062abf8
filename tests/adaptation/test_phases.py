import csv
import functools
import shutil

import lightning as L
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from torch import nn

from tests.data.test_aligned import views_data
from zsda.adaptation.phases import Phase, Shared, check_phases, run_phases
from zsda.adaptation.tasks.progressive import ProgressiveAdaptation
from zsda.core.errors import ConfigError, DataError, IncompleteError
from zsda.core.runs import RunFolder
from zsda.models.weights import read_weights
from zsda.training.schedules import OneCycle, Poly


class InterruptedTask(ProgressiveAdaptation):
    """Dies in the middle of its third epoch."""

    def training_step(self, batch, index):
        if self.current_epoch == 2 and index == 1:
            raise InterruptedError
        return super().training_step(batch, index)


def shared(root, seed=1):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Dropout2d(0.3), nn.Conv2d(8, 20, 1))
    return Shared(
        model=model,
        data=views_data(root),
        optimizer=functools.partial(torch.optim.SGD, lr=0.05, momentum=0.9),
        schedule=Poly(),
        trainer=functools.partial(L.Trainer, accelerator="cpu", enable_model_summary=False, enable_progress_bar=True),
        loggers=[functools.partial(CSVLogger, name="csv")],
        seed=seed,
    )


def two_phases(task=ProgressiveAdaptation, epochs=4):
    return [
        Phase("intermediate", task, ["source", "intermediate"], epochs=epochs),
        Phase("target", ProgressiveAdaptation, ["target", "intermediate"], epochs=1, horizon=3, start="intermediate"),
    ]


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
    run_phases(two_phases(), shared(world_with_sets), run)
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
    start, end = shared(world_with_sets).model.state_dict(), weights(finished, "target")
    assert not [key for key in start if torch.equal(start[key], end[key])]


def test_a_later_phase_does_not_draw_again_what_an_earlier_one_drew(world_with_sets, tmp_path):
    orders = {"one": [], "two": []}

    def noting(name):
        class Noting(ProgressiveAdaptation):
            def training_step(self, batch, index):
                orders[name] += batch["key"]
                return super().training_step(batch, index)

        return Noting

    twins = [Phase(name, noting(name), ["source"], epochs=1) for name in orders]
    run_phases(twins, shared(world_with_sets), RunFolder(tmp_path / "run"))
    assert sorted(orders["one"]) == sorted(orders["two"])
    assert orders["one"] != orders["two"]


def test_the_last_phase_starts_from_the_weights_of_the_first(finished, world_with_sets, tmp_path):
    still = Phase("still", ProgressiveAdaptation, ["target"], epochs=1, start="intermediate")
    made = shared(world_with_sets)
    frozen = {"optimizer": functools.partial(torch.optim.SGD, lr=1e-30), "schedule": Poly(floor=0.0)}
    run = RunFolder(tmp_path / "run")
    run.phase("intermediate").path.mkdir(parents=True)
    for file in ("weights.safetensors", "phase.json"):
        (run.phase("intermediate").path / file).write_bytes((finished.phase("intermediate").path / file).read_bytes())
    run_phases([two_phases()[0], still], Shared(**{**vars(made), **frozen}), run)
    first, second = weights(run, "intermediate"), weights(run, "still")
    assert all(
        torch.equal(first[key], second[key]) for key in first if "running" not in key and "num_batches" not in key
    )


def test_finished_phases_are_skipped(finished, world_with_sets):
    before = finished.phase("target").weights.stat().st_mtime_ns
    run_phases(two_phases(task=InterruptedTask), shared(world_with_sets), finished)
    assert finished.phase("target").weights.stat().st_mtime_ns == before


def test_an_interrupted_phase_continues_to_the_same_weights(finished, world_with_sets, tmp_path):
    run = RunFolder(tmp_path / "run")
    with pytest.raises(InterruptedError):
        run_phases(two_phases(task=InterruptedTask), shared(world_with_sets), run)
    assert not run.phase("intermediate").finished
    run_phases(two_phases(), shared(world_with_sets), run)
    assert run.phase("intermediate").report().resumed
    assert equal(weights(run, "intermediate"), weights(finished, "intermediate"))
    assert equal(weights(run, "target"), weights(finished, "target"))
    first, second = (run.phase("intermediate").path / f"csv/version_{number}/metrics.csv" for number in (0, 1))
    assert epochs_in(first) == {0, 1}
    assert epochs_in(second) == {2, 3}, "finished epochs were trained again"


def test_the_seed_matters(finished, world_with_sets, tmp_path):
    run = RunFolder(tmp_path / "run")
    run_phases(two_phases()[:1], shared(world_with_sets, seed=2), run)
    assert not equal(weights(run, "intermediate"), weights(finished, "intermediate"))


def test_steps_instead_of_epochs(world_with_sets, tmp_path):
    run = RunFolder(tmp_path / "run")
    run_phases([Phase("short", ProgressiveAdaptation, ["source"], steps=3)], shared(world_with_sets), run)
    assert run.phase("short").report().steps == 3


def test_accumulated_gradients_count_as_the_steps_that_they_are(world_with_sets, tmp_path):
    made = shared(world_with_sets)
    accumulating = {"trainer": functools.partial(made.trainer, accumulate_grad_batches=3), "schedule": OneCycle()}
    run = RunFolder(tmp_path / "run")
    run_phases(
        [Phase("short", ProgressiveAdaptation, ["source"], epochs=2)],
        Shared(**{**vars(made), **accumulating}),
        run,
    )
    assert run.phase("short").report().steps == 4


def test_missing_views_of_any_phase_are_said(copied_world):
    shutil.rmtree(copied_world / "night_target")
    with pytest.raises(DataError, match="night_target"):
        check_phases(two_phases(), views_data(copied_world))


def test_damaged_images_are_counted_at_the_end(copied_world, tmp_path):
    # Both phases meet this one; it is one file all the same.
    victim = next((copied_world / "night_intermediate").glob("leftImg8bit/train/*/*.png"))
    victim.write_bytes(victim.read_bytes()[:300])
    run = RunFolder(tmp_path / "run")
    with pytest.raises(IncompleteError, match=f"trained, .* 1 image was left out: .*{victim.name}"):
        run_phases(two_phases(epochs=1), shared(copied_world), run)
    assert run.phase("target").finished


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 1, "steps": 1}, "give either epochs or steps"),
        ({}, "give either epochs or steps"),
        ({"epochs": 5, "horizon": 4}, "expected whole numbers, 1 <= length <= horizon"),
        ({"epochs": 0}, "expected whole numbers, 1 <= length"),
        ({"epochs": 2.5}, "expected whole numbers, 1 <= length"),
        ({"epochs": 1, "views": "source"}, "views='source'; expected a list"),
        ({"epochs": 1, "views": []}, r"views=\[\]; expected a list"),
    ],
)
def test_a_phase_that_makes_no_sense_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        Phase(**{"name": "odd", "task": ProgressiveAdaptation, "views": ["source"], **changes})


def test_a_phase_starts_from_an_earlier_one(world_with_sets):
    phases = [
        Phase("second", ProgressiveAdaptation, ["source"], epochs=1, start="first"),
        Phase("first", ProgressiveAdaptation, ["source"], epochs=1),
    ]
    with pytest.raises(ConfigError, match="'second' starts from 'first'; expected one of the phases before it"):
        check_phases(phases, views_data(world_with_sets))
