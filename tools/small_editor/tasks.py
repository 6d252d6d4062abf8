"""How the parts of the small editor are trained."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import Dataset

from tools.small_editor.parts import Part
from zsda.core.precision import is_fast_in_bf16
from zsda.core.seeds import hash32
from zsda.training.schedules import Horizon
from zsda.training.task import TrainingTask

SHIFT = 3.0
"""How far the noise levels in training are shifted towards much noise (Esser et al., ICML 2024, section 5.3.2).

The picture to edit tells nearly everything already; what is left to choose is chosen where there is much noise.
"""


class RandomCrops(Dataset[Tensor]):
    """Random square crops of random pictures, a function of (seed, epoch, index) alone.

    Args:
        shards: uint8 [scenes, looks, H, W, 3] each.
        length: crops in an epoch.
        side: of a crop, in pixels.
        seed: another one gives other crops.
    """

    def __init__(self, shards: Sequence[NDArray[np.uint8]], length: int, side: int, seed: int) -> None:
        self._shards, self._length, self._side, self._seed = shards, length, side, seed

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, at: tuple[int, int]) -> Tensor:
        """Returns float32 [3, side, side] in [-1, 1]."""
        rng = np.random.default_rng(hash32(self._seed, *at))
        shard = self._shards[int(rng.integers(len(self._shards)))]
        picture = shard[rng.integers(len(shard)), rng.integers(shard.shape[1])]
        top, left = (rng.integers(length - self._side + 1) for length in picture.shape[:2])
        crop = picture[top : top + self._side, left : left + self._side]
        return torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1))).float() / 127.5 - 1


class EditPairs(Dataset[dict[str, Any]]):
    """Latents of a scene by day and in another look, with an instruction; a function of (seed, epoch, index) alone.

    Args:
        latents: float16 [scenes, looks, C, h, w]; the first look is the picture before the edit.
        sentences: for each look the numbers of its instructions.
        length: pairs in an epoch.
        seed: another one gives other pairs.
    """

    def __init__(
        self, latents: NDArray[np.float16], sentences: Sequence[Sequence[int]], length: int, seed: int
    ) -> None:
        self._latents, self._sentences, self._length, self._seed = latents, sentences, length, seed
        # Leaving a picture as it is takes less training than changing it.
        self._share = np.array([0.4, *[1.0] * (len(sentences) - 1)])
        self._share /= self._share.sum()

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, at: tuple[int, int]) -> dict[str, Any]:
        """Returns ``before`` and ``after``, float32 [C, h, h], and ``sentence``."""
        rng = np.random.default_rng(hash32(self._seed, *at))
        scene, look = rng.integers(len(self._latents)), rng.choice(len(self._share), p=self._share)
        height, width = self._latents.shape[-2:]
        left = rng.integers(width - height + 1)
        pair = self._latents[scene, [0, look], :, :, left : left + height].astype(np.float32)
        before, after = torch.from_numpy(pair)
        return {"before": before, "after": after, "sentence": int(rng.choice(self._sentences[look]))}


def _rise_and_fall(optimizer: Optimizer, horizon: Horizon) -> dict[str, Any]:
    """A short rise and a cosine to zero, as a `zsda.training.schedules.Schedule`."""
    rise = min(500.0 / horizon.steps, 0.3)
    (group,) = optimizer.param_groups
    schedule = OneCycleLR(optimizer, group["lr"], horizon.steps, pct_start=rise, cycle_momentum=False)
    return {"scheduler": schedule, "interval": "step"}


class _Trained(TrainingTask):
    """A network under AdamW."""

    def __init__(self, network: Part, lr: float, steps: int) -> None:
        super().__init__(_rise_and_fall, steps, "step")
        self.part, self._lr = network.to(memory_format=torch.channels_last), lr

    def networks(self) -> Mapping[str, nn.Module]:
        """Returns the network."""
        return {"weights": self.part}

    def make_optimizers(self) -> Sequence[Optimizer]:
        """Returns its optimiser."""
        return [torch.optim.AdamW(self.part.parameters(), self._lr, weight_decay=1e-3, foreach=True)]


class AutoencoderTask(_Trained):
    """Trains the autoencoder to return crops: absolute error of pixels and, three times, of their differences.

    Args:
        autoencoder: of diffusers, [B, 3, H, W] in [-1, 1] to latents and back.
        lr: highest learning rate.
        steps: of the whole training.
    """

    def __init__(self, autoencoder: Part, lr: float, steps: int) -> None:
        super().__init__(autoencoder, lr, steps)

    def training_step(self, images: Tensor, _index: int) -> Tensor:
        """Takes crops [B, 3, s, s]."""
        images = images.contiguous(memory_format=torch.channels_last)
        latents = self.part.encode(images).latents
        # The denoiser's latents will be a little off; the decoder must not make more of it.
        noisy = latents + 0.05 * torch.randn_like(latents)
        error = self.part.decode(noisy).sample.float() - images
        edges = sum(torch.diff(error, dim=axis).abs().mean() for axis in (2, 3))
        spread = latents.float().mean().square() + (latents.float().std() - 1.0).square()
        self.log("train/psnr", 10 * torch.log10(4 / error.square().mean()), prog_bar=True, on_step=True, on_epoch=True)
        return error.abs().mean() + 1.5 * edges + 0.01 * spread


class DenoisingTask(_Trained):
    """Trains the denoiser to say what the edited picture is, with conditions left out at random.

    As in InstructPix2Pix (section 3.2), the instruction, the picture, or both are left out for 5 % of the pairs each, so
    that both guidance scales have something to hold against.

    Args:
        unet: of diffusers.
        scheduler: of diffusers, the noise schedule.
        sentences: encoded instructions, float32 [N, T, D]; the last one is the empty instruction.
        scale: what latents are multiplied by before noise is added.
        lr: highest learning rate.
        steps: of the whole training.
        ema: share of itself that the average, which is the result, keeps at every step.
    """

    def __init__(
        self, unet: Part, scheduler: Part, sentences: Tensor, scale: float, lr: float, steps: int, ema: float
    ) -> None:
        super().__init__(unet, lr, steps)
        self._averaged = self.average(self.part, ema, start=min(100, steps // 2))
        self._scheduler, self._sentences, self._scale = scheduler, sentences, scale

    def networks(self) -> Mapping[str, nn.Module]:
        """Returns the averaged denoiser."""
        return {"weights": self._averaged.module}

    def _loss(self, unet: nn.Module, batch: dict[str, Any], draw: Tensor) -> Tensor:
        before, target, sentence = batch["before"], batch["after"] * self._scale, batch["sentence"]
        without_text, without_image = draw < 0.1, (draw >= 0.05) & (draw < 0.15)
        sentence = torch.where(without_text, len(self._sentences) - 1, sentence)
        before = before * (~without_image)[:, None, None, None]
        noise = torch.randn_like(target)
        share = torch.rand(len(target), device=target.device)
        share = SHIFT * share / (1 + (SHIFT - 1) * share)
        times = (share * self._scheduler.config.num_train_timesteps).long()
        noisy = self._scheduler.add_noise(target, noise, times)
        inputs = torch.cat([noisy, before], dim=1).contiguous(memory_format=torch.channels_last)
        words = self._sentences.to(target.device)[sentence]
        return F.mse_loss(unet(inputs, times, words).sample.float(), target)

    def training_step(self, batch: dict[str, Any], _index: int) -> Tensor:
        """Takes ``before`` and ``after`` [B, C, h, h] and ``sentence`` [B]."""
        loss = self._loss(self.part, batch, torch.rand(len(batch["sentence"]), device=self.device))
        self.log("train/loss", loss, on_step=True, on_epoch=True, prog_bar=True, batch_size=len(batch["sentence"]))
        return loss

    def on_validation_epoch_start(self) -> None:
        """Draws the same noise in every validation."""
        self._drawn, self._losses = torch.get_rng_state(), list[float]()
        torch.manual_seed(0)

    def on_validation_epoch_end(self) -> None:
        """Lets the training draw as if there had been no validation."""
        torch.set_rng_state(self._drawn)
        self.watched = {"val/loss": math.fsum(self._losses) / len(self._losses)}

    def validation_step(self, batch: dict[str, Any], _index: int) -> None:
        """Logs the loss of the average with both conditions on scenes that are not trained on."""
        count = len(batch["sentence"])
        loss = self._loss(self._averaged.module, batch, torch.ones(count, device=self.device))
        self._losses.append(loss.item())
        self.log("val/loss", loss, prog_bar=True, batch_size=count)


def train_text_encoder(
    encoder: Part, tokenizer: Part, sentences: Sequence[str], meanings: Sequence[int], steps: int = 600
) -> float:
    """Trains the text encoder to tell the meanings of sentences apart, with some words replaced by others.

    Every position from the end token on must know the meaning, since the denoiser looks at all of them.

    Returns:
        The share of right answers over the last tenth of the steps.
    """
    tokens = torch.tensor(tokenizer(list(sentences), padding="max_length", truncation=True).input_ids)
    answers = torch.tensor(meanings)
    head = nn.Linear(encoder.config.hidden_size, int(answers.max()) + 1)
    optimizer = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], 1e-3, weight_decay=1e-2)
    ended = (tokens == tokenizer.eos_token_id).cumsum(1) > 0
    right: list[float] = []
    encoder.train()
    for step in range(steps):
        batch = torch.randint(len(tokens), (64,))
        words = tokens[batch]
        swapped = (torch.rand(words.shape) < 0.1) & ~ended[batch]
        swapped[:, 0] = False
        words = torch.where(swapped, torch.randint(len(tokenizer) - 2, words.shape), words)
        states = encoder(words).last_hidden_state
        logits = head(states[ended[batch]])
        wanted = answers[batch][:, None].expand(words.shape)[ended[batch]]
        loss = F.cross_entropy(logits, wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step >= 0.9 * steps:
            right.append(float((logits.argmax(1) == wanted).float().mean()))
    encoder.eval()
    return math.fsum(right) / len(right)


@torch.no_grad()
def encode_pictures(
    autoencoder: Part, shards: Sequence[NDArray[np.uint8]], out: NDArray[np.float16], device: torch.device
) -> None:
    """Encodes all pictures into ``out``, float16 [scenes, looks, C, h, w]."""
    autoencoder.to(device)
    done = 0
    with torch.autocast(device.type, torch.bfloat16, enabled=is_fast_in_bf16(device)):
        for shard in track(shards, description="latents"):
            for some in np.array_split(shard, max(len(shard) // 4, 1)):
                pictures = some.reshape(-1, *some.shape[2:]).transpose(0, 3, 1, 2)
                images = torch.from_numpy(np.ascontiguousarray(pictures)).to(device).float() / 127.5 - 1
                latents = autoencoder.encode(images.contiguous(memory_format=torch.channels_last)).latents
                out[done : done + len(some)] = latents.half().cpu().numpy().reshape(len(some), -1, *latents.shape[1:])
                done += len(some)
    autoencoder.cpu()
