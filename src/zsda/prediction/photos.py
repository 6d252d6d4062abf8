"""Photographs, one after the other: read by loaders, predicted, written."""

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress
from torch.utils.data import DataLoader, Dataset

from zsda.core.digests import content_digests
from zsda.core.files import write_atomic
from zsda.core.signals import outlive_signals
from zsda.data.faults import Fault, FaultLog, collate, load_or_fault
from zsda.data.reader import FROM_DISK
from zsda.data.resizing import Size
from zsda.data.samples import Sample
from zsda.prediction.outputs import Painter
from zsda.prediction.predictor import Predictor
from zsda.prediction.store import PredictionStore, Work, replaced


class _Photos(Dataset[Any]):
    def __init__(self, photos: Sequence[Sample], size: Size | None) -> None:
        self._photos, self._size = photos, size

    def __len__(self) -> int:
        return len(self._photos)

    def __getitem__(self, index: int) -> dict[str, Any] | Fault:
        photo = self._photos[index]
        return load_or_fault(lambda: {"photo": photo, "pixels": FROM_DISK.pixels(photo.image, self._size).values})


def _alone(samples: list[dict[str, Any]]) -> dict[str, Any]:
    return samples[0]


def predict_photos(
    photos: Sequence[Sample],
    places: Mapping[str, Mapping[str, str]],
    predictor: Predictor,
    painter: Painter,
    store: PredictionStore,
    faults: FaultLog,
    progress: Progress,
    num_workers: int = 0,
    size: Size | None = None,
    archive: str | None = None,
) -> int:
    """Predicts photographs and writes what is asked for of each; what is finished already is passed over.

    What was made of a former content of a photograph is removed, also where the present one cannot be decoded.

    Args:
        photos: what to predict.
        places: key of a photograph -> output -> path below the root of the store.
        predictor: predicts.
        painter: makes the outputs.
        store: where they go.
        faults: takes the files that cannot be decoded.
        progress: shows how far it is.
        num_workers: loader processes.
        size: height, width that photographs are resized to first; None leaves them at their own.
        archive: path of the file below the root into which all will be packed; a former one is removed.

    Returns:
        How many were finished already.

    Raises:
        StoreError: an output cannot be written to its place, see `PredictionStore.begin`, or the file system refuses.
        ModelError: outputs of the network are not finite.
    """
    digests = content_digests(photo.image for photo in photos)
    works = {p.key: Work(p.image, digests[p.image], list(places[p.key].values())) for p in photos}
    packed = [] if archive is None else [Work(store.root, None, [archive])]
    begun = {work.source for work in store.begin([*works.values(), *packed])}
    missing = [photo for photo in photos if photo.image in begun]
    loader = DataLoader(
        _Photos(missing, size),
        num_workers=num_workers if missing else 0,
        collate_fn=partial(collate, stack=_alone),
        generator=torch.Generator().manual_seed(0),
        worker_init_fn=outlive_signals,
    )
    for batch in progress.track(loader, len(missing), description="predicting"):
        if not faults.take(batch):
            continue
        photo, pixels = batch["photo"], batch["pixels"]
        prediction = predictor.predict(pixels)
        for kind, place in places[photo.key].items():
            write_atomic(store.root / place, painter.png(kind, prediction, pixels))
        store.note(works[photo.key])
    return len(photos) - len(missing)


def pack(archive: Path, root: Path, places: Iterable[str]) -> None:
    """Writes a ZIP of the files that are there of some below a folder, under their paths.

    Raises:
        StoreError: the file system refuses.
    """
    with replaced(archive) as part, zipfile.ZipFile(part, "w") as file:  # PNGs become no smaller
        for place in sorted(places):
            if (root / place).is_file():
                file.write(root / place, place)
