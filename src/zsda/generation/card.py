"""The data card of an exported set: what the Hub reads of it, and what a person should know before using it."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from zsda import __version__
from zsda.core.markdown import code
from zsda.data.labels import CITYSCAPES, IGNORE, ClassSet
from zsda.data.manifest import DRIFT, LAYOUT_NETWORK, LAYOUT_SCORE

CARD, LINES = "README.md", "metadata.jsonl"

_SIZES = ((1000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_HUB_SPLITS = {"val": "validation"}
_NOT_RECORDED = "not recorded"
_DIGITS = {LAYOUT_SCORE: 3, DRIFT: 1}
_RECIPES = {
    "intermediate": "some random patches of each image were edited, the rest of it is as in the source",
    "target": "the image was cut into patches that cover it, and each of them was edited by itself",
    "whole": "the image was edited in one go",
}


@dataclass(frozen=True)
class Split:
    """What was exported of a split.

    Attributes:
        name: of the split.
        rows: what is told of each image.
        sizes: height, width -> how many images have it.
        pixels: how many of all masks have each id, int64 [256].
        left_out: images of which no edit passed the gate.
        chosen: which part of the images was taken; None: all.
    """

    name: str
    rows: Sequence[Mapping[str, Any]]
    sizes: Counter[tuple[int, int]]
    pixels: NDArray[np.int64]
    left_out: int
    chosen: str | None


@dataclass(frozen=True)
class About:
    """What a card tells.

    Attributes:
        name: of the set.
        made_with: what stands in its ``generation.json``.
        manifest: the digest of its manifest.
        source: what was edited.
        rendered: whether that is a rendered city.
        layout: of the export.
        classes: what the ids of the masks stand for.
        splits: what was exported.
    """

    name: str
    made_with: Mapping[str, Any]
    manifest: str
    source: str
    rendered: bool
    layout: str
    classes: ClassSet
    splits: Sequence[Split]


def editor_name(editor: Mapping[str, Any]) -> str | None:
    """Returns the model of an editor with its revision, or some of the digest of its files; None where it tells none."""
    version = editor.get("revision") or str(editor.get("digest") or "")[:12]
    return "@".join(str(part) for part in (editor.get("model"), version) if part) or None


def data_card(about: About) -> str:
    """Writes the card, in Markdown."""
    parts = (
        _front_matter(about),
        _what(about),
        _how(about),
        _masks(about),
        _scores(about),
        _loading(about),
        _terms(about),
    )
    return "\n\n".join(parts) + "\n"


def _rows(about: About) -> list[Mapping[str, Any]]:
    return [row for split in about.splits for row in split.rows]


def _front_matter(about: About) -> str:
    count, domain = len(_rows(about)), part_of(about.made_with, "domain").get("name")
    said: dict[str, Any] = {
        "pretty_name": about.name,
        "license": "other",
        "task_categories": ["image-segmentation"],
        "task_ids": ["semantic-segmentation"],
        "size_categories": [next((name for most, name in _SIZES if count < most), "n>1M")],
        "tags": ["synthetic", "street-scenes", "domain-adaptation", "zsda", *([f"{domain}"] if domain else [])],
    }
    if about.layout == "imagefolder":
        files = [{"split": _hub_split(s.name), "path": f"{s.name}/**"} for s in about.splits]
        said["configs"] = [{"config_name": "default", "data_files": files}]
    return f"---\n{yaml.safe_dump(said, sort_keys=False, allow_unicode=True)}---"


def _what(about: About) -> str:
    shown = "scenes of a rendered toy city" if about.rendered else f"street scenes of {code(about.source)}"
    rows = [
        f"| {split.name} | {len(split.rows)} | {_sizes(split)} | {split.left_out} | {split.chosen or 'all'} |"
        for split in about.splits
    ]
    return "\n".join(
        [
            f"# {code(about.name)}",
            "",
            f"Images that show {shown} as if in another condition ({_code(part_of(about.made_with, 'domain').get('name'))}), each with the "
            "segmentation mask of the scene that it was made of. No image is a photograph of that condition: an image-to-image model made "
            f"it, told by the sentence {_code(part_of(about.made_with, 'domain').get('prompt'))}.",
            "",
            "| split | images | width x height | left out: no edit passed the checks | taken |",
            "| --- | ---: | --- | ---: | --- |",
            *rows,
        ]
    )


def _sizes(split: Split) -> str:
    return ", ".join(
        f"{width}x{height}" + (f" ({n})" if len(split.sizes) > 1 else "") for (height, width), n in split.sizes.items()
    )


def _how(about: About) -> str:
    domain, recipe, editor = (part_of(about.made_with, key) for key in ("domain", "recipe", "editor"))
    name = recipe.get("name")
    scheduler, gate = part_of(editor, "scheduler"), part_of(about.made_with, "gate")
    moved = f"{_told(gate.get('max_drift'))} pixels{'; what moved farther was moved back' * bool(gate.get('align'))}"
    told = {
        "editor": _code(editor_name(editor)),
        **({"digest of its files": _code(editor["digest"])} if editor.get("digest") else {}),
        "sentence": _code(domain.get("prompt")),
        "text guidance, image guidance": f"{_told(domain.get('text_guidance'))}, {_told(domain.get('image_guidance'))}",
        "steps, scheduler": f"{_told(editor.get('steps'))}, {_code(scheduler.get('name'))}",
        "precision": _code(editor.get("precision")),
        "recipe": f"{_code(name)}{': ' + _RECIPES[name] if name in _RECIPES else ''}",
        "canvas, patch (width, height)": f"{_sides(recipe.get('canvas'))}, {_sides(recipe.get('patch'))}",
        "seed": f"{_told(about.made_with.get('seed'))}; that of each patch's noise is in `{LINES}`",
        "farthest an edit may have moved": moved if gate.get("max_drift") else "not checked",
        "libraries": _code(", ".join(f"{key} {value}" for key, value in part_of(editor, "versions").items()) or None),
        "SHA-256 of the manifest": _code(about.manifest),
        "exported by": f"zsda {__version__}",
    }
    rows = [f"| {key} | {value} |" for key, value in told.items()]
    again = sum(row["retries"] > 0 for row in _rows(about))
    return "\n".join(
        [
            "## How it was made",
            "",
            "Each source image was resized to the canvas, bicubically; the recipe says what of it was edited. Edits that came out black, "
            "flat, unchanged or not finite, or that moved too far where that was checked, were thrown away and made again with another "
            f"seed, which happened to {again} of these images.",
            "",
            "| | |",
            "| --- | --- |",
            *rows,
        ]
    )


def _masks(about: About) -> str:
    pixels = sum((split.pixels for split in about.splits), np.zeros(256, np.int64))
    total = max(1, int(pixels.sum()))
    known = " These ids are the train ids of Cityscapes." if about.classes == CITYSCAPES else ""
    rows = [
        f"| {number} | {_told(name) if '|' in name else name} | {', '.join(map(str, colour))} | {100 * pixels[number] / total:.2f} % |"
        for number, (name, colour) in enumerate(zip(about.classes.names, about.classes.colours, strict=True))
    ]
    return "\n".join(
        [
            "## Masks",
            "",
            f"PNGs of one channel whose values are the ids below, and {IGNORE} for pixels that nothing should learn from or score. They "
            "are the labels of the source scenes, resized to the edits by taking the nearest pixel; nobody labelled the edits."
            f"{known}",
            "",
            "| id | class | colour (RGB) | share of all pixels |",
            "| ---: | --- | --- | ---: |",
            *rows,
            f"| {IGNORE} | ignored | | {100 * pixels[IGNORE] / total:.2f} % |",
        ]
    )


def _scores(about: About) -> str:
    rows = _rows(about)
    networks = sorted({_code(str(row[LAYOUT_NETWORK])[:12]) for row in rows if row.get(LAYOUT_SCORE) is not None})
    apart = " Scores of several networks cannot be compared with each other." if len(networks) > 1 else ""
    scores = {
        LAYOUT_SCORE: "how much of the mask a segmentation network finds in the edit, a mean IoU of the classes in the mask, from 0 to 1. "
        "Since the network errs in edits of an unfamiliar look, a low score does not prove that objects moved. By the first of the SHA-256 "
        f"of its weights it is {', '.join(networks)}.{apart}",
        DRIFT: "how many pixels the edit lies at most from where its source has the same, 0 where no other place "
        "matches better; null where that cannot be told.",
    }
    found = {key: values for key in scores if (values := [row[key] for row in rows if row.get(key) is not None])}
    table = [
        "| | images | mean | lowest | median | highest |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *(_distribution(key, values, _DIGITS[key]) for key, values in found.items()),
        *(line for key in found for line in ("", f"`{key}`: {scores[key]}")),
    ]
    said = table if found else ["No score was recorded when this set was made."]
    return "\n".join(["## How well edits fit their masks", "", *said])


def _distribution(key: str, values: Sequence[float], digits: int) -> str:
    numbers = (mean(values), min(values), median(values), max(values))
    return f"| {key} | {len(values)} | {' | '.join(f'{number:.{digits}f}' for number in numbers)} |"


def _loading(about: About) -> str:
    first = about.splits[0].name
    by_library = f"""With `datasets`:

```python
from datasets import load_dataset

images = load_dataset("imagefolder", data_dir=".")["{_hub_split(first)}"]   # "." is the folder of this file
picture, mask = images[0]["image"], images[0]["mask"]
```

With Pillow alone:

"""
    place = f"Path({first!r})".replace("'", '"') if about.layout == "imagefolder" else 'Path(".")'
    plain = f"""```python
import json
from pathlib import Path

from PIL import Image

folder = {place}   # below the folder of this file
for line in (folder / "{LINES}").open(encoding="utf-8"):
    told = json.loads(line)
    picture, mask = Image.open(folder / told["file_name"]), Image.open(folder / told["mask_file_name"])
```

`{LINES}` has a line for each image: `scene` (`<city>/<frame>`, as in the source), what it was made with, `patches` (left, top, right
and bottom of each edited part, in pixels of the image), `patch_seeds`, `retries` (edits that were thrown away), the SHA-256 of the image
and of its source."""
    return f"## How to read it\n\n{by_library if about.layout == 'imagefolder' else ''}{plain}"


def _terms(about: About) -> str:
    source = (
        "The scenes and their labels were rendered by zsda; no photograph is in them."
        if about.rendered
        else f"The images are modified images of {code(about.source)}, and the masks are its labels: both stay under the licence and the "
        "terms of that data set. Read them before you pass this folder on or upload it. Terms of data sets of street scenes, those of "
        "Cityscapes among them, often forbid to hand on modified images."
    )
    people = "" if about.rendered else "\n- People, number plates and places of the source may be recognisable still."
    return f"""## Licence

{source} The licence of the editor's model may say what its images can be used for. zsda grants no licence of its own for this set.

## Limits

- The masks describe the source. Where an edit moved, removed or added something, the mask is wrong there, and the scores above tell of
  that on the whole only.
- What a condition looks like is what the editor has learned of it; it need not be like photographs of it. Patches that were edited by
  themselves may differ in tone and meet in seams.
- It is meant for training and for research on adaptation. A score on these images says nothing of how well a network does in the real
  condition.{people}"""


def part_of(made_with: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Returns a part of what a set was made with; an empty one where there is none."""
    found = made_with.get(key)
    return found if isinstance(found, Mapping) else {}


def _hub_split(name: str) -> str:
    return _HUB_SPLITS.get(name, name)


def _sides(sides: object) -> str:
    return _told("x".join(map(str, sides)) if isinstance(sides, list) else sides)


def _told(value: object) -> str:
    """Returns a number or sides as they stand, and any other text so that nothing of it acts."""
    return str(value) if re.fullmatch(r"[0-9.x]+", str(value)) else _code(value)


def _code(value: object) -> str:
    return _NOT_RECORDED if value is None else code(value)
