"""``python -m zsda.generate``: edits source images into generated sets."""

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from zsda.command import command, process_rank
from zsda.config import build, build_domain, build_recipes, prepare_world, seed_of, trainer_factory
from zsda.errors import ConfigError
from zsda.locks import owned

if TYPE_CHECKING:
    from zsda.generation.domains import Domain
    from zsda.generation.recipes import Recipe

_log = logging.getLogger(__name__)


@command("generate")
def main(config: DictConfig) -> None:
    """Makes, or completes, one generated set for each recipe."""
    domain, recipes = build_domain(config), build_recipes(config)
    seed_of(config)
    roots = [Path(config.data_root) / f"{domain.name}_{recipe.name}" for recipe in recipes]
    if len(set(roots)) < len(roots):
        raise ConfigError(
            f"two recipes make one set, {max(roots, key=roots.count)}; expected recipes of different names"
        )
    # Before the slow imports, and by one process for all: who comes second must not wait long to be told.
    with owned(*(roots if process_rank() == 0 else [])):
        _generate(config, domain, dict(zip(roots, recipes, strict=True)))


def _generate(config: DictConfig, domain: "Domain", recipes: "Mapping[Path, Recipe]") -> None:
    from lightning.pytorch.callbacks import RichProgressBar

    from zsda.choosing import layout_judge
    from zsda.data.datasets import Cityscapes
    from zsda.data.faults import FaultLog
    from zsda.generation.cityscapes_root import CityscapesRoot
    from zsda.generation.layout import LayoutData, LayoutTask, LayoutWriter, complete_scores
    from zsda.generation.source import PatchDataModule, SourcePatches
    from zsda.generation.store import GeneratedStore
    from zsda.generation.task import GenerationTask, StoreWriter, complete_set

    prepare_world(config)
    source = Cityscapes(Path(config.data_root) / "cityscapes", config.split)
    make_trainer = partial(
        trainer_factory(config.trainer),
        logger=False,
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    trainer = make_trainer(callbacks=[StoreWriter(), RichProgressBar(leave=True)])
    judge = layout_judge(config.layout, config.model, config.world.size, Path(config.runs_root))
    chosen = {
        root: SourcePatches(source, recipe, domain, config.seed, config.limit) for root, recipe in recipes.items()
    }
    editor = build(config.editor).to(trainer.strategy.root_device)
    faults, unscored = FaultLog(), FaultLog("not scored")
    # All sets are checked before the first is begun: that one may take hours.
    sets = []
    for root, patches in chosen.items():
        recipe = patches.recipe
        settings = {
            "domain": domain.describe(),
            "recipe": recipe.describe(),
            "seed": config.seed,
            "editor": editor.describe(),
        }
        store = GeneratedStore(root, settings, config.retries)
        data = PatchDataModule(patches, store, config.batch_size, config.num_workers)
        task = GenerationTask(editor, recipe, domain, config.seed, config.batch_size, faults, config.retries)
        linked = CityscapesRoot(store.root, source.root) if config.cityscapes_root else None
        if linked is not None:
            linked.check_edits(config.split)
        sets.append((task, data, linked))
    for task, data, linked in sets:
        complete_set(trainer, task, data)
        if judge is not None:
            scored = LayoutData(data.patches, data.store, source, judge, config.num_workers)
            scorer = make_trainer(callbacks=[LayoutWriter(), RichProgressBar(leave=True)])
            complete_scores(scorer, LayoutTask(judge, unscored), scored)
        if linked is not None and trainer.is_global_zero:
            linked.link()
            _log.info("a Cityscapes root: %s", linked.root)
    for log in (faults, unscored):
        log.conclude(f"the sets of domain {domain.name} are finished")


if __name__ == "__main__":
    main()
