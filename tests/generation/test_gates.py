import pytest
import torch

from zsda.generation.gates import find_flaw, structure


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
