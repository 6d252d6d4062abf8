"""The configs in an InstructPix2Pix folder, checked before a library reads them: known names, and values such an editor can have.

diffusers and transformers act on more than the shape of a network: a config may ask for kernels or quantisation by packages that
are fetched, for adapters from elsewhere, or for a schedule that takes for ever. None of it belongs to such a folder.
"""

import importlib
import inspect
import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from zsda.core.errors import ModelError, StoreError
from zsda.core.records import check_plain, printable, read_plain

_TOLD = {"_class_name", "_diffusers_version", "_name_or_path", "_use_default_values"}
"""Keys of any config that say where it is from."""

_TEXT_ENCODER = {"architectures", "dropout", "dtype", "model_type", "torch_dtype", "transformers_version"}
_TOKENS = {
    "additional_special_tokens",
    "bos_token",
    "cls_token",
    "eos_token",
    "extra_special_tokens",
    "mask_token",
    "pad_token",
    "sep_token",
    "unk_token",
}
_TOKENIZER = {
    *_TOKENS,
    "add_prefix_space",
    "added_tokens_decoder",
    "backend",
    "clean_up_tokenization_spaces",
    "do_lower_case",
    "errors",
    "is_local",
    "local_files_only",
    "max_length",
    "model_max_length",
    "name_or_path",
    "pad_to_multiple_of",
    "pad_token_type_id",
    "padding_side",
    "processor_class",
    "special_tokens_map_file",
    "split_special_tokens",
    "stride",
    "tokenizer_class",
    "truncation_side",
    "truncation_strategy",
}
_DTYPES = (None, "float16", "bfloat16", "float32")

_CONFIGS = ("config.json", "scheduler_config.json", "tokenizer_config.json")
_SPECIAL = "special_tokens_map.json"
_TABLES = ("added_tokens.json", "tokenizer.json", "vocab.json")
"""JSON files that are no configs: what they hold is looked up by word or number, and never acted on."""

INDEX = re.compile(r"(?P<weights>\w+)\.safetensors\.index(\.(?P<variant>\w+))?\.json")
"""What lists the files of weights that are saved in several; a variant of them has a list of its own."""

_READ = (".json", ".py")  # suffixes of what a library might act on

_UNBOUNDED = "lambda_min_clipped"  # minus infinity is its default

_WORD = re.compile(r"[\w.+-]{0,64}")
_FILE = re.compile(r"[\w-][\w.-]*\.safetensors")
_LONGEST = {"trained_betas": 10_000}
_LONG = 8
_LARGEST = {"num_train_timesteps": 10_000, "num_hidden_layers": 64}
_COUNTS = ((re.compile(r".*heads.*"), 128), (re.compile(r".*(layers|blocks|_order).*"), 16))
_LARGE = 2**16


def check_configs(folder: Path, parts: Mapping[str, tuple[str, tuple[str, ...]]], schedulers: Iterable[str]) -> None:
    """Refuses a folder whose parts hold configs or files that no InstructPix2Pix editor has.

    Args:
        folder: that of the pipeline.
        parts: name of each part -> its library and the classes that it may be of; none stands for the schedulers.
        schedulers: names of classes of diffusers.

    Raises:
        ModelError: the message names file, key and value.
    """
    for part, (library, classes) in parts.items():
        known = _known_keys(library, classes or tuple(schedulers))
        for path in sorted((folder / part).glob("*")):
            try:
                if path.exists() and not path.is_file() and not path.is_dir():
                    raise StoreError(f"{part}/{path.name} is neither a file nor a folder; remove it")
                if path.suffix in _READ:
                    _check_file(path, known)
            except StoreError as error:
                raise ModelError(f"editor.model={folder}: {error}") from error


def _check_file(path: Path, known: set[str]) -> None:
    if path.name in _TABLES:
        return
    name = f"{path.parent.name}/{path.name}"
    way_out = "expected what save_pretrained of an InstructPix2Pix pipeline writes"
    if INDEX.fullmatch(path.name):
        files = read_plain(path, way_out, told=["metadata"]).get("weight_map")
        if not isinstance(files, dict) or not all(isinstance(f, str) and _FILE.fullmatch(f) for f in files.values()):
            raise StoreError(f"{name} names other files than .safetensors beside it; {way_out}")
        return
    if path.name == _SPECIAL:
        other = sorted(read_plain(path, way_out).keys() - _TOKENS)
        if other:
            raise StoreError(f"{name} has {', '.join(other)}; expected only {', '.join(sorted(_TOKENS))}")
        return
    if path.name not in _CONFIGS:
        raise StoreError(f"{name} is no file of such an editor; {way_out}: remove it")
    for key, value in read_plain(path, way_out, told=[*_TOLD, _UNBOUNDED]).items():
        flaw = _flaw(path, key, value, known)
        if flaw is not None:
            shown = printable(json.dumps(value))
            raise StoreError(f"{name} has {printable(key)}={shown[:80]}; {flaw}")


def _flaw(path: Path, key: str, value: Any, known: set[str]) -> str | None:  # noqa: ANN401 - a JSON value
    if key in _TOLD or value is None or (key == _UNBOUNDED and value == -math.inf):
        return None
    if key not in (_TOKENIZER if path.name.startswith("tokenizer") else known):
        return "expected only keys that shape the network; remove it"
    if key in ("dtype", "torch_dtype"):
        return None if value in _DTYPES else f"expected one of {', '.join(map(str, _DTYPES[1:]))}"
    if path.name.startswith("tokenizer") and not isinstance(value, int | float):
        check_plain({key: value})
        return None
    return _value_flaw(key, value)


def _value_flaw(key: str, value: Any, level: int = 0) -> str | None:  # noqa: ANN401 - a JSON value
    if isinstance(value, list):
        most = _LONGEST.get(key, _LONG)
        if level > 1 or len(value) > most:
            return f"expected a list of at most {most} values"
        return next((flaw for inner in value if (flaw := _value_flaw(key, inner, level + 1)) is not None), None)
    if isinstance(value, str):
        return None if _WORD.fullmatch(value) else "expected a name"
    if isinstance(value, int | float) and not isinstance(value, bool):
        counted = next((most for pattern, most in _COUNTS if pattern.fullmatch(key)), _LARGE)
        most = _LARGEST.get(key, counted)
        return None if math.isfinite(value) and abs(value) <= most else f"expected a number of at most {most}"
    return None if value is None or isinstance(value, bool) else "expected a plain value"


def _known_keys(library: str, classes: Iterable[str]) -> set[str]:
    """Returns the arguments of classes; those of a network of transformers are the arguments of its config."""
    found = importlib.import_module(library)
    known: set[str] = set(_TEXT_ENCODER) if library == "transformers" else set()
    for name in classes:
        kind = getattr(found, name)
        known |= set(inspect.signature(getattr(kind, "config_class", None) or kind).parameters)
    return known - {"self", "args", "kwargs"}
