"""Worked out by hand, and Student's t by scipy, which albumentations brings."""

import pytest
from scipy import stats

from zsda.reporting.seeds import Summary, differences, is_noise, quantile, summarise, summarise_over


def test_mean_deviation_and_number():
    summary = summarise({0: 0.2, 1: 0.24, 7: 0.25})
    assert summary.mean == pytest.approx(0.23)
    assert summary.deviation == pytest.approx(0.0264575, abs=1e-6)  # of the sample: divided by n - 1
    assert summary.seeds == 3
    assert summarise({3: 0.5}) == Summary(0.5, None, 1)
    assert summarise({}) is None


def test_over_conditions_seeds_are_averaged_first():
    # Seed 0 reaches 0.3 and seed 1 reaches 0.3: the domains differ, the seeds do not.
    assert summarise_over([{0: 0.2, 1: 0.4}, {0: 0.4, 1: 0.2}]) == Summary(pytest.approx(0.3), pytest.approx(0), 2)
    assert summarise_over([{0: 0.2, 1: 0.4}, {0: 0.5}]) == Summary(pytest.approx(0.4), None, 1)
    assert summarise_over([{0: 0.2}, {}]) is None
    assert summarise_over([]) is None


def test_differences_are_seed_by_seed():
    # Both vary by 20 points between the seeds, their difference does not vary at all.
    found = differences({0: 0.3, 1: 0.5, 2: 0.9}, {0: 0.2, 1: 0.4, 5: 0.1})
    assert found == {0: pytest.approx(0.1), 1: pytest.approx(0.1)}
    assert not is_noise(summarise(found))


def test_the_interval_is_that_of_student():
    for seeds in range(2, 32):
        assert quantile(seeds) == pytest.approx(stats.t.ppf(0.975, seeds - 1), abs=5e-4)
    for seeds in (32, 100, 1_000_000):
        assert 1 < quantile(seeds) / stats.t.ppf(0.975, seeds - 1) < 1.05


@pytest.mark.parametrize(
    "values", [[1, 2, 3], [1, 2, 3.4], [-1, -2, -3.6], [-5, 1, 9], [3, 4], [1, 1.1], [2, 2, 3, 3, 9]]
)
def test_noise_is_what_a_paired_t_test_says(values):
    p = stats.ttest_1samp(values, 0).pvalue
    assert is_noise(summarise(dict(enumerate(values)))) == (p >= 0.05), p


def test_noise_at_the_edges():
    assert is_noise(Summary(0.1, None, 1)) is None, "a single seed"
    assert is_noise(Summary(0.1, None, 3)) is None, "no common seeds"
    assert is_noise(Summary(0.0, 0.0, 3)) is True
    assert is_noise(Summary(0.1, 0.0, 3)) is False
    # Three seeds: 4.303 / sqrt(3) = 2.484 deviations.
    assert is_noise(Summary(2.48, 1.0, 3)) is True
    assert is_noise(Summary(-2.49, 1.0, 3)) is False
