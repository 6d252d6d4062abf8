"""``python -m zsda.report``: compares evaluated runs over their seeds."""

import logging
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from zsda.core.command import command, given
from zsda.core.errors import ConfigError
from zsda.core.files import check_writable

_log = logging.getLogger(__name__)


@command("report")
def main(config: DictConfig) -> None:
    """Prints the comparison, and writes it as a page with pictures, as Markdown, LaTeX and CSV; or fills documents."""
    if config.documents:
        _fill(config)
        return
    _check(config)
    check_writable("out", Path(config.out))

    from zsda.core.files import remove_parts, write_atomic
    from zsda.core.provenance import provenance
    from zsda.core.runs import matching_runs
    from zsda.evaluation.protocols import find_protocol
    from zsda.reporting import formats
    from zsda.reporting.alike import warn_of_other_settings, warn_of_unequal_lengths
    from zsda.reporting.comparison import Comparison, check_scored, known_targets
    from zsda.reporting.grids import grids
    from zsda.reporting.layout import kept_layouts
    from zsda.reporting.page import Page
    from zsda.reporting.published import quoted_beside
    from zsda.reporting.results import read_results
    from zsda.reporting.rounds import read_rounds
    from zsda.reporting.run_scores import told_command

    chooses = config.selection == "best_on_target"
    runs = matching_runs(Path(config.runs_root), _names(config.runs))
    score = config.score or find_protocol(config.protocol).headline
    results = read_results(runs, config.protocol, score if chooses else None)
    check_scored(results, score)
    targets = None if config.domains is None else known_targets(results, _names(config.domains))
    comparison = Comparison(results, targets, score)
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
    made = provenance()
    written = formats.report_files(tables, comparison, results, told_command(made))
    remove_parts(Path(config.out))
    for name, content in written.items():
        write_atomic(Path(config.out) / name, content)
    console = formats.wide_console()
    for table in formats.screen(tables):
        console.print(table)
    shown = None if config.pictures is None else _names(config.pictures)
    page = f"{formats.file_name('report', comparison)}.html"
    html = Page(comparison, tables, compared, told_command(made), made).html(written, shown, config.scenes)
    write_atomic(Path(config.out) / page, html)
    _log.info("written: %s in %s", ", ".join([page, *written]), config.out)


def _fill(config: DictConfig) -> None:
    """Writes the marked places of documents anew."""
    others = [str(key) for key in config if key != "documents" and given(str(key))]
    if others:
        raise ConfigError(
            f"documents= goes together with no other option, for documents name their scores and what they show of them; leave out "
            f"{', '.join(f'{key}=' for key in others)}"
        )

    from zsda.core.files import read_regular, write_atomic
    from zsda.reporting.documents import fill_documents

    for path, content in fill_documents([Path(name) for name in _names(config.documents)]).items():
        same = path.is_file() and read_regular(path) == content
        if not same:
            write_atomic(path, content)
        _log.info("%s: %s", "unchanged" if same else "written", path)


def _check(config: DictConfig) -> None:
    if config.selection == "best_on_target" and config.score not in (None, "miou", "miou_present"):
        raise ConfigError(
            f"score={config.score} is not known of every epoch; with selection={config.selection} give score=miou"
        )


def _names(value: Any) -> list[str]:  # noqa: ANN401 - one name or a list of them
    return [str(name) for name in (value if OmegaConf.is_list(value) else [value])]


if __name__ == "__main__":
    main()
