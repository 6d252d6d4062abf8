"""An evaluation scene by scene: how well each was predicted, with small pictures of prediction and labels.

    scenes.csv   a row for each scene: setting, number, scene, image, miou_present, accuracy
    scenes.zip   <setting>/<number>_prediction.png and <setting>/<number>_labels.png, palette PNGs of ids

The photographs are not copied; ``image`` says where they lie below the root of their data set. Without torch, so that a report starts
at once.
"""

import csv
import io
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from zsda.core.errors import StoreError
from zsda.core.files import file_digest, is_file, read_regular
from zsda.core.records import is_below, printable

PREDICTION, LABELS = "prediction", "labels"
LONGEST = 512
"""Pixels of the longer side of a picture."""

_TABLE, _PICTURES = "scenes.csv", "scenes.zip"
_COLUMNS = ("setting", "number", "scene", "image", "miou_present", "accuracy")
_MOST_BYTES = 2**20  # of a picture; half a kilobyte a line is what labels take
_WAY_OUT = "evaluate this run again"


class SceneScores(NamedTuple):
    """How well one image was predicted.

    Attributes:
        number: of it among the scenes of its setting; names its pictures.
        scene: what names the frame within its set.
        image: path below the root of its set, in POSIX form.
        miou_present: mean IoU over the classes that are labelled in it, a share of 1; None where nothing is.
        accuracy: share of its labelled pixels.
    """

    number: int
    scene: str
    image: str
    miou_present: float | None
    accuracy: float | None


def scene_files(scenes: Mapping[str, Sequence[SceneScores]], pictures: Mapping[str, bytes]) -> dict[str, bytes]:
    """Returns name -> content of the files, equal ones for equal scenes.

    Args:
        scenes: setting -> its scenes.
        pictures: what `picture_name` returned -> content of the PNG.
    """
    table, archive = io.StringIO(), io.BytesIO()
    writer = csv.writer(table)
    writer.writerow(_COLUMNS)
    for setting, found in scenes.items():
        for one in found:
            shares = ["" if share is None else f"{share:.6f}" for share in (one.miou_present, one.accuracy)]
            # A name that is no text is shown, and not found again.
            writer.writerow([setting, one.number, printable(one.scene), printable(one.image), *shares])
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in pictures.items():
            file.writestr(zipfile.ZipInfo(name), content)  # without the time
    return {_TABLE: table.getvalue().encode(), _PICTURES: archive.getvalue()}


def picture_name(setting: str, number: int, what: str) -> str:
    """Returns how a picture is called, `PREDICTION` or `LABELS` of a scene."""
    return f"{setting}/{number:05d}_{what}.png"


def has_scenes(folder: Path, digests: Mapping[str, str]) -> bool:
    """Tells whether the scenes are there that belong to an evaluation; those of earlier versions had none.

    Args:
        folder: of the evaluation.
        digests: file -> SHA-256, as ``scores.json`` has them.
    """
    if digests.keys() != {_TABLE, _PICTURES}:
        return False
    return all(is_file(folder / name) and file_digest(folder / name) == digest for name, digest in digests.items())


def read_scenes(folder: Path, setting: str) -> list[SceneScores]:
    """Reads the scenes of a setting, in their order.

    Raises:
        StoreError: they are not there, or not what ``zsda.eval`` wrote.
    """
    path = folder / _TABLE
    try:
        rows = list(csv.DictReader(io.StringIO(read_regular(path).decode())))
        return [_scene(row) for row in rows if row["setting"] == setting]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise StoreError(f"{path} cannot be read ({printable(str(error))}); {_WAY_OUT}") from error


def read_picture(folder: Path, setting: str, number: int, what: str) -> Image.Image:
    """Reads a small picture of a scene, ids in palette mode, black where there is none.

    Args:
        folder: of the evaluation.
        setting: of the scene.
        number: its number.
        what: `PREDICTION` or `LABELS`.

    Raises:
        StoreError: it is not there, or not what ``zsda.eval`` wrote.
    """
    path = folder / _PICTURES
    try:
        with zipfile.ZipFile(path) as archive:
            entry = archive.getinfo(picture_name(setting, number, what))
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > _MOST_BYTES:
                raise ValueError(f"{entry.filename} is packed, or larger than {_MOST_BYTES} bytes")
            content = archive.read(entry)
        # Before Pillow sees it, which would make room for whatever size it says.
        if max(struct.unpack(">II", content[16:24])) > LONGEST:
            raise ValueError(f"{entry.filename} is no picture of at most {LONGEST} pixels with a palette")
        picture = Image.open(io.BytesIO(content), formats=["PNG"])
        if picture.mode != "P":
            raise ValueError(f"{entry.filename} is no picture of at most {LONGEST} pixels with a palette")
        picture.load()
    except (
        OSError,
        ValueError,
        KeyError,
        RuntimeError,
        SyntaxError,
        EOFError,
        struct.error,
        zipfile.BadZipFile,
    ) as error:
        raise StoreError(f"{path} cannot be read ({printable(str(error))}); {_WAY_OUT}") from error
    return picture


def _scene(row: Mapping[str, str]) -> SceneScores:
    if not is_below(row["image"]):
        raise ValueError(f"{row['image']} leads out of its set")
    shares = [float(row[name]) if row[name] else None for name in ("miou_present", "accuracy")]
    if not all(share is None or 0 <= share <= 1 for share in shares):
        raise ValueError("a share is from 0 to 1")
    return SceneScores(int(row["number"]), row["scene"], row["image"], shares[0], shares[1])
