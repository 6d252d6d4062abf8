"""The sheet of a preview: what an editor makes of a few images at several scales, and what to write to get it."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from PIL import Image, ImageDraw
from rich.table import Table

from zsda.core.files import write_atomic
from zsda.core.records import printable
from zsda.data.panels import BACKGROUND, GAP, INK, MARGIN, LabelMap, Panel, fit, fitting_font, font
from zsda.generation.domains import Domain
from zsda.generation.gates import DRIFTED
from zsda.generation.preview import Edit, SourceImage, Trial

_WIDTH = 400
_CAPTION = 13
_MARK = (196, 64, 16)


def write_contact_sheet(
    path: Path, domain: Domain, images: Sequence[SourceImage], trials: Sequence[Trial], best: Trial | None, keep: float
) -> None:
    """Writes a sheet as a PNG: for every image a block, rows of text guidance and steps, columns of image guidance.

    Args:
        path: of the PNG.
        domain: what was asked for.
        images: as they are.
        trials: in the order of `zsda.generation.preview.grid`, each with an edit of every image.
        best: the trial to mark, as `zsda.generation.preview.choose` returned it; None marks none.
        keep: what it was chosen with.

    Raises:
        StoreError: the file cannot be written.
    """
    buffer = io.BytesIO()
    contact_sheet(domain, images, trials, best, keep).save(buffer, "PNG")
    write_atomic(path, buffer.getvalue())


def contact_sheet(
    domain: Domain, images: Sequence[SourceImage], trials: Sequence[Trial], best: Trial | None, keep: float
) -> Image.Image:
    """Lays out what `write_contact_sheet`, which tells the arguments, writes: RGB, wide as its columns, high as its blocks."""
    columns = len({trial.scales.image_guidance for trial in trials})
    rows = len(trials) // columns
    canvas = images[0].canvas
    height = round(_WIDTH * canvas.shape[1] / canvas.shape[2])
    line = sum(font(_CAPTION).getmetrics())
    tile = height + 2 * line + 2 * GAP
    title = [f"domain {domain.name}: {domain.prompt}", _verdict(best, images, trials, keep)]
    width = (columns + 1) * (_WIDTH + GAP) - GAP
    heading = fitting_font(title, width)
    top = MARGIN + len(title) * (sum(heading.getmetrics()) + GAP)
    size = (2 * MARGIN + width, top + len(images) * (rows * tile + GAP) + MARGIN)
    sheet = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for number, text in enumerate(title):
        draw.text((MARGIN, MARGIN + number * (top - MARGIN) // len(title)), text, fill=INK, font=heading)

    def paste(panel: Panel, column: int, row: int, block: int, lines: Sequence[str], marked: bool = False) -> None:
        left, upper = MARGIN + column * (_WIDTH + GAP), top + block * (rows * tile + GAP) + row * tile
        for number, text in enumerate(lines):
            place = (left, upper + number * line)
            draw.text(place, text, fill=_MARK if marked else INK, font=font(_CAPTION))
        corner = (left, upper + 2 * line + GAP // 2)
        sheet.paste(fit(panel, (_WIDTH, height)), corner)
        if marked:
            frame = (corner[0] - 2, corner[1] - 2, corner[0] + _WIDTH + 1, corner[1] + height + 1)
            draw.rectangle(frame, outline=_MARK, width=4)

    for block, image in enumerate(images):
        paste(
            image.canvas.permute(1, 2, 0).numpy(), 0, 0, block, [Path(image.path).name, _layout("source", image.layout)]
        )
        if rows > 1:
            paste(LabelMap(image.mask, image.classes), 0, 1, block, ["", "ground truth"])
        for number, trial in enumerate(trials):
            row, column = divmod(number, columns)
            edit = trial.edits[block]
            text, image_scale, steps = trial.scales.words()
            caption = [f"{text} {image_scale}", f"{steps}   {_result(edit)}"]
            paste(edit.image, column + 1, row, block, caption, marked=trial is best)
    return sheet


def trials_table(images: Sequence[SourceImage], trials: Sequence[Trial], best: Trial | None, keep: float) -> Table:
    """Makes a table with a row for each trial, means over the images, shares in per cent."""
    shown = "one image, in %" if len(images) == 1 else f"means over {len(images)} images in %"
    table = Table(caption=f"{shown}; {_verdict(best, images, trials, keep)}", caption_justify="left")
    for number, name in enumerate(
        ("text guidance", "image guidance", "steps", "layout score", "changed", "drift", "bad edits")
    ):
        table.add_column(name, justify="right" if number else "left")
    for trial in trials:
        scales = trial.scales
        table.add_row(
            f"{scales.text_guidance:g}",
            f"{scales.image_guidance:g}",
            str(scales.steps),
            "-" if trial.layout is None else f"{100 * trial.layout:.1f}",
            f"{100 * trial.change:.1f}",
            _moved(trial.drift, trial.moved_back) or "-",
            ", ".join(edit.flaw for edit in trial.edits if edit.flaw) or "-",
            style="bold" if trial is best else None,
        )
    return table


def trials_csv(images: Sequence[SourceImage], trials: Sequence[Trial]) -> bytes:
    """Returns a row for each image and trial, shares of 1."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(
        [
            "image",
            "text_guidance",
            "image_guidance",
            "steps",
            "layout_score",
            "layout_score_source",
            "change",
            "drift",
            "moved_back",
            "flaw",
        ]
    )
    for trial in trials:
        scales = trial.scales
        for image, edit in zip(images, trial.edits, strict=True):
            asked = [scales.text_guidance, scales.image_guidance, scales.steps]
            moves = [None if pixels is None else f"{pixels:.1f}" for pixels in (edit.drift, edit.moved_back)]
            scores = [edit.layout, image.layout, f"{edit.change:.4f}", *moves, edit.flaw]
            writer.writerow([printable(image.path), *asked, *scores])
    return text.getvalue().encode()


def _verdict(best: Trial | None, images: Sequence[SourceImage], trials: Sequence[Trial], keep: float) -> str:
    if any(image.layout is None for image in images):
        return "no layout scores: give layout.run=NAME or layout.ckpt=FILE, a network that was trained on the source"
    own = fmean(image.layout or 0 for image in images)
    mean = "mean " if len(images) > 1 else ""
    bound = f"{100 * keep:.0f} % of the source's {mean}layout score: {100 * keep * own:.1f} of {100 * own:.1f}"
    flaws = [{edit.flaw for edit in trial.edits if edit.flaw} for trial in trials]
    if best is None and all(flaws):
        told = ", ".join(sorted(set().union(*flaws)))
        for_drift = ", or with a larger gate.max_drift= or gate.align=true" if DRIFTED in told else ""
        return f"every pair has bad edits ({told}); try other scales or another prompt{for_drift}"
    if best is None:
        return f"no pair{' without bad edits' if any(flaws) else ''} keeps {bound}"
    return f"best: {' '.join(best.scales.words())}, the strongest edit that keeps {bound}"


def _result(edit: Edit) -> str:
    drift = None if edit.drift is None else f"drift {_moved(edit.drift, edit.moved_back)}"
    if edit.flaw is not None:
        return f"{edit.flaw} {edit.drift:.1f} px" if edit.flaw == DRIFTED and edit.drift is not None else edit.flaw
    return "  ".join(filter(None, [_layout("", edit.layout), f"changed {100 * edit.change:.0f} %", drift]))


def _moved(drift: float | None, moved_back: float | None) -> str:
    before = "" if moved_back is None else f", was {moved_back:.1f}"
    return "" if drift is None else f"{drift:.1f} px{before}"


def _layout(name: str, score: float | None) -> str:
    return name if score is None else f"{name} layout {100 * score:.0f} %".lstrip()
