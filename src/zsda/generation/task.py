"""Editing source images in batches, under Lightning, into a generated set."""

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor

from zsda.core.errors import ModelError
from zsda.core.seeds import derive_seed
from zsda.core.values import RETRIES
from zsda.data.faults import FaultLog
from zsda.data.manifest import DRIFT
from zsda.generation.contact import ContactSheet
from zsda.generation.data import PatchDataModule
from zsda.generation.domains import Domain
from zsda.generation.editors.base import Editor, Edits, edit_in_turns
from zsda.generation.gates import DRIFTED, Gate, Rejected, Verdict
from zsda.generation.recipes import Recipe
from zsda.generation.store import Edited, GeneratedStore, Moves, count_attempts

_log = logging.getLogger(__name__)

HOPELESS = 10
"""Give up once this many images were refused and the set holds none that passed."""


class GenerationTask(LightningModule):
    """Edits the patches of several source images together and merges them into edited images.

    A patch whose edit is bad (`zsda.generation.gates`) is edited again, alone, in fp32 and with the next seed; an image of
    which a patch stays bad is left out. So what becomes of an image still depends on nothing but its inputs.

    Args:
        editor: what edits.
        recipe: which patches it edits.
        domain: what it makes of them.
        seed: the seed of the run.
        batch_size: number of patches that the editor is given at most.
        faults: where damaged source images, and images that are left out, are counted.
        retries: how often a bad edit is tried again.
        gate: says which edits are bad; None measures no drift.

    Raises:
        ConfigError: the editor cannot take patches of this size, or the number of retries is negative.
    """

    def __init__(
        self,
        editor: Editor,
        recipe: Recipe,
        domain: Domain,
        seed: int,
        batch_size: int,
        faults: FaultLog,
        retries: int = 3,
        gate: Gate | None = None,
    ) -> None:
        super().__init__()
        RETRIES.check("retries", retries)
        recipe.check_fits(editor.multiple)
        self.editor, self.recipe, self.domain = editor, recipe, domain
        self.seed, self.batch_size, self.faults, self.retries = seed, batch_size, faults, retries
        self.gate = Gate() if gate is None else gate
        self._passed, self._refused = 0, list[str]()

    def on_predict_start(self) -> None:
        """Moves the editor, which is no module, to the device of the trainer; counts what earlier starts made."""
        self.editor.to(self.device)
        self._passed = self.trainer.datamodule.already  # type: ignore[attr-defined]  # a PatchDataModule

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> list[Edited]:
        """Edits one group of source images; damaged ones are counted and left out.

        Raises:
            ModelError: none of the first images got an edit that passes.
        """
        if not self.faults.take(batch):
            return []
        count = self.recipe.patches_per_image
        seeds = [self._noise_seed(source, index) for source in batch["source"] for index in range(count)]
        edits = edit_in_turns(self.editor, batch["patches"].flatten(0, 1), self.domain, seeds, self.batch_size)
        results = []
        for number, (source, canvas, boxes) in enumerate(
            zip(batch["source"], batch["canvas"], batch["boxes"], strict=True)
        ):
            of_image = slice(number * count, (number + 1) * count)
            own = Edits(edits.images[of_image], edits.finite[of_image])
            verdicts, used, rejected = self._gate(source, batch["patches"][number], own, seeds[of_image])
            image, moves = None, Moves()
            if verdicts:
                image = self.recipe.merge(canvas, boxes, torch.stack([verdict.patch for verdict in verdicts]))
                moves = _moves(verdicts) if self.gate.max_drift is not None else moves
            results.append(Edited(source, batch["source_digest"][number], boxes, used, image, rejected, moves))
        self._give_up_if_hopeless(results)
        return results

    def _give_up_if_hopeless(self, results: Sequence[Edited]) -> None:
        refused = [edited.rejected[-1].flaw for edited in results if edited.image is None]
        self._passed += len(results) - len(refused)
        self._refused += refused
        if not self._passed and len(self._refused) >= HOPELESS:
            name, flaws = f"{self.domain.name}_{self.recipe.name}", ", ".join(dict.fromkeys(self._refused))
            raise ModelError(
                f"not one of the first {len(self._refused)} images of {name} has an edit that passes ({flaws}); try "
                f"python -m zsda.preview, another domain.prompt=, other scales or editor.precision=fp32{_for_drift(self._refused)}; "
                f"they make another set: delete the folder {name}, or give it another domain.name="
            )

    def _noise_seed(self, source: str, index: int, attempt: int = 0) -> int:
        purpose = f"noise{attempt}" if attempt else "noise"
        return derive_seed(self.seed, source, self.domain.name, self.recipe.name, index, purpose)

    def _gate(
        self, source: str, originals: Tensor, edits: Edits, seeds: Sequence[int]
    ) -> tuple[list[Verdict], list[int], list[Rejected]]:
        """Returns what is said of the patches of one image that pass, the seeds of all, and the edits that were thrown away.

        No verdicts if a patch stays bad.
        """
        used, passed = list(seeds), list[Verdict]()
        rejected: list[Rejected] = []
        for index, original in enumerate(originals):
            edited, finite = edits.images[index], bool(edits.finite[index])
            for attempt in range(1, self.retries + 2):
                verdict = self.gate.judge(edited, original, finite)
                if verdict.flaw is None:
                    passed.append(verdict)
                    break
                moved = verdict.drift if verdict.flaw == DRIFTED else None
                rejected.append(Rejected(index, used[index], verdict.flaw, moved))
                if attempt > self.retries:
                    _log.warning("left out: %s, patch %d stays %s", source, index, verdict.flaw)
                    return [], used, rejected  # one bad patch spoils the image, so the others need no attempts
                used[index] = self._noise_seed(source, index, attempt)
                again = edit_in_turns(self.editor, original[None], self.domain, [used[index]], 1, precise=True)
                edited, finite = again.images[0], bool(again.finite[0])
        return passed, used, rejected


def _moves(verdicts: Sequence[Verdict]) -> Moves:
    """Says how the patches of an image lie; where none could be told, of the image neither."""
    known = [verdict.remaining for verdict in verdicts if verdict.remaining is not None]
    aligned = {number: verdict.drift for number, verdict in enumerate(verdicts) if verdict.aligned and verdict.drift}
    return Moves(True, max(known, default=None), aligned)


class StoreWriter(BasePredictionWriter):
    """Writes each edited image to the store of the `PatchDataModule` as soon as its group is done, while the next is edited.

    One thread of its own encodes and writes, in their order; no more than one group waits for it. That of the first process
    refreshes the `ContactSheet` of the set, too.
    """

    def __init__(self) -> None:
        super().__init__("batch")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._writing: Future[None] | None = None
        self._sheet: ContactSheet | None = None

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begins the sheet of this set, and says where it will be."""
        data: PatchDataModule = trainer.datamodule  # type: ignore[attr-defined]  # set by predict(datamodule=...)
        self._sheet = ContactSheet(data.store, data.patches) if trainer.is_global_zero else None
        if self._sheet is not None and data.pending:
            _log.info("%s: the newest edits are shown in %s", data.store.root.name, self._sheet.path)

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
        """Hands on the images of one group, once those of the one before are written.

        Raises:
            StoreError: the file system refused one of those.
        """
        self._wait()
        data: PatchDataModule = trainer.datamodule  # type: ignore[attr-defined]  # set by predict(datamodule=...)
        canvases = batch.get("canvas", ())  # none where every image of the group was damaged
        self._writing = self._thread.submit(_add, data.store, prediction, canvases, trainer.global_rank, self._sheet)

    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Waits for the last images; see `write_on_batch_end`."""
        self._wait()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Lets the images that are done be written, whatever ended the run."""
        if self._writing is not None:
            wait([self._writing])

    def _wait(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()


def _add(
    store: GeneratedStore, images: Sequence[Edited], canvases: Sequence[Tensor], rank: int, sheet: ContactSheet | None
) -> None:
    written = [number for number, edited in enumerate(images) if store.add(edited, rank)]
    if sheet is not None:
        sheet.show([images[number] for number in written], [canvases[number] for number in written])


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
    paths = set(data.patches.paths)
    if trainer.is_global_zero:
        left_out = [record for source, record in data.store.left_out().items() if source in paths]
        task.faults.add([_describe_left_out(data.store.root.name, record) for record in left_out])
    task.faults.gather()  # not in a hook: one without a group of its own runs none
    if trainer.is_global_zero:
        data.store.conclude()
        ContactSheet(data.store, data.patches).conclude()
        lines = {**data.store.left_out(), **data.store.records()}
        thrown = Counter(entry["flaw"] for path in paths & lines.keys() for entry in lines[path].get("retries", ()))
        if thrown:
            told = ", ".join(f"{count} {flaw}" for flaw, count in sorted(thrown.items()))
            _log.info("%s: %d edits did not pass the gate: %s", data.store.root.name, thrown.total(), told)
        made = {source: line for source, line in data.store.records().items() if source in paths}
        untold = sum(DRIFT in line and line[DRIFT] is None for line in made.values())
        if untold:
            _log.info("%s: how far %d images moved cannot be told", data.store.root.name, untold)
        there = len(made)
        lacking = len(data.patches) - there
        _log.info(
            "%s: %d made, %d were there already%s, in %s",
            data.store.root.name,
            there - data.already,
            data.already,
            f", {lacking} left out" if lacking else "",
            data.store.root,
        )
    trainer.strategy.barrier()  # nobody reads the manifest while it is merged


def _describe_left_out(name: str, record: Mapping[str, Any]) -> str:
    rejected = record["retries"]
    patch = rejected[-1]["patch"]
    flaws = dict.fromkeys(entry["flaw"] for entry in rejected if entry["patch"] == patch)
    return (
        f"{name}/{record['source']}, whose patch {patch} came out {' and '.join(flaws)} in {count_attempts(record)} attempts "
        f"(raise retries=, or try another prompt, other scales or another editor.precision={_for_drift(flaws)} under another domain.name=)"
    )


def _for_drift(flaws: Collection[str]) -> str:
    """Returns what else to try against these flaws."""
    return ", a larger gate.max_drift= or gate.align=true" if DRIFTED in flaws else ""
