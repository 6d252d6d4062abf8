"""The same scenes at every station of an adaptation, as rows for a picture sheet."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from zsda.core.errors import DataError
from zsda.core.trained import TrainedNetwork
from zsda.data.classes import find_classes
from zsda.data.datasets.cityscapes import Cityscapes
from zsda.data.datasets.generated import GeneratedSet
from zsda.data.labels import CITYSCAPES
from zsda.data.panels import LabelMap, Panel, write_picture_sheet
from zsda.data.set_names import ORACLE
from zsda.evaluation.inference import ResizedInference, predict_images
from zsda.models.weights import load_trained

_LEGIBLE = 256  # pixels, the width from which a street scene can be made out

_VIEWS = {"intermediate": "intermediate", "target": "target edit", ORACLE: "rendered target"}


def write_adaptation_sheet(
    path: Path, data_root: Path, domain: str, networks: Mapping[str, TrainedNetwork], count: int
) -> None:
    """Writes what `adaptation_rows` shows, as JPEG or PNG by the ending, small scenes enlarged by a whole number.

    Raises:
        DataError: a set is not there, or the views have no scene in common.
        ModelError: a network cannot be loaded.
        StoreError: the file cannot be written.
    """
    captions, rows = adaptation_rows(data_root, domain, networks, count)
    write_picture_sheet(path, captions, rows, scale=-(-_LEGIBLE // rows[0][0].shape[1]))


def adaptation_rows(
    data_root: Path, domain: str, networks: Mapping[str, TrainedNetwork], count: int
) -> tuple[list[str], list[list[Panel]]]:
    """Shows the first validation scenes: source, edits, how they really look in the domain, labels and predictions.

    Args:
        data_root: where the source, the sets of the domain, and the renders lie.
        domain: its name.
        networks: caption -> what predicts; every prediction is made on the rendered target.
        count: number of scenes, less where fewer have all views.

    Returns:
        Captions, and for each scene as many pictures, photographs [H, W, 3] and label maps [H, W]. The labels are in
        the classes of the first network.

    Raises:
        ConfigError: the classes of a network are no set of classes.
        DataError: a set is not there, or the views have no scene in common.
        ModelError: a network cannot be loaded.
    """
    classes = [find_classes(network.classes) for network in networks.values()]
    source = Cityscapes(data_root / "cityscapes", "val", next(iter(classes), CITYSCAPES))
    views = [GeneratedSet(data_root, domain, view, source) for view in _VIEWS]
    places = [{sample.key: place for place, sample in enumerate(dataset.samples)} for dataset in (source, *views)]
    scenes = [sample.key for sample in source.samples if all(sample.key in found for found in places)][:count]
    if not scenes:
        raise DataError(f"{source.name}: no scene that each of {', '.join(view.name for view in views)} shows")
    pictures = [
        [dataset.image(found[key]) for key in scenes] for dataset, found in zip((source, *views), places, strict=True)
    ]
    real = pictures[1 + list(_VIEWS).index(ORACLE)]
    predictions = [
        predict_images(load_trained(network), real, ResizedInference(network.size)) for network in networks.values()
    ]
    rows: list[list[Panel]] = [
        [
            *(np.asarray(of_set[number]) for of_set in pictures),
            LabelMap(source.mask(places[0][key]), source.classes),
            *(LabelMap(maps[number], own) for maps, own in zip(predictions, classes, strict=True)),
        ]
        for number, key in enumerate(scenes)
    ]
    return ["source", *_VIEWS.values(), "ground truth", *networks], rows
