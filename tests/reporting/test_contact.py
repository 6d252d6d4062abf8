import csv
import io

import numpy as np
import pytest
import torch
from PIL import ImageDraw

from zsda.data.labels import CITYSCAPES
from zsda.generation.domains import Domain
from zsda.generation.preview import Edit, Scales, SourceImage, Trial
from zsda.reporting.contact import contact_sheet, trials_csv, trials_table

DOMAIN = Domain("snow", "make it snow")


def edit(grey, layout=0.5, flaw=None, drift=None, moved_back=None):
    return Edit(np.full((16, 32, 3), grey, np.uint8), flaw, layout, 0.25, drift, moved_back)


def images(count, layout=0.8):
    canvas, mask = torch.full((3, 16, 32), 200, dtype=torch.uint8), np.zeros((16, 32), np.uint8)
    return [SourceImage(f"leftImg8bit/train/a/{n}.png", canvas, mask, layout, CITYSCAPES) for n in range(count)]


def test_rows_are_text_guidance_and_columns_image_guidance():
    trials = [
        Trial(Scales(text, image, 5), [edit(60 * row + 20 * column + block) for block in range(2)])
        for row, text in enumerate((2, 3))
        for column, image in enumerate((1.2, 1.5, 2))
    ]
    sheet = np.asarray(contact_sheet(DOMAIN, images(2), trials, None, 0.6))
    expected = [60 * row + 20 * column + block for block in range(2) for row in range(2) for column in range(3)]
    # The grey pictures in the order in which they are met from the top left.
    found = []
    for y in range(0, sheet.shape[0], 10):
        for x in range(5, sheet.shape[1], 10):
            value = int(sheet[y, x, 0])
            if (sheet[y, x] == value).all() and value in expected and (sheet[y : y + 9, x] == value).all():
                found += [value] if value not in found else []
    assert found == expected


def test_the_best_is_framed():
    trials = [Trial(Scales(2, image, 5), [edit(40)]) for image in (1.2, 1.5)]

    def red_columns(best):
        sheet = np.asarray(contact_sheet(DOMAIN, images(1), trials, best, 0.6)).astype(int)
        return np.flatnonzero(((sheet[..., 0] - sheet[..., 2]) > 100).any(axis=0))

    assert not len(red_columns(None))
    first, second = red_columns(trials[0]), red_columns(trials[1])
    assert 0 < first.min() < second.min() < first.max() + 50


def test_table_and_csv_tell_the_same():
    trials = [
        Trial(Scales(2, 1.2, 5), [edit(40, 0.5, drift=0.44), edit(40, 0.3, "black")]),
        Trial(Scales(2, 1.5, 5), [edit(9, drift=0.0), edit(9, flaw="drifted", drift=7.0)]),
        Trial(Scales(2, 1.8, 5), [edit(9), edit(9, drift=0.3, moved_back=9.04)]),
    ]
    table = trials_table(images(2), trials, trials[1], 0.6)
    assert [list(column.cells) for column in table.columns] == [
        ["2", "2", "2"],
        ["1.2", "1.5", "1.8"],
        ["5", "5", "5"],
        ["40.0", "50.0", "50.0"],
        ["25.0", "25.0", "25.0"],
        ["0.4 px", "7.0 px", "0.3 px, was 9.0"],
        ["black", "drifted", "-"],
    ]
    assert table.caption.endswith(
        "best: domain.text_guidance=2 domain.image_guidance=1.5 editor.steps=5, the strongest edit that keeps 60 % of the source's "
        "mean layout score: 48.0 of 80.0"
    )
    assert table.caption.startswith("means over 2 images in %; ")
    one = trials_table(images(1), [Trial(Scales(2, 1.2, 5), [edit(40)])], None, 0.6)
    assert one.caption == "one image, in %; no pair keeps 60 % of the source's layout score: 48.0 of 80.0"
    assert "no pair without bad edits keeps 60 %" in trials_table(images(2), trials, None, 0.6).caption
    assert "no pair keeps 60 %" in trials_table(images(2), trials[2:], None, 0.6).caption
    bad = trials_table(images(2), trials[:2], None, 0.6).caption
    assert "every pair has bad edits (black, drifted); " in bad
    assert "gate.align=true" in bad
    assert "gate.align=true" not in trials_table(images(2), trials[:1], None, 0.6).caption
    assert "no layout scores: give layout.run=NAME" in trials_table(images(2, None), trials, None, 0.6).caption
    rows = list(csv.DictReader(io.StringIO(trials_csv(images(2), trials).decode())))
    assert [(row["layout_score"], row["drift"], row["moved_back"], row["flaw"]) for row in rows] == [
        ("0.5", "0.4", "", ""),
        ("0.3", "", "", "black"),
        ("0.5", "0.0", "", ""),
        ("0.5", "7.0", "", "drifted"),
        ("0.5", "", "", ""),
        ("0.5", "0.3", "9.0", ""),
    ]
    assert {row["layout_score_source"] for row in rows} == {"0.8"}


@pytest.mark.parametrize(
    ("shown", "caption"),
    [
        (edit(9, 0.5, drift=0.0), "layout 50 %  changed 25 %  drift 0.0 px"),
        (edit(9, 0.5), "layout 50 %  changed 25 %"),
        (edit(9, None, drift=1.26), "changed 25 %  drift 1.3 px"),
        (edit(9, 0.5, "drifted", 7.04), "drifted 7.0 px"),
        (edit(9, 0.5, drift=0.3, moved_back=9.04), "layout 50 %  changed 25 %  drift 0.3 px, was 9.0"),
        (edit(9, 0.5, "black"), "black"),
    ],
)
def test_a_tile_tells_its_override_layout_and_drift(shown, caption, monkeypatch):
    written = []
    draw = ImageDraw.Draw
    monkeypatch.setattr(ImageDraw, "Draw", lambda sheet: Recorder(draw(sheet), written))
    contact_sheet(DOMAIN, images(1), [Trial(Scales(2, 1.2, 5), [shown])], None, 0.6)
    assert written[-2:] == ["domain.text_guidance=2 domain.image_guidance=1.2", f"editor.steps=5   {caption}"]


class Recorder:
    """Draws, and remembers the texts."""

    def __init__(self, draw, written):
        self._draw, self._written = draw, written

    def text(self, place, text, **how):
        self._written.append(text)
        self._draw.text(place, text, **how)
