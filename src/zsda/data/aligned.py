"""Scenes as aligned views that share their labels: the source, what it was edited into, and what else it was made to look like."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader, Dataset

from zsda.core.errors import ConfigError, DataError
from zsda.core.seeds import hash32
from zsda.core.values import shown
from zsda.data.cache import Cache, Wanted
from zsda.data.datasets.generated import GeneratedSet
from zsda.data.faults import Fault, load_or_stand_in
from zsda.data.layout_choice import check_choice
from zsda.data.resizing import Size
from zsda.data.samplers import EpochSampler
from zsda.data.samples import SegmentationDataset, fingerprint
from zsda.data.training import TrainingData
from zsda.data.transforms import Effect, TrainingTransform, Weather
from zsda.data.views import SOURCE, WEATHER, check_enough, choose_scenes, view_images


class ViewsDataset(Dataset[Any]):
    """Scenes, each as several views with one label.

    Args:
        views: view name -> dataset; only scenes that every view has are used.
        transform: applied to all views of a scene together.
        seed: of the augmentation.
        effects: view name -> what is done to its images before anything else.
        chosen: how the scenes were chosen, in words; empty where they were not.

    Raises:
        DataError: the views have no scene in common.
    """

    def __init__(
        self,
        views: Mapping[str, SegmentationDataset],
        transform: TrainingTransform,
        seed: int,
        effects: Mapping[str, Effect] | None = None,
        chosen: str = "",
    ) -> None:
        self._views = dict(views)
        self._places = {name: {s.key: i for i, s in enumerate(dataset.samples)} for name, dataset in views.items()}
        common = set.intersection(*(set(places) for places in self._places.values()))
        self.keys = sorted(common)
        if not self.keys:
            raise DataError(
                f"the views {', '.join(views)} have no scene in common; expected equal <city>/<frame> names in all"
            )
        self._transform, self._seed, self._effects = transform, seed, dict(effects or {})
        self._chosen = chosen

    def __len__(self) -> int:
        return len(self.keys)

    def describe(self) -> str:
        """Names the views and the number of scenes, and says how these were chosen and how many of a view's the other views lack."""
        lacking = {name: len(places) - len(self.keys) for name, places in self._places.items()}
        rest = [f"; {count} more of {name} are not in every view" for name, count in lacking.items() if count]
        chosen = f": {self._chosen}" if self._chosen else ""
        return f"{' + '.join(self._places)}, {len(self.keys)} scenes{chosen}{''.join(rest)}"

    def fingerprints(self) -> dict[str, str]:
        """Returns view -> what tells its files from others; see `fingerprint`."""
        return {
            name: fingerprint([dataset.samples[place] for place in self._places[name].values()])
            for name, dataset in self._views.items()
        }

    def __getitem__(self, place: tuple[int, int]) -> dict[str, Any] | Fault:
        """Returns what (epoch, index) is.

        ``images`` (view -> uint8 [h, w, 3]), ``colours`` (view -> the factors of its jitter, float64 [4]), ``mask`` (uint8 [h, w]) and
        ``key``.
        """
        epoch, index = place
        return load_or_stand_in(lambda number: self._load(epoch, self.keys[number]), index, len(self))

    def _load(self, epoch: int, key: str) -> dict[str, Any]:
        places = {name: by_key[key] for name, by_key in self._places.items()}
        # Labels lie on the pixels of the source, so it is the source that they are checked against, if it is among the views.
        first = next(iter(places))
        labelled = next((n for n, place in places.items() if self._views[n].samples[place].sizes != "own"), first)
        seed, size = hash32(self._seed, epoch, key), self._transform.size
        window = self._transform.window(seed)
        whole = {id(self._views[name]) for name in self._effects}  # what an effect is made of
        of_all = None if id(self._views[labelled]) in whole else window
        scene = self._views[labelled].load(places[labelled], size, size, of_all)
        pictures = {id(self._views[labelled]): scene["image"]}  # a data set may be in several views
        for name, view in self._views.items():
            if id(view) not in pictures:
                pictures[id(view)] = view.pixels(places[name], size, None if id(view) in whole else window)
        images = {name: pictures[id(view)] for name, view in self._views.items()}
        views, labels = self._transform(images, scene["mask"], seed, self._effects)
        colours = {name: self._transform.colours(seed, name) for name in views}
        return {"images": views, "colours": colours, "mask": labels, "key": key}


class ViewsData(TrainingData):
    """Source images and generated sets as aligned views: ``source``, ``weather`` or names of recipes.

    A view that is named twice is seen twice, each time with a jitter of its own.

    Args:
        source: the labelled training images.
        validation: labelled images of the source domain to watch during training; None where nothing is watched.
        watch: views of the validation images to score; generated ones need their set made with split=val. Empty watches nothing.
        setting: the setting that shows the source by itself.
        generated_root: where the generated sets lie, as ``<domain>_<recipe>``.
        rendered_root: where a rendered world has its `ORACLE`; None: beside the generated sets.
        domain: name of the domain; None where only the source is trained on.
        transform: augmentation of the training views.
        batch_size: scenes of an optimiser step, which the processes share.
        num_workers: loader processes.
        seed: of order and augmentation.
        views: what a scene is seen as.
        phase: number of the phase that it is for, from 0.
        weather: what the view ``weather`` looks like; see `Weather`.
        min_layout_score: leave edited images out that keep less of their layout; None takes all.
        cache: how many GB the decoded images of all sets together may take on the disk; None decodes them every time.
        keep_best: train on this share of the scenes alone, those whose edits keep most of their layout; see
            `zsda.data.layout_choice.choose_best`. None takes all.

    Raises:
        ConfigError: numbers that no loader takes, no views, or one that needs a domain where there is none, or another source;
            or something is watched without validation images; or ``min_layout_score`` and ``keep_best`` are both given.
        DataError: a set is not there, or not with the layout scores asked for, or these are of different networks.
    """

    def __init__(
        self,
        source: SegmentationDataset,
        validation: SegmentationDataset | None,
        watch: Sequence[str],
        setting: str,
        generated_root: str | Path,
        domain: str | None,
        transform: TrainingTransform,
        batch_size: int,
        num_workers: int,
        seed: int,
        views: Sequence[str],
        phase: int = 0,
        weather: str | None = None,
        min_layout_score: float | None = None,
        cache: float | None = None,
        rendered_root: str | Path | None = None,
        keep_best: float | None = None,
    ) -> None:
        if isinstance(views, str) or not views:
            raise ConfigError(f"data.views={views!r}; expected a list, for example [source,target]")
        check_choice(min_layout_score, keep_best)
        if WEATHER in watch:
            raise ConfigError(
                f"data.watch={list(watch)}; expected source and names of recipes, {WEATHER} is for training"
            )
        kept = None if cache is None else Cache(cache)
        if kept is not None:
            source = source.read_by(kept.reader)
            validation = None if validation is None else validation.read_by(kept.reader)
        if watch and validation is None:
            raise ConfigError(
                f"data.watch={list(watch)} and no validation images; give data.validation, or data.watch=[]"
            )
        images = partial(view_images, generated_root=generated_root, domain=domain, rendered_root=rendered_root)
        watched = {} if validation is None else {view: images(view, validation) for view in watch}
        super().__init__(source, setting, watched, transform.size, batch_size, num_workers, seed, phase, kept)
        self.target = None if set(views) == {SOURCE} else domain
        datasets, effects = dict[str, SegmentationDataset](), dict[str, Effect]()
        for number, view in enumerate(views):
            name = f"{view}_{views[: number + 1].count(view)}" if view in views[:number] else view
            datasets[name] = images(view, source, min_layout_score=min_layout_score)
            if view == WEATHER:
                effects[name] = Weather(weather)
        choice = {"min_layout_score": min_layout_score, "keep_best": keep_best}
        datasets, best = choose_scenes(datasets, **choice)
        chosen = "" if best is None else best.describe()
        asked = [f"data.{key}={shown(value)}" for key, value in choice.items() if value is not None]
        if asked and not any(isinstance(images, GeneratedSet) and images.is_edited for images in datasets.values()):
            chosen = f"{asked[0]} leaves none out, no view shows edits"
        self.training_set = ViewsDataset(datasets, transform, self.drawing, effects, chosen)
        self._views = list(dict.fromkeys(views))
        self._keep_best = None if best is None else keep_best
        self._datasets, self._size, self._transform = list(datasets.values()), transform.size, transform

    def wanted(self) -> list[Wanted]:
        """See `TrainingData`."""
        return [Wanted(dataset, self._size, self._size) for dataset in self._datasets]

    def shown(self) -> list[tuple[str, Size]]:
        """See `TrainingData`."""
        return [self._transform.shown, *super().shown()]

    def describe(self) -> str:
        """Names the views and the number of scenes."""
        return self.training_set.describe()

    def fingerprints(self) -> dict[str, str]:
        """Returns view -> what tells its files from others."""
        found = self.training_set.fingerprints()
        return {view: found[view] for view in self._views}

    def label_files(self) -> list[Path]:
        """Returns where the labels lie that are trained on."""
        return [sample.label for sample in self.source.samples if sample.label is not None]

    def train_dataloader(self) -> DataLoader[Any]:
        """Returns shuffled scenes.

        Raises:
            ConfigError: the processes cannot share a batch evenly, or there are fewer scenes than one takes.
        """
        rank, world = self.place()
        dataset = self.training_set
        check_enough(self.batch_size, len(dataset), self._keep_best)
        order = hash32(self.drawing, "order")
        return self.loader(dataset, EpochSampler(dataset, world, rank, shuffle=True, seed=order, drop_last=True))
