"""How far an edit moved as a whole against what was edited: labels are copied onto it, and must still lie where they belong.

Edges are compared, not grey levels, which a night or a fog changes: at each of some zooms the edges of the edit are correlated with
those of the original at all shifts, and the best match is taken if it is clearly better than that of the edit as it lies. Where it is
weak, it is looked for among larger zooms and shifts as well.
"""

from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Pixels = NDArray[np.float32]

ZOOMS = 0.1
"""How much an edit may have grown or shrunk to be found at first, as a share."""

REACH = 0.125
"""How far it may have been shifted to be found at first, as a share of the shorter side."""

WEAK = 0.4
"""Correlation of edges below which a match may be one by chance, and is looked for farther off: 95 % of honest edits are above."""

FARTHEST_ZOOMS, FARTHEST_REACH = 0.3, 0.5
"""`ZOOMS` and `REACH` then. Of edits that were shifted by 45 % of a side three of four are found: little is left that matches."""

MATCH = 0.2
"""Correlation of edges below which nothing is told: in patches of 128 pixels an image and an edit of another one reach as much by chance
in one of 20, at some of all the shifts and zooms; in smaller ones more."""

GAIN = 0.03
"""How much better a match must be than that of the edit as it lies.

Of the honest edits of the miniature, 2,400 patches in five domains, it was so once by chance, in fog. Of those that were shifted by a
fiftieth of their side or enlarged by 5 %, it was in all of 480 in snow and night.
"""

_SMALLEST = 64  # pixels, of the shorter side: fewer show too little
_ENOUGH = 96  # pixels, of the shorter side, from which on `MATCH` is no chance
_COMPARED = 256  # pixels, of the shorter side: more show nothing new
_STEP = 0.01  # between zooms: half a pixel at the border of 128
_AROUND = 17  # pixels, across which edges are weighed against one another, so that faint ones count
_FAINTEST = 2.0  # about the Sobel response to the rounding of a grey level


class Drift(NamedTuple):
    """Where an edit lies: enlarged about its centre, then shifted.

    Attributes:
        x: shift to the right in pixels.
        y: shift downwards in pixels.
        zoom: 1 where nothing grew or shrank.
    """

    x: float
    y: float
    zoom: float

    def largest(self, width: int, height: int) -> float:
        """Returns how far that pixel of a patch of this size moved that moved most: one of its corners."""
        across, down = ((length - 1) / 2 * abs(self.zoom - 1) for length in (width, height))
        return float(np.hypot(abs(self.x) + across, abs(self.y) + down))


def find_drift(edited: Tensor, original: Tensor) -> Drift | None:
    """Estimates how an edit was shifted and enlarged as a whole.

    Args:
        edited: the edited patch, uint8 [3, h, w].
        original: the patch that was edited, uint8 [3, h, w].

    Returns:
        No drift unless some match is clearly better than that of the edit as it lies; None where nothing matches, or the patch is too
        small to tell.
    """
    height, width = original.shape[1:]
    if min(height, width) < _SMALLEST:
        return None
    factor = max(1.0, min(height, width) / _COMPARED)
    size = (round(width / factor), round(height / factor))
    correlation = _Correlation(_edges(original, size))
    edges = _edges(edited, size)
    score, drift = _best(correlation, edges, ZOOMS, REACH)
    if score < WEAK:
        score, drift = max((score, drift), _best(correlation, edges, FARTHEST_ZOOMS, FARTHEST_REACH))
    if score < MATCH * max(1.0, _ENOUGH / min(size)):
        return None
    if score - correlation.unmoved(edges) < GAIN:
        return Drift(0.0, 0.0, 1.0)
    return Drift(drift.x * factor, drift.y * factor, drift.zoom)


def move_back(edited: Tensor, drift: Drift) -> Tensor:
    """Shrinks and shifts an edit back to where it belongs; what is missing at a border then is a mirror image of what lies there.

    Args:
        edited: uint8 [3, h, w].
        drift: as `find_drift` found it.
    """
    height, width = edited.shape[1:]
    transform = _about_centre(width, height, drift.zoom)
    transform[:, 2] += drift.x, drift.y
    moved = cv2.warpAffine(
        _pixels(edited),
        transform,
        (width, height),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return torch.from_numpy(moved).permute(2, 0, 1).contiguous()


def _best(correlation: "_Correlation", edges: Pixels, zooms: float, reach: float) -> tuple[float, Drift]:
    """Returns the score of the best match, and the drift that it stands for, in pixels of the edges.

    Args:
        correlation: with the edges of the original.
        edges: of the edit.
        zooms: how much it may have grown or shrunk, as a share.
        reach: how far it may have been shifted, as a share of the shorter side.
    """
    steps = round(zooms / _STEP)

    def match(step: int) -> _Match:
        return correlation.best(_enlarge(edges, 1 / (1 + step * _STEP)), reach)

    matches = {step: match(step) for step in range(-steps, steps + 1, 2)}
    nearest = max(matches, key=lambda step: matches[step].score)
    matches |= {step: match(step) for step in (nearest - 1, nearest + 1)}
    nearest = max(matches, key=lambda step: matches[step].score)
    best = matches[nearest]
    beside = [matches[step].score if step in matches else best.score for step in (nearest - 1, nearest, nearest + 1)]
    zoom = 1 + _STEP * (nearest + _vertex(*beside))
    # What was shifted after it grew was measured once it had shrunk again.
    return best.score, Drift(best.x * zoom, best.y * zoom, zoom)


class _Match(NamedTuple):
    score: float
    x: float
    y: float


class _Correlation:
    """Correlates edges with those of the original at all shifts within reach: 1 for the same, 0 for nothing in common."""

    def __init__(self, edges: Pixels) -> None:
        self._height, self._width = edges.shape
        self._window = cv2.createHanningWindow((self._width, self._height), cv2.CV_32F)
        self._spectrum = cv2.dft(self._unit(edges))

    def best(self, edges: Pixels, reach: float) -> _Match:
        """Returns the best shift, in fractions of a pixel, of those up to a share of the shorter side, half of it at most."""
        surface, most = self._surface(edges), max(1, round(reach * min(edges.shape)) - 1)
        near = np.roll(surface, (most, most), (0, 1))[: 2 * most + 1, : 2 * most + 1]
        y, x = (int(place) - most for place in np.unravel_index(near.argmax(), near.shape))
        across = [float(surface[y, (x + step) % self._width]) for step in (-1, 0, 1)]
        down = [float(surface[(y + step) % self._height, x]) for step in (-1, 0, 1)]
        return _Match(across[1], x + _vertex(*across), y + _vertex(*down))

    def unmoved(self, edges: Pixels) -> float:
        """Returns the score of edges as they lie."""
        return float(self._surface(edges)[0, 0])

    def _surface(self, edges: Pixels) -> Pixels:
        """Returns the score of each shift, [height, width], negative ones from the end."""
        product = cv2.mulSpectrums(cv2.dft(self._unit(edges)), self._spectrum, 0, conjB=True)
        return np.asarray(cv2.idft(product, flags=cv2.DFT_SCALE), np.float32)

    def _unit(self, edges: Pixels) -> Pixels:
        faded = (edges - edges.mean()) * self._window
        return np.asarray(faded / max(float(np.linalg.norm(faded)), 1e-6), np.float32)


def _edges(patch: Tensor, size: tuple[int, int]) -> Pixels:
    grey = cv2.cvtColor(_pixels(patch), cv2.COLOR_RGB2GRAY).astype(np.float32)
    smooth = cv2.GaussianBlur(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), (0, 0), 1)
    strength = cv2.magnitude(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1))
    around = cv2.blur(strength, (_AROUND, _AROUND))
    return np.asarray(strength / (around + _FAINTEST), np.float32)


def _enlarge(edges: Pixels, zoom: float) -> Pixels:
    height, width = edges.shape
    transform = _about_centre(width, height, zoom)
    return np.asarray(cv2.warpAffine(edges, transform, (width, height), borderMode=cv2.BORDER_REFLECT_101), np.float32)


def _about_centre(width: int, height: int, zoom: float) -> NDArray[np.float64]:
    x, y = (width - 1) / 2, (height - 1) / 2
    return np.array([[zoom, 0, x * (1 - zoom)], [0, zoom, y * (1 - zoom)]])


def _vertex(before: float, at: float, after: float) -> float:
    """Returns where the parabola through three neighbouring values has its peak, as seen from the middle one, the largest."""
    bend = before - 2 * at + after
    return 0.0 if bend >= 0 else float(np.clip((before - after) / (2 * bend), -0.5, 0.5))


def _pixels(patch: Tensor) -> NDArray[np.uint8]:
    return patch.permute(1, 2, 0).contiguous().cpu().numpy()
