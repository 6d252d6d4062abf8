"""Writes streets as somebody else would keep them, to try docs/own_data.md without data of one's own.

    python tools/foreign_folder.py "Neue Stadt"

Frames of the miniature world as photographs with spaces in their names and upper-case endings, label maps painted in colours of
their own, 11 classes under other names, and ``neustadt.yaml``, which says all that.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from zsda.data.datasets.acdc import ACDC
from zsda.data.datasets.cityscapes import Cityscapes
from zsda.data.labels import IGNORE
from zsda.data.samples import SegmentationDataset
from zsda.miniature.writer import write_miniature

PAINTED = {
    "road": "#3c3c5a", "sidewalk": "#c896c8", "building": "#96643c", "fence": "#dcb46e", "pole": "#b4b4b4",
    "traffic sign": "#f0dc28", "vegetation": "#287832", "sky": "#82b4e6", "person": "#e6283c", "rider": "#fa8282", "car": "#2846c8",
}  # fmt: skip
"""The 11 classes in their order, and what they are painted in here."""

DESCRIPTION = Path(__file__).parents[1] / "docs/own_data.md"


def write_foreign_folder(root: Path, train: int = 60, val: int = 12, size: tuple[int, int] = (128, 256)) -> None:
    """Writes the folder.

    Args:
        root: where it goes.
        train: photographs by day that are labelled, to train on.
        val: of each condition, to score.
        size: height, width.
    """
    with TemporaryDirectory() as place:
        world = Path(place)
        write_miniature(world, train=train, val=val, test=val, seed=7, size=size)
        _write(root, "Fotos/Lernen", Cityscapes(world / "cityscapes", "train", "11"))
        _write(root, "Fotos/Prüfen", Cityscapes(world / "cityscapes", "val", "11"))
        _write(root, "Fotos bei Nacht", ACDC(world / "ACDC", "night", "val", classes="11"))
    (root / "neustadt.yaml").write_text(documented("yaml"), encoding="utf-8")


def documented(language: str) -> str:
    """Returns the first block of a language in docs/own_data.md."""
    return DESCRIPTION.read_text(encoding="utf-8").split(f"```{language}\n", 1)[1].split("```", 1)[0]


def _write(root: Path, folder: str, images: SegmentationDataset) -> None:
    palette = np.zeros((256, 3), np.uint8)
    # Neither the order nor the first index tells which class it is.
    palette[3 : 3 + len(PAINTED)] = [list(bytes.fromhex(colour[1:])) for colour in reversed(PAINTED.values())]
    index = np.zeros(256, np.uint8)
    index[: len(PAINTED)] = np.arange(len(PAINTED), 0, -1) + 2
    index[IGNORE] = 0
    for number, sample in enumerate(images.samples):
        city, frame = sample.key.split("/")
        name = f"Bild {frame.removeprefix(f'{city}_').replace('_', ' ')}"
        photograph = root / folder / city / f"{name}.JPG"
        painted = root / "Masken" / folder / city / f"{name} Maske.PNG"
        for path in (photograph, painted):
            path.parent.mkdir(parents=True, exist_ok=True)
        images.image(number).save(photograph, "JPEG", quality=95)
        labels = Image.fromarray(index[images.mask(number)])
        labels.putpalette(palette.tobytes())
        labels.save(painted, "PNG")


if __name__ == "__main__":
    write_foreign_folder(Path(sys.argv[1] if len(sys.argv) > 1 else "Neue Stadt"))
