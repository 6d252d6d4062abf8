"""``python -m zsda.study``: a fixed list of runs, generated, trained, scored and compared by the other commands."""

import logging
from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from zsda.core.command import choices, command, own_folders
from zsda.core.config import build
from zsda.core.errors import ConfigError, IncompleteError
from zsda.core.files import check_writable
from zsda.core.jobs import Job, run_jobs
from zsda.core.limits import cores
from zsda.core.locks import owned
from zsda.core.study_runs import StudyList, StudyRun, study_list, study_runs

_log = logging.getLogger(__name__)

_ON_A_GPU = 4  # runs side by side, none of which fills it with the network of the miniature
_MOST_WORKERS = 4
_FOR_ALL = ("world.", "trainer=", "trainer.", "machine.")


@command("study")
def main(config: DictConfig) -> None:
    """Makes what is missing of the list, and compares what is there: pages, ``scores.csv`` and picture sheets in ``out``."""
    chosen = study_list(config, choices()["list"])
    runs, root = study_runs(chosen, config.parts, config.seeds), Path(config.runs_root)
    _check(config, chosen)
    for key in ("runs_root", "out"):
        check_writable(key, Path(config[key]))
    with owned(root):
        _prepare(config, chosen, runs)
        wrong = _run(config, _jobs(config, chosen, runs))
        scored = [run for run in runs if any((root / run.name).glob("eval/*/scores.json"))]
        if scored:
            _write_scores(config, chosen, scored)
            wrong |= _run(config, _reports(config, chosen, scored))
            shown = {domain for domain in _with_sheets(config, chosen, scored) if f"{domain}_shown" not in wrong}
            _write_sheets(config, chosen, scored, shown)
            _log.info("the pages, scores.csv and sheets are in %s", config.out)
    if wrong:
        names = list(wrong)
        raise IncompleteError(
            f"{len(names)} jobs failed or left something out, {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}; {root / 'logs'} "
            "tells why; once it is mended, start the study again"
        )


def _check(config: DictConfig, chosen: StudyList) -> None:
    from zsda.evaluation.protocols import SCORE_NAMES, SUBSETS, chosen_protocol

    chosen_protocol(chosen.protocol)
    if chosen.score not in {**SCORE_NAMES, **SUBSETS}:
        raise ConfigError(f"score={chosen.score} of the list; expected one of {', '.join({**SCORE_NAMES, **SUBSETS})}")
    if config.machine.devices != 1 or config.machine.num_nodes != 1:
        raise ConfigError(
            f"trainer={choices()['trainer']}: a study runs several trainings side by side, each on one device; expected trainer=auto, cpu "
            "or gpu"
        )


def _run(config: DictConfig, jobs: Sequence[Job]) -> dict[str, Path]:
    """Runs jobs side by side, and returns those that failed or had to leave inputs out -> their logs."""
    from rich.console import Console

    from zsda.reporting.board import Board

    number = _side_by_side(config)
    with Board(Console(), len(jobs)) as board:
        environment = {"OMP_NUM_THREADS": str(max(1, cores() // number))}
        run_jobs(jobs, number, Path(config.runs_root) / "logs", environment, board.begun, board.ended)
    return {one.job.name: one.log for one in (*board.failed, *board.incomplete)}


def _jobs(config: DictConfig, chosen: StudyList, runs: Sequence[StudyRun]) -> list[Job]:
    """Returns the commands: each set before the first run that reads it, each run followed by its scores."""
    folders = own_folders()  # of the user's configs; Hydra wants them first
    world = [f"data_root={config.data_root}", *_workers(config), *_world(chosen)]
    words, jobs = [f"runs_root={config.runs_root}", *world], dict[str, Job]()
    for run in runs:
        sets = [f"{run.domain}_{recipe}" for recipe in run.sets]
        for name, recipe in zip(sets, run.sets, strict=True):
            made = ("generate", *folders, f"domain={run.domain}", f"recipe={recipe}", *world)
            jobs.setdefault(name, Job(name, made))
        needed = (*sets, *([] if run.start is None else [run.start]))
        jobs[run.name] = Job(run.name, ("train", *folders, *run.words, *words), needed)
        # As a list, of which known scores are read.
        scores = [f"run=[{run.name}]", f"setting=[{','.join(run.scored_in)}]", f"protocol={chosen.protocol}"]
        scores += [] if chosen.size is None else [f"size=[{','.join(map(str, chosen.size))}]"]
        jobs[f"{run.name}_scores"] = Job(f"{run.name}_scores", ("eval", *folders, *scores, *words), (run.name,))
    if chosen.sheets is not None:
        for domain in _with_sheets(config, chosen, runs):
            limit = (f"domain={domain}", "split=val", f"limit={chosen.sheets.scenes}")
            before = tuple(name for name in (f"{domain}_intermediate", f"{domain}_target") if name in jobs)
            jobs[f"{domain}_shown"] = Job(f"{domain}_shown", ("generate", *folders, *limit, *world), before)
    return list(jobs.values())


def _reports(config: DictConfig, chosen: StudyList, scored: Sequence[StudyRun]) -> list[Job]:
    """Returns a report of each part of which something is scored."""
    jobs = []
    for name, about in chosen.reports.items():
        of_parts = [run for run in scored if about.parts is None or run.part in about.parts]
        runs = [run.name for run in of_parts if run.method in about.methods]
        if runs:
            words = (f"runs=[{','.join(runs)}]", f"runs_root={config.runs_root}", f"out={config.out}/{name}")
            how = (f"against=[{','.join(about.against)}]", f"protocol={chosen.protocol}", f"score={chosen.score}")
            jobs.append(Job(f"report_{name}", ("report", *own_folders(), *words, *how)))
    return jobs


def _write_scores(config: DictConfig, chosen: StudyList, scored: Sequence[StudyRun]) -> None:
    from zsda.core.files import write_atomic
    from zsda.core.runs import matching_runs
    from zsda.reporting.results import read_results
    from zsda.reporting.run_scores import results_csv

    runs = matching_runs(Path(config.runs_root), [run.name for run in scored])
    write_atomic(Path(config.out) / "scores.csv", results_csv(read_results(runs, chosen.protocol)))


def _with_sheets(config: DictConfig, chosen: StudyList, runs: Sequence[StudyRun]) -> dict[str, dict[str, str]]:
    """Returns domain -> method -> run of the first seed, of the domains for which all methods of the sheets have one."""
    methods = [] if chosen.sheets is None else chosen.sheets.methods
    first = [run for run in runs if run.seed == config.seeds[0] and run.method in methods]
    found = {
        domain: {run.method: run.name for run in first if run.domain in (None, domain)}
        for domain in dict.fromkeys(run.domain for run in first if run.domain is not None)
    }
    return {
        domain: {method: names[method] for method in methods}
        for domain, names in found.items()
        if {*names} == {*methods}
    }


def _write_sheets(config: DictConfig, chosen: StudyList, scored: Sequence[StudyRun], domains: set[str]) -> None:
    """Draws the first scenes of each domain at every station, for which `_jobs` made the edits."""
    from zsda.core.networks import network_of_run
    from zsda.core.runs import matching_runs
    from zsda.reporting.scenes import write_adaptation_sheet

    for domain, names in _with_sheets(config, chosen, scored).items():
        if domain in domains and chosen.sheets is not None:
            folders = matching_runs(Path(config.runs_root), list(names.values()))
            by_name = {folder.path.name: network_of_run(folder) for folder in folders}
            networks = {f"{method} predicts": by_name[name] for method, name in names.items()}
            path, data = Path(config.out) / f"{domain}.jpg", Path(config.data_root)
            write_adaptation_sheet(path, data, domain, networks, chosen.sheets.scenes)


def _world(chosen: StudyList) -> list[str]:
    """Returns the words that every set, training and evaluation gets: the world, and those of the command line about all."""
    said = [word for word in HydraConfig.get().overrides.task if word.lstrip("+~").startswith(_FOR_ALL)]
    scenes = [f"world.prepare.{split}={count}" for split, count in _scenes(chosen).items()]
    return [f"world={choices()['world']}", *chosen.for_all, *scenes, *said]


def _scenes(chosen: StudyList) -> dict[str, int]:
    """Returns how many scenes the city has; what a word of the user says of the world itself wins."""
    said = {word.split("=")[0] for word in HydraConfig.get().overrides.task}
    return {split: n for split, n in (chosen.scenes or {}).items() if f"world.prepare.{split}" not in said}


def _prepare(config: DictConfig, chosen: StudyList, runs: Sequence[StudyRun]) -> None:
    """Renders the world with all frames to train on, which several trainings would otherwise begin at once."""
    if config.world.prepare is not None:
        looks = sorted({setting for run in runs for setting in run.scored_in})
        build(config.world.prepare, trained_on=looks, **_scenes(chosen))


def _side_by_side(config: DictConfig) -> int:
    return int(config.jobs or (_ON_A_GPU if _has_gpu(config) else cores()))


def _workers(config: DictConfig) -> list[str]:
    """Returns how many processes load for each run: none where it has a core to itself."""
    workers = min(_MOST_WORKERS, cores() // _side_by_side(config)) if _has_gpu(config) else 0
    return [f"machine.num_workers={workers}"]


def _has_gpu(config: DictConfig) -> bool:
    if config.machine.accelerator == "cpu":
        return False
    import torch

    return torch.accelerator.is_available()


if __name__ == "__main__":
    main()
