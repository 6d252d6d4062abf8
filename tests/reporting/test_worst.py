"""The sheet of the worst edits: where its pictures lie, what its captions say, and what is passed over."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from zsda.data.datasets.cityscapes import Cityscapes
from zsda.data.datasets.generated import GeneratedSet
from zsda.reporting.edits import EditedImage, Edits
from zsda.reporting.quality import EditQuality
from zsda.reporting.worst import Row, draw_worst, write_worst

SKY, GREY = (70, 130, 180), (250, 250, 248)
SOURCE, EDIT = (200, 10, 60), (20, 160, 40)


@pytest.fixture
def said(monkeypatch):
    """What is written on a sheet, with where it begins and how wide it is."""
    texts = []
    draw = ImageDraw.ImageDraw.text

    def keep(self, place, text, *more, **options):
        texts.append((text, place, options["font"].getlength(text)))
        draw(self, place, text, *more, **options)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", keep)
    return texts


@pytest.fixture
def edits(tmp_path):
    """A set of three edits of 60 x 30 pixels, whose sources and labels are 40 x 20."""
    for number in range(3):
        frame = f"city/city_00000{number}_000019"
        for path, colour, size in (
            (f"cityscapes/leftImg8bit/train/{frame}_leftImg8bit.png", SOURCE, (40, 20)),
            (f"fog_target/leftImg8bit/train/{frame}_leftImg8bit.png", EDIT, (60, 30)),
            (f"cityscapes/gtFine/train/{frame}_gtFine_labelIds.png", 23, (40, 20)),
        ):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            Image.new("L" if isinstance(colour, int) else "RGB", size, colour).save(tmp_path / path)
    return tmp_path


def rated(edits, *images):
    dataset = GeneratedSet(
        edits, "fog", "target", Cityscapes(edits / "cityscapes", "train", needs_labels=None), checks="none"
    )
    known = [
        EditedImage(f"leftImg8bit/train/city/city_00000{number}_000019_leftImg8bit.png", "train", *found)
        for number, found in enumerate(images)
    ]
    return dataset, EditQuality(Edits({"domain.prompt": "is it foggy?"}, known, 0, {}), known, (), "")


def box_of(sheet, colour):
    rows, columns = np.nonzero((np.asarray(sheet) == colour).all(axis=-1))
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def test_source_edit_and_labels_lie_side_by_side_at_one_size(edits, said, tmp_path):
    path = tmp_path / "new/sheet.png"
    scores = [(0.5, "n", 1.25), (0.25, "n", None), (None, "", 3)]
    assert write_worst(path, *rated(edits, *scores)) == (True, [])
    sheet = Image.open(path)
    assert sheet.format == "PNG"
    boxes = [box_of(sheet, colour) for colour in (SOURCE, EDIT, SKY)]
    assert [box[0] for box in boxes] == [12, 12 + 486, 12 + 2 * 486]
    assert {box[2] - box[0] for box in boxes} == {480}
    assert len({(box[1], box[3]) for box in boxes}) == 1
    for colour in (SOURCE, EDIT, SKY):
        assert (np.asarray(sheet) == colour).all(axis=-1).sum() == 3 * 480 * 240
    assert sheet.size == (2 * 12 + 3 * 480 + 2 * 6, boxes[0][3] + 12)
    prompt, about, *rest = [text for text, *_ in said]
    assert (prompt, about) == ("is it foggy?", "fog_target train: the 3 worst of 3 edits, lowest layout score first")
    assert rest == [
        *("source", "edit", "labels"),
        "city_000001_000019   layout score 0.250   drift unknown",
        "city_000000_000019   layout score 0.500   drift 1.2 pixels",
        "city_000002_000019   no layout score   drift 3.0 pixels",
    ]


def test_what_cannot_be_read_is_named_and_passed_over(edits, said, tmp_path):
    images = [edits / f"fog_target/leftImg8bit/train/city/city_00000{n}_000019_leftImg8bit.png" for n in range(3)]
    images[0].write_bytes(images[0].read_bytes()[:60])
    path = tmp_path / "sheet.png"
    drawn, passed = write_worst(path, *rated(edits, (0.1,), (0.2,), (0.3,)))
    assert drawn
    assert len(passed) == 1
    assert passed[0].startswith(f"{images[0]}: is not among the worst that are shown: {images[0]}: cannot be decoded")
    assert (np.asarray(Image.open(path)) == EDIT).all(axis=-1).sum() == 2 * 480 * 240
    assert said[1][0] == "fog_target train: the 2 worst of 3 edits, lowest layout score first"
    path.unlink()
    dataset, quality = rated(edits, (0.1,), (0.2,), (0.3,))
    for source in (edits / "cityscapes/leftImg8bit").rglob("*.png"):
        source.write_bytes(b"none")
    drawn, passed = write_worst(path, dataset, quality)
    assert (drawn, len(passed)) == (False, 3)
    assert not path.exists()


def test_an_edit_without_a_source_is_passed_over_and_one_without_labels_shown(edits, said, tmp_path):
    (edits / "cityscapes/leftImg8bit/train/city/city_000000_000019_leftImg8bit.png").unlink()
    (edits / "cityscapes/gtFine/train/city/city_000000_000019_gtFine_labelIds.png").unlink()
    (edits / "cityscapes/gtFine/train/city/city_000001_000019_gtFine_labelIds.png").unlink()
    drawn, passed = write_worst(tmp_path / "sheet.png", *rated(edits, (0.1,), (0.2,), (0.3,)))
    assert drawn
    assert [one.rpartition(": ")[2] for one in passed] == ["it has no source image"]
    assert [text for text, *_ in said].count("no labels") == 1
    assert (np.asarray(Image.open(tmp_path / "sheet.png")) == SKY).all(axis=-1).sum() == 480 * 240


def test_where_nothing_is_known_nothing_is_drawn(edits, tmp_path):
    assert write_worst(tmp_path / "sheet.png", *rated(edits, (), (), ())) == (False, [])
    assert not (tmp_path / "sheet.png").exists()


def test_long_and_odd_texts_stay_within_the_sheet(said):
    picture = Image.new("RGB", (30, 480))
    sheet = draw_worst("what " * 500, "x\n" * 900, [Row("a\x1b\udcff" * 400, "   layout score 0.1", [picture] * 3)])
    assert sheet.width == 2 * 12 + 3 * 480 + 2 * 6
    assert all(place[0] + length <= sheet.width - 11 for text, place, length in said if text.endswith(("…", "0.1")))
    caption = said[-1][0]
    assert caption.startswith("a\\x1b\\udcffa")
    assert caption.endswith("…   layout score 0.1")
    assert sheet.getpixel((12 + 225, sheet.height - 13)) == (0, 0, 0), "a tall picture lies in the middle of its column"
    assert sheet.getpixel((12 + 224, sheet.height - 13)) == GREY
