"""Settings as nested plain values: in what two of them differ, and copies without some keys."""

import json
from collections.abc import Mapping, Sequence
from typing import Any


def differences(found: Any, asked: Any, prefix: str = "") -> dict[str, str]:  # noqa: ANN401 - JSON values
    """Maps the dotted keys in which two JSON values differ to ``<key> was <found> and is now <asked>``.

    A key that is not there is as good as one of null: options that a later version knows are null where they change nothing.
    """
    if isinstance(found, Mapping) and isinstance(asked, Mapping):
        lines: dict[str, str] = {}
        for key in sorted({*found, *asked}):
            if found.get(key) is not None or asked.get(key) is not None:
                before, now = found.get(key, "nothing"), asked.get(key, "nothing")
                lines |= differences(before, now, f"{prefix}.{key}".lstrip("."))
        return lines
    if found == asked:
        return {}
    return {prefix: f"{prefix} was {_show(found)} and is now {_show(asked)}"}


def _show(value: Any) -> str:  # noqa: ANN401 - a JSON value
    return json.dumps(value, ensure_ascii=False)


def without(settings: Mapping[str, Any], dotted_keys: Sequence[str]) -> dict[str, Any]:
    """Copies nested settings without some of their keys, each given as ``key`` or ``key.inner``."""
    top = {key for key in dotted_keys if "." not in key}
    kept = {}
    for key, value in settings.items():
        if key in top:
            continue
        inner = [dotted.partition(".")[2] for dotted in dotted_keys if dotted.startswith(f"{key}.")]
        kept[key] = without(value, inner) if inner and isinstance(value, Mapping) else value
    return kept
