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
from zsda.core.reasons import reason
from zsda.core.resources import located
from zsda.core.values import COUNT, FLAG, GUIDED
from zsda.generation.editors.base import Edits
from zsda.generation.editors.denoising import Conditions, Guidance, Interval, denoise
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

ALWAYS: Interval = (0.0, 1.0)
"""The interval in which all steps are guided."""

MOST = 32
"""Patches at once, beyond which a GPU gains nothing."""

_ELSEWHERE = 8  # patches at once on other devices

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
        guidance_interval: which steps are guided, begin and end as shares of their number; in the others the network follows text and
            image as it was learnt, with a third of the calculation. The published loop guides all.
        compile: let torch compile the denoiser, which takes a minute or so at first.

    Raises:
        ConfigError: unknown precision, no steps, or no interval.
    """

    def __init__(
        self,
        model: str = "timbrooks/instruct-pix2pix",
        revision: str | None = None,
        precision: str = "auto",
        scheduler: str | None = None,
        steps: int = 50,
        guidance_interval: Sequence[float] = (0.0, 1.0),
        compile: bool = False,
    ) -> None:
        if precision not in ("auto", "fast", *PRECISIONS):
            raise ConfigError(f"editor.precision={precision}; expected auto, fast, {', '.join(PRECISIONS)}")
        COUNT.check("editor.steps", steps)
        FLAG.check("editor.compile", compile)
        GUIDED.check("editor.guidance_interval", guidance_interval)
        self.model, self.revision, self.precision = str(model), revision, precision
        self.scheduler, self.steps, self.compile = scheduler, steps, compile
        self.guidance_interval = (float(guidance_interval[0]), float(guidance_interval[1]))
        self._pipeline: Any = None
        self._encoded: dict[tuple[str, torch.dtype, torch.device], Tensor] = {}
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
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        guidance = Guidance(text_guidance, image_guidance, self.guidance_interval)
        try:
            # The precision is the editor's own; an autocast around it would make it another editor.
            with torch.no_grad(), torch.autocast(pipeline.device.type, enabled=False), self._in_fp32(precise):
                latents = self._latents(patches, prompt, generators, guidance)
                # Not by the pipeline, which clamps: what is infinite would pass for black or white.
                decoded = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor, return_dict=False)[0]
        except torch.OutOfMemoryError as error:
            if precise:
                raise ConfigError(
                    "no memory to edit a bad patch again in fp32; give retries=0, which leaves its image out"
                ) from error
            raise ConfigError(f"no memory for {len(seeds)} patches at once; choose a smaller batch_size=") from error
        except _UNFIT as error:
            raise self._unfit(error) from error
        finite = decoded.isfinite().flatten(1).all(dim=1)
        edited = pipeline.image_processor.postprocess(decoded, output_type="pt")
        return Edits(edited.float().nan_to_num().mul(255).round().to("cpu", torch.uint8), finite.cpu())

    def _latents(self, patches: Tensor, prompt: str, generators: list[torch.Generator], guidance: Guidance) -> Tensor:
        pipeline = self._pipeline
        device, dtype = pipeline.device, pipeline.unet.dtype
        images = patches.to(device)
        fractions = images.float() / 255 if images.dtype == torch.uint8 else images
        shown = pipeline.image_processor.preprocess(fractions)
        image = pipeline.prepare_image_latents(shown, len(shown), 1, dtype, device, do_classifier_free_guidance=False)
        conditions = Conditions(self._encode(prompt), self._encode(""), image)
        pipeline.scheduler.set_timesteps(self.steps)  # which says how strong the noise is at the start
        channels, (height, width) = pipeline.vae.config.latent_channels, shown.shape[-2:]
        noise = pipeline.prepare_latents(len(shown), channels, height, width, dtype, device, generators)
        options = pipeline.prepare_extra_step_kwargs(generators, eta=0.0)
        return denoise(pipeline.unet, pipeline.scheduler, noise, conditions, guidance, self.steps, options)

    def _encode(self, prompt: str) -> Tensor:
        """Returns the encoded instruction, [1, tokens, C]; each is encoded once, whatever number of patches it is for."""
        tokenizer, encoder = self._pipeline.tokenizer, self._pipeline.text_encoder
        key = (prompt, encoder.dtype, encoder.device)
        if key not in self._encoded:
            length = tokenizer.model_max_length
            tokens = tokenizer(prompt, padding="max_length", max_length=length, return_tensors="pt")
            self._encoded[key] = encoder(tokens.input_ids.to(encoder.device))[0].to(self._pipeline.unet.dtype)
        return self._encoded[key]

    def batch_size(self, patch: tuple[int, int]) -> int:
        """Returns how many patches it should be given at once: a power of two that the memory of a GPU holds, 8 elsewhere.

        Measured with a single step on one patch, so that it needs no table of models and cards.

        Args:
            patch: width, height.

        Raises:
            ConfigError: there is no memory for a single patch.
        """
        device = self._loaded().device
        if device.type != "cuda":
            return _ELSEWHERE
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        self.with_steps(1).edit(torch.zeros(1, 3, *patch[::-1], dtype=torch.uint8), "", [0], 2.0, 3.0)
        needed = max(1, torch.cuda.max_memory_allocated(device) - before)
        torch.cuda.empty_cache()
        return fitting(torch.cuda.mem_get_info(device)[0], needed)

    def with_steps(self, steps: int) -> Self:
        """Returns an editor with the same parts and another number of denoising steps.

        Raises:
            ConfigError: no number of steps that the model can take.
        """
        other = copy.copy(self)
        other.steps = steps
        COUNT.check("editor.steps", steps)
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
            # Only what is not as published: sets that were made before this option came must still be continued.
            **({} if self.guidance_interval == ALWAYS else {"guidance_interval": list(self.guidance_interval)}),
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
        pipeline = self._prepare(load_pipeline(folder, PRECISIONS[self._precision]))
        if folder == located(self.model):
            self._source = {"model": folder.resolve().name, "digest": digest_pipeline(folder)}
        else:
            self._source = {"model": self.model, "revision": folder.name}  # the hub's cache names folders after commits
        name = type(pipeline.scheduler).__name__
        _log.info("editor: %s, %s, %d steps, %s", self.model, name, self.steps, self._precision)
        return pipeline

    def _prepare(self, pipeline: Any) -> Any:  # noqa: ANN401 - diffusers is not typed
        if self.scheduler is not None:
            scheduler = getattr(importlib.import_module("diffusers"), self.scheduler)
            pipeline.scheduler = scheduler.from_config(pipeline.scheduler.config)
        for part in (pipeline.unet, pipeline.vae):
            part.to(memory_format=torch.channels_last)
        # One patch of pixels fills a device, and many at once its memory, or the caches of a CPU.
        pipeline.vae.enable_slicing()
        if self.compile:
            pipeline.unet.compile()
        self._check_steps(pipeline.scheduler.config["num_train_timesteps"])
        return pipeline

    def _check_steps(self, most: int) -> None:
        if self.steps > most:
            raise ConfigError(f"editor.steps={self.steps}; expected at most {most}, as many as in training")

    def _unfit(self, error: Exception) -> ModelError:
        return ModelError(
            f"editor.model={self.model}: its parts do not work together ({type(error).__name__}: {reason(error)}); {WAY_OUT}"
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


def fitting(free: int, needed: int) -> int:
    """Returns how many patches go into free memory with a fifth to spare, a power of two up to `MOST`, at least 1.

    Args:
        free: bytes.
        needed: bytes of one patch.
    """
    return 2 ** max(0, min(MOST, int(0.8 * free / needed)).bit_length() - 1)


def _resolve(precision: str, device: torch.device) -> str:
    if precision == "auto":
        return "fp16" if device.type == "cuda" else "fp32"
    if precision == "fast":
        return "bf16" if is_fast_in_bf16(device) else "fp32"
    if precision == "fp16" and device.type == "cpu":
        raise ConfigError("editor.precision=fp16 is for GPUs; on a CPU expected fp32 or bf16, or auto, which chooses")
    return precision
