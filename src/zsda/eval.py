"""``python -m zsda.eval``: scores runs or a file of weights on one or several settings."""

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from zsda.config import build, build_network, command, given, prepare_world, process_rank, trainer_factory
from zsda.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from zsda.evaluation.subjects import Subject

_log = logging.getLogger(__name__)


@command("eval")
def main(config: DictConfig) -> float:
    """Evaluates, and returns the mean of all mIoU."""
    from rich.console import Console

    from zsda.data.faults import FaultLog
    from zsda.evaluation.scoring import Scorer
    from zsda.reporting.tables import runs_table, scores_table

    if "settings" not in config:
        names = "day, night, snow, rain, fog or game"
        raise ConfigError(f"which setting? give setting={names}, or several as setting=[day,night]")
    if OmegaConf.is_missing(config, "edits_of") and {"edited", "rendered"} & config.settings.keys():
        raise ConfigError("setting=edited and setting=rendered belong to a domain; give edits_of=night, for example")
    pattern = OmegaConf.is_list(config.run) or any(sign in str(config.run) for sign in "*?[")
    several = pattern and config.ckpt is None
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
        scored = scorer.score(subject, known=several)
        faults.add(scored.left_out)
        results[subject.title] = scored.settings
        if process_rank() == 0 and not several:
            console.print(scored.title, style="bold", soft_wrap=True)
            console.print(scores_table(scored.settings))
        _log.info("%s %s", "scored before, read from" if scored.known else "written:", scored.folder)
    if process_rank() == 0 and several:
        console.print(runs_table(results, config.protocol))
    faults.conclude(f"evaluated, the results are in {config.out or config.runs_root if several else scored.folder}")
    values = [scores["miou"] for settings in results.values() for scores in settings.values()]
    return sum(values) / len(values)


def _single(config: DictConfig) -> "Subject":
    from zsda.evaluation.subjects import Subject, run_subject
    from zsda.runs import RunFolder, latest_finished_run
    from zsda.shipped import located

    root, out = Path(config.runs_root), None if config.out is None else Path(config.out)
    if config.ckpt is not None:
        weights, size = located(config.ckpt), list(config.size or config.world.size)
        network = partial(build_network, config.model, pretrained=False)
        return Subject(str(weights), weights, size, out or root / weights.stem / "eval", network)
    _refuse_model()
    run = RunFolder(root / str(config.run)) if config.run is not None else latest_finished_run(root)
    return run_subject(run, config.phase, config.size, out)


def _matching(config: DictConfig) -> "list[Subject]":
    from zsda.evaluation.subjects import run_subject
    from zsda.runs import matching_runs

    _refuse_model()
    patterns = [str(name) for name in (config.run if OmegaConf.is_list(config.run) else [config.run])]
    subjects = []
    for run in matching_runs(Path(config.runs_root), patterns):
        out = None if config.out is None else Path(config.out) / run.path.name
        try:
            subjects.append(run_subject(run, config.phase, config.size, out))
        except StoreError as error:
            _log.warning("skipped: %s", error)
    if not subjects:
        raise StoreError(f"none of the runs that match {', '.join(patterns)} could be evaluated; see above")
    return subjects


def _refuse_model() -> None:
    if given("model"):
        raise ConfigError("a run brings its own network; model= goes with ckpt=FILE only")


if __name__ == "__main__":
    main()
