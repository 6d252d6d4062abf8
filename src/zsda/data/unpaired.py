"""A labelled source, images of the condition that are none of its scenes, or both, each with batches of its own."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.utilities import CombinedLoader
from numpy.typing import NDArray
from torch.utils.data import Dataset

from zsda.core.errors import ConfigError
from zsda.core.seeds import hash32
from zsda.data.cache import Cache, Wanted
from zsda.data.faults import Fault, load_or_stand_in
from zsda.data.reader import DamagedImageError, image_size
from zsda.data.resizing import Size
from zsda.data.samplers import CyclingSampler
from zsda.data.samples import SegmentationDataset, check_labels, fingerprint
from zsda.data.training import TrainingData
from zsda.data.views import SOURCE, UNLABELLED, check_enough, check_unlabelled
from zsda.data.weak_strong import WeakStrongTransform

_log = logging.getLogger(__name__)

Paste = Callable[[NDArray[np.uint8], NDArray[np.uint8], int], tuple[NDArray[np.uint8], NDArray[np.uint8]]]
"""Takes an image, uint8 [H, W, 3], its label map, uint8 [H, W], and a seed, and returns both with something pasted on them."""


class WeakStrongDataset(Dataset[Any]):
    """Images in a weak and, where the transform makes one, a strong view: read at full size, pasted on, then transformed.

    Args:
        dataset: images, and label maps of their sizes.
        transform: makes the views.
        seed: of pasting and transform.
        paste: done before the transform; None leaves it out.
    """

    def __init__(
        self, dataset: SegmentationDataset, transform: WeakStrongTransform, seed: int, paste: Paste | None = None
    ) -> None:
        self._dataset, self._transform, self._seed, self._paste = dataset, transform, seed, paste

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, place: tuple[int, int]) -> dict[str, Any] | Fault:
        """Returns ``images`` (``weak`` and ``strong`` -> uint8 [h, w, 3]), ``mask`` (uint8 [h, w]) and ``key`` of (pass, index).

        Where what was to be pasted is damaged, nothing is pasted, and the damage told.
        """
        turn, index = place
        return load_or_stand_in(lambda number: self._load(turn, number), index, len(self))

    def _load(self, turn: int, index: int) -> dict[str, Any] | Fault:
        sample = self._dataset[index]
        seed = hash32(self._seed, turn, sample["key"])
        image, mask = sample["image"], sample["mask"]
        damaged = None
        if self._paste is not None:
            try:
                image, mask = self._paste(image, mask, hash32(seed, "paste"))
            except DamagedImageError as error:  # of what was to be pasted; the image itself is whole
                damaged = str(error)
        views, labels = self._transform(image, mask, hash32(seed, "transform"))
        whole = {"images": views, "mask": labels, "key": sample["key"]}
        return whole if damaged is None else Fault(damaged, fatal=False, stand_in=whole)


class UnpairedData(TrainingData):
    """Batches of the source, of unlabelled images, or of both side by side, each as `WeakStrongDataset` has them.

    An epoch is one pass over the larger set; the smaller one is passed over again, in another order. Every pass has an augmentation
    of its own.

    Args:
        source: the labelled training images.
        unlabelled: the images of the condition; labels that they have are not looked at.
        setting: the setting that shows the source by itself.
        target: the setting that shows the unlabelled images' condition.
        transform: augmentation of the source.
        unlabelled_transform: augmentation of the unlabelled images.
        batch_size: images of each in an optimiser step, which the processes share.
        num_workers: loader processes.
        seed: of order and augmentation.
        phase: number of the phase that it is for, from 0.
        parts: what batches hold, ``source``, ``unlabelled`` or both; what is not among them is not read.
        validation: labelled images of the source domain to watch during training; None watches nothing.
        watch: watches nothing either where ``source`` is not in it.
        labels: a folder of pseudo labels for the unlabelled images, in ids of the source's class set; None leaves all their
            pixels ignored.
        copy_paste: makes what is pasted on the unlabelled images of the ``dataset`` with its pseudo labels and of their folder
            ``labels``; None pastes nothing.
        cache: how many GB the decoded images of all sets together may take on the disk, which keeps them at full size; None decodes
            them every time.

    Attributes:
        images: what is read, part -> images.

    Raises:
        ConfigError: numbers that no loader takes, unknown parts, or no unlabelled images, or nothing that shows their condition, where
            they are a part.
        DataError: an image has no label in the folder.
    """

    def __init__(
        self,
        source: SegmentationDataset,
        unlabelled: SegmentationDataset | None,
        setting: str,
        target: str | None,
        transform: WeakStrongTransform,
        unlabelled_transform: WeakStrongTransform,
        batch_size: int,
        num_workers: int,
        seed: int,
        phase: int = 0,
        parts: Sequence[str] = (SOURCE, UNLABELLED),
        validation: SegmentationDataset | None = None,
        watch: Sequence[str] = (SOURCE,),
        labels: Path | None = None,
        copy_paste: Callable[..., Paste] | None = None,
        cache: float | None = None,
    ) -> None:
        kept = None if cache is None else Cache(cache)
        if kept is not None:
            source = source.read_by(kept.reader)
            unlabelled = None if unlabelled is None else unlabelled.read_by(kept.reader)
        watched = {} if validation is None or SOURCE not in watch else {SOURCE: validation}
        super().__init__(source, setting, watched, transform.size, batch_size, num_workers, seed, phase, kept)
        if isinstance(parts, str) or not parts or not {*parts} <= {SOURCE, UNLABELLED}:
            raise ConfigError(f"data.parts={parts}; expected a list of {SOURCE}, {UNLABELLED} or both")
        images = {SOURCE: source}
        if UNLABELLED in parts:
            named, self.target = check_unlabelled(unlabelled, target)
            self.unlabelled_name = named.name
            without = named.unlabelled().with_classes(source.classes)
            images[UNLABELLED] = without if labels is None else without.relabelled(labels)
            check_labels(named.name, images[UNLABELLED].samples)
        self.images: Mapping[str, SegmentationDataset] = {name: images[name] for name in images if name in parts}
        self._unlabelled = unlabelled
        self._transforms = {SOURCE: transform, UNLABELLED: unlabelled_transform}
        self._labels, self._copy_paste = labels, copy_paste

    def truth(self) -> SegmentationDataset | None:
        """Returns the unlabelled images with the labels that happen to be there, to tell how right pseudo labels are; None without any."""
        there = self._unlabelled
        if there is None or not any(sample.label is not None for sample in there.samples):
            return None
        try:
            return there.with_classes(self.source.classes)
        except ConfigError:  # they tell other classes apart
            return None

    def wanted(self) -> list[Wanted]:
        """See `TrainingData`."""
        return [Wanted(dataset, None, None) for dataset in self.images.values()]

    def shown(self) -> list[tuple[str, Size]]:
        """See `TrainingData`."""
        keys = {SOURCE: "data.transform.size", UNLABELLED: "data.unlabelled_transform.size"}
        return [*((keys[part], self._transforms[part].size) for part in self.images), *super().shown()]

    def describe(self) -> str:
        """Says how many images of each part there are."""
        return ", ".join(f"{len(images)} of {images.name}" for images in self.images.values())

    def fingerprints(self) -> dict[str, str]:
        """Returns name -> what tells its files from others."""
        return {name: fingerprint(dataset.samples) for name, dataset in self.images.items()}

    def label_files(self) -> list[Path]:
        """Returns where the labels lie that are trained on."""
        samples = [sample for dataset in self.images.values() for sample in dataset.samples]
        return [sample.label for sample in samples if sample.label is not None]

    def train_dataloader(self) -> CombinedLoader:
        """Returns shuffled images of each part, as many batches of each.

        Raises:
            ConfigError: the processes cannot share a batch evenly, there are fewer images than one takes, or something is to be
                pasted and there are no pseudo labels.
            StoreError: the pseudo labels are not complete, or nothing of them can be pasted.
        """
        rank, world = self.place()
        batches = max(len(images) for images in self.images.values()) // self.batch_size
        loaders: dict[str, Any] = {}
        for name, images in self.images.items():
            check_enough(self.batch_size, len(images))
            self._warn_of_small(name)
            length = batches * self.share(world)
            sampler = CyclingSampler(len(images), length, rank, world, seed=hash32(self.drawing, "order", name))
            paste = self._make_paste() if name == UNLABELLED else None
            dataset = WeakStrongDataset(images, self._transforms[name], hash32(self.drawing, name), paste)
            loaders[name] = self.loader(dataset, sampler)
        return CombinedLoader(loaders, "min_size")

    def _warn_of_small(self, name: str) -> None:
        images, transform = self.images[name], self._transforms[name]
        size = image_size(images.samples[0].image)
        if size is not None and not transform.has_room(size[::-1]):
            _log.warning(
                "%s: the first image is %dx%d, so small that the window of a crop is as large as fits and never smaller; lower the "
                "heights of its transform",
                images.name,
                *size,
            )

    def _make_paste(self) -> Paste | None:
        if self._copy_paste is None:
            return None
        if self._labels is None:
            raise ConfigError("data.copy_paste needs pseudo labels; give the phase labels: NAME, the phase that labels")
        return self._copy_paste(dataset=self.images[UNLABELLED], labels=self._labels)
