import numpy as np
import pytest
from PIL import Image

from zsda.data.classes import find_classes
from zsda.data.labels import CITYSCAPES
from zsda.data.panels import LabelMap, picture_sheet, write_picture_sheet

PHOTO = np.full((4, 8, 3), (200, 10, 60), np.uint8)
LABELS = np.array([[10] * 4 + [255] * 4] * 4, np.uint8)
SKY = (70, 130, 180)


def coloured(sheet, colour):
    """Where a colour is: its bounding box and its number of pixels."""
    found = (np.asarray(sheet) == colour).all(axis=-1)
    rows, columns = np.nonzero(found)
    return (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1), int(found.sum())


def test_pictures_lie_in_rows_and_columns_at_the_asked_size():
    labels = LabelMap(np.kron(LABELS, np.ones((3, 3), np.uint8)), CITYSCAPES)  # of another size than the photograph
    sheet = picture_sheet(["photo", "labels"], [[PHOTO, labels], [PHOTO, labels]], scale=10)
    (left, top, right, bottom), pixels = coloured(sheet, (200, 10, 60))
    assert (right - left, bottom - top) == (80, 40 + 6 + 40)
    assert pixels == 2 * 80 * 40
    box, pixels = coloured(sheet, SKY)
    assert box == (right + 6, top, right + 6 + 40, bottom)
    assert pixels == 2 * 40 * 40
    assert coloured(sheet, (0, 0, 0))[1] == 2 * 40 * 40, "ignored pixels are black"
    assert sheet.size == (box[2] + 40 + 12, bottom + 12)
    assert sheet.getpixel((0, 0)) > (240, 240, 240)


def test_labels_keep_their_colours_and_photographs_are_smoothed():
    steps = np.array([[0, 10]], np.uint8)
    (photo_colours, label_colours) = (
        {tuple(pixel) for pixel in np.asarray(picture_sheet([""], [[panel]], scale=32))[28:-12, 12:-12].reshape(-1, 3)}
        for panel in (np.repeat(steps[..., None] * 20, 3, axis=2), LabelMap(steps, CITYSCAPES))
    )
    assert label_colours <= {(128, 64, 128), SKY, (250, 250, 248)}
    assert len(photo_colours) > 10


def test_each_label_map_has_the_colours_of_its_own_classes():
    nine = LabelMap(np.array([[0, 10]], np.uint8), find_classes("9"))  # sky, and no class of these
    sheet = np.asarray(picture_sheet(["", ""], [[nine, LabelMap(nine.ids, CITYSCAPES)]], scale=32))
    assert sheet[-20, [12, 12 + 63, 12 + 64 + 6, -13]].tolist() == [list(SKY), [0, 0, 0], [128, 64, 128], list(SKY)]


def test_a_caption_stands_over_its_column_and_fits():
    captions = ["a", "a caption of many words"]
    sheet = np.asarray(picture_sheet(captions, [[PHOTO, PHOTO]], scale=20)).astype(int)
    top = coloured(sheet, (200, 10, 60))[0][1]
    columns = np.nonzero((sheet[:top].sum(axis=-1) < 400).any(axis=0))[0]
    first, second = columns[columns < 12 + 160 + 3], columns[columns >= 12 + 160 + 3]
    assert first.mean() == pytest.approx(12 + 80, abs=2)
    assert second.mean() == pytest.approx(12 + 160 + 6 + 80, abs=4)
    assert second.min() >= 12 + 160 + 6
    assert second.max() < 12 + 160 + 6 + 160


def test_it_is_written_as_png(tmp_path):
    write_picture_sheet(tmp_path / "new/sheet.png", ["photo"], [[PHOTO]], scale=2)
    assert Image.open(tmp_path / "new/sheet.png").size == picture_sheet(["photo"], [[PHOTO]], scale=2).size


@pytest.mark.parametrize("rows", [[], [[PHOTO], [PHOTO, PHOTO]]])
def test_rows_that_do_not_fit_the_captions_are_refused(rows):
    with pytest.raises(ValueError, match=r"1 captions over rows of"):
        picture_sheet(["photo"], rows)
