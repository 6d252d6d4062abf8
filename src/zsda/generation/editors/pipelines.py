"""InstructPix2Pix pipelines: found on disk or on the hub, checked, and loaded; their files never decide what runs."""

import importlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from zsda.core.errors import ModelError, StoreError
from zsda.core.files import digest, file_digest
from zsda.core.records import printable, read_plain
from zsda.core.resources import located
from zsda.generation.editors.configs import check_configs

PIPELINE = "StableDiffusionInstructPix2PixPipeline"
COMPONENTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "vae": ("diffusers", ("AutoencoderKL", "AutoencoderTiny")),
    "unet": ("diffusers", ("UNet2DConditionModel",)),
    "scheduler": ("diffusers", ()),  # which ones, `scheduler_names` says
    "text_encoder": ("transformers", ("CLIPTextModel",)),
    "tokenizer": ("transformers", ("CLIPTokenizer", "CLIPTokenizerFast")),
}
"""The parts that are loaded, and what each may be."""

_UNUSED = ("safety_checker", "feature_extractor", "image_encoder")
_ABOUT = {"_class_name", "_diffusers_version", "_name_or_path", "requires_safety_checker"}
_LOADED_SUFFIXES = (".json", ".txt", ".safetensors")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
WAY_OUT = "give editor.model=FOLDER, a folder that save_pretrained wrote"


def scheduler_names() -> tuple[str, ...]:
    """Names the schedulers whose noise comes from the generators that a caller passes."""
    # DPMSolverSDE draws from a global generator: its images would depend on what was edited before.
    usable = importlib.import_module("diffusers.schedulers").KarrasDiffusionSchedulers
    return tuple(sorted(scheduler.name for scheduler in usable if scheduler.name != "DPMSolverSDEScheduler"))


def find_pipeline(model: str, revision: str | None) -> Path:
    """Returns the folder of a pipeline, after fetching it from the hub where ``model`` is an id of the hub.

    Args:
        model: a folder, also one of the package (`zsda.core.resources`), or an id of the hub.
        revision: commit, tag or branch on the hub.

    Raises:
        ModelError: there is no such folder, or the hub neither answers nor has answered before.
    """
    if located(model).is_dir():
        return located(model)
    if not _HUB_ID.fullmatch(model):
        raise ModelError(f"editor.model={model}: no such folder; {WAY_OUT}, or an id of the hub (owner/name)")
    try:
        with _quietly(bars=True):
            unused = dict.fromkeys(_UNUSED)
            folder = _pipeline_class().download(model, revision=revision, use_safetensors=True, **unused)
    except Exception as error:
        # The hub's client raises errors of half a dozen libraries; all of them leave the user with the same way out.
        raise ModelError(
            f"editor.model={model}: no such folder, and the hub does not give it ({_reason(error)}); {WAY_OUT}"
        ) from error
    return Path(folder)


def check_pipeline(folder: Path) -> None:
    """Makes sure that a folder holds an InstructPix2Pix pipeline: no other code than its usual parts, no values that these do not have.

    Raises:
        ModelError: it does not.
    """
    index = _read_index(folder)
    if index.get("_class_name") != PIPELINE:
        raise ModelError(
            f"editor.model={folder}: model_index.json names the pipeline {index.get('_class_name')!r}; "
            f"expected {PIPELINE}; {WAY_OUT}"
        )
    for part, (library, classes) in COMPONENTS.items():
        found = index.get(part)
        allowed = classes or scheduler_names()
        if not isinstance(found, list) or len(found) != 2 or found[0] != library or found[1] not in allowed:
            raise ModelError(
                f"editor.model={folder}: model_index.json has {part}={json.dumps(found)}; "
                f"expected {library} and one of {', '.join(allowed)}"
            )
    others = sorted(index.keys() - COMPONENTS.keys() - set(_UNUSED) - _ABOUT)
    if others:
        shown = ", ".join(f"{printable(key)}={printable(json.dumps(index[key]))[:80]}" for key in others)
        raise ModelError(f"editor.model={folder}: model_index.json has {shown}; expected no such parts; {WAY_OUT}")
    check_configs(folder, COMPONENTS, scheduler_names())


def load_pipeline(folder: Path, dtype: torch.dtype) -> Any:  # noqa: ANN401 - diffusers is not typed
    """Loads a checked folder on the CPU, without the safety checker, which paints what it doubts black.

    Raises:
        ModelError: files are missing, damaged or do not fit together.
    """
    unused = dict.fromkeys(_UNUSED)
    try:
        with _quietly(bars=False):
            pipeline = _pipeline_class().from_pretrained(
                folder, requires_safety_checker=False, use_safetensors=True, local_files_only=True, **unused
            )
            return pipeline.to(dtype=dtype)
    except Exception as error:
        # Which of many errors a damaged file causes depends on the file; the folder is what the user can replace.
        raise ModelError(f"editor.model={folder}: cannot be loaded ({_reason(error)}); {WAY_OUT}") from error


def digest_pipeline(folder: Path) -> str:
    """Returns one SHA-256 over the names and contents of all files that loading may read."""
    files = [folder / "model_index.json"]
    for part in COMPONENTS:
        files += [
            path for path in sorted((folder / part).rglob("*")) if path.suffix in _LOADED_SUFFIXES and path.is_file()
        ]
    listing = [f"{path.relative_to(folder).as_posix()} {file_digest(path)}" for path in files]
    return digest("\n".join(listing).encode())


def _read_index(folder: Path) -> dict[str, Any]:
    path = folder / "model_index.json"
    if not path.is_file():
        raise ModelError(f"editor.model={folder}: no pipeline, model_index.json is missing; {WAY_OUT}")
    try:
        return read_plain(path, WAY_OUT, told=_ABOUT)
    except StoreError as error:
        raise ModelError(f"editor.model={folder}: {error}") from error


def _reason(error: BaseException) -> str:
    """Returns the first line of the error that all began with."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _pipeline_class() -> Any:  # noqa: ANN401 - diffusers is not typed
    return getattr(importlib.import_module("diffusers"), PIPELINE)  # not at the top: it takes seconds


@contextmanager
def _quietly(bars: bool) -> Iterator[None]:
    """Keeps remarks of the libraries off the screen, and their bars on request; failures are told by our own errors."""
    libraries = [importlib.import_module(f"{name}.utils.logging") for name in ("diffusers", "transformers")]
    before = [(library.get_verbosity(), library.is_progress_bar_enabled()) for library in libraries]
    for library in libraries:
        library.set_verbosity_error()
        if not bars:
            library.disable_progress_bar()
    try:
        yield
    finally:
        for library, (verbosity, with_bars) in zip(libraries, before, strict=True):
            library.set_verbosity(verbosity)
            if with_bars:
                library.enable_progress_bar()
