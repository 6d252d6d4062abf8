import math

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from tests.generation.conftest import enlarged, shifted
from zsda.generation.drift import Drift, find_drift, move_back

DOMAINS = ("fog", "game", "night", "rain", "snow")


def read(path):
    return torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)


@pytest.fixture(scope="module")
def scenes(rendered):
    """Domain -> pairs of patches: a rendered scene by day, and as it looks in the domain."""
    pairs = {}
    for domain in DOMAINS:
        for day in sorted((rendered / "cityscapes/leftImg8bit/train").glob("*/*.png")):
            condition = rendered / f"{domain}_oracle" / day.relative_to(rendered / "cityscapes")
            images = read(day), read(condition)
            pairs.setdefault(domain, []).extend(
                (images[0][..., x : x + 128], images[1][..., x : x + 128]) for x in (0, 128)
            )
    return pairs


def test_the_pixel_that_moves_most_is_a_corner():
    assert Drift(3, 4, 1).largest(640, 100) == 5
    assert Drift(0, 0, 1.1).largest(101, 101) == pytest.approx(5 * math.sqrt(2))
    assert Drift(0, 0, 0.9).largest(101, 101) == pytest.approx(5 * math.sqrt(2))
    assert Drift(-2, 0, 1.1).largest(101, 1) == pytest.approx(7)


@pytest.mark.parametrize("domain", DOMAINS)
def test_what_only_looks_otherwise_has_not_moved(scenes, domain):
    assert [find_drift(edit, day) for day, edit in scenes[domain]] == [Drift(0, 0, 1)] * len(scenes[domain])


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize(
    ("x", "y", "zoom"), [(7, 0, 1), (0, -7, 1), (-5, 5, 1), (2.5, 0, 1), (0, 0, 1.05), (0, 0, 0.95), (-3, 1, 1.03)]
)
def test_what_moved_is_measured_whatever_it_looks_like(scenes, domain, x, y, zoom):
    found = np.array([find_drift(shifted(enlarged(edit, zoom), x, y), day) for day, edit in scenes[domain]])
    errors = np.abs(found - (x, y, zoom))
    assert (errors.max(axis=0) < (1, 1, 0.025)).all(), "a shift downwards and a zoom look alike where all edges lie low"
    assert (np.median(errors, axis=0) < (0.15, 0.15, 0.012)).all()


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize(("x", "y", "zoom"), [(26, 0, 1), (0, -26, 1), (38, 13, 1), (0, 0, 1.25), (0, 0, 0.8)])
def test_what_moved_far_is_found_as_well(scenes, domain, x, y, zoom):
    found = [find_drift(shifted(enlarged(edit, zoom), x, y), day) for day, edit in scenes[domain]]
    far = [drift for drift in found if drift is not None and drift.largest(128, 128) > 4]
    assert len(far) >= 10, "of 12; too little of a scene may be left"
    assert np.median(np.abs(np.array(far) - (x, y, zoom)), axis=0) == pytest.approx(0, abs=0.3)


@pytest.mark.parametrize(("x", "y", "zoom"), [(12.8, 12.8, 1.1), (-12.8, 6, 1.1), (11, -9, 0.91)])
def test_what_grew_and_was_shifted_is_measured_in_pixels_of_the_edit(scenes, x, y, zoom):
    pairs = [pair for domain in ("snow", "game") for pair in scenes[domain]]
    found = np.array([find_drift(shifted(enlarged(edit, zoom), x, y), day) for day, edit in pairs])
    assert np.median(found, axis=0) == pytest.approx((x, y, zoom), abs=0.15)


def test_the_sides_of_a_patch_are_measured_each_by_itself(scenes):
    day, edit = scenes["rain"][0]
    wide_day, wide_edit = (cv2.resize(p.permute(1, 2, 0).numpy(), (640, 256)) for p in (day, edit))
    wide_day, wide_edit = (torch.from_numpy(p).permute(2, 0, 1) for p in (wide_day, wide_edit))
    drift = find_drift(shifted(wide_edit, 9, -4), wide_day)
    assert (drift.x, drift.y, drift.zoom) == pytest.approx((9, -4, 1), abs=0.3)


@pytest.mark.parametrize("side", [512, 800])
def test_large_patches_are_measured_in_their_own_pixels(scenes, side):
    day, edit = (
        torch.from_numpy(cv2.resize(p.permute(1, 2, 0).numpy(), (side, side))).permute(2, 0, 1)
        for p in scenes["rain"][0]
    )
    drift = find_drift(shifted(edit, 7, 0), day)
    assert (drift.x, drift.y) == pytest.approx((7, 0), abs=0.5)
    assert find_drift(edit, day) == Drift(0, 0, 1)


def test_nothing_is_told_where_nothing_matches(scenes):
    day, _ = scenes["rain"][0]
    noise = torch.randint(0, 256, day.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    flat = torch.full_like(day, 90)
    assert find_drift(noise, day) is find_drift(flat, day) is find_drift(day, flat) is find_drift(flat, flat) is None


def test_small_patches_are_not_measured(scenes):
    day, edit = (patch[:, 32:95, 32:95] for patch in scenes["rain"][0])
    assert find_drift(shifted(edit, 7, 0), day) is None


@pytest.mark.parametrize(
    "drift", [Drift(7, 0, 1), Drift(0, -4.5, 1), Drift(0, 0, 1.05), Drift(2, -3, 0.95), Drift(9, 6, 1.09)]
)
def test_what_is_moved_back_lies_where_it_lay(scenes, drift):
    day, edit = scenes["snow"][0]
    moved = shifted(enlarged(edit, drift.zoom), drift.x, drift.y)
    back = move_back(moved, drift)
    assert (back.shape, back.dtype) == (edit.shape, torch.uint8)
    assert find_drift(back, day) == Drift(0, 0, 1)
    inside = np.s_[:, 16:-16, 16:-16]
    assert (back[inside].float() - edit[inside].float()).abs().mean() < 4
    assert (moved[inside].float() - edit[inside].float()).abs().mean() > 8


def test_a_border_that_is_missing_is_mirrored():
    ramp = torch.arange(0, 240, 3, dtype=torch.uint8).expand(3, 80, 80).contiguous()
    back = move_back(ramp, Drift(4, 0, 1))
    assert back[0, 0, :-4].tolist() == ramp[0, 0, 4:].tolist()
    assert back[0, 0, -4:].tolist() == ramp[0, 0, -5:-1].flip(0).tolist()


def test_one_pair_always_gives_one_drift(scenes):
    day, edit = scenes["fog"][0]
    moved = shifted(edit, 3, 2)
    before = cv2.getNumThreads()
    try:
        found = set()
        for threads in (1, 2, 4):
            cv2.setNumThreads(threads)
            found.add(find_drift(moved, day))
    finally:
        cv2.setNumThreads(before)
    assert len(found) == 1
