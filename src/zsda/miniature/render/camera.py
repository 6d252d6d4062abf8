"""The camera that looks down the street.

World axes: x to the right, y up, z ahead of the camera, in metres; the camera stands at x = 0, z = 0.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
"""float32 throughout; NumPy's own annotations lose the width in arithmetic."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera.

    Attributes:
        size: height and width of the image in pixels.
        focal: focal length in pixels.
        centre: column of the vanishing point.
        horizon: row of the horizon.
        eye: height above the road in metres.
        curve: sideways bend of the street, in metres per square metre ahead.
    """

    size: tuple[int, int]
    focal: float
    centre: float
    horizon: float
    eye: float
    curve: float

    def scaled(self, factor: int) -> "Camera":
        """Returns the same view with ``factor`` times as many pixels a side."""
        size = (self.size[0] * factor, self.size[1] * factor)
        return Camera(size, self.focal * factor, self.centre * factor, self.horizon * factor, self.eye, self.curve)

    def bend(self, points: Floats) -> Floats:
        """Takes street coordinates [..., 3] to world coordinates; what is behind the near plane is pulled onto it."""
        bent = points.copy()
        np.maximum(bent[..., 2], 0.5, out=bent[..., 2])
        bent[..., 0] += self.curve * bent[..., 2] ** 2
        return bent

    def project(self, points: Floats) -> Floats:
        """Projects world points [..., 3] to columns and rows [..., 2] in pixels."""
        scale = self.focal / points[..., 2]
        return np.stack(
            [self.centre + points[..., 0] * scale, self.horizon + (self.eye - points[..., 1]) * scale], axis=-1
        )

    def slopes(self) -> tuple[Floats, Floats]:
        """Returns how far right [W] and how far up [H] the ray through each pixel goes per metre ahead."""
        height, width = self.size
        right = (np.arange(width, dtype=np.float32) + 0.5 - self.centre) / self.focal
        up = (self.horizon - np.arange(height, dtype=np.float32) - 0.5) / self.focal
        return right, up
