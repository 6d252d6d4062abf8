"""A generated set for use elsewhere: its edits, their masks and what each was made with, under plain names beside a data card.

    imagefolder                                     plain
    <out>/<split>/images/<city>/<frame>.png         <out>/images/<split>/<city>/<frame>.png     the edit, to the byte
    <out>/<split>/masks/<city>/<frame>.png          <out>/masks/<split>/<city>/<frame>.png      ids of the classes, at its size
    <out>/<split>/metadata.jsonl                    <out>/metadata.jsonl                        a line for each image
    <out>/README.md, export.json                    the same

The first is what ``load_dataset("imagefolder")`` of Hugging Face reads. Files are copies: a hard link would let who changes an image
there change the set, and is none on another disk.
"""

import io
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track

from zsda.core.errors import DataError, StoreError
from zsda.core.exported import OTHER_PLACE, RECORD, check_place
from zsda.core.files import describe_os_error, digest, file_digest, read_regular, to_json, write_atomic
from zsda.core.provenance import versions
from zsda.core.records import read_plain
from zsda.data.datasets.generated import GeneratedSet, changed_edits
from zsda.data.manifest import DRIFT, LAYOUT_NETWORK, LAYOUT_SCORE, Manifest, ManifestLine, is_generated, read_manifest
from zsda.data.samples import Sample
from zsda.generation.card import CARD, LINES, About, Split, data_card, editor_name, part_of

Layout = Literal["imagefolder", "plain"]

_AGAIN = "start its python -m zsda.generate again"


def export_set(
    sets: Sequence[GeneratedSet], out: Path, layout: Layout, keep_best: float | None = None, rendered: bool = False
) -> int:
    """Writes a generated set into a folder, which is there as a whole once everything is written.

    Args:
        sets: its splits, at least one.
        out: the folder; what an earlier export left there is replaced.
        layout: how files are called.
        keep_best: the share of the images that was taken; None: all.
        rendered: whether its source is a rendered city, and no photographs.

    Returns:
        How many images were written.

    Raises:
        DataError: the set does not say how it was made, is not finished, or an image is not what it says.
        StoreError: the folder holds other files, or the file system refuses.
    """
    root = sets[0].root
    if root.resolve() in out.resolve().parents:
        raise StoreError(f"{out} is within the set {root}, where its readers would find the copies; {OTHER_PLACE}")
    check_place(out, "set", _files(out))
    manifest = _checked_manifest(root, sets)
    made_with = read_plain(root / "generation.json", _AGAIN)
    files: dict[str, str] = {}
    with _swapped(out) as part:
        splits = [_write_split(part, images, manifest, made_with, layout, files) for images in sets]
        about = About(
            name=sets[0].name,
            made_with=made_with,
            manifest=file_digest(manifest.path),
            source=sets[0].source_name.removesuffix(f" {sets[0].split}"),
            rendered=rendered,
            layout=layout,
            classes=sets[0].classes,
            splits=splits,
        )
        texts: dict[str, bytes] = {CARD: data_card(about).encode(errors="backslashreplace")}
        for split in splits:
            place = f"{split.name}/{LINES}" if layout == "imagefolder" else LINES
            lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in split.rows)
            texts[place] = texts.get(place, b"") + lines.encode(errors="backslashreplace")
        files |= {name: digest(content) for name, content in texts.items()}
        record = {"set": about.name, "layout": layout, "keep_best": keep_best, "manifest": about.manifest}
        texts[RECORD] = to_json({**record, "versions": versions(), "files": files})
        for name, content in texts.items():
            write_atomic(part / name, content)
    return sum(map(len, sets))


def _files(folder: Path) -> Iterator[str]:
    """Names all that lies in a folder, at any depth."""
    for path in folder.rglob("*"):
        if path.is_symlink() or not path.is_dir():
            yield path.relative_to(folder).as_posix()


def _checked_manifest(root: Path, sets: Sequence[GeneratedSet]) -> Manifest:
    """Returns the manifest of a set that is finished, and all of whose images are what it says."""
    if not is_generated(root):
        raise DataError(
            f"{root}: has no generation.json, so that nothing can be said of how it was made; expected a set of python -m zsda.generate"
        )
    manifest = read_manifest(root)
    manifest.check()
    if manifest.beside:
        raise DataError(
            f"{root}: is not finished, {len(manifest.beside)} lines still lie beside its manifest; {_AGAIN}"
        )
    images = [sample.image for of_split in sets for sample in of_split.samples]
    told = {line.output for line in manifest.lines.values()}
    untold = [image for image in images if image.relative_to(root).as_posix() not in told]
    changed = changed_edits(root, {image: source for of_split in sets for image, source in of_split.made_of.items()})
    wrong = sorted({*untold, *changed} & {*images})
    if wrong:
        raise DataError(
            f"{root.name}: {len(wrong)} of {len(images)} images are not what python -m zsda.generate made of their source as it is now, "
            f"the first is {wrong[0]}; {_AGAIN}"
        )
    return manifest


def _write_split(
    part: Path,
    images: GeneratedSet,
    manifest: Manifest,
    made_with: Mapping[str, Any],
    layout: Layout,
    files: dict[str, str],
) -> Split:
    """Writes the images and masks of a split, adds their digests to ``files``, and returns what is told of them."""
    sizes: Counter[tuple[int, int]] = Counter()
    pixels = np.zeros(256, np.int64)
    rows = []
    for index, sample in enumerate(track(images.samples, f"exporting {images.split}", transient=True)):
        size = images.reader.size(sample.image)
        mask = images.mask(index, size)
        sizes[size] += 1
        pixels += np.bincount(mask.ravel(), minlength=256)
        # The folder with the split is the root of a data set to Hugging Face, and paths are told from there.
        above, inner = (f"{images.split}/", "") if layout == "imagefolder" else ("", f"/{images.split}")
        names = {f"{kind}file_name": f"{kind.strip('_') or 'image'}s{inner}/{sample.key}.png" for kind in ("", "mask_")}
        for name, content in zip(names.values(), (read_regular(sample.image), _png(mask)), strict=True):
            write_atomic(part / f"{above}{name}", content)
            files[f"{above}{name}"] = digest(content)
        line = manifest.lines[sample.image.relative_to(images.root).as_posix()]
        rows.append({**names, **_row(sample, line, made_with)})
    left_out = sum(line.left_out for line in manifest.of_split(images.split))
    chosen = None if images.best is None else images.best.describe()
    return Split(images.split, _even(rows), sizes, pixels, left_out, chosen)


def _row(sample: Sample, line: ManifestLine, made_with: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what is told of an image."""
    domain, recipe, editor = (part_of(made_with, key) for key in ("domain", "recipe", "editor"))
    scores = {LAYOUT_SCORE: line.layout_score, LAYOUT_NETWORK: line.layout_network} if line.layout is not None else {}
    drift = {DRIFT: line.drift} if line.measured else {}
    return {
        "scene": sample.key,
        "split": line.split,
        "domain": domain.get("name"),
        "recipe": recipe.get("name"),
        "prompt": domain.get("prompt"),
        "text_guidance": domain.get("text_guidance"),
        "image_guidance": domain.get("image_guidance"),
        "editor": editor_name(editor),
        "steps": editor.get("steps"),
        "seed": made_with.get("seed"),
        "patches": line.boxes,
        "patch_seeds": line.seeds,
        "retries": len(line.retries),
        "source_sha256": line.source_digest,
        "sha256": line.digest,
        **scores,
        **drift,
    }


def _even(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Gives all lines the same keys, as readers of tables expect."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return [{key: row.get(key) for key in keys} for row in rows]


def _png(mask: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    return buffer.getvalue()


@contextmanager
def _swapped(out: Path) -> Iterator[Path]:
    """Yields a folder beside another one, whose place it takes once it is whole."""
    out = out.resolve()
    part, before = (out.with_name(f".{out.name}.{end}") for end in ("part", "before"))
    try:
        with _told(out):
            if before.exists() and not out.exists():  # a command was killed between the two renames below
                before.rename(out)
            for left in (part, before):
                if left.exists():
                    shutil.rmtree(left)
        yield part
        with _told(out):
            if out.exists():
                out.rename(before)
            try:
                part.rename(out)
            except OSError:
                if before.exists():
                    before.rename(out)
                raise
        shutil.rmtree(before, ignore_errors=True)
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(describe_os_error(error, folder)) from error
