"""What a training is to read, listed before anything slow is imported, so that all that is wrong with it is told within seconds."""

import json
import logging
from collections.abc import Collection, Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

from zsda.core.config import build, plain
from zsda.core.errors import ConfigError, DataError, Gathered
from zsda.core.runs import RunFolder

# By their names, as in a config: nothing here imports data, and the first three would import torch.
_VIEWS, _UNPAIRED = "zsda.data.aligned.ViewsData", "zsda.data.unpaired.UnpairedData"
_LABELLING = "zsda.adaptation.labelling.LabellingPhase"
_WATCHED = ["source"]  # of both, where nothing is said
_VIEW_IMAGES, _CHECK_UNLABELLED = "zsda.data.views.view_images", "zsda.data.views.check_unlabelled"
_CHOOSE_SCENES, _CHECK_ENOUGH = "zsda.data.views.choose_scenes", "zsda.data.views.check_enough"

_log = logging.getLogger(__name__)


def check_training_data(config: DictConfig) -> None:
    """Lists the source, what is watched, the unlabelled images, and the generated sets that the phases of a method see.

    Says which of the unlabelled images are taken, where they are chosen by their layout scores.

    Args:
        config: of ``zsda.train``.

    Raises:
        ZsdaError: something is not there or not as it must be, all of it at once.
    """
    listing = _Listing()
    run_data = plain(config.data)
    if "source" in run_data:
        listing.dataset(run_data["source"])
    phases = {str(name): plain(phase) for name, phase in config.method.phases.items()}
    finished: Collection[str] = ()
    if config.start_run is not None:
        finished = phases  # as far as is known
        with listing.gathered.gather():
            finished = RunFolder(Path(config.runs_root) / str(config.start_run)).phase_names()
    taken = set(takewhile(lambda name: name in finished and not _labels(phases[name]), phases))
    for phase in (phases[name] for name in phases if name not in taken):
        said = {**(phase.get("data") or {}), **({"parts": ["unlabelled"]} if _labels(phase) else {})}
        if said:
            listing.phase(said if "_target_" in said else _laid_over(run_data, said), trains=not _labels(phase))
    listing.gathered.conclude()
    for images in listing.unlabelled:
        if getattr(images, "best", None) is not None:
            _log.info("%s, %d images: %s", images.name, len(images), images.best.describe())


def _labels(phase: Mapping[str, Any]) -> bool:
    return phase.get("_target_") == _LABELLING


def _laid_over(run_data: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    return OmegaConf.to_container(OmegaConf.merge(run_data, said))  # type: ignore[return-value]  # of two dicts one


class _Listing:
    """Lists data sets, each once, and gathers what is wrong with them."""

    def __init__(self) -> None:
        self.gathered = Gathered()
        self.unlabelled: list[Any] = []  # each once
        self._listed: dict[str, Any] = {}
        self._refused = False  # the source or the domain, for all views alike
        self._told: set[str] = set()  # folders that are not there, of which no part need be named

    def dataset(self, node: Mapping[str, Any], hint: str = "") -> Any:  # noqa: ANN401 - a SegmentationDataset, of the room above
        """Builds a data set; returns None where it cannot be built."""
        key, root = json.dumps(node, sort_keys=True), node.get("root")
        if key in self._listed or root in self._told:
            return self._listed.get(key)
        self._listed[key] = None
        with self.gathered.gather():
            try:
                self._listed[key] = build(OmegaConf.create(_by_names(node)))
            except DataError as error:
                if root is not None and not Path(root).exists():
                    self._told.add(root)
                raise DataError(f"{error}{hint}") from error
        return self._listed[key]

    def phase(self, data: Mapping[str, Any], trains: bool) -> None:
        """Lists what a phase reads, of which there must be enough for a batch where it ``trains``."""
        kind, watch = data.get("_target_"), data.get("watch", _WATCHED)
        source = self.dataset(data["source"]) if "source" in data else None
        watched = None
        if kind in (_VIEWS, _UNPAIRED) and watch and data.get("validation"):
            hint = "; nothing needs to be watched: data.watch=[] trains without it"
            watched = self.dataset(data["validation"], hint)
        trained_on: list[Any] = [source]
        if kind == _VIEWS:
            views = data.get("views") or []
            trained_on += self._views(data, source, [] if isinstance(views, str) else views)
            self._views({**data, "min_layout_score": None, "keep_best": None}, watched, watch)
        elif kind == _UNPAIRED and "unlabelled" in data.get("parts", ["unlabelled"]):
            with self.gathered.gather():
                hydra.utils.get_method(_CHECK_UNLABELLED)(data.get("unlabelled"), data.get("target"))
                unlabelled = self.dataset(data["unlabelled"])
                trained_on.append(unlabelled)
                if not any(unlabelled is known for known in self.unlabelled):
                    self.unlabelled.append(unlabelled)
        # Only where nothing else is wrong, as a set of which a part is missing is too small as well.
        for images in trained_on if trains and kind in (_VIEWS, _UNPAIRED) and not self.gathered.errors else ():
            with self.gathered.gather():
                hydra.utils.get_method(_CHECK_ENOUGH)(data.get("batch_size", 0), len(images), data.get("keep_best"))

    def _views(self, data: Mapping[str, Any], images: Any, views: list[str]) -> list[Any]:  # noqa: ANN401 - as dataset returns them
        taken = ("generated_root", "domain", "rendered_root", "min_layout_score")
        arguments = {key: data[key] for key in taken if key in data}
        found: dict[str, Any] = {}
        for view in dict.fromkeys(views) if images is not None else ():
            if self._refused:
                break
            with self.gathered.gather():
                try:
                    found[view] = hydra.utils.get_method(_VIEW_IMAGES)(view, images, **arguments, checks="names")
                except ConfigError:
                    self._refused = True
                    raise
        with self.gathered.gather():
            choice = {key: data[key] for key in ("min_layout_score", "keep_best") if key in data}
            found, _ = hydra.utils.get_method(_CHOOSE_SCENES)(found, **choice)
        return list(found.values())


def _by_names(node: Mapping[str, Any]) -> dict[str, Any]:
    """Lets generated sets be listed without a look into their files."""
    generated = str(node.get("_target_")).endswith(".GeneratedSet")
    return {**node, "checks": "names"} if generated else dict(node)
