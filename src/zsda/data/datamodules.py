"""LightningDataModules: aligned views for training, settings for evaluation."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler, Sampler, default_collate

from zsda.data.datasets import Cityscapes, SegmentationDataset, fingerprint, read_image, read_label, read_pair
from zsda.data.faults import Fault, collate, load_or_fault
from zsda.data.generated import GeneratedSet
from zsda.data.transforms import ClassicalWeather, Effect, EvaluationTransform, TrainingTransform, resize_mask
from zsda.errors import ConfigError, DataError
from zsda.seeds import hash32, phase_seed

SOURCE, CLASSICAL = "source", "classical"
PROTOCOLS = ("sdgpa", "full")
_TRIES = 16  # scenes in a row, after which a set is too damaged for another to stand in


class EpochSampler(DistributedSampler[tuple[int, int]]):
    """Yields (epoch, index), so that a sample's augmentation is a function of the seed, the epoch and the sample alone."""

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return ((self.epoch, index) for index in super().__iter__())  # type: ignore[misc]  # typed for itself


class UnpaddedSampler(Sampler[int]):
    """Gives each process its share of the indices, each index to exactly one, without repeating any to fill up."""

    def __init__(self, count: int, rank: int, world_size: int) -> None:
        self._indices = range(rank, count, world_size)

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[int]:
        return iter(self._indices)


class ViewsDataset(Dataset[Any]):
    """Scenes, each as several views with one label.

    Args:
        views: view name -> dataset; only scenes that every view has are used.
        transform: applied to all views of a scene together.
        seed: of the augmentation.
        effects: view name -> what is done to its images before anything else.

    Raises:
        DataError: the views have no scene in common.
    """

    def __init__(
        self,
        views: Mapping[str, SegmentationDataset],
        transform: TrainingTransform,
        seed: int,
        effects: Mapping[str, Effect] | None = None,
    ) -> None:
        self._samples = {name: {s.key: s for s in dataset.samples} for name, dataset in views.items()}
        self._is_source = {name: isinstance(dataset, Cityscapes) for name, dataset in views.items()}
        common = set.intersection(*(set(samples) for samples in self._samples.values()))
        self.keys = sorted(common)
        if not self.keys:
            raise DataError(
                f"the views {', '.join(views)} have no scene in common; expected equal <city>/<frame> names in all"
            )
        self._transform, self._seed, self._effects = transform, seed, dict(effects or {})

    def __len__(self) -> int:
        return len(self.keys)

    def describe(self) -> str:
        """Names the views and the number of scenes, and says how many of a view's scenes the other views lack."""
        lacking = {name: len(samples) - len(self.keys) for name, samples in self._samples.items()}
        rest = [f"; {count} more of {name} are not in every view" for name, count in lacking.items() if count]
        return f"{' + '.join(self._samples)}, {len(self.keys)} scenes{''.join(rest)}"

    def fingerprints(self) -> dict[str, str]:
        """Returns view -> what tells its files from others; see `fingerprint`."""
        return {name: fingerprint(list(samples.values())) for name, samples in self._samples.items()}

    def __getitem__(self, place: tuple[int, int]) -> dict[str, Any] | Fault:
        """Returns ``images`` (view -> float32 [3, h, w]), ``mask`` (uint8 [h, w]) and ``key`` of (epoch, index).

        A damaged scene is a `Fault` in which one of the next scenes stands in: every process must have its share of a batch.
        """
        epoch, index = place
        scene = load_or_fault(partial(self._load, epoch, self.keys[index]))
        if not isinstance(scene, Fault) or scene.fatal:
            return scene
        for step in range(1, min(_TRIES, len(self))):
            other = load_or_fault(partial(self._load, epoch, self.keys[(index + step) % len(self)]))
            if not isinstance(other, Fault):
                return scene._replace(stand_in=other)
        return scene

    def _load(self, epoch: int, key: str) -> dict[str, Any]:
        samples = {name: by_key[key] for name, by_key in self._samples.items()}
        first = next(iter(samples.values()))
        # Views of the source alone have labels of their images' size; those of a generated set have another one.
        source = next((sample for name, sample in samples.items() if self._is_source[name]), None)
        if source is not None:
            picture, mask = read_pair(source)
        else:
            picture, mask = None, read_label(first.label, first.encoding)
        images = {n: picture if self._is_source[n] and picture else read_image(s.image) for n, s in samples.items()}
        views, labels = self._transform(images, mask, hash32(self._seed, epoch, key), self._effects)
        return {"images": views, "mask": labels, "key": key}


def check_loading(batch_size: int, num_workers: int) -> None:
    """Refuses numbers that no loader takes.

    Raises:
        ConfigError: a batch size under 1, a negative number of workers, or no whole numbers.
    """
    for name, value, least in (("batch_size", batch_size, 1), ("num_workers", num_workers, 0)):
        if not isinstance(value, int) or value < least:
            raise ConfigError(f"{name}={value}; expected a whole number of at least {least}")


class EvaluationDataset(Dataset[Any]):
    """Images at the size the network sees, with the labels that a protocol compares with.

    Args:
        dataset: images and labels.
        transform: what the network sees.
        protocol: ``sdgpa`` compares with labels of the network's input size, ``full`` with labels of native size.
    """

    def __init__(self, dataset: SegmentationDataset, transform: EvaluationTransform, protocol: str) -> None:
        self._dataset, self._transform, self._protocol = dataset, transform, protocol

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> dict[str, Any] | Fault:
        """Returns ``image`` (float32 [3, h, w]), ``mask`` (uint8 [H, W]) and ``key``."""
        return load_or_fault(lambda: self._load(index))

    def _load(self, index: int) -> dict[str, Any]:
        sample = self._dataset[index]
        mask = sample["mask"] if self._protocol == "full" else resize_mask(sample["mask"], self._transform.size)
        return {"image": self._transform(sample["image"]), "mask": torch.tensor(mask), "key": sample["key"]}


def _keep_mask_sizes(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Stacks images; masks stay a list, since native sizes differ within GTA5."""
    masks = [sample.pop("mask") for sample in samples]
    return {**default_collate(samples), "mask": masks}


class EvaluationData(L.LightningDataModule):
    """The settings to evaluate on, one loader each; under several processes every image is in exactly one share.

    Args:
        settings: setting name -> dataset.
        protocol: one of `PROTOCOLS`: ``sdgpa`` scores at the network's input size, ``full`` at the labels' native size.
        size: height, width that the network sees.
        batch_size: images per step.
        num_workers: loader processes.

    Raises:
        ConfigError: an unknown protocol.
    """

    def __init__(
        self,
        settings: Mapping[str, SegmentationDataset],
        protocol: str = "sdgpa",
        size: Sequence[int] = (512, 1024),
        batch_size: int = 4,
        num_workers: int = 4,
    ) -> None:
        super().__init__()
        if protocol not in PROTOCOLS:
            raise ConfigError(f"unknown protocol {protocol!r}; expected one of {', '.join(PROTOCOLS)}")
        check_loading(batch_size, num_workers)
        self.settings = dict(settings)
        self.protocol, self.size = protocol, tuple(size)
        self._batch_size, self._num_workers = batch_size, num_workers

    def test_dataloader(self) -> list[DataLoader[Any]]:
        """Returns one loader for each setting, in their order."""
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        return [self._loader(dataset, rank, world) for dataset in self.settings.values()]

    def _loader(self, dataset: SegmentationDataset, rank: int, world: int) -> DataLoader[Any]:
        if len(dataset) < world:
            raise ConfigError(f"{dataset.name}: {len(dataset)} images for {world} processes; use trainer.devices=1")
        return DataLoader(
            EvaluationDataset(dataset, EvaluationTransform(self.size), self.protocol),
            sampler=UnpaddedSampler(len(dataset), rank, world),
            batch_size=self._batch_size,
            num_workers=self._num_workers,
            collate_fn=partial(collate, stack=_keep_mask_sizes),
            generator=torch.Generator().manual_seed(0),
        )


class ViewsData(L.LightningDataModule):
    """Source images and generated sets as aligned views.

    Args:
        source: the labelled training images.
        validation: labelled images of the source domain to watch during training.
        watch: views of the validation images to score; generated ones need their set made with split=val.
        generated_root: where the generated sets lie, as ``<domain>_<recipe>``.
        domain: name of the domain; None where only the source is trained on.
        transform: augmentation of the training views.
        batch_size: scenes of an optimiser step, which the processes share.
        num_workers: loader processes.
        seed: of order and augmentation.
        weather: what the view ``classical`` looks like; see `ClassicalWeather`.
        min_layout_score: leave edited images out that keep less of their layout; None takes all.

    Raises:
        ConfigError: numbers that no loader takes.
        DataError: a watched set is not there.
    """

    def __init__(
        self,
        source: Cityscapes,
        validation: Cityscapes,
        watch: Sequence[str],
        generated_root: str | Path,
        domain: str | None,
        transform: TrainingTransform,
        batch_size: int,
        num_workers: int,
        seed: int,
        weather: str | None = None,
        min_layout_score: float | None = None,
    ) -> None:
        super().__init__()
        self.source, self.transform = source, transform
        self._generated_root, self._domain, self._weather = Path(generated_root), domain, weather
        if min_layout_score is not None and not (
            isinstance(min_layout_score, int | float) and 0 <= min_layout_score <= 1
        ):
            raise ConfigError(f"data.min_layout_score={min_layout_score}; expected a number from 0 to 1, or null")
        self._min_layout_score = min_layout_score
        if CLASSICAL in watch:
            raise ConfigError(
                f"data.watch={list(watch)}; expected source and names of recipes, {CLASSICAL} is for training"
            )
        watched = {view: self._dataset(view, validation, None) for view in watch}
        self.watched = EvaluationData(watched, "sdgpa", transform.size, batch_size, num_workers)
        self._batch_size, self._num_workers, self._seed = batch_size, num_workers, seed
        if batch_size < 2:
            raise ConfigError(
                "data.batch_size=1; expected at least 2, batch normalisation learns nothing from one image"
            )
        self.select([SOURCE])

    def select(self, views: Sequence[str], phase: int = 0) -> None:
        """Chooses the views of the next training: ``source``, ``classical`` or names of recipes.

        A view that is named twice is seen twice, each time with a jitter of its own.

        Args:
            views: their names.
            phase: number of the phase, from 0; each has an order of scenes and an augmentation of its own.

        Raises:
            ConfigError: a view is asked for that needs a domain, and there is none.
            DataError: a generated set is not there, or not with the layout scores asked for.
        """
        datasets, effects = {}, dict[str, Effect]()
        for number, view in enumerate(views):
            name = f"{view}_{views[: number + 1].count(view)}" if view in views[:number] else view
            datasets[name] = self._dataset(view, self.source, self._min_layout_score)
            if view == CLASSICAL:
                effects[name] = ClassicalWeather(self._weather)
        self._drawing = phase_seed(self._seed, phase)
        self.training_set = ViewsDataset(datasets, self.transform, self._drawing, effects)

    def _dataset(self, view: str, source: Cityscapes, min_layout_score: float | None) -> SegmentationDataset:
        if view in (SOURCE, CLASSICAL):
            return source
        if self._domain is None:
            raise ConfigError(
                f"the view {view!r} needs a generated set; give domain=night|snow|rain|fog|game, or your own name"
            )
        return GeneratedSet(self._generated_root / f"{self._domain}_{view}", source, min_layout_score)

    def train_dataloader(self) -> DataLoader[Any]:
        """Returns shuffled scenes; the last incomplete batch is dropped, as published.

        Raises:
            ConfigError: the processes cannot share a batch evenly, or there are fewer scenes than one takes.
        """
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        dataset = self.training_set
        if len(dataset) < self._batch_size:
            raise ConfigError(
                f"data.batch_size={self._batch_size} needs as many scenes, there are {len(dataset)}; lower data.batch_size"
            )
        return DataLoader(
            dataset,
            sampler=EpochSampler(
                dataset, world, rank, shuffle=True, seed=hash32(self._drawing, "order"), drop_last=True
            ),
            batch_size=self.share(world),
            num_workers=self._num_workers,
            collate_fn=collate,
            generator=torch.Generator().manual_seed(self._drawing),
            drop_last=True,
            persistent_workers=self._num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def share(self, world: int) -> int:
        """Returns how many scenes of a batch each of ``world`` processes takes.

        Raises:
            ConfigError: it is no whole number.
        """
        share, rest = divmod(self._batch_size, world)
        if rest:
            raise ConfigError(
                f"data.batch_size={self._batch_size} counts the scenes of all devices together and cannot be shared by {world}; "
                f"give a multiple of {world}, or other trainer.devices="
            )
        return share

    def check_shared(self, world: int, synchronised: bool) -> None:
        """Refuses batches that several processes cannot share.

        Args:
            world: number of processes.
            synchronised: whether batch normalisation sees the shares of all of them.

        Raises:
            ConfigError: a share is no whole number, or too small for a batch normalisation of its own.
        """
        if self.share(world) == 1 and not synchronised:
            raise ConfigError(
                f"data.batch_size={self._batch_size} on {world} devices leaves one scene each, of which batch normalisation learns "
                "nothing; expected trainer.sync_batchnorm=true, fewer trainer.devices= or a larger data.batch_size="
            )

    def val_dataloader(self) -> list[DataLoader[Any]]:
        """Returns one loader for each watched set."""
        self.watched.trainer = self.trainer
        return self.watched.test_dataloader()
