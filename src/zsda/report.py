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
    from zsda.reporting.results import read_results, results_csv
    from zsda.reporting.tables import comparison_table, markdown_table
    from zsda.runs import matching_runs, write_atomic

    patterns = [str(name) for name in (config.runs if OmegaConf.is_list(config.runs) else [config.runs])]
    results = read_results(matching_runs(Path(config.runs_root), patterns), config.protocol)
    comparison = Comparison(results)
    out = Path(config.out)
    write_atomic(out / "table.md", markdown_table(comparison).encode())
    write_atomic(out / "scores.csv", results_csv(results))
    Console().print(comparison_table(comparison))
    _log.info("written: table.md and scores.csv in %s", out)


if __name__ == "__main__":
    main()
