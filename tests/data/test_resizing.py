import numpy as np
import pytest
from PIL import Image

from zsda.data.resizing import Window, cut, resize_image, resize_mask


@pytest.mark.parametrize(
    ("own", "size"),
    [
        ((64, 128), (32, 64)),
        ((105, 191), (32, 64)),  # as GTA5, in eighths of pixels
        ((64, 128), (45, 80)),  # in no fraction that a float holds
        ((50, 70), (51, 77)),
        ((32, 64), (32, 64)),
        ((64, 128), (32, 128)),
    ],
)
def test_a_window_is_what_is_cut_from_the_whole_bit_by_bit(own, size):
    random = np.random.default_rng(0)
    image = Image.fromarray(random.integers(0, 256, (*own, 3), np.uint8))
    mask = random.integers(0, 34, own, np.uint8)
    for _ in range(12):
        height, width = random.integers(1, size[0] + 1), random.integers(1, size[1] + 1)
        top, left = random.integers(0, size[0] - height + 1), random.integers(0, size[1] - width + 1)
        window = Window(int(top), int(left), int(height), int(width))
        assert (resize_image(image, size, window) == cut(resize_image(image, size), window)).all()
        assert (resize_mask(mask, size, window) == cut(resize_mask(mask, size), window)).all()
