"""What is done to the colours of batches, where they lie: the published jitter (SDGPA), and the scale that networks expect.

Batches travel in 8 bits, a quarter of what floats take, and become floats at the device.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from albumentations.augmentations.pixel import functional as pixel
from numpy.typing import NDArray
from torch import Tensor

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
# albumentations' own transforms would draw the factors themselves, several from one stream.
ADJUST: dict[str, Callable[[NDArray[np.uint8], float], NDArray[np.uint8]]] = {
    "brightness": pixel.adjust_brightness_torchvision,
    "contrast": pixel.adjust_contrast_torchvision,
    "saturation": pixel.adjust_saturation_torchvision,
    "hue": pixel.adjust_hue_torchvision,
}
"""The parts of a colour jitter in the published order: each takes uint8 [H, W, 3] and a factor, or a shift of the hue in turns of the
colour circle."""

_GREY = (0.299, 0.587, 0.114)
_TABLES = ((np.arange(256, dtype=np.float32)[:, None] / 255 - MEAN) / STD).T.copy()[:, None]


def normalise(images: Tensor) -> Tensor:
    """Scales uint8 [..., H, W, 3] to float32 [..., 3, H, W] with the mean and deviation of ImageNet."""
    if images.device.type != "cpu":
        return _scale(_planar(images))
    # Every value is looked up, in half the time of calculating it.
    *several, height, width, channels = images.shape
    scaled = np.empty((*several, channels, height, width), np.float32)
    places = scaled.reshape(-1, channels, height, width)
    for image, planes in zip(images.numpy().reshape(-1, height, width, channels), places, strict=True):
        for channel, table, place in zip(cv2.split(image), _TABLES, planes, strict=True):
            cv2.LUT(channel, table, dst=place)
    return torch.from_numpy(scaled)


def denormalise(images: Tensor) -> Tensor:
    """Takes back what `normalise` did: of float [..., 3, H, W] makes uint8 [..., H, W, 3], which is what it was made of."""
    mean, deviation = (torch.from_numpy(values).to(images.device).view(3, 1, 1) for values in (MEAN, STD))
    scaled = images.float().mul(deviation).add_(mean).mul_(255)
    return scaled.round_().clamp_(0, 255).to(torch.uint8).movedim(-3, -1)


def jitter(images: Tensor, factors: Tensor) -> Tensor:
    """Changes the colours of a batch and scales it as `normalise` does.

    On a CPU the images pass one by one, in 8 bits, which takes a third of the time there. On another device all pass together in floats,
    and nothing waits for them. The two differ by rounding, mostly that of the hue to two degrees.

    Args:
        images: uint8 [B, H, W, 3].
        factors: of each image, in the order of `ADJUST`, float [B, 4].

    Returns:
        Float32 [B, 3, H, W], where the images are.
    """
    if images.device.type != "cpu":
        return _scale(jitter_in_floats(_planar(images), factors))
    changed = [_in_bytes(image, by) for image, by in zip(images.numpy(), factors.tolist(), strict=True)]
    return normalise(torch.from_numpy(np.stack(changed)))


def jitter_in_floats(images: Tensor, factors: Tensor) -> Tensor:
    """Changes brightness, contrast, saturation and hue, each clipped, and but for the hue cut to whole numbers, before the next.

    Pillow, with which it is published, does so, which darkens by half a grey level each time.

    Args:
        images: values from 0 to 255, float32 [B, 3, H, W]; they are overwritten.
        factors: as for `jitter`.

    Returns:
        The images.
    """
    brightness, contrast, saturation, hue = factors.to(images).view(-1, 4, 1, 1, 1).unbind(1)
    images.mul_(brightness).clamp_(0, 255).floor_()
    mean = _grey(images).mean(dim=(2, 3), keepdim=True).round_()
    images.mul_(contrast).add_(mean * (1 - contrast)).clamp_(0, 255).floor_()
    grey = _grey(images).round_()
    images.mul_(saturation).add_(grey.mul_(1 - saturation)).clamp_(0, 255).floor_()
    return _turn_hue(images, 6 * hue[:, 0])


def finish(batch: dict[str, Any]) -> dict[str, Any]:
    """Makes of a batch in 8 bits, on its device, what networks take.

    Args:
        batch: with ``images`` (view -> uint8 [B, H, W, 3]) and, of those that are to be jittered, ``colours`` (view -> float [B, 4]); or
            with ``image``, uint8 [B, H, W, 3] or a list of [H, W, 3]; or with batches as values.

    Returns:
        The same with float32 [B, 3, H, W], or a list of [3, H, W], and without ``colours``.
    """
    if "images" in batch:
        colours: Mapping[str, Tensor] = batch.get("colours", {})
        views = {
            name: jitter(images, colours[name]) if name in colours else normalise(images)
            for name, images in batch["images"].items()
        }
        return {**{key: value for key, value in batch.items() if key != "colours"}, "images": views}
    if "image" in batch:
        image = batch["image"]
        return {**batch, "image": normalise(image) if isinstance(image, Tensor) else [normalise(one) for one in image]}
    return {key: finish(value) if isinstance(value, dict) else value for key, value in batch.items()}


def _in_bytes(image: NDArray[np.uint8], factors: Sequence[float]) -> NDArray[np.uint8]:
    for adjust, factor in zip(ADJUST.values(), factors, strict=True):
        image = adjust(image, factor)
    return image


def _planar(images: Tensor) -> Tensor:
    return images.movedim(-1, -3).contiguous().float()


def _scale(images: Tensor) -> Tensor:
    mean, deviation = (torch.from_numpy(values).to(images.device).view(3, 1, 1) for values in (MEAN, STD))
    return images.div_(255).sub_(mean).div_(deviation)


def _grey(images: Tensor) -> Tensor:
    red, green, blue = images.split(1, dim=1)
    return (red * _GREY[0]).add_(green, alpha=_GREY[1]).add_(blue, alpha=_GREY[2])


def _turn_hue(images: Tensor, sixths: Tensor) -> Tensor:
    """Turns the hue by sixths of the colour circle, [B, 1, 1]; see the definition of HSV."""
    red, green, blue = images.unbind(1)
    most, least = images.amax(dim=1), images.amin(dim=1)
    chroma = most - least
    per = chroma.clamp_min(1e-6).reciprocal_()
    of_others = torch.where(most == green, (blue - red).mul_(per).add_(2), (red - green).mul_(per).add_(4))
    turned = torch.where(most == red, (green - blue).mul_(per), of_others).add_(sixths).remainder_(6)
    strengths = ((turned - 3).abs_().sub_(1), (turned - 2).abs_().neg_().add_(2), (turned - 4).abs_().neg_().add_(2))
    for channel, strength in zip((red, green, blue), strengths, strict=True):
        torch.addcmul(least, chroma, strength.clamp_(0, 1), out=channel)
    return images
