"""Scenes as aligned views that share their labels: the source, what it was edited into, and what else it was made to look like."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch.utils.data import DataLoader, Dataset

from zsda.core.errors import ConfigError, DataError
from zsda.core.seeds import hash32, phase_seed
from zsda.data.datasets.cityscapes import Cityscapes
from zsda.data.datasets.generated import GeneratedSet
from zsda.data.evaluation import EvaluationData
from zsda.data.faults import Fault, collate, load_or_fault
from zsda.data.samplers import EpochSampler
from zsda.data.samples import SegmentationDataset, fingerprint, read_image, read_label, read_pair
from zsda.data.transforms import ClassicalWeather, Effect, TrainingTransform

SOURCE, CLASSICAL = "source", "classical"
_TRIES = 16  # scenes in a row, after which a set is too damaged for another to stand in


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
        self.watched = EvaluationData(watched, transform.size, batch_size, num_workers)
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
        return GeneratedSet(self._generated_root, self._domain, view, source, min_layout_score)

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
                f"give a multiple of {world}, or other machine.devices="
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
                "nothing; expected machine.sync_batchnorm=true, fewer machine.devices= or a larger data.batch_size="
            )

    def val_dataloader(self) -> list[DataLoader[Any]]:
        """Returns one loader for each watched set."""
        self.watched.trainer = self.trainer
        return self.watched.test_dataloader()
