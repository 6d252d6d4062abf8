"""``python -m zsda.train``: runs the phases of a method."""

import logging
from pathlib import Path

from omegaconf import DictConfig

from zsda.core.command import command, process_rank
from zsda.core.config import build, build_machine, build_network, build_phases, check_fits, class_set
from zsda.core.errors import ConfigError, Gathered
from zsda.core.files import check_writable
from zsda.core.listing import check_training_data
from zsda.core.locks import owned
from zsda.core.planning import plan_training
from zsda.core.provenance import provenance
from zsda.core.resources import located
from zsda.core.runs import RunFolder
from zsda.core.trained import check_weights
from zsda.reporting.checks import check_console
from zsda.reporting.plans import show_plan

_log = logging.getLogger(__name__)


@command("train")
def main(config: DictConfig) -> float | None:
    """Trains, and returns the mIoU on the first watched set."""
    run = RunFolder(Path(config.runs_root) / config.name)
    if config.dry_run:
        if process_rank() == 0:
            show_plan(check_console(), plan_training(config), "mend them and start again")
        return None
    # Before the slow imports, and by one process for all: who comes second must not wait long to be told.
    own = [run.path] if process_rank() == 0 else []
    check_writable("runs_root", *own)
    with owned(*own):
        return _train(config, run)


def _train(config: DictConfig, run: RunFolder) -> float | None:
    # What most mistakes are in, before the slow imports.
    check_fits(config)
    wrong = Gathered()
    if config.model.get("weights") is not None:
        with wrong.gather():
            check_weights(located(config.model.weights))
    if config.world.prepare is not None:
        wrong.conclude()  # before a world is rendered
        build(config.world.prepare)
    if process_rank() == 0:  # the others list the same once more when they build their phases
        with wrong.gather():
            check_training_data(config)
    wrong.conclude()

    import lightning as L

    from zsda.adaptation.phases import check_phases, run_phases
    from zsda.adaptation.weights import check_taken, taken_phases
    from zsda.core.departures import departures
    from zsda.core.recording import Trained, training_record
    from zsda.models.sizes import check_sizes
    from zsda.models.weights import load_start_weights
    from zsda.training.fit import Engine

    L.seed_everything(config.seed, workers=True, verbose=False)
    machine = build_machine(config)
    phases = build_phases(config, machine.workers)
    before = None if config.start_run is None else RunFolder(Path(config.runs_root) / str(config.start_run))
    taken = [] if before is None else taken_phases(before, phases)
    phases = [*taken, *phases[len(taken) :]]
    engine = Engine(
        trainer=machine.trainer,
        loggers=list(build(config.machine.logger).values()) if config.machine.get("logger") else [],
        keep=config.keep,
        compile=config.compile,
        **config.checkpoint,
    )
    processes = engine.trainer(logger=False, enable_checkpointing=False).world_size
    # Before the network, which may have to be fetched.
    facts = check_phases(phases, processes, config.machine.sync_batchnorm)
    if "unlabelled" in config and facts.unlabelled is None and "unlabelled" not in config.data:
        raise ConfigError(
            "unlabelled= names images that no phase reads; give data=NAME_unpaired with a method that trains on them, or leave it out"
        )
    model = build_network(config.model, pretrained=before is None)
    if config.model.get("weights") is not None:
        load_start_weights(model, located(config.model.weights), other_classes=len(class_set(config)) != 19)
    if process_rank() == 0:
        check_sizes(model, facts.shown)
    names = [phase.name for phase in phases]
    trained = Trained(
        names,
        machine.precision,
        taken=names[: len(taken)],
        **{key: value for key, value in vars(facts).items() if key != "shown"},
    )
    departed = departures(config, trained.unread)
    start = {**provenance(), **_places(config)}
    record = training_record(config, trained)
    if before is not None and record.header is not None:
        check_taken(before, record.header)
    run.claim(record, start, write=process_rank() == 0)
    if departed:
        _log.info("not the published setting of experiment=%s: %s", config.published, ", ".join(departed))
    run_phases(phases, model, config.seed, engine, run)
    result = run.finished_phase()
    _log.info(
        "trained: the weights are %s; evaluate with python -m zsda.eval setting=... run=%s", result.weights, config.name
    )
    return next(iter(result.report().watched.values()), None)


def _places(config: DictConfig) -> dict[str, str]:
    """Returns where a run reads, for the pages that show it."""
    places = {key: config[key] for key in ("data_root", "generated_root")}
    if config.data.get("file") is not None:
        places["data_file"] = config.data.file
    return {key: str(Path(place).absolute()) for key, place in places.items()}


if __name__ == "__main__":
    main()
