"""Training samples per second and core: a pair of 2048x1024 and 1024x512 with its label, cropped, jittered and collated.

python benchmarks/training.py
"""

from pathlib import Path
from random import Random
from typing import Any

import published
from material import scenes
from PIL import Image
from rounds import Claim, main, medians, ratio, seconds
from torch.utils.data import default_collate

from zsda.data.aligned import ViewsData
from zsda.data.datasets.cityscapes import Cityscapes
from zsda.data.transforms import TrainingTransform


def data(root: Path, cache: float | None) -> ViewsData:
    """Returns SDGPA's first phase, set up as a training does."""
    transform = TrainingTransform(
        (512, 1024), (384, 768), 0.5, brightness=(0.5, 1.5), contrast=(0.5, 1.5), saturation=(0.5, 1.5), hue=(-0.3, 0.3)
    )
    source = Cityscapes(root / "cityscapes", "train")
    views = ["source", "intermediate"]
    made = ViewsData(source, source, [], "day", root, "night", transform, 4, 0, 0, views, cache=cache)
    made.prepare_data()
    made.setup("fit")
    return made


def decode(paths: list[list[Path]]) -> None:
    """Decodes the files of scenes with Pillow, and nothing else."""
    for path in (path for scene in paths for path in scene):
        with Image.open(path) as image:
            image.load()


def measure(rounds: int) -> tuple[list[Claim], dict[str, Any]]:
    """Compares batches of four pairs."""
    with scenes() as root:
        images = sorted((root / "cityscapes/leftImg8bit/train/city").iterdir())
        edits = [root / "night_intermediate/leftImg8bit/train/city" / image.name for image in images]
        labels = [
            root / "cityscapes/gtFine/train/city" / image.name.replace("leftImg8bit", "gtFine_labelIds")
            for image in images
        ]
        files = [list(scene) for scene in zip(images, edits, labels, strict=True)]
        random, epochs = Random(0), iter(range(10**6))

        def theirs() -> object:
            return default_collate([published.training_pair(*scene, random) for scene in files])

        def ours(made: ViewsData) -> object:
            loader = made.train_dataloader()
            loader.sampler.set_epoch(next(epochs))
            (batch,) = loader
            return made.on_after_batch_transfer(batch, 0)

        plain, kept = data(root, None), data(root, 1.0)
        taken = seconds(
            {
                "published": theirs,
                "decode": lambda: decode(files),
                "zsda": lambda: ours(plain),
                "zsda_cached": lambda: ours(kept),
            },
            rounds,
        )
    claims = [
        Claim("training samples, cached, against the published", ratio(taken, "published", "zsda_cached"), 10),
        Claim("training samples, uncached, against the published", ratio(taken, "published", "zsda"), 1.6),
        Claim("training samples, uncached, against bare decoding by Pillow", ratio(taken, "decode", "zsda"), 0.8),
    ]
    return claims, {"milliseconds_of_4": medians(taken)}


if __name__ == "__main__":
    main(__doc__, measure)
