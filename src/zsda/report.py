"""``python -m zsda.report``: compares evaluated runs over their seeds."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from zsda.core.command import command, given
from zsda.core.errors import ConfigError

if TYPE_CHECKING:
    from zsda.reporting.run_scores import RunScores

_log = logging.getLogger(__name__)

_CHOICES = {
    "score": (None, "miou", "miou_present", "miou_16", "miou_13", "miou_16_published", "miou_13_published"),
    "selection": ("last", "best_on_target"),
}


@command("report")
def main(config: DictConfig) -> None:
    """Prints the comparison, and writes it as Markdown, LaTeX and CSV."""
    from zsda.core.files import remove_parts, write_atomic
    from zsda.core.provenance import provenance
    from zsda.core.runs import matching_runs
    from zsda.evaluation.protocols import find_protocol
    from zsda.reporting import formats
    from zsda.reporting.alike import warn_of_other_settings, warn_of_unequal_lengths
    from zsda.reporting.comparison import Comparison
    from zsda.reporting.grids import grids
    from zsda.reporting.layout import kept_layouts
    from zsda.reporting.published import quoted_beside
    from zsda.reporting.results import read_results
    from zsda.reporting.rounds import read_rounds
    from zsda.reporting.run_scores import told_command

    for key, expected in _CHOICES.items():
        if config[key] not in expected:
            raise ConfigError(
                f"{key}={config[key]}; expected {' or '.join(str(choice) for choice in expected if choice)}"
            )
    chooses = config.selection == "best_on_target"
    if chooses and config.score not in (None, "miou", "miou_present"):
        raise ConfigError(
            f"score={config.score} is not known of every epoch; with selection={config.selection} give score=miou"
        )
    runs = matching_runs(Path(config.runs_root), _names(config.runs))
    score = config.score or find_protocol(config.protocol).headline
    results = read_results(runs, config.protocol, score if chooses else None)
    if not any(score in scores for result in results for scores in result.settings.values()):
        raise ConfigError(
            f"score={score}: no run was scored so, it is a mean of a part of the 19 classes; give score=miou"
        )
    comparison = Comparison(results, _chosen_targets(config, results), score)
    names = {result.run for result in comparison.results}
    compared = [run for run in runs if run.path.name in names]
    warn_of_unequal_lengths(compared)
    warn_of_other_settings(compared)
    quoted, elsewhere = quoted_beside([] if chooses else comparison.results, score)
    if elsewhere:
        _log.info("published figures compare by another score, which score=%s shows", " or ".join(elsewhere))
    against = _names(config.against)
    unknown = [name for name in against if name not in comparison.methods]
    if unknown and given("against"):
        _log.warning("against: there are no runs of %s", ", ".join(unknown))
    tables = grids(comparison, against, kept_layouts(comparison), quoted, read_rounds(compared, comparison.results))
    written = formats.report_files(tables, comparison, results, told_command(provenance()))
    remove_parts(Path(config.out))
    for name, content in written.items():
        write_atomic(Path(config.out) / name, content)
    console = formats.wide_console()
    for table in formats.screen(tables):
        console.print(table)
    _log.info("written: %s in %s", ", ".join(written), config.out)


def _chosen_targets(config: DictConfig, results: "list[RunScores]") -> list[str] | None:
    from zsda.reporting.run_scores import OF_EDITS

    if config.domains is None:
        return None
    # Scores of a run in other settings than its target are not compared.
    found = {name for result in results for name in ([result.target] if result.target else result.settings)}
    known = found - {results[0].source_setting} - OF_EDITS
    unknown = [name for name in _names(config.domains) if name not in known]
    if unknown:
        raise ConfigError(
            f"domains={','.join(unknown)}: no run was adapted to it, and none without a target was scored in it; expected some of "
            f"{', '.join(sorted(known))}"
        )
    return _names(config.domains)


def _names(value: Any) -> list[str]:  # noqa: ANN401 - one name or a list of them
    return [str(name) for name in (value if OmegaConf.is_list(value) else [value])]


if __name__ == "__main__":
    main()
