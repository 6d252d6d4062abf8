"""Files as Cityscapes has them: street scenes of 2048x1024 with the grain of a camera, so that they are as hard to decode."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from zsda.data.labels import to_label_ids
from zsda.miniature.render.scenes import render_scene

SCENES = 4
_SIZE, _EDIT = (1024, 2048), (1024, 512)
_GRAIN = 1.5  # grey levels; a PNG has 2.2 MB with it, as one of Cityscapes


@contextmanager
def scenes() -> Iterator[Path]:
    """Makes a folder of scenes, their labels, and an edit of each of 1024x512, which is darker, and an empty cache beside them."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
        _write(Path(folder))
        yield Path(folder)


def _write(root: Path) -> None:
    noise = np.random.default_rng(0)
    for number in range(SCENES):
        # Rendered at half the size, as a lens is no sharper.
        scene = render_scene(number, (_SIZE[0] // 2, _SIZE[1] // 2))
        large = np.asarray(Image.fromarray(scene.image).resize(_SIZE[::-1], Image.Resampling.BICUBIC), np.float32)
        grain = noise.normal(0, _GRAIN, large.shape)
        image = Image.fromarray(np.clip(np.rint(large + grain), 0, 255).astype(np.uint8))
        ids = Image.fromarray(to_label_ids(scene.train_ids)).resize(_SIZE[::-1], Image.Resampling.NEAREST)
        edit = image.resize(_EDIT, Image.Resampling.BICUBIC).point(lambda value: value * 0.6)
        name = f"city/city_{number:06d}_000019"
        for path, picture in (
            (f"cityscapes/leftImg8bit/train/{name}_leftImg8bit.png", image),
            (f"cityscapes/gtFine/train/{name}_gtFine_labelIds.png", ids),
            (f"night_intermediate/leftImg8bit/train/{name}_leftImg8bit.png", edit),
        ):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            picture.save(root / path)
