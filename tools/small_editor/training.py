"""What is trained after what, each part resumable, every intermediate result a file."""

import json
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import (
    Callback,
    EMAWeightAveraging,
    LearningRateMonitor,
    ModelCheckpoint,
    RichProgressBar,
)
from lightning.pytorch.loggers import CSVLogger
from numpy.typing import NDArray
from torch import Tensor, nn
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
from zsda.core.run_records import PhaseReport
from zsda.core.runs import PhaseFolder, RunFolder
from zsda.data.samplers import EpochSampler
from zsda.models.weights import load_weights, save_weights
from zsda.training.callbacks import AtomicCheckpoints, EpochLines, EpochSeed

_log = logging.getLogger(__name__)

PHASES = ("autoencoder", "denoiser")
STEPS_PER_EPOCH = 500
"""Between two checkpoints; every part takes a multiple of them."""


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
        self._reseed()
        task = AutoencoderTask(make_autoencoder(), lr, steps)
        crops = RandomCrops(self._shards, STEPS_PER_EPOCH * batch_size, crop, self._seed)
        self._fit("autoencoder", task, task.autoencoder, self._loader(crops, batch_size), steps)
        return task.autoencoder.eval()

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
        self._reseed()
        task = DenoisingTask(make_unet(), make_scheduler(), encoded, scale, lr, steps)
        training = EditPairs(latents[held_out:], numbers, STEPS_PER_EPOCH * batch_size, self._seed)
        watching = EditPairs(latents[:held_out], numbers, 16 * batch_size, self._seed)
        average = EMAWeightAveraging(decay=ema, update_starting_at_step=min(100, steps // 2))
        loaders = self._loader(training, batch_size), self._loader(watching, batch_size)
        self._fit("denoiser", task, task.unet, loaders[0], steps, loaders[1], average)
        return task.unet.eval()

    def _reseed(self) -> None:
        L.seed_everything(self._seed, workers=True, verbose=False)

    def _loader(self, dataset: Dataset[Any], batch_size: int) -> DataLoader[Any]:
        return DataLoader(
            dataset,
            batch_size,
            sampler=EpochSampler(dataset, 1, 0, shuffle=False),
            num_workers=self._num_workers,
            persistent_workers=self._num_workers > 0,
            generator=torch.Generator().manual_seed(self._seed),
            drop_last=True,
        )

    def _fit(
        self,
        name: str,
        task: L.LightningModule,
        network: nn.Module,
        training: DataLoader[Any],
        steps: int,
        watching: DataLoader[Any] | None = None,
        *callbacks: Callback,
    ) -> None:
        """Trains a network to its end, from where it was; a finished one is only loaded."""
        folder = PhaseFolder(self._run.path / name)
        if folder.finished:
            load_weights(network, folder.weights)
            return
        checkpoint = ModelCheckpoint(
            dirpath=folder.path,
            filename=folder.checkpoint.stem,
            enable_version_counter=False,
            save_on_train_epoch_end=True,
        )
        started = time.monotonic()
        trainer = self._trainer(
            # Counted in epochs: where Lightning counts in steps, a restart skips the rest of an epoch.
            max_epochs=steps // STEPS_PER_EPOCH,
            callbacks=[
                checkpoint,
                *callbacks,
                LearningRateMonitor(),
                RichProgressBar(leave=True),
                EpochLines(),
                EpochSeed(self._seed),
            ],
            logger=CSVLogger(folder.path, name="csv"),
            plugins=[AtomicCheckpoints()],
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
        )
        resume = folder.checkpoint if folder.checkpoint.is_file() else None
        _log.info("%s: %d steps%s", name, steps, "" if resume is None else f", resuming from {resume}")
        trainer.fit(task, training, watching, ckpt_path=resume, weights_only=True)
        # Not from the trainer: where a restart finds the last step taken, only the checkpoint has the averaged weights.
        task.load_state_dict(torch.load(folder.checkpoint, map_location="cpu", weights_only=True)["state_dict"])
        save_weights(network, folder.weights)
        shown = {key: float(value) for key, value in trainer.callback_metrics.items()}
        seconds, epochs = round(time.monotonic() - started, 1), trainer.current_epoch
        steps, resumed = trainer.global_step, resume is not None
        folder.finish(
            PhaseReport(epochs=epochs, steps=steps, seconds=seconds, resumed=resumed, left_out=[], watched=shown)
        )
