"""``python -m zsda.generate``: edits source images into generated sets."""

import logging
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from zsda.core.command import command, process_rank
from zsda.core.config import build, build_domain, build_machine, build_recipes, build_source
from zsda.core.errors import Gathered, ModelError
from zsda.core.files import check_writable
from zsda.core.locks import owned
from zsda.core.networks import layout_network
from zsda.core.plan import Part, Plan
from zsda.core.planning import unrendered
from zsda.core.resources import located
from zsda.data.set_names import set_name
from zsda.generation.cityscapes_root import CityscapesRoot, check_source
from zsda.generation.editors.pipelines import EDITOR, check_model, is_hub_id
from zsda.reporting.checks import check_console
from zsda.reporting.plans import show_plan

if TYPE_CHECKING:
    from zsda.data.samples import SegmentationDataset
    from zsda.generation.domains import Domain
    from zsda.generation.recipes import Recipe

_log = logging.getLogger(__name__)


@command("generate")
def main(config: DictConfig) -> None:
    """Makes, or completes, one generated set for each recipe."""
    domain, leads = build_domain(config), process_rank() == 0
    if config.dry_run:
        if leads:
            show_plan(check_console(), _plan(config, domain), "mend them and start again")
        return
    check_writable("generated_root", *([Path(config.generated_root)] if leads else []))
    if config.editor.get("_target_") == EDITOR:
        check_model(str(config.editor.model))
    recipes = build_recipes(config)
    roots = [Path(config.generated_root) / set_name(domain.name, recipe.name) for recipe in recipes]
    # Before the slow imports, and by one process for all: who comes second must not wait long to be told.
    own = roots if leads else []
    check_writable("generated_root", *own)
    with owned(*own):
        _generate(config, domain, dict(zip(roots, recipes, strict=True)))


def _generate(config: DictConfig, domain: "Domain", recipes: "Mapping[Path, Recipe]") -> None:
    build(config.world.prepare)
    gathered = Gathered()  # what most mistakes are in, before the slow imports
    with gathered.gather():
        source = _source(config)
    with gathered.gather():
        layout = layout_network(config.layout, config.model, config.world.size, Path(config.runs_root))
    gathered.conclude()

    from lightning.pytorch.callbacks import RichProgressBar

    from zsda.data.faults import FaultLog
    from zsda.evaluation.layout import LayoutJudge
    from zsda.generation.data import PatchDataModule, SourcePatches
    from zsda.generation.gates import Gate
    from zsda.generation.layout import LayoutData, LayoutTask, LayoutWriter, complete_scores
    from zsda.generation.store import GeneratedStore
    from zsda.generation.task import GenerationTask, StoreWriter, complete_set

    machine = build_machine(config)
    make_trainer = partial(
        machine.trainer,
        logger=False,
        use_distributed_sampler=False,
        enable_checkpointing=False,
    )
    trainer = make_trainer(callbacks=[StoreWriter(), RichProgressBar(leave=True)])
    judge = LayoutJudge.of(layout)
    chosen = {
        root: SourcePatches(source, recipe, domain, config.seed, config.limit) for root, recipe in recipes.items()
    }
    editor = build(config.editor).to(trainer.strategy.root_device)
    gate, faults, unscored = Gate(**config.gate), FaultLog(), FaultLog("not scored")
    # All sets are checked before the first is begun: that one may take hours.
    sets = []
    for root, patches in chosen.items():
        recipe = patches.recipe
        parts = {"domain": domain, "recipe": recipe, "editor": editor, "gate": gate}
        about = {name: part.describe() for name, part in parts.items()}
        store = GeneratedStore(root, {**about, "seed": config.seed}, config.retries)
        recipe.check_fits(editor.multiple)
        together = editor.batch_size(recipe.patch) if config.batch_size is None else config.batch_size
        data = PatchDataModule(patches, store, together, machine.workers)
        task = GenerationTask(editor, recipe, domain, config.seed, together, faults, config.retries, gate)
        linked = CityscapesRoot(store.root, source.root) if config.cityscapes_root else None
        if linked is not None:
            linked.check_edits(config.split)
        sets.append((task, data, linked))
    for task, data, linked in sets:
        complete_set(trainer, task, data)
        if judge is not None:
            scored = LayoutData(data.patches, data.store, source, judge, machine.workers)
            scorer = make_trainer(callbacks=[LayoutWriter(), RichProgressBar(leave=True)])
            complete_scores(scorer, LayoutTask(judge, unscored), scored)
        if linked is not None and trainer.is_global_zero:
            linked.link()
            _log.info("a Cityscapes root: %s", linked.root)
    for log in (faults, unscored):
        log.conclude(f"the sets of domain {domain.name} are finished")


def _source(config: DictConfig) -> "SegmentationDataset":
    source: SegmentationDataset = build_source(config)
    if config.cityscapes_root:
        check_source(source)
    return source


def _plan(config: DictConfig, domain: "Domain") -> Plan:
    """Says what would be made; starts, fetches and writes nothing."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # before the hub's client is imported
    wrong, remarks, place = Gathered(), list[str](), Path(config.generated_root)
    recipes = {set_name(domain.name, recipe.name): recipe for recipe in build_recipes(config)}
    for name in recipes:
        with wrong.gather():
            check_writable("generated_root", place / name)
    source, layout, world = None, None, unrendered(config)
    if world is None:
        with wrong.gather():
            source = _source(config)
    else:
        remarks.append(world)
    with wrong.gather():
        layout = layout_network(config.layout, config.model, config.world.size, Path(config.runs_root))
    if layout is not None:
        remarks.append("then each image gets its layout score, whose time is not counted")
    steps = int(config.editor.get("steps", 1))
    lengths = {name: f"{recipe.patches_per_image} x {steps} steps an image" for name, recipe in recipes.items()}
    if source is None:
        why = "not rendered yet" if world is not None else "not there, see the faults"
        unknown = [Part(name, f"a source that is {why}", length) for name, length in lengths.items()]
        return Plan(f"the sets of {domain.name}", "set", place, unknown, "", remarks, [*map(str, wrong.errors)])

    from zsda.generation.data import SourcePatches
    from zsda.generation.gates import Gate
    from zsda.generation.plan import plan_set
    from zsda.generation.store import GeneratedStore

    trainer = build_machine(config).trainer(logger=False, enable_checkpointing=False)
    editor, device, parts = None, trainer.strategy.root_device, []
    model = config.editor.get("model")
    try:
        editor = build(config.editor).to(device)
    except ModelError as error:
        if is_hub_id(str(model)) and not located(str(model)).is_dir():
            remarks.append(f"editor.model={model} is not on this machine and would be fetched first; no edit was timed")
        else:
            wrong.errors.append(error)
    for name, recipe in recipes.items():
        store, together = None, config.batch_size
        part = Part(name, f"{len(source)} images", lengths[name], note="cannot be planned, see the faults")
        with wrong.gather():
            patches = SourcePatches(source, recipe, domain, config.seed, config.limit)
            if editor is not None:
                made_with = {"domain": domain, "recipe": recipe, "editor": editor, "gate": Gate(**config.gate)}
                about = {key: part.describe() for key, part in made_with.items()}
                store = GeneratedStore(place / name, {**about, "seed": config.seed}, config.retries)
                recipe.check_fits(editor.multiple)
                together = editor.batch_size(recipe.patch) if together is None else together
            part = plan_set(place / name, patches, steps, editor, store, together)
        parts.append(part)
    if trainer.world_size > 1:
        remarks.append(f"times are those of one process; {trainer.world_size} would share the images")
    measured = "" if editor is None else f"one batch of edits on {device}, edits that are made again not counted"
    return Plan(f"the sets of {domain.name}", "set", place, parts, measured, remarks, [*map(str, wrong.errors)])


if __name__ == "__main__":
    main()
