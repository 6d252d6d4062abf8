"""``python -m zsda.train``: runs the phases of a method."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from zsda.command import command, process_rank
from zsda.config import build, build_network, prepare_world, seed_of, trainer_factory
from zsda.files import check_folder_name
from zsda.locks import owned
from zsda.provenance import provenance
from zsda.runs import RunFolder

if TYPE_CHECKING:
    from zsda.adaptation.phases import Phase

_log = logging.getLogger(__name__)

# Of a world, what training does not read, or what stands under data, method and trainer once more.
_UNREAD = (
    "num_workers",
    "epochs",
    "editor",
    "steps",
    "text_guidance",
    "image_guidance",
    "fog_frames",
    "layout_network",
    "imagenet",
)
# What may differ between two starts of one run: where it runs and what it writes, not what it computes.
VOLATILE = (
    "logger",
    "runs_root",
    "name",
    "keep_every",
    "published",
    "data.num_workers",
    *(f"world.{key}" for key in _UNREAD),
    *(f"trainer.{key}" for key in ("_target_", "_partial_", "accelerator", "strategy", "log_every_n_steps")),
    *(f"trainer.{key}" for key in ("enable_model_summary", "enable_progress_bar", "check_val_every_n_epoch")),
)


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

    from zsda.adaptation.phases import Ingredients, check_phases, run_phases
    from zsda.departures import departures
    from zsda.models.weights import load_start_weights
    from zsda.recording import training_record
    from zsda.shipped import located

    prepare_world(config)
    L.seed_everything(config.seed, workers=True, verbose=False)
    phases = [build(node, name=name) for name, node in config.method.phases.items()]
    data = build(config.data)
    model = build_network(config.model)
    if config.model.get("weights") is not None:
        load_start_weights(model, located(config.model.weights))
    make_trainer = trainer_factory(config.trainer)
    processes = make_trainer(logger=False, enable_checkpointing=False).world_size
    data.check_shared(processes, bool(config.trainer.get("sync_batchnorm")))
    ingredients = Ingredients(
        model=model,
        data=data,
        optimizer=build(config.optimizer),
        schedule=build(config.schedule),
        trainer=make_trainer,
        loggers=list(build(config.logger).values()) if "logger" in config else [],
        seed=config.seed,
        keep_every=config.keep_every,
    )
    files = check_phases(phases, data)
    unread = (*VOLATILE, *_unseen(phases))
    departed = departures(config, unread)
    start = {**provenance(), "data_root": str(Path(config.data_root).absolute())}
    views = {phase.name: phase.views for phase in phases}
    run.claim(training_record(config, views, unread, files), start, write=process_rank() == 0)
    if departed:
        _log.info("not the published setting of experiment=%s: %s", config.published, ", ".join(departed))
    last = run_phases(phases, ingredients, run)
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
