"""The words of a command line, made ready for Hydra: a text is taken as the shell hands it over.

Hydra reads values by a grammar of its own, in which ``1.10`` is a number, a comma makes several values, and an apostrophe opens a
text. So options that are texts (`zsda.core.options`) and choices of groups get quotes of that grammar where it would read something
else.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException

from zsda.core.config import conf_dir
from zsda.core.errors import ConfigError
from zsda.core.options import kind_of

_NOT_A_TEXT = ("null", "???")
_NEEDED = ("world", "trainer", "model", "method", "data", "optimizer", "schedule", "editor")
_DISPENSABLE = {("check", "data")}
_SWEEPS = ("-m", "--multirun", "hydra.mode=MULTIRUN")
_SIGNS = "\"'[](){}"  # that join what a comma would part


def ready(words: Sequence[str], command: str) -> list[str]:
    """Returns the words of a command line with quotes where Hydra needs them; those that have them stay as they are.

    Args:
        words: as the shell handed them over, options of Hydra among them.
        command: the name of the command.

    Raises:
        ConfigError: a group that a command cannot do without is given as nothing.
    """
    sweeps = any(word in _SWEEPS for word in words)
    return [_ready(word, command, sweeps) for word in words]


def shared_keys(words: Sequence[str]) -> set[str]:
    """Returns the keys of the words that all jobs of a sweep have in common."""
    parsed = {word.partition("=")[0]: _parsed(word) for word in words if "=" in word}
    return {key for key, found in parsed.items() if found is not None and not found.is_sweep_override()}


def _ready(word: str, command: str, sweeps: bool) -> str:
    key, equals, value = word.partition("=")
    plain = key.lstrip("+")
    if word.startswith(("-", "~")) or not equals or not plain:
        return word
    is_group = (conf_dir() / plain).is_dir()
    if is_group and value in ("null", "[]", ""):
        if plain in _NEEDED and (command, plain) not in _DISPENSABLE:
            options = sorted(path.stem for path in (conf_dir() / plain).glob("*.yaml"))
            raise ConfigError(f"{word}; expected one of {', '.join(options)}")
        return f"{key}=[]"  # which null would be, but is none to Hydra
    kind = kind_of(command, plain)
    if kind is not None and kind.is_path and value.startswith("~"):
        value = str(Path(value).expanduser())
    of_names = is_group or (kind is not None and kind.is_names)
    is_text = of_names or (kind is not None and kind.is_text)
    return f"{key}={_as_text(value, of_names, sweeps) if is_text and value not in _NOT_A_TEXT else value}"


def _as_text(value: str, of_names: bool, sweeps: bool) -> str:
    found = _parsed(f"key={value}")
    if found is None:
        return _quoted(value)
    if not found.is_sweep_override():
        return _with_quotes(value, found.value(), of_names)
    if not sweeps:
        return value if of_names else _quoted(value)
    split = "," in value and not any(sign in value for sign in _SIGNS)
    return _each(value) if split else value


def _with_quotes(value: str, read: Any, of_names: bool) -> str:  # noqa: ANN401 - whatever Hydra reads
    if isinstance(read, str):
        return value
    if not of_names or not isinstance(read, list):
        return value if of_names and isinstance(read, dict) else _quoted(value)
    inside = value[1:-1]
    plain = not any(sign in inside for sign in _SIGNS)
    return f"[{_each(inside)}]" if plain and inside.strip() else value


def _each(values: str) -> str:
    """Quotes those of several values, separated by commas, that Hydra would not read as texts."""
    return ",".join(one if _is_text(one) else _quoted(one.strip()) for one in values.split(","))


def _is_text(value: str) -> bool:
    found = _parsed(f"key={value}")
    return found is not None and isinstance(found.value(), str)


def _parsed(word: str) -> Override | None:
    try:
        return OverridesParser.create().parse_override(word)
    except HydraException:
        return None


def _quoted(value: str) -> str:
    return QuotedString(text=value, quote=Quote.double).with_quotes()
