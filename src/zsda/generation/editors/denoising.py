"""The denoising loop of InstructPix2Pix, which predicts nothing that has no weight in the sum."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

Interval = tuple[float, float]
"""Begin and end of a part of the steps, as shares of their number."""

_TEXT, _IMAGE, _NOTHING = range(3)  # under both conditions, under the image alone, under none


class Conditions(NamedTuple):
    """What the edited patches are predicted from.

    Attributes:
        text: the encoded instruction, [1, tokens, C].
        empty: the encoded empty instruction, of the same shape.
        image: the encoded patches, [N, c, h, w].
    """

    text: Tensor
    empty: Tensor
    image: Tensor


class Guidance(NamedTuple):
    """How strongly an edit follows the text and keeps to the image (Brooks et al., CVPR 2023, section 3.2.1, equation 3).

    Attributes:
        text: scale of the text; 1 follows it as it was learnt.
        image: scale of the image; likewise.
        interval: the steps that are guided; in the others both scales are 1 (Kynkäänniemi et al., NeurIPS 2024).
    """

    text: float
    image: float
    interval: Interval = (0.0, 1.0)

    def at(self, step: int, steps: int) -> "Guidance":
        """Returns the guidance of one step, counted from 0."""
        begin, end = (round(share * steps) for share in self.interval)
        return self if begin <= step < end else Guidance(1.0, 1.0)

    def chain(self) -> tuple[list[int], list[float]]:
        """Returns the predictions that are needed, each under more conditions than the one before, and the scale of each difference.

        The equation adds, to what is predicted from nothing, the scaled differences to the image and from there to the text. A scale
        of 1 in the first place makes the two predictions one; equal scales leave the middle one out.
        """
        if self.image == 1:
            return ([_TEXT], []) if self.text == 1 else ([_IMAGE, _TEXT], [self.text])
        if self.text == self.image:
            return [_NOTHING, _TEXT], [self.text]
        return [_NOTHING, _IMAGE, _TEXT], [self.image, self.text]


def denoise(
    unet: Any,  # noqa: ANN401 - diffusers is not typed
    scheduler: Any,  # noqa: ANN401
    noise: Tensor,
    conditions: Conditions,
    guidance: Guidance,
    steps: int,
    options: Mapping[str, Any],
) -> Tensor:
    """Turns noise into the latents of edited patches, with one call of the network for all predictions of a step.

    Args:
        unet: predicts from latents and image beside each other, [B, 2c, h, w], the time and the text.
        scheduler: of diffusers.
        noise: [N, c, h, w], as strong as the scheduler starts.
        conditions: of the N patches.
        guidance: of all of them.
        steps: number of denoising steps.
        options: further arguments of the scheduler's step.

    Returns:
        Latents, [N, c, h, w].
    """
    # Times stay on the host: a scheduler that looks something up by them would wait for the device.
    scheduler.set_timesteps(steps)
    times = scheduler.timesteps
    latents = noise
    for number, time in enumerate(times):
        # A scheduler of second order takes two times for a step.
        needed, scales = guidance.at(number * steps // len(times), steps).chain()
        text, image = _under(needed, conditions)
        seen = scheduler.scale_model_input(latents.repeat(len(needed), 1, 1, 1), time)
        predicted = unet(torch.cat([seen, image], dim=1), time, encoder_hidden_states=text, return_dict=False)[0]
        latents = scheduler.step(_guided(predicted.chunk(len(needed)), scales), time, latents, **options).prev_sample
    return latents


def _under(needed: Sequence[int], conditions: Conditions) -> tuple[Tensor, Tensor]:
    """Returns text and image of a batch that holds all needed predictions one after the other."""
    count = len(conditions.image)
    texts = [conditions.text if one == _TEXT else conditions.empty for one in needed]
    nothing = torch.zeros_like(conditions.image)
    images = [nothing if one == _NOTHING else conditions.image for one in needed]
    return torch.cat([text.expand(count, -1, -1) for text in texts]), torch.cat(images)


def _guided(predictions: Sequence[Tensor], scales: Sequence[float]) -> Tensor:
    guided = predictions[0]
    # The last difference first, as diffusers adds them: in half precision the order is seen.
    for number in reversed(range(len(scales))):
        guided = guided + scales[number] * (predictions[number + 1] - predictions[number])
    return guided
