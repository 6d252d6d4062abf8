"""``python -m zsda.generate``: edits source images into generated sets."""

from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from zsda.config import build, command, conf_dir, prepare_world, trainer_factory
from zsda.errors import ConfigError

if TYPE_CHECKING:
    from zsda.generation.domains import Domain


@command("generate")
def main(config: DictConfig) -> None:
    """Makes, or completes, one generated set for each recipe."""
    domain = _domain(config)  # a mistake in it should not have to wait for the imports

    from lightning.pytorch.callbacks import RichProgressBar

    from zsda.data.datasets import Cityscapes
    from zsda.data.faults import FaultLog
    from zsda.generation.source import PatchDataModule, SourcePatches
    from zsda.generation.store import GeneratedStore
    from zsda.generation.task import GenerationTask, StoreWriter, complete_set

    recipes = list(build(config.recipes).values())
    prepare_world(config)
    data_root = Path(config.data_root)
    source = Cityscapes(data_root / "cityscapes", config.split)
    trainer = trainer_factory(config.trainer)(
        logger=False,
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        callbacks=[StoreWriter(), RichProgressBar(leave=True)],
    )
    editor = build(config.editor).to(trainer.strategy.root_device)
    faults = FaultLog()
    # All sets are checked before the first is begun: that one may take hours.
    sets = []
    for recipe in recipes:
        settings = {
            "domain": domain.describe(),
            "recipe": recipe.describe(),
            "seed": config.seed,
            "editor": editor.describe(),
        }
        store = GeneratedStore(data_root / f"{domain.name}_{recipe.name}", settings)
        patches = SourcePatches(source, recipe, domain, config.seed, config.limit)
        data = PatchDataModule(patches, store, config.batch_size, config.num_workers)
        sets.append((GenerationTask(editor, recipe, domain, config.seed, config.batch_size, faults), data))
    for task, data in sets:
        complete_set(trainer, task, data)
    faults.conclude(f"the sets of domain {domain.name} are finished")


def _domain(config: DictConfig) -> "Domain":
    if "domain" not in config:
        options = sorted(path.stem for path in (conf_dir() / "domain").glob("*.yaml"))
        raise ConfigError(f"which domain? give domain={', '.join(options)}")
    if OmegaConf.is_missing(config.domain, "prompt"):
        raise ConfigError(f'domain={config.domain.name} needs domain.prompt="...", e.g. "make it dusk"')
    return build(config.domain)


if __name__ == "__main__":
    main()
