"""The generated sets that runs were trained on: what they were made with, and how their making went."""

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zsda.core.errors import StoreError
from zsda.core.files import is_file
from zsda.core.records import is_below, printable, read_plain
from zsda.core.runs import RunFolder
from zsda.data.datasets.generated import LAYOUT_SCORE, manifest_lines
from zsda.data.set_names import set_name

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EditedSet:
    """One generated set.

    Attributes:
        root: its folder.
        source: that of the Cityscapes which was edited, as the last run that saw the set read it.
        domain: what its images were edited into.
        recipe: how.
        settings: what it was made with, dotted key -> value.
        made: split -> number of images.
        left_out: how many have none, since no edit of them passed.
        retried: flaw -> how many edits were thrown away for it.
        layout_scores: of the images that have one, shares of 1.
        paths: of the images below the folder, in their order.
    """

    root: Path
    source: Path
    domain: str
    recipe: str
    settings: Mapping[str, str]
    made: Mapping[str, int]
    left_out: int
    retried: Mapping[str, int]
    layout_scores: Sequence[float]
    paths: Sequence[str]

    @property
    def name(self) -> str:
        """As its folder is called."""
        return set_name(self.domain, self.recipe)


def edited_sets(runs: Sequence[RunFolder]) -> list[EditedSet]:
    """Returns the generated sets that runs saw, each once, in the order of their names; those that are gone are left out."""
    places: dict[Path, tuple[Path, str, str]] = {}
    for run in runs:
        record = run.record()
        domain = None if record.header is None else record.header.domain
        start = record.starts[-1] if record.starts else {}
        data_root = str(start.get("data_root", ""))
        root = str(start.get("generated_root", data_root))
        seen = {key.rpartition("/")[2] for key in record.files}
        for recipe in seen | ({"target"} if "unlabelled" in seen else set()) if domain and root else ():
            source = Path(data_root) / "cityscapes"
            places[Path(root) / set_name(str(domain), recipe)] = (source, str(domain), recipe)
    sets = [_read(path, *names) for path, names in sorted(places.items()) if is_file(path / "generation.json")]
    return [one for one in sets if one is not None]


def plain_rows(values: Mapping[str, Any], above: str = "") -> dict[str, str]:
    """Flattens nested plain values: dotted key -> value as text."""
    rows: dict[str, str] = {}
    for key, value in values.items():
        dotted = f"{above}.{key}".lstrip(".")
        if isinstance(value, Mapping) and value:
            rows |= plain_rows(value, dotted)
        else:
            rows[dotted] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return rows


def _read(root: Path, source: Path, domain: str, recipe: str) -> EditedSet | None:
    try:
        settings = read_plain(root / "generation.json", "it is left out of the page")
    except StoreError as error:
        _log.warning("%s", printable(str(error)))
        return None
    lines = list(manifest_lines(root))
    made = [line for line in lines if isinstance(line.get("output"), str)]
    scores = [line.get(LAYOUT_SCORE) for line in made]
    retries = [line.get("retries") for line in lines]
    attempts = [entry for found in retries if isinstance(found, list) for entry in found if isinstance(entry, dict)]
    return EditedSet(
        root=root,
        source=source,
        domain=domain,
        recipe=recipe,
        settings=plain_rows(settings),
        made=Counter(str(line.get("split")) for line in made),
        left_out=len(lines) - len(made),
        retried=Counter(str(entry.get("flaw")) for entry in attempts),
        layout_scores=[float(score) for score in scores if isinstance(score, int | float) and 0 <= score <= 1],
        paths=sorted(path for path in (str(line["output"]) for line in made) if is_below(path)),
    )
