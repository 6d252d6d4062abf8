"""InstructPix2Pix pipelines: found on disk or on the hub, checked, and loaded; their files never decide what runs."""

import importlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zsda.core.errors import ModelError, StoreError
from zsda.core.files import digest, file_digest, is_file
from zsda.core.reasons import reason
from zsda.core.records import printable, read_plain
from zsda.core.resources import located
from zsda.generation.editors.configs import INDEX, check_configs

if TYPE_CHECKING:
    import torch  # not at run time: the checks of a folder come before the slow imports

EDITOR = "zsda.generation.editors.instruct_pix2pix.InstructPix2PixEditor"
"""Who loads them, as a config names it."""

PIPELINE = "StableDiffusionInstructPix2PixPipeline"
COMPONENTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "vae": ("diffusers", ("AutoencoderKL", "AutoencoderTiny")),
    "unet": ("diffusers", ("UNet2DConditionModel",)),
    "scheduler": ("diffusers", ()),  # which ones, `scheduler_names` says
    "text_encoder": ("transformers", ("CLIPTextModel",)),
    "tokenizer": ("transformers", ("CLIPTokenizer", "CLIPTokenizerFast")),
}
"""The parts that are loaded, and what each may be."""

_WEIGHTS = {"vae": "diffusion_pytorch_model", "unet": "diffusion_pytorch_model", "text_encoder": "model"}
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


def check_model(model: str) -> None:
    """Refuses what names neither a folder with an InstructPix2Pix pipeline nor an id of the hub; needs no library.

    Args:
        model: as for `find_pipeline`.

    Raises:
        ModelError: it does not.
    """
    folder = located(model)
    if folder.is_dir():
        _read_index(folder)
    elif not is_hub_id(model):
        raise ModelError(f"editor.model={model}: no such folder; {WAY_OUT}, or an id of the hub (owner/name)")


def is_hub_id(model: str) -> bool:
    """Tells whether a name could be an id of the hub, owner/name."""
    return _HUB_ID.fullmatch(model) is not None


def find_pipeline(model: str, revision: str | None) -> Path:
    """Returns the folder of a pipeline, after fetching it from the hub where ``model`` is an id of the hub.

    Args:
        model: a folder, also one of the package (`zsda.core.resources`), or an id of the hub.
        revision: commit, tag or branch on the hub.

    Raises:
        ModelError: there is no such folder, it holds no such pipeline, or the hub neither answers nor has answered before.
    """
    check_model(model)
    if located(model).is_dir():
        return located(model)
    try:
        with _quietly(bars=True):
            unused = dict.fromkeys(_UNUSED)
            folder = _pipeline_class().download(model, revision=revision, use_safetensors=True, **unused)
    except Exception as error:
        # The hub's client raises errors of half a dozen libraries; all of them leave the user with the same way out.
        raise ModelError(
            f"editor.model={model}: no such folder, and the hub does not give it ({_reason(error)}); fetch it where there is a network, "
            f"with hf download {model} --local-dir FOLDER, and give editor.model=FOLDER"
        ) from error
    return Path(folder)


def check_pipeline(folder: Path) -> None:
    """Makes sure that a folder holds an InstructPix2Pix pipeline: no other code than its usual parts, no values that these do not have.

    Raises:
        ModelError: it does not.
    """
    index = _read_index(folder)
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


def load_pipeline(folder: Path, dtype: "torch.dtype") -> Any:  # noqa: ANN401 - diffusers is not typed
    """Loads a checked folder on the CPU, without the safety checker, which paints what it doubts black.

    Weights that lie there only as a variant, as ``save_pretrained(variant="fp16")`` writes them, are found by their names.

    Raises:
        ModelError: files are missing, damaged or do not fit together; or weights lie there as several variants.
    """
    unused, index, variants = dict.fromkeys(_UNUSED), _read_index(folder), find_variants(folder)
    from_disk = {"use_safetensors": True, "local_files_only": True}
    try:
        with _quietly(bars=False):
            kinds = {part: getattr(importlib.import_module(index[part][0]), index[part][1]) for part in variants}
            named = {
                part: kinds[part].from_pretrained(folder / part, variant=variant, **from_disk)
                for part, variant in variants.items()
            }
            pipeline = _pipeline_class().from_pretrained(
                folder, requires_safety_checker=False, **from_disk, **named, **unused
            )
            return pipeline.to(dtype=dtype)
    except Exception as error:
        # Which of many errors a damaged file causes depends on the file; the folder is what the user can replace.
        raise ModelError(f"editor.model={folder}: cannot be loaded ({_reason(error)}); {WAY_OUT}") from error


def find_variants(folder: Path) -> dict[str, str]:
    """Returns part -> variant, of the parts whose weights lie there under a variant's name alone.

    Raises:
        ModelError: a part has several variants, and nothing says which is meant.
    """
    found = {part: _complete_variants(folder / part, weights) for part, weights in _WEIGHTS.items()}
    named = {part: sorted(filter(None, variants)) for part, variants in found.items() if None not in variants}
    for part, variants in named.items():
        if len(variants) > 1:
            raise ModelError(
                f"editor.model={folder}: {part} has weights as {' and as '.join(variants)}; expected one of them, or some without such a "
                f"name; {WAY_OUT}"
            )
    return {part: variants[0] for part, variants in named.items() if variants}


def _complete_variants(folder: Path, weights: str) -> set[str | None]:
    """Returns the variants whose files are all there, None for the one without a name."""
    single = re.compile(rf"{weights}(\.(?P<variant>\w+))?\.safetensors")
    names = {path.name for path in folder.glob("*") if is_file(path)}
    found = {match["variant"] for name in names if (match := single.fullmatch(name))}
    for name in names:
        listed = INDEX.fullmatch(name)
        if listed and listed["weights"] == weights and _listed_files(folder / name) <= names:
            found.add(listed["variant"])
    return found


def _listed_files(path: Path) -> set[str]:
    try:
        return set(read_plain(path, WAY_OUT, told=["metadata"])["weight_map"].values())
    except StoreError as error:
        raise ModelError(f"editor.model={path.parents[1]}: {error}") from error


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
        index = read_plain(path, WAY_OUT, told=_ABOUT)
    except StoreError as error:
        raise ModelError(f"editor.model={folder}: {error}") from error
    if index.get("_class_name") != PIPELINE:
        raise ModelError(
            f"editor.model={folder}: model_index.json names the pipeline {index.get('_class_name')!r}; expected {PIPELINE}; {WAY_OUT}"
        )
    return index


def _reason(error: BaseException) -> str:
    """Returns what the error says that all began with."""
    while error.__cause__ is not None:
        error = error.__cause__
    return reason(error)


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
