"""Methods side by side: means over seeds, what an adaptation gained, and how far it came on the way to the oracle."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from zsda.errors import StoreError
from zsda.reporting.results import OF_EDITS, RunScores

BASELINE, UPPER_BOUND = "source_only", "oracle"
_METHODS = (BASELINE, "whole", "target_only", "sdgpa", UPPER_BOUND)
_DOMAINS = ("night", "snow", "rain", "fog", "game")
_DAY = "day"

BySeed = Mapping[int, float]


@dataclass(frozen=True)
class Summary:
    """One score over seeds.

    Attributes:
        mean: a share of 1.
        deviation: the sample standard deviation; None of a single seed, or where there is no common set of seeds.
        seeds: their number, the least where there is no common set.
    """

    mean: float
    deviation: float | None
    seeds: int


def summarise(values: BySeed) -> Summary | None:
    """Returns mean and sample standard deviation of seed -> score; None of nothing."""
    if not values:
        return None
    return Summary(fmean(values.values()), stdev(values.values()) if len(values) > 1 else None, len(values))


def summarise_over(parts: Sequence[BySeed]) -> Summary | None:
    """Returns the mean over several conditions, e.g. domains: averaged for each seed, then summarised over seeds.

    Where the conditions do not have the same seeds, it is the mean of their means, without a deviation.
    """
    if not parts or not all(parts):
        return None
    if all(part.keys() == parts[0].keys() for part in parts):
        return summarise({seed: fmean(part[seed] for part in parts) for seed in parts[0]})
    return Summary(fmean(fmean(part.values()) for part in parts), None, min(map(len, parts)))


@dataclass(frozen=True)
class Row:
    """One method in one domain.

    Attributes:
        domain: whose setting is the target.
        method: how the runs were trained.
        target: mIoU in the domain; None where it was not scored.
        day: mIoU by day; None where it was not scored.
        gain: of the target over that of the baseline, a share of 1, over the seeds of both; None where they share none.
        share: of the way from the baseline to the oracle, 1 is all of it, over the seeds of all three; None where they share none
            or the oracle is no better.
    """

    domain: str
    method: str
    target: Summary | None
    day: Summary | None
    gain: float | None
    share: float | None


class Comparison:
    """Runs compared by `miou_present`, the mIoU of the classes that occur in the labels.

    Args:
        results: what the runs reached.
        domains: which to compare; None takes all that a run was adapted to or the baseline was scored in.

    Attributes:
        methods: from the baseline to the oracle, then others by name.
        domains: night, snow, rain, fog, game, then others by name.

    Raises:
        StoreError: two runs differ in their names only.
    """

    def __init__(self, results: Sequence[RunScores], domains: Sequence[str] | None = None) -> None:
        self._runs: dict[tuple[str, str | None, int], RunScores] = {}
        for result in results:
            known = self._runs.setdefault((result.method, result.domain, result.seed), result)
            if known is not result:
                raise StoreError(
                    f"{known.run} and {result.run} are both {result.method} for {result.domain or 'no domain'} at seed "
                    f"{result.seed}; choose one of them with runs=..., a pattern or a list of names"
                )
        self.results = list(results)
        self.methods = _ordered({result.method for result in results}, _METHODS)
        adapted = {result.domain for result in results if result.domain is not None}
        scored = {setting for result in results if result.domain is None for setting in result.settings}
        self.domains = _ordered(domains if domains is not None else adapted | (scored - {_DAY} - OF_EDITS), _DOMAINS)

    def target(self, method: str, domain: str) -> BySeed:
        """Returns seed -> mIoU in the domain, of runs for it or without any."""
        return self._scores(method, domain, domain)

    def day(self, method: str, domain: str) -> BySeed:
        """Returns seed -> mIoU by day, of runs for the domain or without any."""
        return self._scores(method, domain, _DAY)

    def rows(self) -> list[Row]:
        """Returns the rows domain by domain; a method without runs for a domain has none there."""
        rows = [self._row(method, domain) for domain in self.domains for method in self.methods]
        return [row for row in rows if row.target is not None or row.day is not None]

    def plain(self, domain: str) -> dict[str, dict[str, float | None]]:
        """Returns method -> ``target`` and ``day``, the mean mIoU of each in one domain as JSON values."""
        rows = (row for row in self.rows() if row.domain == domain)
        return {
            row.method: {
                key: summary.mean if summary else None for key, summary in (("target", row.target), ("day", row.day))
            }
            for row in rows
        }

    def mean_target(self, method: str) -> Summary | None:
        """Returns the mean of `target` over all domains; None where the method lacks one, for it would not compare."""
        return summarise_over([self.target(method, domain) for domain in self.domains])

    def mean_day(self, method: str) -> Summary | None:
        """Returns the mean of `day` over those domains that the method has runs for."""
        days = [self.day(method, domain) for domain in self.domains or [_DAY]]
        return summarise_over([scores for scores in days if scores])

    def _scores(self, method: str, domain: str, setting: str) -> BySeed:
        return {
            seed: result.settings[setting]["miou_present"]
            for (of_method, of_domain, seed), result in sorted(self._runs.items(), key=lambda item: item[0][2])
            if of_method == method and of_domain in (None, domain) and setting in result.settings
        }

    def _row(self, method: str, domain: str) -> Row:
        target, low, high = (self.target(name, domain) for name in (method, BASELINE, UPPER_BOUND))
        gain = share = None
        if method != BASELINE:
            gain = _mean_step(low, target, target.keys() & low.keys())
            common = target.keys() & low.keys() & high.keys()
            part, way = _mean_step(low, target, common), _mean_step(low, high, common)
            if part is not None and way is not None and way > 0:
                share = part / way
        return Row(domain, method, summarise(target), summarise(self.day(method, domain)), gain, share)


def _mean_step(start: BySeed, end: BySeed, seeds: Iterable[int]) -> float | None:
    steps = [end[seed] - start[seed] for seed in seeds]
    return fmean(steps) if steps else None


def _ordered(names: Iterable[str], first: Sequence[str]) -> list[str]:
    return sorted(names, key=lambda name: (first.index(name) if name in first else len(first), name))
