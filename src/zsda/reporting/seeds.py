"""Scores over the seeds of a training: means, deviations, differences, and when a difference is noise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev

BySeed = Mapping[int, float]

# Student's t for two-sided 95 %, of 1 to 30 degrees of freedom; the last serves for more, and is under 5 % too large there.
# fmt: off
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)
# fmt: on


@dataclass(frozen=True)
class Summary:
    """One score, or one difference of scores, over seeds.

    Attributes:
        mean: a share of 1.
        deviation: the sample standard deviation; None of a single seed, or where there is no common set of seeds.
        seeds: their number, the least where there is no common set.
    """

    mean: float
    deviation: float | None
    seeds: int

    @property
    def error(self) -> float | None:
        """The standard error of the mean, ``deviation / sqrt(seeds)``; of differences of runs seed by seed, that of their pairs."""
        return None if self.deviation is None else self.deviation / sqrt(self.seeds)


def summarise(values: BySeed) -> Summary | None:
    """Returns mean and sample standard deviation of seed -> score; None of nothing."""
    if not values:
        return None
    return Summary(fmean(values.values()), stdev(values.values()) if len(values) > 1 else None, len(values))


def summarise_over(parts: Sequence[BySeed]) -> Summary | None:
    """Returns the mean over several conditions, e.g. targets: averaged for each seed, then summarised over seeds.

    Where the conditions do not have the same seeds, it is the mean of their means, without a deviation.
    """
    if not parts or not all(parts):
        return None
    averaged = common(parts)
    if averaged:
        return summarise(averaged)
    return Summary(fmean(fmean(part.values()) for part in parts), None, min(map(len, parts)))


def common(parts: Sequence[BySeed]) -> BySeed:
    """Returns seed -> the mean over several conditions; nothing where they do not have the same seeds."""
    if not parts or any(part.keys() != parts[0].keys() for part in parts):
        return {}
    return {seed: fmean(part[seed] for part in parts) for seed in parts[0]}


def differences(scores: BySeed, reference: BySeed) -> BySeed:
    """Returns seed -> score minus reference, of the seeds that both have."""
    return {seed: scores[seed] - reference[seed] for seed in scores if seed in reference}


def quantile(seeds: int) -> float:
    """Returns Student's t for a two-sided interval of 95 % over so many seeds, at least two."""
    return _T[min(seeds - 1, len(_T)) - 1]


def is_noise(difference: Summary) -> bool | None:
    """Tells whether seeds alone explain a mean difference: whether 0 lies in its 95 % interval (Student's paired t).

    It does where ``|mean| <= t * error``, t with ``seeds - 1`` degrees of freedom: 12.7 for two seeds, 4.30 for
    three. Two runs of one seed share the order of the images and their augmentation, so the differences are taken seed by seed.
    Every comparison stands by itself: of twenty between equals, one is expected to look like more. The noise is that of
    trainings; other test images are not spoken of.

    Returns:
        None where it cannot be told: a single seed, or no common set of seeds.
    """
    if difference.error is None:
        return None
    return abs(difference.mean) <= quantile(difference.seeds) * difference.error
