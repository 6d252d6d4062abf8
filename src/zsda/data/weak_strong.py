"""How HIAST sees an image (Zhu et al., TPAMI 2025, arXiv 2302.06992, and its code): a weak view and, on top of it, a strong one.

Each random decision is a hash of a seed and of its own name, so that none depends on another.
"""

from collections.abc import Callable, Iterable, Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zsda.core.seeds import uniform
from zsda.core.values import BITS, FACTORS, HEIGHTS, JITTER, KERNELS, OFFSET, PROBABILITY, SIZE, THRESHOLD, whole
from zsda.data.colours import ADJUST
from zsda.data.resizing import Size, Window, cut
from zsda.data.transforms import within

WEAK, STRONG = "weak", "strong"

Pixels = NDArray[np.uint8]


class StrongColours:
    """Some of eight changes of colour, drawn without replacement and applied in the order drawn, each with a probability of its own.

    They are a colour jitter of four parts in random order, a Gaussian blur, a gain, an offset, fewer bits, equalised channels, inverted
    highlights, and grey. None of them moves a pixel. As published three are drawn and half of those act.

    Args:
        count: how many are drawn.
        probability: of each that is drawn.
        jitter: how far brightness, contrast and saturation go from a factor of 1, and the hue from 0, in turns of the colour circle.
        kernels: range of the blur's kernel in pixels; a whole number is drawn, an even one raised by 1, and OpenCV derives the
            deviation from it, 0.3 ((k - 1) / 2 - 1) + 0.8.
        gain: range of the factor that pixels are multiplied by, so that black stays black: no contrast around the mean.
        offset: range of what is added to pixels, a share of 255.
        bits: how many upper bits of a channel are kept.
        threshold: the least value of a channel that is inverted.

    Raises:
        ConfigError: a value makes no sense.
    """

    def __init__(
        self,
        count: int = 3,
        probability: float = 0.5,
        jitter: float = 0.2,
        kernels: Sequence[int] = (3, 41),
        gain: Sequence[float] = (1, 4),
        offset: Sequence[float] = (-0.5, 0.5),
        bits: int = 4,
        threshold: int = 128,
    ) -> None:
        self._changes: dict[str, Callable[[Pixels, int], Pixels]] = {
            "jitter": self._jitter,
            "blur": self._blur,
            "gain": self._gain,
            "offset": self._offset,
            "posterise": self._posterise,
            "equalise": self._equalise,
            "solarise": self._solarise,
            "grey": self._grey,
        }
        whole(0, len(self._changes)).check("strong.count", count)
        BITS.check("strong.bits", bits)
        THRESHOLD.check("strong.threshold", threshold)
        PROBABILITY.check("strong.probability", probability)
        JITTER.check("strong.jitter", jitter)
        KERNELS.check("strong.kernels", kernels)
        FACTORS.check("strong.gain", gain)
        OFFSET.check("strong.offset", offset)
        self._count, self._probability = count, probability
        self._by, self._kernels, self._gains, self._offsets = jitter, kernels, gain, offset
        self._mask, self._threshold = 0xFF << (8 - bits) & 0xFF, threshold

    def __call__(self, image: Pixels, seed: int) -> Pixels:
        """Returns the image, uint8 [H, W, 3], in other colours; equal seeds give equal ones."""
        for name in self.drawn(seed):
            if uniform(seed, "acts", name) < self._probability:
                image = self._changes[name](image, seed)
        return image

    def drawn(self, seed: int) -> list[str]:
        """Returns the names of the changes that are drawn, in their order."""
        return _shuffled(self._changes, seed, "change")[: self._count]

    def _jitter(self, image: Pixels, seed: int) -> Pixels:
        for part in _shuffled(ADJUST, seed, "part"):
            middle = 0 if part == "hue" else 1
            image = ADJUST[part](image, within((middle - self._by, middle + self._by), uniform(seed, "jitter", part)))
        return image

    def _blur(self, image: Pixels, seed: int) -> Pixels:
        kernel = _whole(self._kernels, uniform(seed, "kernel")) | 1
        return cv2.GaussianBlur(image, (kernel, kernel), sigmaX=0)

    def _gain(self, image: Pixels, seed: int) -> Pixels:
        return _looked_up(image, _VALUES * np.float32(within(self._gains, uniform(seed, "gain"))))

    def _offset(self, image: Pixels, seed: int) -> Pixels:
        return _looked_up(image, _VALUES + np.float32(255 * within(self._offsets, uniform(seed, "offset"))))

    def _posterise(self, image: Pixels, _seed: int) -> Pixels:
        return image & np.uint8(self._mask)

    def _equalise(self, image: Pixels, _seed: int) -> Pixels:
        return np.stack([cv2.equalizeHist(np.ascontiguousarray(channel)) for channel in np.moveaxis(image, 2, 0)], 2)

    def _solarise(self, image: Pixels, _seed: int) -> Pixels:
        return np.where(image >= self._threshold, 255 - image, image)

    def _grey(self, image: Pixels, _seed: int) -> Pixels:
        return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


class WeakStrongTransform:
    """Mirrors an image and cuts a window of random height from it; the strong view has the same pixels in other colours.

    Args:
        size: height, width of a view; the window has the same ratio.
        heights: range of the window's height in pixels of the image, each whole number alike. Published are 341 to 1000 for Cityscapes,
            950 for GTA5, 640 for SYNTHIA and 900 for RobotCar. Where an image is too small for it the range ends with what fits.
        flip: probability of mirroring.
        strong: the colours of the strong view; None makes the weak one alone.

    Raises:
        ConfigError: a value makes no sense.
    """

    def __init__(
        self, size: Size, heights: Sequence[int], flip: float = 0.5, strong: StrongColours | None = None
    ) -> None:
        SIZE.check("size", size)
        HEIGHTS.check("heights", heights)
        PROBABILITY.check("flip", flip)
        self.size = size
        self._heights, self._flip, self._strong = heights, flip, strong
        self._ratio = size[1] / size[0]

    def __call__(self, image: Pixels, mask: Pixels, seed: int) -> tuple[dict[str, Tensor], Tensor]:
        """Makes the views of an image; equal seeds give equal ones in any process.

        Args:
            image: RGB, uint8 [H, W, 3].
            mask: ids, uint8 [H, W].
            seed: of this image at this time.

        Returns:
            ``weak`` and, where it is asked for, ``strong``, each uint8 [h, w, 3]; and the ids, uint8 [h, w].
        """
        window = self.window(image.shape[:2], seed)
        mirrored = uniform(seed, "mirror") < self._flip

        def view(pixels: Pixels, interpolation: int) -> Pixels:
            part = np.ascontiguousarray(cut(pixels[:, ::-1] if mirrored else pixels, window))
            return cv2.resize(part, tuple(self.size)[::-1], interpolation=interpolation)

        weak = view(image, cv2.INTER_LINEAR)
        views = {WEAK: torch.tensor(weak)}
        if self._strong is not None:
            views[STRONG] = torch.tensor(self._strong(weak, seed))
        return views, torch.tensor(view(mask, cv2.INTER_NEAREST))

    def window(self, size: Size, seed: int) -> Window:
        """Draws the window of an image of this height and width, after mirroring."""
        most = min(self._heights[1], self._fitting(size))
        height = _whole((min(self._heights[0], most), most), uniform(seed, "height"))
        width = min(size[1], max(1, int(height * self._ratio)))
        top, left = int((size[0] - height) * uniform(seed, "top")), int((size[1] - width) * uniform(seed, "left"))
        return Window(top, left, height, width)

    def has_room(self, size: Size) -> bool:
        """Returns whether windows of several heights fit into an image of this height and width, if there are several."""
        return self._heights[0] < self._fitting(size) or self._heights[0] == self._heights[1] == self._fitting(size)

    def _fitting(self, size: Size) -> int:
        return max(1, min(size[0], int(size[1] / self._ratio)))


_VALUES = np.arange(256, dtype=np.float32)


def _looked_up(image: Pixels, values: NDArray[np.float32]) -> Pixels:
    return cv2.LUT(image, np.clip(values, 0, 255).astype(np.uint8))


def _whole(limits: Sequence[int], share: float) -> int:
    return limits[0] + int(share * (limits[1] - limits[0] + 1))


def _shuffled(names: Iterable[str], seed: int, what: str) -> list[str]:
    return sorted(names, key=lambda name: uniform(seed, what, name))
