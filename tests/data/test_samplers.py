from collections import Counter

import pytest

from zsda.data.samplers import CyclingSampler, EpochSampler


def taken(sampler, epoch):
    sampler.set_epoch(epoch)
    return list(sampler)


@pytest.mark.parametrize("world", [1, 2])
def test_a_small_set_is_passed_over_until_the_epoch_is_full(world):
    samplers = [CyclingSampler(5, 8, rank, world, seed=1) for rank in range(world)]
    found = [taken(sampler, epoch) for epoch in range(5) for sampler in samplers]
    assert all(len(part) == 8 for part in found)
    passes = Counter(place for part in found for place in part)
    assert set(passes.values()) == {1}, "in each pass every image is met once, over all processes"
    assert {turn for turn, _ in passes} == set(range(8 * world))
    first, second = ([index for turn, index in found[0] + found[world] if turn == number] for number in (0, 1))
    assert first != second


@pytest.mark.parametrize(
    "make",
    [
        lambda: CyclingSampler(5, 8, 0, 1, seed=1),
        lambda: EpochSampler(list(range(8)), 1, 0, shuffle=True, seed=3, drop_last=True),
    ],
)
def test_an_epoch_can_start_in_its_middle_and_the_next_one_does_not(make):
    whole, resumed = make(), make()
    resumed.resume(2, 3)
    assert taken(resumed, 2) == taken(whole, 2)[3:]
    assert taken(resumed, 3) == taken(whole, 3)
    assert len(resumed) == len(whole)
