"""The pictures of a page: scenes as they are, as they were edited, as they were predicted, and where that is wrong."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from statistics import fmean
from typing import NamedTuple, TypeVar

from PIL import Image

from zsda.core.errors import ConfigError, DataError, StoreError
from zsda.core.files import is_file
from zsda.core.records import printable
from zsda.data.datasets.cityscapes import SUFFIX, Cityscapes
from zsda.data.datasets.described import DescribedData
from zsda.data.labels import ClassSet
from zsda.data.samples import SegmentationDataset
from zsda.data.set_names import set_name
from zsda.evaluation.scenes import LABELS, PREDICTION, SceneScores, has_scenes, read_picture, read_scenes
from zsda.reporting.comparison import BASELINES, UPPER_BOUND, Comparison
from zsda.reporting.edits import EditedSet
from zsda.reporting.run_scores import RunScores
from zsda.reporting.seeds import summarise
from zsda.reporting.views import Picture, error_map, label_map, photograph

_log = logging.getLogger(__name__)

T = TypeVar("T")

_MOST_METHODS = 3
_RECIPES = {"intermediate": "intermediate", "target": "target edit", "whole": "edited whole"}
_EDITED, _PHOTOGRAPH = "edited", "image"


class SceneView(NamedTuple):
    """A scene: its name, what is to be said of it, its pictures, all of one size."""

    name: str
    note: str
    pictures: Sequence[Picture]


class Gallery(NamedTuple):
    """Scenes that are shown with the same views.

    Attributes:
        title: what they are.
        about: how they were chosen, in sentences.
        scenes: at least one.
        views: titles of the two that are compared first.
        errors: whether there are maps of errors.
    """

    title: str
    about: str
    scenes: Sequence[SceneView]
    views: tuple[str, str]
    errors: bool


class Pictures:
    """Chooses and reads the pictures of a comparison.

    Args:
        comparison: whose.
        methods: whose predictions are shown, the first is what gains are over; None takes the baseline, and the two others with the
            highest means on the target, other baselines and the oracle excepted.
        count: scenes of each kind: of the largest gain, of the largest loss, and spread over the rest.
        classes: of predictions and labels.

    Raises:
        ConfigError: a method without runs.
    """

    def __init__(self, comparison: Comparison, methods: Sequence[str] | None, count: int, classes: ClassSet) -> None:
        self._comparison, self._count, self._classes = comparison, count, classes
        self._asked = methods
        self._scenes: dict[tuple[Path, str], list[SceneScores]] = {}
        self._sources: dict[tuple[Path, str], SegmentationDataset] = {}
        self._without: dict[str, None] = {}
        self._unread: list[str] = []
        unknown = [name for name in methods or [] if name not in comparison.methods]
        if unknown:
            raise ConfigError(
                f"pictures={','.join(unknown)}: there are no runs of it; expected some of {', '.join(comparison.methods)}"
            )

    def methods(self, target: str) -> list[str]:
        """Returns whose predictions are shown of a target."""
        scored = {name: self._comparison.target(name, target) for name in self._comparison.methods}
        means = {name: summary.mean for name, scores in scored.items() if (summary := summarise(scores))}
        if self._asked is not None:
            return [name for name in self._asked if name in means]
        first = self._comparison.baseline if self._comparison.baseline in means else next(iter(means), None)
        bounds = (first, *BASELINES, UPPER_BOUND)
        others: list[str] = []
        common = set(scored[first]) if first else set()
        for name in sorted((name for name in means if name not in bounds), key=lambda name: -means[name]):
            if len(others) < _MOST_METHODS - 1 and common & scored[name].keys():
                others, common = [*others, name], common & scored[name].keys()
        return [] if first is None else [first, *reversed(others)]

    def of_target(self, target: str) -> Gallery | None:
        """Returns scenes of a target: those that the last method improves most and least, and some others; None without any."""
        runs = self._runs(target, target)
        if not runs:
            _log.info("%s: no pictures; the methods shown have no seed in common, or no scenes", target)
            return None
        by_scene = {method: self._means(of_method, target) for method, of_method in runs.items()}
        names = list(runs)
        first, last = by_scene[names[0]], by_scene[names[-1]]
        common = [scene for scene in first if all(scene in found for found in by_scene.values())]
        gains = {scene: last[scene] - first[scene] for scene in common} if len(names) > 1 else {}
        ranked = sorted(gains, key=lambda scene: -gains[scene])
        chosen = {scene: "largest gain" for scene in ranked[: self._count] if gains[scene] > 0}
        chosen |= {scene: "largest loss" for scene in ranked[::-1][: self._count] if gains[scene] < 0}
        chosen |= dict.fromkeys(_spread([scene for scene in common if scene not in chosen], self._count), "")
        scenes = []
        for scene, why in chosen.items():
            parts = [f"{method} {100 * found[scene]:.1f}" for method, found in by_scene.items()]
            gain = [f"{100 * gains[scene]:+.1f} points"] if scene in gains else []
            seen = self._predicted([of_method[0] for of_method in runs.values()], target, scene)
            if seen is not None:
                scenes.append(
                    SceneView(printable(scene), ": ".join(filter(None, [why, ", ".join([*parts, *gain])])), seen)
                )
        if not scenes:
            return None
        compared = f"The gain is that of {names[-1]} over {names[0]}. " if gains else ""
        seeds = len(runs[names[0]])
        about = (
            f"{len(common)} scenes were scored. {compared}Numbers are mIoU in % over the classes that are labelled in the scene"
            f"{f', means over {seeds} seeds' if seeds > 1 else ''}; predictions are those of seed {runs[names[0]][0].seed}."
        )
        if self._asked is None and len(self._comparison.methods) > len(names):
            about += " Shown are the baseline and the methods that score highest here, but for other baselines and the oracle."
        return Gallery(target, about, scenes, _two_views(names), errors=True)

    def of_edits(self, domain: str, sets: Sequence[EditedSet]) -> Gallery | None:
        """Returns scenes of a domain as they were edited, with predictions where ``setting=edited`` was scored; None without any."""
        of_domain = [one for one in sets if one.domain == domain]
        # Those of one place belong together.
        own = {one.recipe: one for one in of_domain if one.root.parent == of_domain[0].root.parent}
        runs = self._runs(domain, _EDITED)
        runs = {
            method: kept
            for method, found in runs.items()
            if (kept := [run for run in found if run.generated_sets.get(_EDITED) == set_name(domain, "target")])
        }
        scenes = self._edited_and_scored(runs, sets) if runs else self._edited(own)
        if not scenes:
            return None
        prompt = next((one.settings.get("domain.prompt", "") for one in own.values()), "")
        of = "Scenes, their edits, and what is predicted on those." if runs else "Scenes and their edits."
        about = f"{of} The sentence was: {printable(prompt)}" if prompt else of
        return Gallery(f"Edits into {domain}", about, scenes, ("source", _RECIPES["target"]), errors=bool(runs))

    def conclude(self) -> None:
        """Says of which runs there are no pictures, and which images could not be read."""
        if self._unread:
            _log.warning("%d pictures are not shown, the first: %s", len(self._unread), self._unread[0])
        if self._without:
            names = [*self._without]
            _log.warning(
                "no pictures of %s%s: scored by an earlier version, evaluate again",
                *(", ".join(names[:3]), ", ..." if len(names) > 3 else ""),
            )

    def _runs(self, target: str, setting: str) -> dict[str, list[RunScores]]:
        """Returns method -> its runs of the seeds that all have, those whose scenes are on disk."""
        methods = self.methods(target)
        scored = [run for run in self._comparison.runs(methods, [target]) if setting in run.details] if methods else []
        shown = [run for run in scored if has_scenes(run.details[setting].folder, run.details[setting].scenes)]
        self._without |= {run.run: None for run in scored if run not in shown}
        found = {method: {run.seed: run for run in shown if run.method == method} for method in methods}
        found = {method: by_seed for method, by_seed in found.items() if by_seed}
        common = set.intersection(*(set(by_seed) for by_seed in found.values())) if found else set()
        return {method: [by_seed[seed] for seed in sorted(common)] for method, by_seed in found.items() if common}

    def _read(self, run: RunScores, setting: str) -> list[SceneScores]:
        place = (run.details[setting].folder, setting)
        if place not in self._scenes:
            try:
                self._scenes[place] = read_scenes(*place)
            except StoreError as error:
                self._unread.append(printable(str(error)))
                self._scenes[place] = []
        return self._scenes[place]

    def _means(self, runs: Sequence[RunScores], setting: str) -> dict[str, float]:
        """Returns scene -> mean over runs, of the scenes with labels."""
        values: dict[str, list[float]] = {}
        for run in runs:
            for scene in self._read(run, setting):
                if scene.miou_present is not None:
                    values.setdefault(scene.scene, []).append(scene.miou_present)
        return {scene: fmean(found) for scene, found in values.items() if len(found) == len(runs)}

    def _predicted(self, runs: Sequence[RunScores], setting: str, scene: str) -> list[Picture] | None:
        """Returns photograph, labels, and prediction and errors of each run; None where a file is not what it must be."""
        found = [next((one for one in self._read(run, setting) if one.scene == scene), None) for run in runs]
        if any(one is None for one in found):
            return None
        pictures: list[Picture] = []
        try:
            for run, one in zip(runs, found, strict=True):
                detail = run.details[setting]
                numbers = (detail.folder, setting, one.number if one else 0)
                labels, prediction = (read_picture(*numbers, what) for what in (LABELS, PREDICTION))
                if not pictures:
                    pictures += self._photograph(detail.root / (one.image if one else ""), labels.size)
                    pictures.append(label_map("ground truth", labels))
                pictures.append(label_map(f"{run.method} predicts", prediction))
                pictures.append(error_map(f"errors of {run.method}", prediction, labels, len(self._classes)))
        except StoreError as error:
            self._unread.append(printable(str(error)))
            return None
        return pictures

    def _edited_and_scored(self, runs: Mapping[str, Sequence[RunScores]], sets: Sequence[EditedSet]) -> list[SceneView]:
        firsts = [of_method[0] for of_method in runs.values()]
        detail = firsts[0].details[_EDITED]
        sources = {one.root.resolve(): one.source for one in sets}
        source = sources.get(detail.root, detail.root.parent / "cityscapes")
        views = []
        for one in _spread(self._read(firsts[0], _EDITED), 2 * self._count):
            seen = self._predicted(firsts, _EDITED, one.scene)
            if seen is None:
                continue
            size = (seen[0].width, seen[0].height)
            before = self._before(source, detail.root, one.image, size)
            edit = [picture._replace(title=_RECIPES["target"]) for picture in seen if picture.title == _PHOTOGRAPH]
            rest = [picture for picture in seen if picture.title != _PHOTOGRAPH]
            views.append(SceneView(printable(one.scene), "", [*before, *edit, *rest]))
        return views

    def _edited(self, sets: Mapping[str, EditedSet]) -> list[SceneView]:
        """Shows scenes that all sets have, with the labels of their source."""
        if not sets:
            return []
        roots = {_RECIPES.get(recipe, recipe): one.root for recipe, one in sorted(sets.items(), key=_in_order)}
        paths = sorted(set.intersection(*(set(one.paths) for one in sets.values())))
        source = next(iter(sets.values())).source
        views = []
        for path in _spread(paths, 2 * self._count):
            edits = [picture for title, root in roots.items() for picture in self._photograph(root / path, None, title)]
            if not edits:
                continue
            size = (edits[0].width, edits[0].height)
            seen = [*self._source_image(source, path, size), *edits, *self._labels(source, path, size)]
            views.append(SceneView(printable(PurePosixPath(path).stem), "", seen))
        return views

    def _labels(self, root: Path, path: str, size: tuple[int, int]) -> list[Picture]:
        """Returns the labels of a source image; nothing where they cannot be read."""
        try:
            source, place = self._find(root, path)
            picture = Image.fromarray(source.mask(place, (size[1], size[0])))
        except (ConfigError, DataError, OSError, ValueError, KeyError):
            return []
        picture.putpalette(self._classes.palette.tobytes())
        return [label_map("ground truth", picture)]

    def _find(self, root: Path, path: str) -> tuple[SegmentationDataset, int]:
        """Returns the source of an edit, and its number there.

        Raises:
            ConfigError: the file of a user's own data is not what it was, or its labels do not tell the classes apart.
            DataError: the source is not there.
            KeyError: it does not hold the image.
        """
        split, *key = PurePosixPath(path.removesuffix(SUFFIX)).parts[1:]
        if (root, split) not in self._sources:
            kind = DescribedData if root.is_file() else Cityscapes
            self._sources[root, split] = kind(root, split, self._classes, needs_labels=False)
        source = self._sources[root, split]
        places = {sample.key: place for place, sample in enumerate(source.samples)}
        return source, places["/".join(key)]

    def _source_image(self, root: Path, path: str, size: tuple[int, int]) -> list[Picture]:
        """Returns the source of an edit; nothing where it cannot be read, which is told at the end."""
        try:
            source, place = self._find(root, path)
            image = source.samples[place].image
        except (ConfigError, DataError, OSError, ValueError, KeyError):
            image = root / path
        return self._photograph(image, size, "source")

    def _before(self, source: Path, root: Path, image: str, size: tuple[int, int]) -> list[Picture]:
        """Returns the source of an edit, and the intermediate edit of it, where they are there."""
        domain = root.name.removesuffix("_target")
        between = root.parent / set_name(domain, "intermediate") / image
        known = is_file(source) or is_file(source / image)
        return [
            *(self._source_image(source, image, size) if known else ()),
            *(self._photograph(between, size, _RECIPES["intermediate"]) if is_file(between) else ()),
        ]

    def _photograph(self, path: Path, size: tuple[int, int] | None, title: str = _PHOTOGRAPH) -> list[Picture]:
        """Returns an image; nothing where it cannot be read, which is told at the end."""
        try:
            return [photograph(title, path, size)]
        except DataError as error:
            self._unread.append(printable(str(error)))
            return []


def _two_views(methods: Sequence[str]) -> tuple[str, str]:
    """Returns what is compared first: two predictions, or the image and the only one."""
    last = f"{methods[-1]} predicts"
    return (f"{methods[0]} predicts", last) if len(methods) > 1 else (_PHOTOGRAPH, last)


def _in_order(recipe: tuple[str, EditedSet]) -> int:
    return [*_RECIPES].index(recipe[0]) if recipe[0] in _RECIPES else len(_RECIPES)


def _spread(values: Sequence[T], count: int) -> list[T]:
    """Returns so many of them, as far from one another as can be."""
    step = max(1.0, len(values) / max(1, count))
    return [values[int(number * step)] for number in range(min(count, len(values)))]
