"""``python -m zsda.train``: runs the phases of a method."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from zsda.core.command import command, process_rank
from zsda.core.config import build, build_network, loader_workers, prepare_world, seed_of, trainer_factory
from zsda.core.files import check_folder_name
from zsda.core.locks import owned
from zsda.core.provenance import provenance
from zsda.core.runs import RunFolder

if TYPE_CHECKING:
    from zsda.adaptation.phases import Phase

_log = logging.getLogger(__name__)


@command("train")
def main(config: DictConfig) -> float | None:
    """Trains, and returns the mIoU on the first watched set."""
    check_folder_name("name", config.name)
    seed_of(config)
    run = RunFolder(Path(config.runs_root) / str(config.name))
    # Before the slow imports, and by one process for all: who comes second must not wait long to be told.
    with owned(*([run.path] if process_rank() == 0 else [])):
        return _train(config, run)


def _train(config: DictConfig, run: RunFolder) -> float | None:
    import lightning as L

    from zsda.adaptation.phases import Shared, check_phases, run_phases
    from zsda.core.departures import departures
    from zsda.core.recording import Trained, training_record
    from zsda.core.resources import located
    from zsda.data.labels import CLASS_NAMES
    from zsda.models.weights import load_start_weights

    prepare_world(config)
    L.seed_everything(config.seed, workers=True, verbose=False)
    phases = [build(node, name=name) for name, node in config.method.phases.items()]
    data = build(config.data, num_workers=loader_workers(config.machine))
    model = build_network(config.model)
    if config.model.get("weights") is not None:
        load_start_weights(model, located(config.model.weights))
    make_trainer = trainer_factory(config.trainer, config.machine)
    processes = make_trainer(logger=False, enable_checkpointing=False).world_size
    data.check_shared(processes, config.machine.sync_batchnorm)
    shared = Shared(
        model=model,
        data=data,
        optimizer=build(config.optimizer),
        schedule=build(config.schedule),
        trainer=make_trainer,
        loggers=list(build(config.machine.logger).values()) if config.machine.get("logger") else [],
        seed=config.seed,
        keep_every=config.keep_every,
    )
    files = check_phases(phases, data)
    unread = _unseen(phases)
    departed = departures(config, unread)
    start = {**provenance(), "data_root": str(Path(config.data_root).absolute())}
    views = {phase.name: phase.views for phase in phases}
    trained = Trained(views, files, data.source.name, CLASS_NAMES, unread)
    run.claim(training_record(config, trained), start, write=process_rank() == 0)
    if departed:
        _log.info("not the published setting of experiment=%s: %s", config.published, ", ".join(departed))
    last = run_phases(phases, shared, run)
    _log.info(
        "trained: the weights are %s; evaluate with python -m zsda.eval setting=... run=%s", last.weights, config.name
    )
    return next(iter(last.report().watched.values()), None)


def _unseen(phases: "list[Phase]") -> list[str]:
    """Names the settings that make no difference to these phases."""
    views = {view for phase in phases for view in phase.views}
    # A run that sees no domain is the same one for all of them, so that a sweep over domains trains it once.
    return [
        *([] if "classical" in views else ["data.weather"]),
        *(["domain", "data.domain"] if views == {"source"} else []),
    ]


if __name__ == "__main__":
    main()
