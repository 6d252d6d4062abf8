"""Editing source images in batches, under Lightning, into a generated set."""

import logging
from collections.abc import Sequence
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor

from zsda.data.faults import FaultLog
from zsda.generation.domains import Domain
from zsda.generation.editors import Editor
from zsda.generation.recipes import Recipe, derive_seed
from zsda.generation.source import PatchDataModule
from zsda.generation.store import Edited

_log = logging.getLogger(__name__)


class GenerationTask(LightningModule):
    """Edits the patches of several source images together and merges them into edited images.

    Args:
        editor: what edits.
        recipe: which patches it edits.
        domain: what it makes of them.
        seed: the seed of the run.
        batch_size: number of patches that the editor is given at most.
        faults: where damaged source images are counted.

    Raises:
        ConfigError: the editor cannot take patches of this size.
    """

    def __init__(
        self, editor: Editor, recipe: Recipe, domain: Domain, seed: int, batch_size: int, faults: FaultLog
    ) -> None:
        super().__init__()
        recipe.check_fits(editor.multiple)
        self.editor, self.recipe, self.domain = editor, recipe, domain
        self.seed, self.batch_size, self.faults = seed, batch_size, faults

    def on_predict_start(self) -> None:
        """Moves the editor, which is no module, to the device of the trainer."""
        self.editor.to(self.device)

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> list[Edited]:
        """Edits one group of source images; damaged ones are counted and left out."""
        if not self.faults.take(batch):
            return []
        sources, boxes = batch["source"], batch["boxes"]
        seeds = [self._noise_seeds(source) for source in sources]
        edited = self._edit(batch["patches"].flatten(0, 1), [seed for of_image in seeds for seed in of_image])
        images = [
            self.recipe.merge(*parts)
            for parts in zip(batch["canvas"], boxes, edited.unflatten(0, batch["patches"].shape[:2]), strict=True)
        ]
        return [Edited(*values) for values in zip(sources, batch["source_digest"], boxes, seeds, images, strict=True)]

    def _noise_seeds(self, source: str) -> list[int]:
        return [
            derive_seed(self.seed, source, self.domain.name, self.recipe.name, index, "noise")
            for index in range(self.recipe.patches_per_image)
        ]

    def _edit(self, patches: Tensor, seeds: Sequence[int]) -> Tensor:
        domain, size = self.domain, self.batch_size
        return torch.cat(
            [
                self.editor.edit(
                    patches[start : start + size],
                    domain.prompt,
                    seeds[start : start + size],
                    domain.text_guidance,
                    domain.image_guidance,
                )
                for start in range(0, len(seeds), size)  # one turn, unless a single image has more patches than that
            ]
        )


class StoreWriter(BasePredictionWriter):
    """Writes each edited image to the store of the `PatchDataModule` as soon as its group is done."""

    def __init__(self) -> None:
        super().__init__("batch")

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Sequence[Edited],
        batch_indices: Sequence[int] | None,
        batch: Any,  # noqa: ANN401 - Lightning's signature
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Adds the images of one group."""
        data: PatchDataModule = trainer.datamodule  # type: ignore[attr-defined]  # set by predict(datamodule=...)
        for edited in prediction:
            data.store.add(edited, trainer.global_rank)


def complete_set(trainer: Trainer, task: GenerationTask, data: PatchDataModule) -> None:
    """Makes what a generated set lacks, and says how much that was.

    Args:
        trainer: built with a `StoreWriter` and ``use_distributed_sampler=False``.
        task: what edits.
        data: what is edited, and where the results go.

    Raises:
        StoreError: the set cannot be written, or another run is writing to it.
        DataError: a source image is not what its layout promises.
    """
    trainer.predict(task, datamodule=data, return_predictions=False)
    trainer.strategy.barrier()  # what the slowest process wrote counts as well
    task.faults.gather()  # not in a hook: one without a group of its own runs none
    if trainer.is_global_zero:
        data.store.conclude()
        finished = len(data.store.finished().intersection(data.patches.paths))
        lacking = len(data.patches) - finished
        _log.info(
            "%s: %d made, %d were there already%s, in %s",
            data.store.root.name,
            finished - data.already,
            data.already,
            f", {lacking} left out" if lacking else "",
            data.store.root,
        )
