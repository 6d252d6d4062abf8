"""``python -m zsda.preview``: a sheet of edits at several scales, before a set is made."""

import logging
import shlex
from pathlib import Path

from omegaconf import DictConfig

from zsda.core.command import command, own_words
from zsda.core.config import build, build_domain, build_machine, build_recipes, build_source
from zsda.core.errors import ConfigError, Gathered
from zsda.core.files import check_writable
from zsda.generation.editors.pipelines import EDITOR, check_model

_log = logging.getLogger(__name__)

_OF_THE_PREVIEW = ("images", "text_guidance", "image_guidance", "steps", "keep", "out")
_REPLACED = ("domain.text_guidance", "domain.image_guidance", "editor.steps")


@command("preview")
def main(config: DictConfig) -> None:
    """Edits a few images with a grid of scales; writes ``preview.png`` and ``preview.csv``."""
    # Before the slow imports.
    domain, seed = build_domain(config), config.seed
    check_writable("out", Path(config.out))
    if config.editor.get("_target_") == EDITOR:
        check_model(str(config.editor.model))
    recipes = build_recipes(config)
    if len(recipes) != 1:
        raise ConfigError(f"recipe={list(config.recipes)}; a preview shows one, expected for example recipe=[target]")

    from zsda.core.networks import layout_network

    build(config.world.prepare)
    gathered = Gathered()
    with gathered.gather():
        source = build_source(config)
    with gathered.gather():
        layout = layout_network(config.layout, config.model, config.world.size, Path(config.runs_root))
    gathered.conclude()

    from rich.console import Console
    from rich.progress import Progress

    from zsda.core.files import remove_parts, write_atomic
    from zsda.evaluation.layout import LayoutJudge
    from zsda.generation.gates import Gate
    from zsda.generation.preview import Previewer, Trial, around, choose, grid, read_images
    from zsda.reporting.contact import trials_csv, trials_table, write_contact_sheet
    from zsda.reporting.formats import wide_console

    (recipe,) = recipes
    device = build_machine(config).trainer(logger=False, enable_checkpointing=False).strategy.root_device
    judge = LayoutJudge.of(layout)
    if judge is not None:
        judge.network.to(device)
    images = read_images(source, config.images, recipe, judge)
    editor = build(config.editor).to(device)
    previewer = Previewer(editor, recipe, domain, seed, config.batch_size, judge, Gate(**config.gate))
    combinations = grid(
        around(domain.text_guidance) if config.text_guidance is None else config.text_guidance,
        around(domain.image_guidance) if config.image_guidance is None else config.image_guidance,
        config.editor.steps if config.steps is None else config.steps,
    )
    for scales in combinations:
        previewer.check(scales)
    with Progress(console=Console(stderr=True)) as progress:
        trials = [
            Trial(scales, [previewer.edit(image, scales) for image in images])
            for scales in progress.track(combinations, description="editing")
        ]
    best, out = choose(trials, images, config.keep), Path(config.out)
    remove_parts(out)
    write_contact_sheet(out / "preview.png", domain, images, trials, best, config.keep)
    write_atomic(out / "preview.csv", trials_csv(images, trials))
    wide_console().print(trials_table(images, trials, best, config.keep))
    if best is not None:
        own = own_words(*_OF_THE_PREVIEW, *_REPLACED)
        _log.info("best: %s", shlex.join(["python", "-m", "zsda.generate", *own, *best.scales.words()]))
    _log.info("written: preview.png and preview.csv in %s", out)


if __name__ == "__main__":
    main()
