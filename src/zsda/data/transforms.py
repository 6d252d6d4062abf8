"""What is drawn for a training scene: its crop, its mirroring, its weather and its colours."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

import albumentations as A
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zsda.core.errors import ConfigError
from zsda.core.seeds import hash32, uniform
from zsda.data.colours import ADJUST
from zsda.data.labels import IGNORE
from zsda.data.resizing import Size, Window, cut

_GREY = (124, 116, 104)

Effect = Callable[[NDArray[np.uint8], int], NDArray[np.uint8]]
"""Takes an image, uint8 [H, W, 3], and a seed, and returns the image changed."""

_WEATHERS: dict[str, Callable[[], A.ImageOnlyTransform]] = {
    "fog": lambda: A.RandomFog(p=1),
    "rain": lambda: A.RandomRain(p=1),
    "snow": lambda: A.RandomSnow(method="texture", p=1),
    "night": lambda: A.ColorJitter(brightness=(0.2, 0.6), contrast=(1, 1), saturation=(1, 1), hue=(0, 0), p=1),
    "game": lambda: A.RandomBrightnessContrast(p=1),
}


class Weather:
    """The closest that albumentations comes to a domain without a network, with its own ranges where it has any.

    The control of edited images: what they gain over it is what the editor is worth.

    Args:
        name: one of fog, rain, snow, night (darker), game (other brightness and contrast).

    Raises:
        ConfigError: nothing matches.
    """

    def __init__(self, name: str | None) -> None:
        if name not in _WEATHERS:
            options = "|".join(_WEATHERS)
            raise ConfigError(
                f"no augmentation of albumentations matches data.weather={name}; give data.weather={options}"
            )
        self._name = name

    def __call__(self, image: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
        """Returns the image, uint8 [H, W, 3], in this weather; equal seeds give equal weather."""
        return A.Compose([_WEATHERS[self._name]()], seed=seed)(image=image)["image"]


class TrainingTransform:
    """One geometry for all views of a scene, one colour jitter for each (SDGPA, section III-C and its code).

    Each random decision is drawn by itself, from a hash of the seed and its name, so that none depends on another.

    Args:
        size: height, width to which images and labels are resized first; `Reader.pixels` and `Reader.ids` do so.
        scale: range of a random enlargement before the crop; None leaves it out, as published.
        crop: height, width of the random crop; None keeps the whole image.
        flip: probability of mirroring.
        brightness: range of the factor, uniform, always applied; contrast and saturation likewise.
        contrast: see ``brightness``.
        saturation: see ``brightness``.
        hue: range of the shift in turns of the colour circle.
        blur: probability of a Gaussian blur of each view before its jitter; published is 0.
        cutout: probability of a grey rectangle, up to a quarter as high and wide, in each view, after the blur; published is 0.

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
        check_size("data.transform.size", size)
        if crop is not None:
            check_size("data.transform.crop", crop)
        if scale is not None:
            check_range("data.transform.scale", scale, 0)
        for name, limits in (("brightness", brightness), ("contrast", contrast), ("saturation", saturation)):
            check_range(f"data.transform.{name}", limits, 0)
        check_range("data.transform.hue", hue, -0.5, 0.5)
        for name, share in (("flip", flip), ("blur", blur), ("cutout", cutout)):
            check_probability(f"data.transform.{name}", share)
        least = 1 if scale is None else min(1, scale[0])
        if crop is not None and (crop[0] > size[0] * least or crop[1] > size[1] * least):
            shrunk = "" if scale is None else f" scaled by {scale[0]}"
            raise ConfigError(
                f"data.transform: a crop of {tuple(crop)} does not fit into size {tuple(size)}{shrunk} (height, width)"
            )
        self.size = size
        self._scale, self._flip = scale, flip
        self._window = size if crop is None else crop
        self._jitter = dict(zip(ADJUST, (brightness, contrast, saturation, hue), strict=True))
        extent = (0.05, 0.25)
        self._options: dict[str, A.ImageOnlyTransform] = {}
        if blur:
            self._options["blur"] = A.GaussianBlur(p=blur)
        if cutout:
            self._options["cutout"] = A.CoarseDropout((1, 1), extent, extent, fill=_GREY, p=cutout)

    def __call__(
        self,
        images: Mapping[str, NDArray[np.uint8]],
        mask: NDArray[np.uint8],
        seed: int,
        effects: Mapping[str, Effect] | None = None,
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Cuts and mirrors one scene; equal seeds give equal results in any process. The colours are left to `zsda.data.colours`.

        Args:
            images: view name -> RGB, uint8 [H, W, 3] at ``size``, or what `window` returns of it.
            mask: ids of a class set, uint8 [H, W], likewise.
            seed: of this scene at this time.
            effects: view name -> what is done to the image, which must be whole, before anything else.

        Returns:
            View name -> uint8 [h, w, 3], and the ids, uint8 [h, w].
        """
        geometry, effects = self._draw_geometry(seed), effects or {}
        changed = {
            name: effects[name](pixels, hash32(seed, "effect", name)) if name in effects else pixels
            for name, pixels in images.items()
        }
        placed = {name: geometry.apply(pixels, cv2.INTER_LINEAR, fill=0) for name, pixels in changed.items()}
        views = {name: torch.tensor(self._blur_and_cut_out(pixels, seed, name)) for name, pixels in placed.items()}
        return views, torch.tensor(geometry.apply(mask, cv2.INTER_NEAREST, fill=IGNORE))

    def window(self, seed: int) -> Window | None:
        """Returns all that is used of the resized image; None where that is the whole."""
        geometry = self._draw_geometry(seed)
        whole = geometry.scaled != tuple(self.size) or tuple(self._window) == tuple(self.size)
        return None if whole else geometry.window

    def colours(self, seed: int, view: str) -> Tensor:
        """Draws the factors of the jitter of a view, in the order of `ADJUST`, float64 [4]."""
        return torch.tensor(
            [within(limits, uniform(seed, name, view)) for name, limits in self._jitter.items()], dtype=torch.float64
        )

    def _blur_and_cut_out(self, image: NDArray[np.uint8], seed: int, view: str) -> NDArray[np.uint8]:
        for name, option in self._options.items():
            option.set_random_seed(hash32(seed, name, view))
            image = option(image=np.ascontiguousarray(image))["image"]
        return image

    def _draw_geometry(self, seed: int) -> "_Geometry":
        factor = 1.0 if self._scale is None else within(self._scale, uniform(seed, "scale"))
        scaled = [round(side * factor) for side in self.size]
        slack = [max(0, side - length) for side, length in zip(scaled, self._window, strict=True)]
        top, left = (int(uniform(seed, name) * (room + 1)) for name, room in zip(("top", "left"), slack, strict=True))
        height, width = self._window
        mirrored = uniform(seed, "mirror") < self._flip
        return _Geometry(tuple(self.size), (scaled[0], scaled[1]), Window(top, left, height, width), mirrored)


@dataclass(frozen=True)
class _Geometry:
    """What is done to the place of every pixel: scaled to a size, cut to a window, filled up where that is larger, mirrored."""

    size: tuple[int, ...]
    scaled: tuple[int, int]
    window: Window
    mirrored: bool

    def apply(self, pixels: NDArray[np.uint8], interpolation: int, fill: int) -> NDArray[np.uint8]:
        """Maps uint8 [H, W] or [H, W, C] to [h, w] or [h, w, C]; what is not whole but a window is mirrored only."""
        height, width = self.window.height, self.window.width
        if pixels.shape[:2] == self.size:
            if self.scaled != self.size:
                pixels = cv2.resize(pixels, self.scaled[::-1], interpolation=interpolation)
            pixels = cut(pixels, self.window)
        down, across = height - pixels.shape[0], width - pixels.shape[1]
        if down or across:
            # Half on each side.
            sides = (down // 2, down - down // 2, across // 2, across - across // 2)
            pixels = cv2.copyMakeBorder(pixels, *sides, cv2.BORDER_CONSTANT, value=[fill] * 3)
        return cv2.flip(pixels, 1) if self.mirrored else pixels


def within(limits: Sequence[float], share: float) -> float:
    """Returns what lies at a share of the way from the lower limit to the upper one."""
    return limits[0] + (limits[1] - limits[0]) * share


def check_size(key: str, size: object) -> None:
    """Refuses what is no height and width.

    Raises:
        ConfigError: the option ``key`` is none.
    """
    if not _is_pair(size) or not all(isinstance(length, int) and length > 0 for length in size):
        raise ConfigError(f"{key}={_show(size)}; expected height and width in pixels, e.g. {key}=[512,1024]")


def check_range(key: str, limits: object, least: float, most: float = math.inf, whole: bool = False) -> None:
    """Refuses what is no lower and upper limit.

    Raises:
        ConfigError: the option ``key`` is none, goes beyond ``least`` and ``most``, or has no ``whole`` numbers where they are asked for.
    """
    numbers = "whole numbers" if whole else "numbers"
    kinds = int if whole else int | float
    if (
        not _is_pair(limits)
        or not least <= limits[0] <= limits[1] <= most
        or not all(isinstance(limit, kinds) for limit in limits)
    ):
        bounds = f"of at least {least}" if math.isinf(most) else f"from {least} to {most}"
        raise ConfigError(f"{key}={_show(limits)}; expected two {numbers} {bounds}, the lower one first")


def check_probability(key: str, share: object) -> None:
    """Refuses what is no probability.

    Raises:
        ConfigError: the option ``key`` is none.
    """
    if not isinstance(share, int | float) or not 0 <= share <= 1:
        raise ConfigError(f"{key}={share}; expected a probability, a number from 0 to 1")


def _is_pair(value: object) -> TypeGuard[Sequence[float]]:
    return isinstance(value, Sequence) and len(value) == 2 and all(isinstance(item, int | float) for item in value)


def _show(value: object) -> str:
    return str(value).replace(" ", "")
