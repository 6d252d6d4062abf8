import numpy as np
import pytest
import torch

from tests.reference import recorded
from zsda.core.errors import ConfigError
from zsda.training.schedules import Cosine, Horizon, OneCycle, Poly, Step


def rates(schedule, horizon, count, lr):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = schedule(optimizer, horizon)["scheduler"]
    found = []
    for _ in range(count):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return np.array(found)


def test_the_published_rates_are_reproduced():
    found = rates(Poly(), Horizon(100, "epoch", 7, 1e-3), 100, 1e-3)
    assert np.abs(found - recorded("sdgpa_poly_lr")["lr"]).max() < 1e-12


def test_poly_has_a_floor():
    assert rates(Poly(floor=1e-4), Horizon(10, "epoch", 1, 1e-3), 12, 1e-3)[-2:].tolist() == pytest.approx([1e-4, 1e-4])


@pytest.mark.parametrize(("unit", "expected"), [("epoch", "epoch"), ("step", "step")])
def test_poly_moves_in_the_unit_of_the_phase(unit, expected):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    assert Poly()(optimizer, Horizon(10, unit, 5, 1e-3))["interval"] == expected


@pytest.mark.parametrize("unit", ["epoch", "step"])
def test_step_falls_in_the_unit_of_the_phase(unit):
    horizon = Horizon(9, unit, 5, 1e-3)
    assert rates(Step(every=3, factor=0.5), horizon, 8, 1.0).tolist() == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    assert Step(every=3)(optimizer, horizon)["interval"] == unit


@pytest.mark.parametrize(
    ("value", "message"), [({"every": 0}, "schedule.every=0"), ({"factor": 2}, "schedule.factor=2")]
)
def test_steps_that_make_no_sense_are_refused(value, message):
    with pytest.raises(ConfigError, match=message):
        Step(**{"every": 3, **value})


def test_one_cycle_peaks_and_ends_low_within_its_horizon():
    found = rates(OneCycle(rise=0.25), Horizon(10, "epoch", 4, 1e-3), 40, 0.1)
    assert found.argmax() == pytest.approx(10, abs=1)
    assert found.max() == pytest.approx(0.1, rel=0.02)
    assert found[-1] < 1e-3 * found.max()


def both_groups(schedule, horizon, count):
    """Rates of a backbone of 1e-4 and a head of 1e-3."""
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (1e-4, 1e-3)]
    optimizer = torch.optim.Adam(groups)
    made = schedule(optimizer, horizon)
    found = []
    for _ in range(count):
        found.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        made["scheduler"].step()
    return made["interval"], np.array(found)


@pytest.mark.parametrize(
    "horizon", [Horizon(80, "step", 7, 1e-4), Horizon(8, "epoch", 10, 1e-4)], ids=["steps", "epochs"]
)
def test_cosine_moves_every_step_to_one_floor_for_all_groups(horizon):
    interval, found = both_groups(Cosine(), horizon, 85)
    steps = np.minimum(np.arange(85), 80)[:, None]
    lowest = 0.001 * 1e-4
    expected = lowest + (np.array([1e-4, 1e-3]) - lowest) * (1 + np.cos(np.pi * steps / 80)) / 2
    assert interval == "step"
    assert np.abs(found - expected).max() < 1e-15
    assert found[-1].tolist() == pytest.approx([1e-7, 1e-7])


def test_cosine_of_another_optimiser_ends_at_the_floor_of_the_first():
    assert rates(Cosine(), Horizon(10, "step", 1, lr=2e-5), 11, 1e-4)[[0, 5, 10]].tolist() == pytest.approx(
        [1e-4, (1e-4 + 2e-8) / 2, 2e-8]
    )


@pytest.mark.parametrize(
    "horizon", [Horizon(80, "step", 7, 1e-4), Horizon(8, "epoch", 10, 1e-4)], ids=["steps", "epochs"]
)
def test_poly_by_step_moves_every_step(horizon):
    interval, found = both_groups(Poly(floor=0.0, by="step"), horizon, 81)
    expected = np.array([1e-4, 1e-3]) * ((1 - np.arange(81)[:, None] / 80) ** 0.9)
    assert interval == "step"
    assert np.abs(found - expected).max() < 1e-15


def test_poly_by_something_else_is_refused():
    with pytest.raises(ConfigError, match=r"schedule.by=epoch; expected unit or step"):
        Poly(by="epoch")


@pytest.mark.parametrize("make", [lambda: Cosine(floor=-1), lambda: Poly(floor=-1), lambda: Poly(power=-1)])
def test_negative_numbers_are_refused(make):
    with pytest.raises(ConfigError, match=r"schedule.(floor|power)=-1; expected a number of at least 0"):
        make()
