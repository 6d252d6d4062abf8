"""A labelled source, and images of the condition that are none of its scenes, each with batches of its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import CombinedLoader

from zsda.core.seeds import hash32
from zsda.data.aligned import ViewsDataset
from zsda.data.samplers import CyclingSampler
from zsda.data.samples import SegmentationDataset, check_labels, fingerprint
from zsda.data.training import TrainingData
from zsda.data.transforms import TrainingTransform

SOURCE, UNLABELLED = "source", "unlabelled"


class UnpairedData(TrainingData):
    """Batches of the source beside batches of unlabelled images: ``source`` and ``unlabelled``, each as `ViewsDataset` has them.

    An epoch is one pass over the larger set; the smaller one is passed over again, in another order. Every pass has an augmentation
    of its own.

    Args:
        source: the labelled training images.
        unlabelled: the images of the condition; labels that they have are not looked at.
        setting: the setting that shows the source by itself.
        target: the setting that shows the unlabelled images' condition.
        transform: augmentation of both.
        batch_size: images of each in an optimiser step, which the processes share.
        num_workers: loader processes.
        seed: of order and augmentation.
        phase: number of the phase that it is for, from 0.
        validation: labelled images of the source domain to watch during training; None watches nothing.
        labels: a folder of pseudo labels for the unlabelled images, in ids of the source's class set; None leaves all their
            pixels ignored.

    Raises:
        ConfigError: numbers that no loader takes.
        DataError: an image has no label in the folder.
    """

    def __init__(
        self,
        source: SegmentationDataset,
        unlabelled: SegmentationDataset,
        setting: str,
        target: str,
        transform: TrainingTransform,
        batch_size: int,
        num_workers: int,
        seed: int,
        phase: int = 0,
        validation: SegmentationDataset | None = None,
        labels: Path | None = None,
    ) -> None:
        watched = {} if validation is None else {SOURCE: validation}
        super().__init__(source, setting, watched, transform.size, batch_size, num_workers, seed, phase)
        self.target, self.unlabelled_name = target, unlabelled.name
        images = unlabelled.with_classes(source.classes)
        images = images.unlabelled() if labels is None else images.relabelled(labels)
        check_labels(unlabelled.name, images.samples)
        self._images: Mapping[str, SegmentationDataset] = {SOURCE: source, UNLABELLED: images}
        self._parts = {
            name: ViewsDataset({name: dataset}, transform, hash32(self.drawing, name))
            for name, dataset in self._images.items()
        }

    def describe(self) -> str:
        """Says how many images of each there are."""
        return ", ".join(f"{len(part)} of {self._images[name].name}" for name, part in self._parts.items())

    def fingerprints(self) -> dict[str, str]:
        """Returns name -> what tells its files from others."""
        return {name: fingerprint(dataset.samples) for name, dataset in self._images.items()}

    def train_dataloader(self) -> CombinedLoader:
        """Returns shuffled images of both, as many batches of each.

        Raises:
            ConfigError: the processes cannot share a batch evenly, or there are fewer images than one takes.
        """
        rank, world = self.place()
        batches = max(len(part) for part in self._parts.values()) // self._batch_size
        loaders: dict[str, Any] = {}
        for name, part in self._parts.items():
            self.check_enough(len(part))
            length = batches * self.share(world)
            sampler = CyclingSampler(len(part), length, rank, world, seed=hash32(self.drawing, "order", name))
            loaders[name] = self.loader(part, sampler)
        return CombinedLoader(loaders, "min_size")
