"""Methods side by side: means over seeds, what an adaptation gained, and how far it came on the way to the oracle."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from zsda.core.errors import ConfigError, StoreError
from zsda.data.set_names import ORACLE
from zsda.evaluation.protocols import find_protocol
from zsda.reporting.run_scores import OF_EDITS, RunScores
from zsda.reporting.seeds import BySeed, Summary, common, differences, summarise, summarise_over

BASELINES, UPPER_BOUND = ("source_2x", "source_only"), ORACLE
"""From where the way to the oracle is measured: from the source seen as often as the edits, else from the source alone."""
_CONTROLS = ("weather", "whole", "target_only", "intermediate_only", "one_phase", "reversed", "keep_source")
_METHODS = (*reversed(BASELINES), *_CONTROLS, "sdgpa", "sdgpa_then_hiast_generated", "sdgpa_then_hiast", UPPER_BOUND)
_TARGETS = ("night", "snow", "rain", "fog", "game")


class Comparison:
    """Runs compared by one score.

    Args:
        results: what the runs reached.
        targets: which to compare; None takes all that a run was adapted to or the baseline was scored in.
        score: ``miou``, or ``miou_present``, the mIoU of the classes that occur in the labels; None takes the headline score of
            the protocol.

    Attributes:
        results: those for one of the targets or without any.
        source_setting: the setting that shows the source that all of them start from.
        methods: theirs, from the baseline over the controls to the oracle, then others by name.
        targets: night, snow, rain, fog, game, then others by name.
        baseline: the first of `BASELINES` that is scored on a target; None where none is.
        seeds: those with a score on one of the targets or on the source.
        oracle_selection: whether epochs were chosen by their score on the target.

    Raises:
        StoreError: two runs differ in their names only, or start from different sources.
    """

    def __init__(
        self, results: Sequence[RunScores], targets: Sequence[str] | None = None, score: str | None = None
    ) -> None:
        self.source_setting = _common_source(results)
        adapted = {result.target for result in results if result.target is not None}
        scored = {setting for result in results if result.target is None for setting in result.settings}
        found = adapted | (scored - {self.source_setting} - OF_EDITS)
        self.targets = _ordered(targets if targets is not None else found, _TARGETS)
        self.results = [result for result in results if result.target in (None, *self.targets)]
        self.score = score or find_protocol(results[0].protocol).headline
        self._runs: dict[tuple[str, str | None], dict[int, RunScores]] = {}
        for result in sorted(self.results, key=lambda result: result.seed):
            known = self._runs.setdefault((result.method, result.target), {}).setdefault(result.seed, result)
            if known is not result:
                raise StoreError(
                    f"{known.run} and {result.run} are both {result.method} for {result.target or 'no target'} at seed "
                    f"{result.seed}; choose one of them with runs=..., a pattern or a list of names"
                )
        self.methods = _ordered({result.method for result in self.results}, _METHODS)
        self.baseline = next((name for name in BASELINES if any(self.target(name, t) for t in self.targets)), None)
        self.seeds = self._seeds()
        self.oracle_selection = any(result.epoch is not None for result in self.results)

    def target(self, method: str, target: str) -> BySeed:
        """Returns seed -> score on the target, of runs for it or without any."""
        return self._scores(method, target, target)

    def source(self, method: str, target: str) -> BySeed:
        """Returns seed -> score on the source, of runs for the target or without any."""
        return self._scores(method, target, self.source_setting)

    def plain(self, target: str) -> dict[str, dict[str, float | None]]:
        """Returns method -> ``target`` and ``source``, the mean score of each for one target as JSON values."""
        found = {
            method: {"target": summarise(self.target(method, target)), "source": summarise(self.source(method, target))}
            for method in self.methods
        }
        return {
            method: {key: summary.mean if summary else None for key, summary in summaries.items()}
            for method, summaries in found.items()
            if any(summaries.values())
        }

    def mean_target(self, method: str) -> Summary | None:
        """Returns the mean of `target` over all targets; None where the method lacks one, for it would not compare."""
        return summarise_over([self.target(method, target) for target in self.targets])

    def mean_source(self, method: str) -> Summary | None:
        """Returns the mean of `source` over those targets that the method has runs for."""
        parts = [self.source(method, target) for target in self.targets or [self.source_setting]]
        return summarise_over([scores for scores in parts if scores])

    def gain(self, method: str, reference: str, targets: Sequence[str]) -> Summary | None:
        """Returns what a method has over another on the target, seed by seed, averaged over targets; None where one lacks."""
        return self._difference(self.target, method, reference, targets)

    def gain_by_seed(self, method: str, reference: str, targets: Sequence[str]) -> BySeed:
        """Returns seed -> what `gain` is the mean of; nothing where it is a mean of means, or cannot be told."""
        return common([differences(self.target(method, t), self.target(reference, t)) for t in targets])

    def source_gain(self, method: str, reference: str, targets: Sequence[str]) -> Summary | None:
        """Returns what a method has over another on the source; see `gain`."""
        return self._difference(self.source, method, reference, targets)

    def share(self, method: str, targets: Sequence[str]) -> Summary | None:
        """Returns how much of the way from the baseline to the oracle a method went, 1 is all of it.

        It is a ratio of means: over the targets, and over the seeds that all three have. None where they share none in one of
        the targets, or where the oracle is no better. It has no deviation.
        """
        parts, ways = [], []
        for target in targets if self.baseline else []:
            low, high = self.target(str(self.baseline), target), self.target(UPPER_BOUND, target)
            way, part = differences(high, low), differences(self.target(method, target), low)
            parts.append({seed: part[seed] for seed in part if seed in way})
            ways.append({seed: way[seed] for seed in way if seed in part})
        gone, whole = summarise_over(parts), summarise_over(ways)
        if not gone or not whole or whole.mean <= 0:
            return None
        return Summary(gone.mean / whole.mean, None, min(gone.seeds, whole.seeds))

    def runs(self, methods: Sequence[str], targets: Sequence[str], on_source: bool = False) -> list[RunScores]:
        """Returns the runs that a number is from: for each target, those of the seeds that all methods have a score of.

        Args:
            methods: whose scores it is made of.
            targets: which it is a mean of.
            on_source: whether they are scores on the source.
        """
        used: dict[str, RunScores] = {}
        for target in targets:
            found = [self._scored(method, target, self.source_setting if on_source else target) for method in methods]
            for seed in sorted(set.intersection(*(set(by_seed) for by_seed in found))):
                used |= {by_seed[seed].label: by_seed[seed] for by_seed in found}
        return list(used.values())

    def _scores(self, method: str, target: str, setting: str) -> BySeed:
        return {seed: run.settings[setting][self.score] for seed, run in self._scored(method, target, setting).items()}

    def _scored(self, method: str, target: str, setting: str) -> dict[int, RunScores]:
        runs: Mapping[int, RunScores] = {**self._runs.get((method, None), {}), **self._runs.get((method, target), {})}
        return {seed: run for seed, run in sorted(runs.items()) if self.score in run.settings.get(setting, {})}

    def _seeds(self) -> list[int]:
        parts = [(method, target) for method in self.methods for target in self.targets or [self.source_setting]]
        shown = {seed for part in parts for scores in (self.target(*part), self.source(*part)) for seed in scores}
        return sorted(shown or {result.seed for result in self.results})  # scored on edits alone

    def _difference(
        self, scores: Callable[[str, str], BySeed], method: str, reference: str, targets: Sequence[str]
    ) -> Summary | None:
        return summarise_over([differences(scores(method, target), scores(reference, target)) for target in targets])


def known_targets(results: Sequence[RunScores], asked: Sequence[str], option: str = "domains=") -> list[str]:
    """Returns the targets that were asked for, once they are such.

    Args:
        results: what the runs reached.
        asked: the targets.
        option: what asks for them, as a message begins.

    Raises:
        ConfigError: no run was adapted to one of them, and none without a target was scored in it.
    """
    # Scores of a run in other settings than its target are not compared.
    found = {name for result in results for name in ([result.target] if result.target else result.settings)}
    known = found - {results[0].source_setting} - OF_EDITS
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise ConfigError(
            f"{option}{','.join(unknown)}: no run was adapted to it, and none without a target was scored in it; expected some of "
            f"{', '.join(sorted(known))}"
        )
    return list(asked)


def check_scored(results: Sequence[RunScores], score: str) -> None:
    """Refuses a score that nothing was scored by.

    Raises:
        ConfigError: it is such.
    """
    if not any(score in scores for result in results for scores in result.settings.values()):
        raise ConfigError(
            f"score={score}: no run was scored so, it is a mean of a part of the 19 classes; give score=miou"
        )


def _common_source(results: Sequence[RunScores]) -> str:
    first = results[0]
    for result in results:
        if result.source_setting != first.source_setting:
            raise StoreError(
                f"{first.run} starts from {first.source_setting} and {result.run} from {result.source_setting}, which do not "
                "compare; choose runs of one source with runs=..., a pattern or a list of names"
            )
    return first.source_setting


def _ordered(names: Iterable[str], first: Sequence[str]) -> list[str]:
    return sorted(names, key=lambda name: (first.index(name) if name in first else len(first), name))
