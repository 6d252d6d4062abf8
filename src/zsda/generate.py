"""``python -m zsda.generate``: edits source images into generated sets."""

import logging
from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from zsda.command import command
from zsda.config import build, build_domain, build_recipes, prepare_world, seed_of, trainer_factory

_log = logging.getLogger(__name__)


@command("generate")
def main(config: DictConfig) -> None:
    """Makes, or completes, one generated set for each recipe."""
    domain, recipes, seed = build_domain(config), build_recipes(config), seed_of(config)  # before the slow imports

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
    data_root = Path(config.data_root)
    source = Cityscapes(data_root / "cityscapes", config.split)
    make_trainer = partial(
        trainer_factory(config.trainer),
        logger=False,
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    trainer = make_trainer(callbacks=[StoreWriter(), RichProgressBar(leave=True)])
    judge = layout_judge(config.layout, config.model, config.world.size, Path(config.runs_root))
    chosen = [SourcePatches(source, recipe, domain, seed, config.limit) for recipe in recipes]
    editor = build(config.editor).to(trainer.strategy.root_device)
    faults, unscored = FaultLog(), FaultLog("not scored")
    # All sets are checked before the first is begun: that one may take hours.
    sets = []
    for patches in chosen:
        recipe = patches.recipe
        settings = {
            "domain": domain.describe(),
            "recipe": recipe.describe(),
            "seed": seed,
            "editor": editor.describe(),
        }
        store = GeneratedStore(data_root / f"{domain.name}_{recipe.name}", settings, config.retries)
        data = PatchDataModule(patches, store, config.batch_size, config.num_workers)
        task = GenerationTask(editor, recipe, domain, seed, config.batch_size, faults, config.retries)
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
