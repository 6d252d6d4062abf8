"""``python -m zsda.eval``: scores runs or a file of weights on one or several settings."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from zsda.command import command, process_rank
from zsda.config import build, prepare_world, trainer_factory
from zsda.errors import ConfigError, StoreError
from zsda.files import check_folder_name
from zsda.runs import matching_runs

if TYPE_CHECKING:
    from zsda.evaluation.subjects import Subject

_log = logging.getLogger(__name__)


@command("eval")
def main(config: DictConfig) -> float:
    """Evaluates, and returns the mean of all mIoU."""
    from rich.console import Console

    from zsda.data.faults import FaultLog
    from zsda.evaluation.scoring import Scorer
    from zsda.reporting.tables import epochs_table, runs_table, scores_table

    if "settings" not in config:
        names = "day, night, snow, rain, fog or game"
        raise ConfigError(f"which setting? give setting={names}, or several as setting=[day,night]")
    for name in config.settings:
        check_folder_name("setting", name)
    if OmegaConf.is_missing(config, "edits_of") and {"edited", "rendered"} & config.settings.keys():
        raise ConfigError("setting=edited and setting=rendered belong to a domain; give edits_of=night, for example")
    pattern = OmegaConf.is_list(config.run) or any(sign in str(config.run) for sign in "*?[")
    several = pattern and config.ckpt is None
    if config.epochs and (config.ckpt is not None or config.masks):
        raise ConfigError(
            "epochs=true scores what a run kept of its training; it goes with neither ckpt= nor masks=true"
        )
    subjects = _matching(config) if several else [_single(config)]
    prepare_world(config)
    scorer = Scorer(
        datasets={name: build(node) for name, node in config.settings.items()},
        protocol=config.protocol,
        trainer=trainer_factory(config.trainer),
        batch_size=config.batch_size,
        num_workers=config.num_workers,
        masks=config.masks,
    )
    faults, results, console = FaultLog(), {}, Console()
    for subject in subjects:
        scored = scorer.score_epochs(subject) if config.epochs else scorer.score(subject, known=several)
        faults.add(scored.left_out)
        results[subject.title] = scored
        if process_rank() == 0 and not several and not config.epochs:
            console.print(scored.title, style="bold", markup=False, soft_wrap=True)
            console.print(scores_table(scored.settings))
        _log.info("%s %s", "scored before, read from" if scored.known else "written:", scored.folder)
    if process_rank() == 0 and config.epochs:
        console.print(epochs_table({title: scored.epochs for title, scored in results.items()}, config.protocol))
    elif process_rank() == 0 and several:
        console.print(runs_table({title: scored.settings for title, scored in results.items()}, config.protocol))
    faults.conclude(f"evaluated, the results are in {config.out or config.runs_root if several else scored.folder}")
    values = [scores["miou"] for scored in results.values() for scores in scored.settings.values()]
    return sum(values) / len(values)


def _single(config: DictConfig) -> "Subject":
    from zsda.choosing import chosen_subject

    return _checked(chosen_subject(config, "eval"), config)


def _matching(config: DictConfig) -> "list[Subject]":
    from zsda.choosing import refuse_model, run_subject

    refuse_model()
    patterns = [str(name) for name in (config.run if OmegaConf.is_list(config.run) else [config.run])]
    subjects = []
    for run in matching_runs(Path(config.runs_root), patterns):
        out = None if config.out is None else Path(config.out) / run.path.name
        try:
            subjects.append(_checked(run_subject(run, config.phase, config.size, out), config))
        except StoreError as error:
            _log.warning("skipped: %s", error)
    if not subjects:
        raise StoreError(f"none of the runs that match {', '.join(patterns)} could be evaluated; see above")
    return subjects


def _checked(subject: "Subject", config: DictConfig) -> "Subject":
    if config.epochs and len(subject.epochs) == 1:
        raise StoreError(f"{subject.title} kept only its last epoch; train it with keep_every=N to compare epochs")
    return subject


if __name__ == "__main__":
    main()
