"""What is trained after what, each part resumable, every intermediate result a file."""

import json
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.loggers import CSVLogger
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from tools.small_editor.instructions import instructions, is_held_out, save_tokenizer
from tools.small_editor.pairs import STORED, PicturePairs
from tools.small_editor.parts import (
    LATENT_CHANNELS,
    LATENT_FACTOR,
    Part,
    make_autoencoder,
    make_scheduler,
    make_text_encoder,
    make_unet,
)
from tools.small_editor.tasks import (
    AutoencoderTask,
    DenoisingTask,
    EditPairs,
    RandomCrops,
    encode_pictures,
    train_text_encoder,
)
from zsda.core.files import to_json, write_atomic
from zsda.core.runs import PhaseFolder, RunFolder
from zsda.core.signals import outlive_signals
from zsda.data.samplers import EpochSampler
from zsda.models.weights import load_weights
from zsda.training.fit import Engine, Length, fit
from zsda.training.task import TrainingTask

_log = logging.getLogger(__name__)

PHASES = ("autoencoder", "denoiser")
STEPS_PER_EPOCH = 500
"""Between two checkpoints."""


class EditorTraining:
    """Trains the parts of the small editor in a run folder.

    Args:
        run: receives checkpoints, logs and weights.
        pairs: rendered pictures.
        trainer: makes Lightning trainers.
        seed: of weights, order, noise.
        num_workers: loader processes.
    """

    def __init__(
        self, run: RunFolder, pairs: PicturePairs, trainer: Callable[..., L.Trainer], seed: int, num_workers: int
    ) -> None:
        self._run, self._shards = run, list(pairs.shards())
        self._trainer, self._seed, self._num_workers = trainer, seed, num_workers

    def autoencoder(self, steps: int, batch_size: int, crop: int, lr: float) -> Part:
        """Trains the autoencoder on random crops."""
        crops = RandomCrops(self._shards, STEPS_PER_EPOCH * batch_size, crop, self._seed)
        data = _Data(crops, batch_size, self._num_workers, self._seed)
        return self._fit("autoencoder", lambda: AutoencoderTask(make_autoencoder(), lr, steps), data, steps)

    def text_encoder(self) -> tuple[Part, Part, Tensor, list[list[int]]]:
        """Trains the text encoder, or takes it up.

        Returns:
            The encoder, the tokenizer, all sentences encoded, float32 [N, T, D], the empty one last, and for each look the
            numbers of its sentences that may be trained on.
        """
        from transformers import CLIPTextModel

        folder = self._run.path / "text_encoder"
        tokenizer = save_tokenizer(self._run.path / "tokenizer")
        known = [[s for s in instructions(look) if not is_held_out(s)] for look in STORED]
        sentences = [sentence for some in known for sentence in some]
        meanings = [look for look, some in enumerate(known) for _ in some]
        if not folder.is_dir():
            self._reseed()
            encoder = make_text_encoder(len(tokenizer))
            # The empty instruction is one sentence that half of the guidance rests on.
            right = train_text_encoder(encoder, tokenizer, [*sentences, *[""] * 40], [*meanings, *[len(known)] * 40])
            _log.info("text encoder: %.1f %% of the meanings told apart", 100 * right)
            unfinished = folder.with_name("text_encoder.unfinished")
            encoder.save_pretrained(unfinished)
            unfinished.rename(folder)
        encoder = CLIPTextModel.from_pretrained(folder).eval()
        tokens = tokenizer([*sentences, ""], padding="max_length", return_tensors="pt").input_ids
        with torch.no_grad():
            encoded = encoder(tokens).last_hidden_state
        numbers = [[i for i, meaning in enumerate(meanings) if meaning == look] for look in range(len(known))]
        return encoder, tokenizer, encoded, numbers

    def latents(self, autoencoder: Part) -> tuple[NDArray[np.float16], float]:
        """Encodes all pictures, or takes them up.

        Returns:
            float16 [scenes, looks, C, h, w], mapped from disk, and the scale that gives them a deviation of 1.
        """
        path, marker = self._run.path / "latents.npy", self._run.path / "latents.json"
        if not marker.is_file():
            height, width = self._shards[0].shape[2:4]
            scenes = sum(len(shard) for shard in self._shards)
            shape = (scenes, len(STORED), LATENT_CHANNELS, height // LATENT_FACTOR, width // LATENT_FACTOR)
            out = np.lib.format.open_memmap(path, "w+", np.float16, shape)
            device = self._trainer(logger=False, enable_checkpointing=False).strategy.root_device
            encode_pictures(autoencoder, self._shards, out, device)
            out.flush()
            write_atomic(marker, to_json({"scale": round(1 / float(out[::50].astype(np.float32).std()), 4)}))
        return np.load(path, mmap_mode="r"), float(json.loads(marker.read_text())["scale"])

    def denoiser(
        self,
        latents: NDArray[np.float16],
        scale: float,
        encoded: Tensor,
        numbers: Sequence[Sequence[int]],
        held_out: int,
        steps: int,
        batch_size: int,
        lr: float,
        ema: float,
    ) -> Part:
        """Trains the denoiser; the averaged weights are the result."""
        training = EditPairs(latents[held_out:], numbers, STEPS_PER_EPOCH * batch_size, self._seed)
        watching = EditPairs(latents[:held_out], numbers, 16 * batch_size, self._seed)

        def make_task() -> DenoisingTask:
            return DenoisingTask(make_unet(), make_scheduler(), encoded, scale, lr, steps, ema)

        data = _WatchedData(watching, training, batch_size, self._num_workers, self._seed)
        return self._fit("denoiser", make_task, data, steps)

    def _reseed(self) -> None:
        L.seed_everything(self._seed, workers=True, verbose=False)

    def _fit(self, name: str, make_task: Callable[[], TrainingTask], data: L.LightningDataModule, steps: int) -> Part:
        """Trains a part to its end, from where it was; a finished one is only loaded."""
        folder = PhaseFolder(self._run.path / name)
        if folder.finished:
            network = make_task().networks()["weights"]
            load_weights(network, folder.weights)
        else:
            _log.info("%s: %d steps", name, steps)
            engine = Engine(self._trainer, [partial(CSVLogger, name="csv")])
            task = fit(make_task, data, Length(steps, "step"), self._seed, engine, folder)
            network = task.networks()["weights"].cpu()
        return network.eval()


class _Data(L.LightningDataModule):
    """Samples that are a function of (seed, epoch, index)."""

    def __init__(self, training: Dataset[Any], batch_size: int, num_workers: int, seed: int) -> None:
        super().__init__()
        self._training = training
        self._batch_size, self._num_workers, self._seed = batch_size, num_workers, seed

    def train_dataloader(self) -> DataLoader[Any]:
        return self.loader(self._training)

    def loader(self, dataset: Dataset[Any]) -> DataLoader[Any]:
        return DataLoader(
            dataset,
            self._batch_size,
            sampler=EpochSampler(dataset, 1, 0, shuffle=False),
            num_workers=self._num_workers,
            persistent_workers=self._num_workers > 0,
            generator=torch.Generator().manual_seed(self._seed),
            drop_last=True,
            worker_init_fn=outlive_signals,
        )


class _WatchedData(_Data):
    """The same, and some to watch."""

    def __init__(self, watching: Dataset[Any], *training: Any) -> None:  # noqa: ANN401 - those of the base
        super().__init__(*training)
        self._watching = watching

    def val_dataloader(self) -> DataLoader[Any]:
        return self.loader(self._watching)
