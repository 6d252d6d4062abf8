"""From what lies on disk to what a network takes."""

import os
from collections.abc import Mapping, Sequence

# It would ask the package registry for a newer version at every import, which delays and warns where there is no network.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from zsda.errors import ConfigError

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)

Size = Sequence[int]
"""Height, width in pixels."""


def resize_image(image: Image.Image, size: Size) -> NDArray[np.uint8]:
    """Resizes with Pillow's Lanczos, as the published evaluation does; returns uint8 [H, W, 3]."""
    height, width = size
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(image)


def resize_mask(mask: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """Resizes train ids to the nearest; returns uint8 [H, W]."""
    height, width = size
    if mask.shape == (height, width):
        return mask
    return np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))


def normalise(image: NDArray[np.uint8]) -> Tensor:
    """Scales uint8 [H, W, 3] to float32 [3, H, W] with the mean and deviation of ImageNet."""
    scaled = (image.astype(np.float32) / 255 - MEAN) / STD
    return torch.from_numpy(np.ascontiguousarray(scaled.transpose(2, 0, 1)))


class EvaluationTransform:
    """Resizes and normalises (SDGPA evaluates at 512x1024).

    Args:
        size: height, width that the network sees.

    Raises:
        ConfigError: it is no height and width.
    """

    def __init__(self, size: Size = (512, 1024)) -> None:
        if len(size) != 2 or not all(isinstance(length, int) and length > 0 for length in size):
            raise ConfigError(f"size={list(size)}; expected height and width in pixels, e.g. size=[512,1024]")
        self.size = size

    def __call__(self, image: Image.Image) -> Tensor:
        """Returns float32 [3, H, W]."""
        return normalise(resize_image(image, self.size))


class TrainingTransform:
    """One geometry for all views of a scene, one colour jitter for each (SDGPA, section III-C and its code).

    Args:
        size: height, width to which images and labels are resized first.
        crop: height, width of the random crop; None keeps the whole image.
        flip: probability of mirroring.
        brightness: range of the factor, uniform, always applied; contrast and saturation likewise.
        contrast: see ``brightness``.
        saturation: see ``brightness``.
        hue: range of the shift in turns of the colour circle.

    Raises:
        ConfigError: the crop is larger than the resized image.
    """

    def __init__(
        self,
        size: Size,
        crop: Size | None,
        flip: float,
        brightness: Sequence[float],
        contrast: Sequence[float],
        saturation: Sequence[float],
        hue: Sequence[float],
    ) -> None:
        if crop is not None and (crop[0] > size[0] or crop[1] > size[1]):
            raise ConfigError(
                f"data.transform: a crop of {tuple(crop)} does not fit into size {tuple(size)} (height, width)"
            )
        self.size = size
        cropping = [] if crop is None else [A.RandomCrop(*crop)]
        self._geometry = [*cropping, A.HorizontalFlip(p=flip)]
        # Four steps instead of one ColorJitter, which would shuffle the order of its operations.
        neutral = {"brightness": (1, 1), "contrast": (1, 1), "saturation": (1, 1), "hue": (0, 0)}
        ranges = {"brightness": brightness, "contrast": contrast, "saturation": saturation, "hue": hue}
        steps = [A.ColorJitter(**{**neutral, name: tuple(limits)}, p=1) for name, limits in ranges.items()]
        self._jitter = A.Compose(steps)

    def __call__(
        self, images: Mapping[str, Image.Image], mask: NDArray[np.uint8], seed: int
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Augments one scene; equal seeds give equal results in any process.

        Args:
            images: view name -> RGB image, of any sizes.
            mask: train ids, uint8 [H, W].
            seed: non-negative, below 2**32.

        Returns:
            View name -> float32 [3, h, w], and the train ids, uint8 [h, w].
        """
        names = list(images)
        others = {f"view{index}": "image" for index in range(1, len(names))}
        geometry = A.Compose(self._geometry, additional_targets=others, seed=seed)
        resized = [resize_image(images[name], self.size) for name in names]
        result = geometry(
            image=resized[0], mask=resize_mask(mask, self.size), **dict(zip(others, resized[1:], strict=True))
        )
        views = {}
        for index, (name, key) in enumerate(zip(names, ["image", *others], strict=True)):
            self._jitter.set_random_seed((seed + 1 + index) % 2**32)
            views[name] = normalise(self._jitter(image=result[key])["image"])
        return views, torch.from_numpy(np.array(result["mask"]))
