"""``python -m zsda.train``: runs the phases of a method."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from zsda.command import choices, command, process_rank
from zsda.config import build, build_network, plain, prepare_world, seed_of, trainer_factory

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
    import lightning as L

    from zsda.adaptation.phases import Ingredients, check_phases, run_phases
    from zsda.departures import departures
    from zsda.models.weights import load_start_weights
    from zsda.runs import RunFolder, check_folder_name, provenance, without
    from zsda.shipped import located

    check_folder_name("name", config.name)
    prepare_world(config)
    L.seed_everything(seed_of(config), workers=True, verbose=False)
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
    run = RunFolder(Path(config.runs_root) / config.name)
    check_phases(phases, data)
    unread = (*VOLATILE, *_unseen(phases))
    departed = departures(config, unread)
    settings = without(plain(config), unread)
    run.claim(settings, choices(), [phase.name for phase in phases], provenance(), write=process_rank() == 0)
    if departed:
        _log.info("not the published setting of experiment=%s: %s", config.published, ", ".join(departed))
    last = run_phases(phases, ingredients, run)
    _log.info(
        "trained: the weights are %s; evaluate with python -m zsda.eval setting=... run=%s", last.weights, config.name
    )
    return next(iter(last.report()["watched"].values()), None)


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
