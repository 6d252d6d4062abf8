"""The kind of phase that labels."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning.pytorch.callbacks import RichProgressBar

from zsda.adaptation.phases import LABELS, Facts, Given, Need
from zsda.core.errors import ConfigError, DataError
from zsda.core.files import file_digest
from zsda.core.run_records import PhaseReport
from zsda.core.values import SIZE
from zsda.data.faults import FaultLog
from zsda.data.resizing import Size
from zsda.data.samples import SegmentationDataset
from zsda.data.unpaired import UnpairedData
from zsda.data.views import UNLABELLED
from zsda.models.weights import load_weights
from zsda.pseudo_labels.labelling import LabellingData, LabellingTask, label
from zsda.pseudo_labels.selectors import Selector
from zsda.pseudo_labels.store import PseudoLabelWriter
from zsda.pseudo_labels.summary import compare, write_summary

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabellingPhase:
    """Writes pseudo labels for the unlabelled images, with the network that an earlier phase left, in fp32; or checks those they have.

    ``pseudo_labels.csv`` tells what was kept of each class. Where the images happen to have labels, it tells how many of the kept pixels
    are right as well; that is calculated when all pseudo labels are written, and no later phase looks at it.

    Attributes:
        name: names its folder; unique within the method.
        data: makes the data whose unlabelled images they are of the number of the phase and its ``parts``.
        network: the earlier phase whose result predicts, or ``<phase>/<network>``.
        selector: makes what chooses the pixels that are kept, of ``num_classes``.
        size: height, width at which images are predicted and labelled.
        batch_size: images that are selected together, between two moves of the thresholds.
        check_labels: whether the images bring labels, as edits do, which are kept but where the network is sure of another class.

    Raises:
        ConfigError: a size that makes no sense.
    """

    name: str
    data: Callable[..., UnpairedData]
    network: str
    selector: Callable[..., Selector]
    size: Size
    batch_size: int = 2
    check_labels: bool = False

    leaves = (LABELS,)

    def __post_init__(self) -> None:
        SIZE.check(f"{self.name}.size", self.size)

    @property
    def needs(self) -> Sequence[Need]:
        """The network that predicts."""
        return [Need.of(self.network)]

    def check(self, number: int, processes: int, synchronised: bool) -> Facts:
        """Lists the images; see `zsda.adaptation.phases.Phase`.

        Raises:
            ConfigError: there are no unlabelled images, or none with labels to check; or the selector cannot be made.
            DataError: the images are not there, or two of them have one name.
        """
        data = self.make_data(number)
        self.make_selector(data)
        self.images(data).relabelled(Path(self.name))  # which later phases do, after hours
        return Facts(
            files=data.fingerprints(),
            unlabelled=data.unlabelled_name,
            target=data.target,
            classes=data.source.classes.plain(),
            shown=[(f"method.phases.{self.name}.size", self.size)],
        )

    def run(self, given: Given) -> None:
        """Labels to the end, from where an earlier start was interrupted.

        Raises:
            DataError: not one pixel is kept; then nothing is left.
        """
        started, data = time.monotonic(), self.make_data(given.number)
        images, classes = self.images(data), data.source.classes
        (need,) = self.needs
        weights = given.run.phase(need.phase).network(need.what)
        load_weights(given.model, weights)
        selector, folder = self.make_selector(data), given.folder
        batches = LabellingData(
            images,
            self.size,
            self.batch_size,
            data.num_workers,
            given.seed,
            selector.observes,
            with_labels=self.check_labels,
        )
        writer = PseudoLabelWriter(folder.labels, selector, classes, self.size, file_digest(weights))
        paths = [sample.image for sample in images.samples]
        task = LabellingTask(given.model, selector, batches, paths, self.size, writer, folder.checkpoint)
        resumed = bool(batches.done)
        what = "checks the labels of" if self.check_labels else "labels for"
        begun = f", going on after {batches.done} of {len(batches.batches)} batches" if resumed else ""
        _log.info("%s: %s %s%s", given.title, what, data.describe(), begun)
        trainer = given.engine.trainer(
            precision="32-true",
            logger=False,
            enable_checkpointing=False,
            use_distributed_sampler=False,
            callbacks=[RichProgressBar(leave=True)],
        )
        label(task, batches, trainer)
        if not selector.class_pixels.sum():
            if trainer.is_global_zero:
                writer.discard()
                folder.checkpoint.unlink(missing_ok=True)
            trainer.strategy.barrier()
            raise DataError(f"phase {self.name}: {_why_nothing(images, task.faults, weights)}")
        if trainer.is_global_zero:
            writer.finish(paths)
            truth = None if self.check_labels else data.truth()
            accuracy = None if truth is None else compare(folder.labels, truth)
            _log.info(
                "%s", write_summary(folder.path / "pseudo_labels.csv", selector, classes, accuracy, self.check_labels)
            )
            folder.finish(
                PhaseReport(
                    epochs=0,
                    steps=0,
                    seconds=round(time.monotonic() - started, 1),
                    resumed=resumed,
                    left_out=task.faults.messages,
                    watched={},
                    leaves=list(self.leaves),
                )
            )
        trainer.strategy.barrier()

    def make_data(self, number: int) -> UnpairedData:
        """Makes the data whose unlabelled images are labelled; see `check` for what is raised."""
        try:
            return self.data(phase=number, parts=[UNLABELLED])
        except TypeError as error:
            raise ConfigError(
                f"the data of phase {self.name!r}: {error}; a labelling needs unlabelled images, give data=NAME_unpaired"
            ) from error

    def images(self, data: UnpairedData) -> SegmentationDataset:
        """Returns the images that are labelled, with the labels to check where it checks those; see `check` for what is raised."""
        labelled = data.truth() if self.check_labels else data.images[UNLABELLED]
        if labelled is None:
            raise ConfigError(
                f"{self.name}.check_labels=true, but no image of {data.unlabelled_name} has a label; expected edits, unlabelled=generated"
            )
        return labelled

    def make_selector(self, data: UnpairedData) -> Selector:
        """Makes what chooses the pixels that are kept; see `check` for what is raised."""
        try:
            return self.selector(num_classes=len(data.source.classes))
        except TypeError as error:
            raise ConfigError(f"the selector of phase {self.name!r}: {error}") from error


def _why_nothing(images: SegmentationDataset, faults: FaultLog, weights: Path) -> str:
    if faults.messages:
        return f"not one pixel could be labelled: {faults.first()}"
    expected = f"expected other numbers of the selector, or other weights than {weights}"
    return f"not one pixel of {len(images)} images of {images.name} is kept; {expected}"
