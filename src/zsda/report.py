"""``python -m zsda.report``: compares evaluated runs over their seeds."""

import logging
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from zsda.config import command

_log = logging.getLogger(__name__)


@command("report")
def main(config: DictConfig) -> None:
    """Prints the comparison, and writes it as Markdown and CSV."""
    from rich.console import Console

    from zsda.reporting.comparison import Comparison
    from zsda.reporting.results import read_results, results_csv, warn_of_unequal_lengths
    from zsda.reporting.tables import comparison_table, markdown_table
    from zsda.runs import matching_runs, write_atomic

    patterns = [str(name) for name in (config.runs if OmegaConf.is_list(config.runs) else [config.runs])]
    runs = matching_runs(Path(config.runs_root), patterns)
    results = read_results(runs, config.protocol)
    compared = {result.run for result in results}
    warn_of_unequal_lengths([run for run in runs if run.path.name in compared])
    comparison = Comparison(results)
    out = Path(config.out)
    write_atomic(out / "table.md", markdown_table(comparison).encode())
    write_atomic(out / "scores.csv", results_csv(results))
    Console().print(comparison_table(comparison))
    _log.info("written: table.md and scores.csv in %s", out)


if __name__ == "__main__":
    main()
