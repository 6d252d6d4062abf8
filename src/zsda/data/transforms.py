"""From what lies on disk to what a network takes."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TypeGuard

# It would ask the package registry for a newer version at every import, which delays and warns where there is no network.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")


import albumentations as A
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from zsda.data.labels import IGNORE
from zsda.errors import ConfigError

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
_GREY = (124, 116, 104)
_APART = 0x9E3779B9  # between the seeds of transforms: far, for neighbouring seeds are in use as well

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
        _check_size("size", size)
        self.size = size

    def __call__(self, image: Image.Image) -> Tensor:
        """Returns float32 [3, H, W]."""
        return normalise(resize_image(image, self.size))


Effect = Callable[[NDArray[np.uint8], int], NDArray[np.uint8]]
"""Takes an image, uint8 [H, W, 3], and a seed, and returns the image changed."""

_CLASSICAL: dict[str, Callable[[], A.ImageOnlyTransform]] = {
    "fog": lambda: A.RandomFog(p=1),
    "rain": lambda: A.RandomRain(p=1),
    "snow": lambda: A.RandomSnow(method="texture", p=1),
    "night": lambda: A.ColorJitter(brightness=(0.2, 0.6), contrast=(1, 1), saturation=(1, 1), hue=(0, 0), p=1),
    "game": lambda: A.RandomBrightnessContrast(p=1),
}


class ClassicalWeather:
    """The closest that albumentations comes to a domain without a network, with its own ranges where it has any.

    The control of edited images: what they gain over it is what the editor is worth.

    Args:
        name: one of fog, rain, snow, night (darker), game (other brightness and contrast).

    Raises:
        ConfigError: nothing matches.
    """

    def __init__(self, name: str | None) -> None:
        if name not in _CLASSICAL:
            options = "|".join(_CLASSICAL)
            raise ConfigError(f"no classical augmentation matches data.weather={name}; give data.weather={options}")
        self._name = name

    def __call__(self, image: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
        """Returns the image, uint8 [H, W, 3], in this weather; equal seeds give equal weather."""
        return A.Compose([_CLASSICAL[self._name]()], seed=seed)(image=image)["image"]


class TrainingTransform:
    """One geometry for all views of a scene, one colour jitter for each (SDGPA, section III-C and its code).

    Args:
        size: height, width to which images and labels are resized first.
        scale: range of a random enlargement before the crop; None leaves it out, as published.
        crop: height, width of the random crop; None keeps the whole image.
        flip: probability of mirroring.
        brightness: range of the factor, uniform, always applied; contrast and saturation likewise.
        contrast: see ``brightness``.
        saturation: see ``brightness``.
        hue: range of the shift in turns of the colour circle.
        blur: probability of a Gaussian blur of each view after its jitter; published is 0.
        cutout: probability of a grey rectangle, up to a quarter as high and wide, in each view; published is 0.

    Raises:
        ConfigError: a value makes no sense, or the crop is larger than the resized image, or could be after scaling.
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
        scale: Sequence[float] | None = None,
        blur: float = 0.0,
        cutout: float = 0.0,
    ) -> None:
        _check_size("data.transform.size", size)
        if crop is not None:
            _check_size("data.transform.crop", crop)
        if scale is not None:
            _check_range("scale", scale, 0)
        for name, limits in (("brightness", brightness), ("contrast", contrast), ("saturation", saturation)):
            _check_range(name, limits, 0)
        _check_range("hue", hue, -0.5, 0.5)
        for name, share in (("flip", flip), ("blur", blur), ("cutout", cutout)):
            if not isinstance(share, int | float) or not 0 <= share <= 1:
                raise ConfigError(f"data.transform.{name}={share}; expected a probability, a number from 0 to 1")
        least = 1 if scale is None else min(1, scale[0])
        if crop is not None and (crop[0] > size[0] * least or crop[1] > size[1] * least):
            shrunk = "" if scale is None else f" scaled by {scale[0]}"
            raise ConfigError(
                f"data.transform: a crop of {tuple(crop)} does not fit into size {tuple(size)}{shrunk} (height, width)"
            )
        self.size = size
        scaling = [] if scale is None else [A.RandomScale((scale[0] - 1, scale[1] - 1), p=1)]
        # Without a crop a batch needs one size nevertheless.
        window = crop if crop is not None else None if scale is None else size
        cropping = [] if window is None else [A.RandomCrop(*window, pad_if_needed=scale is not None, fill_mask=IGNORE)]
        self._geometry = [*scaling, *cropping, A.HorizontalFlip(p=flip)]
        # Four steps instead of one ColorJitter, which would shuffle the order of its operations. They may share a seed: each draws
        # four factors, and uses another one of them.
        neutral = {"brightness": (1, 1), "contrast": (1, 1), "saturation": (1, 1), "hue": (0, 0)}
        ranges = {"brightness": brightness, "contrast": contrast, "saturation": saturation, "hue": hue}
        steps = [A.ColorJitter(**{**neutral, name: tuple(limits)}, p=1) for name, limits in ranges.items()]
        extent = (0.05, 0.25)
        options: list[A.BasicTransform] = [A.GaussianBlur(p=blur)] if blur else []
        options += [A.CoarseDropout((1, 1), extent, extent, fill=_GREY, p=cutout)] if cutout else []
        self._jitter, self._options = A.Compose(steps), A.Compose(options)

    def __call__(
        self,
        images: Mapping[str, Image.Image],
        mask: NDArray[np.uint8],
        seed: int,
        effects: Mapping[str, Effect] | None = None,
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Augments one scene; equal seeds give equal results in any process.

        Args:
            images: view name -> RGB image, of any sizes.
            mask: train ids, uint8 [H, W].
            seed: non-negative, below 2**32.
            effects: view name -> what is done to the resized image before anything else.

        Returns:
            View name -> float32 [3, h, w], and the train ids, uint8 [h, w].
        """
        names, effects = list(images), effects or {}
        others = {f"view{index}": "image" for index in range(1, len(names))}
        geometry = A.Compose(self._geometry, additional_targets=others)
        _seed_apart(geometry.transforms, seed)
        resized = [resize_image(images[name], self.size) for name in names]
        resized = [
            effects[name](image, (seed - 1 - index) % 2**32) if name in effects else image
            for index, (name, image) in enumerate(zip(names, resized, strict=True))
        ]
        result = geometry(
            image=resized[0], mask=resize_mask(mask, self.size), **dict(zip(others, resized[1:], strict=True))
        )
        views = {}
        for index, (name, key) in enumerate(zip(names, ["image", *others], strict=True)):
            own_seed = (seed + 1 + index) % 2**32
            _seed_apart([self._jitter, *self._options.transforms], own_seed)
            views[name] = normalise(self._options(**self._jitter(image=result[key]))["image"])
        return views, torch.from_numpy(np.array(result["mask"]))


def _seed_apart(transforms: Sequence[A.BasicTransform | A.BaseCompose], seed: int) -> None:
    """Seeds transforms that must not depend on each other, the first with the seed itself.

    A Compose would give one seed to all, so that each would draw the same numbers: only the upper crops would be mirrored.
    """
    for number, transform in enumerate(transforms):
        transform.set_random_seed((seed + number * _APART) % 2**32)


def _check_size(key: str, size: object) -> None:
    if not _is_pair(size) or not all(isinstance(length, int) and length > 0 for length in size):
        raise ConfigError(f"{key}={_show(size)}; expected height and width in pixels, e.g. {key}=[512,1024]")


def _check_range(name: str, limits: object, least: float, most: float = math.inf) -> None:
    if not _is_pair(limits) or not least <= limits[0] <= limits[1] <= most:
        bounds = f"of at least {least}" if math.isinf(most) else f"from {least} to {most}"
        raise ConfigError(f"data.transform.{name}={_show(limits)}; expected two numbers {bounds}, the lower one first")


def _is_pair(value: object) -> TypeGuard[Sequence[float]]:
    return isinstance(value, Sequence) and len(value) == 2 and all(isinstance(item, int | float) for item in value)


def _show(value: object) -> str:
    return str(value).replace(" ", "")
