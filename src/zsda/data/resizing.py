"""How images and label maps are brought to another size, whole or a window of them."""

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Size = Sequence[int]
"""Height, width in pixels."""


class Window(NamedTuple):
    """A part of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int


def resize_image(image: Image.Image, size: Size, window: Window | None = None) -> NDArray[np.uint8]:
    """Resizes an RGB image with Pillow's Lanczos, as the published evaluation does.

    Args:
        image: of any size.
        size: height, width of the whole.
        window: of the resized image, all that is calculated; None takes the whole.

    Returns:
        Uint8 [h, w, 3].
    """
    return np.asarray(_resized(image, size, window, Image.Resampling.LANCZOS))


def resize_mask(mask: NDArray[np.uint8], size: Size, window: Window | None = None) -> NDArray[np.uint8]:
    """Resizes ids, uint8 [H, W], to the nearest as Pillow counts it, which is SDGPA's; see `resize_image`. Returns uint8 [h, w]."""
    if mask.shape == tuple(size):
        return mask if window is None else cut(mask, window)
    return np.asarray(_resized(Image.fromarray(mask), size, window, Image.Resampling.NEAREST))


def resize_to_nearest(ids: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """Brings ids, uint8 [H, W], to a height and width as OpenCV does, which takes other pixels than Pillow does."""
    import cv2  # slow to import, and few sets need it

    if ids.shape == tuple(size):
        return ids
    return cv2.resize(ids, tuple(size)[::-1], interpolation=cv2.INTER_NEAREST)


def cut(pixels: NDArray[np.uint8], window: Window) -> NDArray[np.uint8]:
    """Returns the window of [H, W] or [H, W, C], of which nothing is copied."""
    return pixels[window.top : window.top + window.height, window.left : window.left + window.width]


def _resized(image: Image.Image, size: Size, window: Window | None, how: Image.Resampling) -> Image.Image:
    height, width = size
    if window is None:
        return image if image.size == (width, height) else image.resize((width, height), how)
    top, left, right, bottom = window.top, window.left, window.left + window.width, window.top + window.height
    if image.size != (width, height):
        box = _box(image.size, size, (left, top, right, bottom))
        if box is not None:
            return image.resize((window.width, window.height), how, box=box)
        image = image.resize((width, height), how)
    return image.crop((left, top, right, bottom))


def _box(
    own: tuple[int, int], size: Size, sides: tuple[int, int, int, int]
) -> tuple[float, float, float, float] | None:
    """Returns where the sides of a window lie in the image; None where Pillow would round them, and with them the pixels."""
    scales = [Fraction(length, new) for length, new in zip(own, (size[1], size[0]), strict=True)]
    found = [side * scales[number % 2] for number, side in enumerate(sides)]
    exact = all(scale.denominator & (scale.denominator - 1) == 0 for scale in scales)
    if not exact or any(Fraction(float(np.float32(float(side)))) != side for side in found):
        return None
    left, top, right, bottom = map(float, found)
    return left, top, right, bottom
