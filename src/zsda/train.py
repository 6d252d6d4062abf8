"""``python -m zsda.train``: runs the phases of a method."""

import logging
from pathlib import Path

from omegaconf import DictConfig

from zsda.config import (
    build,
    build_network,
    choices,
    command,
    plain,
    prepare_world,
    process_rank,
    seed_of,
    trainer_factory,
)

_log = logging.getLogger(__name__)

# What may differ between two starts of one run: where it runs and what it writes, not what it computes.
_VOLATILE = (
    "logger",
    "runs_root",
    "name",
    "data.num_workers",
    # Of a world, what training does not read, and what stands under data, method and trainer once more.
    *(f"world.{key}" for key in ("num_workers", "epochs", "editor", "steps", "text_guidance", "image_guidance")),
    *(f"trainer.{key}" for key in ("_target_", "_partial_", "accelerator", "strategy", "log_every_n_steps")),
    *(f"trainer.{key}" for key in ("enable_model_summary", "enable_progress_bar", "check_val_every_n_epoch")),
)


@command("train")
def main(config: DictConfig) -> float | None:
    """Trains, and returns the mIoU on the first watched set."""
    import lightning as L

    from zsda.adaptation.phases import Ingredients, check_phases, run_phases
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
    ingredients = Ingredients(
        model=model,
        data=data,
        optimizer=build(config.optimizer),
        schedule=build(config.schedule),
        trainer=trainer_factory(config.trainer),
        loggers=list(build(config.logger).values()) if "logger" in config else [],
        seed=config.seed,
    )
    run = RunFolder(Path(config.runs_root) / config.name)
    check_phases(phases, data)
    # A run that sees no domain is the same one for all of them, so that a sweep over domains trains it once.
    settings = without(plain(config), (*_VOLATILE, *(("domain", "data.domain") if "scope" in config.method else ())))
    run.claim(settings, choices(), [phase.name for phase in phases], provenance(), write=process_rank() == 0)
    last = run_phases(phases, ingredients, run)
    _log.info(
        "trained: the weights are %s; evaluate with python -m zsda.eval setting=... run=%s", last.weights, config.name
    )
    return next(iter(last.report()["watched"].values()), None)


if __name__ == "__main__":
    main()
