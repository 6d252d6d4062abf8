"""What is drawn for a training scene: its crop, its mirroring, its weather and its colours."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import albumentations as A
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zsda.core.errors import ConfigError
from zsda.core.seeds import hash32, uniform
from zsda.core.values import FACTORS, HUE, PROBABILITY, SIZE, check_crop
from zsda.data.colours import ADJUST
from zsda.data.labels import IGNORE
from zsda.data.resizing import Size, Window, cut

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
        blur: probability of a Gaussian blur of each view before its jitter, of 0.1 to 2 pixels; the published trainings do without.
        cutout: probability of a rectangle of noise of 2 to 40 % of the crop, in the same place of all views and without label;
            the published trainings do without.

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
        SIZE.check("data.transform.size", size)
        SIZE.or_none().check("data.transform.crop", crop)
        FACTORS.or_none().check("data.transform.scale", scale)
        for name, factors in (("brightness", brightness), ("contrast", contrast), ("saturation", saturation)):
            FACTORS.check(f"data.transform.{name}", factors)
        HUE.check("data.transform.hue", hue)
        for name, share in (("flip", flip), ("blur", blur), ("cutout", cutout)):
            PROBABILITY.check(f"data.transform.{name}", share)
        check_crop("data.transform", size, crop, scale)
        self.size = size
        self._scale, self._flip = scale, flip
        self._window = size if crop is None else crop
        self.shown: tuple[str, Size] = ("data.transform.size", size) if crop is None else ("data.transform.crop", crop)
        self._jitter = dict(zip(ADJUST, (brightness, contrast, saturation, hue), strict=True))
        self._blur = A.GaussianBlur(sigma_limit=(0.1, 2.0), p=blur) if blur else None
        # Of all shapes in which 40 % fit into the crop, so that the library does not cut the largest.
        shape = self._window[1] / self._window[0]
        noise = {"scale": (0.02, 0.4), "ratio": (0.4 * shape, shape / 0.4), "fill": "random", "fill_mask": IGNORE}
        self._cutout = A.Erasing(**noise, p=cutout) if cutout else None

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
        ids = geometry.apply(mask, cv2.INTER_NEAREST, fill=IGNORE)
        blurred = {name: self._blurred(pixels, hash32(seed, "blur", name)) for name, pixels in placed.items()}
        views, ids = self._cut_out(blurred, ids, hash32(seed, "cutout"))
        return {name: torch.tensor(pixels) for name, pixels in views.items()}, torch.tensor(ids)

    def window(self, seed: int) -> Window | None:
        """Returns all that is used of the resized image; None where that is the whole."""
        geometry = self._draw_geometry(seed)
        whole = geometry.scaled != tuple(self.size) or tuple(self._window) == tuple(self.size)
        return None if whole else geometry.window

    def colours(self, seed: int, view: str) -> Tensor:
        """Draws the factors of the jitter of a view, in the order of `ADJUST`, float64 [4]."""
        return torch.tensor(
            [within(factors, uniform(seed, name, view)) for name, factors in self._jitter.items()], dtype=torch.float64
        )

    def _blurred(self, image: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
        if self._blur is None:
            return image
        self._blur.set_random_seed(seed)
        return self._blur(image=np.ascontiguousarray(image))["image"]

    def _cut_out(
        self, views: dict[str, NDArray[np.uint8]], ids: NDArray[np.uint8], seed: int
    ) -> tuple[dict[str, NDArray[np.uint8]], NDArray[np.uint8]]:
        if self._cutout is None:
            return views, ids
        changed = {}
        for name, image in views.items():
            self._cutout.set_random_seed(seed)  # before each: all views share their labels
            result = self._cutout(image=np.ascontiguousarray(image), mask=np.ascontiguousarray(ids))
            changed[name] = result["image"]
        return changed, result["mask"]

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


def within(ends: Sequence[float], share: float) -> float:
    """Returns what lies at a share of the way from the lower end to the upper one."""
    return ends[0] + (ends[1] - ends[0]) * share
