"""The same scenes at every station of an adaptation, as rows for a picture sheet."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from zsda.core.errors import DataError
from zsda.core.trained import TrainedNetwork
from zsda.data.datasets.cityscapes import Cityscapes
from zsda.data.datasets.generated import GeneratedSet
from zsda.data.samples import read_image, read_label
from zsda.data.set_names import ORACLE
from zsda.evaluation.inference import predict_images
from zsda.models.weights import load_trained
from zsda.reporting.panels import Panel, write_picture_sheet

_LEGIBLE = 256  # pixels, the width from which a street scene can be made out

_VIEWS = {"intermediate": "intermediate", "target": "target edit", ORACLE: "rendered target"}


def write_adaptation_sheet(
    path: Path, data_root: Path, domain: str, networks: Mapping[str, TrainedNetwork], count: int
) -> None:
    """Writes what `adaptation_rows` shows as a PNG, small scenes enlarged by a whole number.

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
        Captions, and for each scene as many pictures, photographs [H, W, 3] and train ids [H, W].

    Raises:
        DataError: a set is not there, or the views have no scene in common.
        ModelError: a network cannot be loaded.
    """
    source = Cityscapes(data_root / "cityscapes", "val")
    views = {view: GeneratedSet(data_root, domain, view, source) for view in _VIEWS}
    files = {view: {sample.key: sample.image for sample in dataset.samples} for view, dataset in views.items()}
    scenes = [sample for sample in source.samples if all(sample.key in images for images in files.values())][:count]
    if not scenes:
        raise DataError(f"{source.name}: no scene that each of {', '.join(d.name for d in views.values())} shows")
    real = [read_image(files[ORACLE][scene.key]) for scene in scenes]
    predictions = [predict_images(load_trained(network), real, network.size) for network in networks.values()]
    rows = [
        [
            np.asarray(read_image(scene.image)),
            *(np.asarray(read_image(files[view][scene.key])) for view in _VIEWS),
            read_label(scene.label, scene.encoding),
            *(of_subject[number] for of_subject in predictions),
        ]
        for number, scene in enumerate(scenes)
    ]
    return ["source", *_VIEWS.values(), "ground truth", *networks], rows
