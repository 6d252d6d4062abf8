"""Methods side by side: means over seeds, what an adaptation gained, and how far it came on the way to the oracle."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from zsda.core.errors import StoreError
from zsda.data.set_names import ORACLE
from zsda.evaluation.protocols import find_protocol
from zsda.reporting.results import DAY, OF_EDITS, RunScores
from zsda.reporting.seeds import BySeed, Summary, differences, summarise, summarise_over

BASELINE, UPPER_BOUND = "source_only", ORACLE
_CONTROLS = ("classical", "whole", "target_only", "one_phase", "reversed", "keep_source")
_METHODS = (BASELINE, *_CONTROLS, "sdgpa", UPPER_BOUND)
_DOMAINS = ("night", "snow", "rain", "fog", "game")


class Comparison:
    """Runs compared by one score.

    Args:
        results: what the runs reached.
        domains: which to compare; None takes all that a run was adapted to or the baseline was scored in.
        score: ``miou``, or ``miou_present``, the mIoU of the classes that occur in the labels; None takes the headline score of
            the protocol.

    Attributes:
        results: those for one of the domains or without any.
        methods: theirs, from the baseline over the controls to the oracle, then others by name.
        domains: night, snow, rain, fog, game, then others by name.
        seeds: those with a score in one of the domains or by day.
        oracle_selection: whether epochs were chosen by their score on the target.

    Raises:
        StoreError: two runs differ in their names only.
    """

    def __init__(
        self, results: Sequence[RunScores], domains: Sequence[str] | None = None, score: str | None = None
    ) -> None:
        adapted = {result.domain for result in results if result.domain is not None}
        scored = {setting for result in results if result.domain is None for setting in result.settings}
        self.domains = _ordered(domains if domains is not None else adapted | (scored - {DAY} - OF_EDITS), _DOMAINS)
        self.results = [result for result in results if result.domain in (None, *self.domains)]
        self.score = score or find_protocol(results[0].protocol).headline
        self._runs: dict[tuple[str, str | None], dict[int, RunScores]] = {}
        for result in sorted(self.results, key=lambda result: result.seed):
            known = self._runs.setdefault((result.method, result.domain), {}).setdefault(result.seed, result)
            if known is not result:
                raise StoreError(
                    f"{known.run} and {result.run} are both {result.method} for {result.domain or 'no domain'} at seed "
                    f"{result.seed}; choose one of them with runs=..., a pattern or a list of names"
                )
        self.methods = _ordered({result.method for result in self.results}, _METHODS)
        self.seeds = self._seeds()
        self.oracle_selection = any(result.epoch is not None for result in self.results)

    def target(self, method: str, domain: str) -> BySeed:
        """Returns seed -> score in the domain, of runs for it or without any."""
        return self._scores(method, domain, domain)

    def day(self, method: str, domain: str) -> BySeed:
        """Returns seed -> score by day, of runs for the domain or without any."""
        return self._scores(method, domain, DAY)

    def plain(self, domain: str) -> dict[str, dict[str, float | None]]:
        """Returns method -> ``target`` and ``day``, the mean score of each in one domain as JSON values."""
        found = {
            method: {"target": summarise(self.target(method, domain)), "day": summarise(self.day(method, domain))}
            for method in self.methods
        }
        return {
            method: {key: summary.mean if summary else None for key, summary in summaries.items()}
            for method, summaries in found.items()
            if any(summaries.values())
        }

    def mean_target(self, method: str) -> Summary | None:
        """Returns the mean of `target` over all domains; None where the method lacks one, for it would not compare."""
        return summarise_over([self.target(method, domain) for domain in self.domains])

    def mean_day(self, method: str) -> Summary | None:
        """Returns the mean of `day` over those domains that the method has runs for."""
        days = [self.day(method, domain) for domain in self.domains or [DAY]]
        return summarise_over([scores for scores in days if scores])

    def gain(self, method: str, reference: str, domains: Sequence[str]) -> Summary | None:
        """Returns what a method has over another on the target, seed by seed, averaged over domains; None where one lacks."""
        return self._difference(self.target, method, reference, domains)

    def day_gain(self, method: str, reference: str, domains: Sequence[str]) -> Summary | None:
        """Returns what a method has over another by day; see `gain`."""
        return self._difference(self.day, method, reference, domains)

    def share(self, method: str, domains: Sequence[str]) -> float | None:
        """Returns how much of the way from the baseline to the oracle a method went, 1 is all of it.

        It is a ratio of means: over the domains, and over the seeds that all three have. None where they share none in one of
        the domains, or where the oracle is no better.
        """
        parts, ways = [], []
        for domain in domains:
            low, high = self.target(BASELINE, domain), self.target(UPPER_BOUND, domain)
            way, part = differences(high, low), differences(self.target(method, domain), low)
            parts.append({seed: part[seed] for seed in part if seed in way})
            ways.append({seed: way[seed] for seed in way if seed in part})
        gone, whole = summarise_over(parts), summarise_over(ways)
        return gone.mean / whole.mean if gone and whole and whole.mean > 0 else None

    def _scores(self, method: str, domain: str, setting: str) -> BySeed:
        runs: Mapping[int, RunScores] = {**self._runs.get((method, None), {}), **self._runs.get((method, domain), {})}
        found = {seed: run.settings[setting] for seed, run in sorted(runs.items()) if setting in run.settings}
        return {seed: scores[self.score] for seed, scores in found.items()}

    def _seeds(self) -> list[int]:
        parts = [(method, domain) for method in self.methods for domain in self.domains or [DAY]]
        shown = {seed for part in parts for scores in (self.target(*part), self.day(*part)) for seed in scores}
        return sorted(shown or {result.seed for result in self.results})  # scored on edits alone

    def _difference(
        self, scores: Callable[[str, str], BySeed], method: str, reference: str, domains: Sequence[str]
    ) -> Summary | None:
        return summarise_over([differences(scores(method, domain), scores(reference, domain)) for domain in domains])


def _ordered(names: Iterable[str], first: Sequence[str]) -> list[str]:
    return sorted(names, key=lambda name: (first.index(name) if name in first else len(first), name))
