"""Instruction-driven image editors: patches and a sentence in, edited patches out."""

import copy
import importlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import torch
from torch import Tensor

from zsda.core.errors import ConfigError, ModelError
from zsda.core.precision import is_fast_in_bf16
from zsda.core.provenance import versions
from zsda.core.records import printable
from zsda.core.resources import located
from zsda.generation.editors.base import Edits
from zsda.generation.editors.pipelines import (
    WAY_OUT,
    check_pipeline,
    digest_pipeline,
    find_pipeline,
    load_pipeline,
    scheduler_names,
)

_log = logging.getLogger(__name__)

PRECISIONS = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}

_UNFIT = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What parts of an editor raise whose configs are well formed, but not for one another."""

_SCHEDULER_KEYS = (
    "beta_start",
    "beta_end",
    "beta_schedule",
    "num_train_timesteps",
    "prediction_type",
    "timestep_spacing",
    "steps_offset",
)


class InstructPix2PixEditor:
    """InstructPix2Pix (Brooks et al., CVPR 2023, arXiv 2211.09800), the editor of SDGPA.

    Nothing is loaded before `to` is called.

    Args:
        model: id on the hub, or a folder in the format of diffusers.
        revision: commit, tag or branch on the hub; None takes the newest.
        precision: ``fp16``, ``bf16``, ``fp32``; ``auto``: fp16 on a GPU, fp32 elsewhere; ``fast``: bf16 on a device that
            calculates in it natively, fp32 elsewhere.
        scheduler: name of a scheduler of diffusers; None takes the one of the model, for the published one
            ``EulerAncestralDiscreteScheduler``.
        steps: number of denoising steps.

    Raises:
        ConfigError: unknown precision, or no steps.
    """

    def __init__(
        self,
        model: str = "timbrooks/instruct-pix2pix",
        revision: str | None = None,
        precision: str = "auto",
        scheduler: str | None = None,
        steps: int = 50,
    ) -> None:
        if precision not in ("auto", "fast", *PRECISIONS):
            raise ConfigError(f"editor.precision={precision}; expected auto, fast, {', '.join(PRECISIONS)}")
        _check_number(steps)
        self.model, self.revision, self.precision = str(model), revision, precision
        self.scheduler, self.steps = scheduler, steps
        self._pipeline: Any = None
        self._precision = precision
        self._source: dict[str, Any] = {}

    @property
    def multiple(self) -> int:
        """Pixels per latent: 8 for the published model."""
        return int(self._loaded().vae_scale_factor)

    def to(self, device: torch.device | str) -> Self:
        """Loads the pipeline where it is not loaded yet, in the precision that suits the device, and moves it.

        Raises:
            ModelError: there is no pipeline where ``model`` says, or it cannot be loaded.
            ConfigError: the scheduler is unknown, or the precision is not for this device.
        """
        device = torch.device(device)
        if self._pipeline is None:
            self._precision = _resolve(self.precision, device)
            self._pipeline = self._load()
        try:
            self._pipeline.to(device)
        except torch.OutOfMemoryError as error:
            raise ConfigError(f"no memory for {self.model} on {device}") from error
        except _UNFIT as error:
            raise self._unfit(error) from error
        return self

    def edit(
        self,
        patches: Tensor,
        prompt: str,
        seeds: Sequence[int],
        text_guidance: float,
        image_guidance: float,
        precise: bool = False,
    ) -> Edits:
        """Edits patches, all in one pass of the pipeline.

        Each patch has a generator of its own on the CPU, for the start noise as for that of each step, so its noise
        depends neither on its neighbours nor on the device.

        Args:
            patches: uint8, or float in [0, 1], [N, 3, h, w]; h and w are multiples of `multiple`.
            prompt: the instruction.
            seeds: one for each patch.
            text_guidance: scale of the text, more than 1.
            image_guidance: scale of the image, at least 1.
            precise: calculate in fp32, whatever the editor's precision is.

        Returns:
            The edited patches, and which of them consist of finite values.

        Raises:
            ConfigError: the prompt is longer than the text encoder reads, or the GPU's memory is too small.
        """
        pipeline = self._loaded()
        self._check_length(prompt)
        images = patches.float() / 255 if patches.dtype == torch.uint8 else patches
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        try:
            # The precision is the editor's own; an autocast around it would make it another editor.
            with torch.no_grad(), torch.autocast(pipeline.device.type, enabled=False), self._in_fp32(precise):
                latents = pipeline(
                    prompt=[prompt] * len(images),
                    image=images,
                    num_inference_steps=self.steps,
                    guidance_scale=text_guidance,
                    image_guidance_scale=image_guidance,
                    generator=generators,
                    output_type="latent",
                ).images
                # Decoded here, as the pipeline clamps its images: what is infinite would pass for black or white.
                decoded = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor, return_dict=False)[0]
        except torch.OutOfMemoryError as error:
            if precise:
                raise ConfigError(
                    "no memory to edit a bad patch again in fp32; give retries=0, which leaves its image out"
                ) from error
            raise ConfigError(f"no memory for {len(images)} patches at once; choose a smaller batch_size=") from error
        except _UNFIT as error:
            raise self._unfit(error) from error
        finite = decoded.isfinite().flatten(1).all(dim=1)
        edited = pipeline.image_processor.postprocess(decoded, output_type="pt")
        return Edits(edited.float().nan_to_num().mul(255).round().to("cpu", torch.uint8), finite.cpu())

    def with_steps(self, steps: int) -> Self:
        """Returns an editor with the same parts and another number of denoising steps.

        Raises:
            ConfigError: no number of steps that the model can take.
        """
        other = copy.copy(self)
        other.steps = steps
        _check_number(steps)
        other._check_steps(self._loaded().scheduler.config["num_train_timesteps"])
        return other

    def describe(self) -> dict[str, Any]:
        """Returns where the model comes from, its schedule and precision; versions are told but not compared."""
        scheduler = self._loaded().scheduler
        schedule = {key: scheduler.config[key] for key in _SCHEDULER_KEYS if key in scheduler.config}
        return {
            **self._source,
            "scheduler": {"name": type(scheduler).__name__, **schedule},
            "steps": self.steps,
            "precision": self._precision,
            "versions": versions("torch", "diffusers", "transformers"),
        }

    def _loaded(self) -> Any:  # noqa: ANN401 - diffusers is not typed
        if self._pipeline is None:
            self.to("cpu")
        return self._pipeline

    @contextmanager
    def _in_fp32(self, wanted: bool) -> Iterator[None]:
        """Moves the weights to float32 and back, which is exact: float32 holds every value of the smaller types."""
        own = PRECISIONS[self._precision]
        if not wanted or own == torch.float32:
            yield
            return
        try:
            self._pipeline.to(dtype=torch.float32)
            yield
        finally:
            self._pipeline.to(dtype=own)

    def _load(self) -> Any:  # noqa: ANN401 - diffusers is not typed
        if self.scheduler is not None and self.scheduler not in scheduler_names():
            raise ConfigError(f"editor.scheduler={self.scheduler}; expected one of {', '.join(scheduler_names())}")
        folder = find_pipeline(self.model, self.revision)
        check_pipeline(folder)
        pipeline = load_pipeline(folder, PRECISIONS[self._precision])
        pipeline.set_progress_bar_config(disable=True)
        if self.scheduler is not None:
            scheduler = getattr(importlib.import_module("diffusers"), self.scheduler)
            pipeline.scheduler = scheduler.from_config(pipeline.scheduler.config)
        self._check_steps(pipeline.scheduler.config["num_train_timesteps"])
        if folder == located(self.model):
            self._source = {"model": folder.resolve().name, "digest": digest_pipeline(folder)}
        else:
            self._source = {"model": self.model, "revision": folder.name}  # the hub's cache names folders after commits
        name = type(pipeline.scheduler).__name__
        _log.info("editor: %s, %s, %d steps, %s", self.model, name, self.steps, self._precision)
        return pipeline

    def _check_steps(self, most: int) -> None:
        if self.steps > most:
            raise ConfigError(f"editor.steps={self.steps}; expected at most {most}, as many as in training")

    def _unfit(self, error: Exception) -> ModelError:
        reason = printable(" ".join(str(error).split()))[:200]
        return ModelError(
            f"editor.model={self.model}: its parts do not work together ({type(error).__name__}: {reason}); {WAY_OUT}"
        )

    def _check_length(self, prompt: str) -> None:
        tokenizer = self._loaded().tokenizer
        try:
            length, most = len(tokenizer(prompt).input_ids), tokenizer.model_max_length
            longer = length > most
        except _UNFIT as error:
            raise self._unfit(error) from error
        if longer:
            raise ConfigError(
                f"domain.prompt has {length} tokens, {self.model} reads {most}; choose a shorter sentence"
            )


def _check_number(steps: int) -> None:
    if not isinstance(steps, int) or steps < 1:
        raise ConfigError(f"editor.steps={steps}; expected a whole number of at least 1")


def _resolve(precision: str, device: torch.device) -> str:
    if precision == "auto":
        return "fp16" if device.type == "cuda" else "fp32"
    if precision == "fast":
        return "bf16" if is_fast_in_bf16(device) else "fp32"
    if precision == "fp16" and device.type == "cpu":
        raise ConfigError("editor.precision=fp16 is for GPUs; on a CPU expected fp32 or bf16, or auto, which chooses")
    return precision
