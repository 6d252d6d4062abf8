from itertools import pairwise

import pytest
import torch

from zsda.generation.tiling import Box, feather, place, spread


@pytest.mark.parametrize(
    ("length", "tile", "overlap", "starts"),
    [
        (1024, 512, 0, [0, 512]),
        (96, 32, 0, [0, 32, 64]),
        (1024, 512, 1, [0, 256, 512]),
        (10, 4, 0, [0, 3, 6]),
        (100, 64, 0, [0, 36]),
        (11, 4, 1, [0, 2, 4, 7]),
        (512, 512, 100, [0]),
    ],
)
def test_tiles_by_hand(length, tile, overlap, starts):
    assert spread(length, tile, overlap) == starts


def test_tiles_are_as_few_as_possible_and_evenly_spread():
    for length in range(1, 40):
        for tile in range(1, length + 1):
            for overlap in range(tile):
                starts = spread(length, tile, overlap)
                steps = [after - before for before, after in pairwise(starts)]
                assert (starts[0], starts[-1] + tile) == (0, length)
                assert all(step <= tile - overlap for step in steps)
                assert not steps or max(steps) - min(steps) <= 1
                assert tile + (len(starts) - 2) * (tile - overlap) < length  # one tile fewer would not reach


def test_ramps_by_hand():
    weights = feather([0, 3], 5)  # two pixels in common
    assert torch.allclose(weights[0], torch.tensor([1, 1, 1, 2 / 3, 1 / 3], dtype=torch.float64))
    assert torch.allclose(weights[1], torch.tensor([1 / 3, 2 / 3, 1, 1, 1], dtype=torch.float64))
    assert weights[0, :3].tolist() == weights[1, 2:].tolist() == [1, 1, 1]  # exactly
    assert feather([0, 4, 8], 4).tolist() == [[1] * 4] * 3
    assert feather([0], 4).tolist() == [[1] * 4]


@pytest.mark.parametrize(("length", "tile", "overlap"), [(50, 16, 3), (50, 16, 8), (50, 16, 13), (40, 39, 0)])
def test_weights_add_up_to_one_however_many_tiles_meet(length, tile, overlap):
    starts, total = spread(length, tile, overlap), torch.zeros(length, dtype=torch.float64)
    weights = feather(starts, tile)
    assert (weights > 0).all()
    for start, weight in zip(starts, weights, strict=True):
        total[start : start + tile] += weight
    assert torch.allclose(total, torch.ones_like(total), rtol=0, atol=1e-12)


def test_a_patch_takes_every_free_place_and_no_other():
    others = [Box(0, 0, 3, 2)]
    chosen = {place((8, 4), (3, 2), others, seed)[:2] for seed in range(100)}
    free = {(x, y) for x in range(6) for y in range(3) if x >= 3 or y >= 2}
    assert chosen == free


def test_where_no_place_is_free_the_least_overlap_is_taken():
    # Only at the right border is there a free column, two pixels wide.
    chosen = {place((8, 2), (3, 2), [Box(0, 0, 3, 2), Box(3, 0, 6, 2)], seed) for seed in range(20)}
    assert chosen == {Box(5, 0, 8, 2)}
