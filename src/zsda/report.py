"""``python -m zsda.report``: compares evaluated runs over their seeds."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from zsda.core.command import command, given
from zsda.core.errors import ConfigError

if TYPE_CHECKING:
    from zsda.reporting.results import RunScores

_log = logging.getLogger(__name__)

_CHOICES = {"score": (None, "miou", "miou_present"), "selection": ("last", "best_on_target")}


@command("report")
def main(config: DictConfig) -> None:
    """Prints the comparison, and writes it as Markdown, LaTeX and CSV."""
    from zsda.core.files import remove_parts, write_atomic
    from zsda.core.runs import matching_runs
    from zsda.evaluation.protocols import find_protocol
    from zsda.reporting import formats, published
    from zsda.reporting.alike import warn_of_other_settings, warn_of_unequal_lengths
    from zsda.reporting.comparison import Comparison
    from zsda.reporting.grids import grids
    from zsda.reporting.layout import kept_layouts
    from zsda.reporting.results import read_results, results_csv

    for key, expected in _CHOICES.items():
        if config[key] not in expected:
            raise ConfigError(
                f"{key}={config[key]}; expected {' or '.join(str(choice) for choice in expected if choice)}"
            )
    chooses = config.selection == "best_on_target"
    runs = matching_runs(Path(config.runs_root), _names(config.runs))
    score = config.score or find_protocol(config.protocol).headline
    results = read_results(runs, config.protocol, score if chooses else None)
    comparison = Comparison(results, _chosen_targets(config, results), score)
    names = {result.run for result in comparison.results}
    compared = [run for run in runs if run.path.name in names]
    warn_of_unequal_lengths(compared)
    warn_of_other_settings(compared)
    beside = published.compares(results)
    if beside and score != published.SCORE:
        _log.info("the paper's figures compare with mIoU over all classes; score=%s shows them", published.SCORE)
    quoted = published.QUOTED if beside and score == published.SCORE else ()
    against = _names(config.against)
    unknown = [name for name in against if name not in comparison.methods]
    if unknown and given("against"):
        _log.warning("against: there are no runs of %s", ", ".join(unknown))
    tables = grids(comparison, against, kept_layouts(comparison), quoted)
    # Under a name of their own, so that they are never taken for results without target labels.
    ending = "_oracle_selection" if chooses else ""
    written = {
        f"table{ending}.md": formats.markdown(tables).encode(),
        f"table{ending}.tex": formats.latex(tables).encode(),
        f"table{ending}.csv": formats.table_csv(comparison, against, quoted),
        f"scores{ending}.csv": results_csv(results),
    }
    remove_parts(Path(config.out))
    for name, content in written.items():
        write_atomic(Path(config.out) / name, content)
    console = formats.wide_console()
    for table in formats.screen(tables):
        console.print(table)
    _log.info("written: %s in %s", ", ".join(written), config.out)


def _chosen_targets(config: DictConfig, results: "list[RunScores]") -> list[str] | None:
    if config.domains is None:
        return None
    # Scores of a run in other settings than its target are not compared.
    known = {name for result in results for name in ([result.target] if result.target else result.settings)}
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
