import numpy as np
import pytest
import torch
from PIL import Image

from tests.generation.conftest import enlarged, shifted
from zsda.core.errors import ConfigError
from zsda.generation.drift import Drift
from zsda.generation.gates import Gate, Verdict, find_flaw, structure


def photograph(size=64, low=40, high=220):
    """Sky above, a road and a house below, and grain."""
    generator = torch.Generator().manual_seed(1)
    patch = torch.full((3, size, size), float(high))
    patch[:, size // 2 :] = (low + high) / 2
    patch[:, size // 4 :, : size // 3] = low
    return to_bytes(patch + 5 * torch.randn(patch.shape, generator=generator))


def to_bytes(values):
    return values.round().clamp(0, 255).to(torch.uint8)


def grain(level, strength, size=64):
    noise = torch.randn(3, size, size, generator=torch.Generator().manual_seed(2))
    return to_bytes(level + strength * noise)


DAY = photograph()


@pytest.mark.parametrize(
    ("edited", "flaw"),
    [
        (torch.zeros_like(DAY), "black"),
        (grain(1, 1), "black"),
        (torch.full_like(DAY, 140), "flat"),
        (torch.full_like(DAY, 255), "flat"),
        (grain(140, 1.5), "flat"),
        (torch.tensor([200, 20, 90], dtype=torch.uint8)[:, None, None].expand(3, 64, 64), "flat"),
        (DAY, "unchanged"),
        (DAY ^ 1, None),  # one whole level everywhere is the limit
        (to_bytes(DAY.float() + 0.3), "unchanged"),
    ],
)
def test_flaws_are_named(edited, flaw):
    assert find_flaw(edited, DAY) == flaw


def test_values_that_are_not_finite_are_the_worst():
    assert find_flaw(255 - DAY, DAY, finite=False) == "non-finite"


@pytest.mark.parametrize("share", [0.5, 0.15, 0.05])
def test_night_is_not_black(share):
    assert find_flaw(to_bytes(DAY * share), DAY) is None


def test_a_night_with_few_lights_is_not_black_but_specks_are_no_lights():
    night = grain(1, 1)
    night[:, 10:16, 10:16] = 200  # 36 of 4096 pixels
    assert find_flaw(night, DAY) is None
    specks = grain(1, 1)
    specks[:, 10, 10:14] = 200
    assert find_flaw(specks, DAY) == "black"


@pytest.mark.parametrize("whiteness", [0.5, 0.8, 0.9])
def test_fog_is_not_flat(whiteness):
    assert find_flaw(to_bytes(DAY * (1 - whiteness) + 255 * whiteness), DAY) is None


def test_an_edit_is_not_blamed_for_what_the_original_was():
    sky = grain(180, 1)
    assert structure(sky) < 2
    assert find_flaw(to_bytes(sky * 0.15), sky) is None  # evening
    white, border = torch.full_like(sky, 255), torch.zeros_like(sky)
    assert find_flaw(white, white) is None
    assert find_flaw(border, border) is None
    assert find_flaw(border, sky) == "black"
    hazy = grain(180, 3)
    assert find_flaw(to_bytes(hazy * 0.2 + 255 * 0.8), hazy) is None
    assert find_flaw(torch.full_like(sky, 140), hazy) == "flat"
    assert find_flaw(hazy, hazy) == "unchanged"


def test_structure_by_hand():
    patch = torch.zeros(3, 2, 2, dtype=torch.uint8)
    patch[1] = torch.tensor([[10, 20], [10, 20]])
    patch[2, 0, 0] = 4
    assert structure(patch) == 5
    assert structure(torch.stack([torch.full((2, 2), value, dtype=torch.uint8) for value in (0, 90, 255)])) == 0


@pytest.fixture(scope="module")
def street(rendered):
    """A patch of a rendered scene, 128x128."""
    path = min((rendered / "cityscapes/leftImg8bit/train").glob("*/*.png"))
    return torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1)[..., :128].contiguous()


def dimmed(patch):
    return to_bytes(patch * 0.6 + 20)


def test_an_edit_that_moved_too_far_is_refused_and_says_how(street):
    gate = Gate(max_drift=2)
    for edit in (shifted(dimmed(street), 7, 0), enlarged(dimmed(street), 1.05)):
        verdict = gate.judge(edit, street)
        assert (verdict.flaw, verdict.aligned) == ("drifted", False)
        assert verdict.remaining == verdict.drift.largest(128, 128) > 2
    assert gate.judge(shifted(dimmed(street), 1, 1), street).flaw is None


def test_what_lies_right_passes_as_it_is(street):
    edit = dimmed(street)
    assert Gate(max_drift=2).judge(edit, street) == Verdict(edit, None, Drift(0, 0, 1), 0)
    assert Gate(max_drift=8).judge(shifted(edit, 7, 0), street).flaw is None


def test_without_a_bound_nothing_is_measured(street, monkeypatch):
    monkeypatch.setattr("zsda.generation.gates.find_drift", pytest.fail)
    edit = shifted(dimmed(street), 7, 0)
    assert Gate().judge(edit, street) == Verdict(edit, None, None, None)


def test_what_cannot_be_told_passes_and_says_so():
    evening = to_bytes(DAY * 0.6)
    assert Gate(max_drift=2).judge(evening[:, :48, :48], DAY[:, :48, :48])[1:] == (None, None, None, False)


def test_other_flaws_come_first(street):
    gate = Gate(max_drift=2, align=True)
    black = torch.zeros_like(street)
    assert [gate.judge(edit, street).flaw for edit in (black, street)] == ["black", "unchanged"]
    assert gate.judge(shifted(street, 7, 0), street, finite=False).flaw == "non-finite"


def test_an_edit_is_moved_back_where_that_is_asked_for(street):
    edit = shifted(enlarged(dimmed(street), 1.03), 4, -2)
    verdict = Gate(max_drift=2, align=True).judge(edit, street)
    assert (verdict.flaw, verdict.aligned) == (None, True)
    assert tuple(verdict.drift) == pytest.approx((4, -2, 1.03), abs=0.2)
    assert verdict.remaining <= 2
    inside = np.s_[:, 16:-16, 16:-16]
    assert (verdict.patch[inside].float() - dimmed(street)[inside].float()).abs().mean() < 4
    honest = dimmed(street)
    assert Gate(max_drift=2, align=True).judge(honest, street).patch is honest


def test_what_cannot_be_moved_back_is_refused_all_the_same(street, monkeypatch):
    monkeypatch.setattr("zsda.generation.gates.move_back", lambda patch, drift: patch)
    edit = shifted(dimmed(street), 7, 0)
    assert Gate(max_drift=2, align=True).judge(edit, street)[:2] == (edit, "drifted")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_drift": 0}, r"gate\.max_drift=0; expected a number above 0"),
        ({"max_drift": float("nan")}, r"gate\.max_drift=nan"),
        ({"max_drift": "2"}, r"gate\.max_drift=2; expected a number above 0"),
        ({"align": 1}, r"gate\.align=1; expected true or false"),
    ],
)
def test_values_that_make_no_gate(values, message):
    with pytest.raises(ConfigError, match=message):
        Gate(**values)
