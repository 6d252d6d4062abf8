import numpy as np
import pytest
import torch

from tests.reference import recorded
from zsda.training.schedules import Horizon, OneCycle, Poly


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
    found = rates(Poly(), Horizon(100, "epoch", 7), 100, 1e-3)
    assert np.abs(found - recorded("sdgpa_poly_lr")["lr"]).max() < 1e-12


def test_poly_has_a_floor():
    assert rates(Poly(floor=1e-4), Horizon(10, "epoch", 1), 12, 1e-3)[-2:].tolist() == pytest.approx([1e-4, 1e-4])


@pytest.mark.parametrize(("unit", "expected"), [("epoch", "epoch"), ("step", "step")])
def test_poly_moves_in_the_unit_of_the_phase(unit, expected):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    assert Poly()(optimizer, Horizon(10, unit, 5))["interval"] == expected


def test_one_cycle_peaks_and_ends_low_within_its_horizon():
    found = rates(OneCycle(rise=0.25), Horizon(10, "epoch", 4), 40, 0.1)
    assert found.argmax() == pytest.approx(10, abs=1)
    assert found.max() == pytest.approx(0.1, rel=0.02)
    assert found[-1] < 1e-3 * found.max()
