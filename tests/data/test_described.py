import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.test_description import written
from zsda.core.errors import ConfigError, DataError
from zsda.data.classes import find_classes
from zsda.data.datasets.described import DescribedData, described_settings
from zsda.data.labels import CITYSCAPES, CLASS_SETS, IGNORE
from zsda.data.reader import DamagedImageError
from zsda.data.samples import fingerprint

SIDE = 4


def photograph(path, shade=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (SIDE, SIDE), (shade, 90, 90)).save(path, "JPEG")


def label(path, *ids):
    """Writes a label map whose rows are the ids in turn."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows(*ids).save(path, "PNG")


def rows(*ids):
    return Image.fromarray(np.resize(np.array(ids, np.uint8), SIDE)[:, None].repeat(SIDE, 1))


def describe(tmp_path, images="a/*.jpg", labels="b/*.png", classes="{road: 0, car: 1}", more=""):
    labelled = "" if labels is None else f', labels: "{labels}"'
    split = f'splits: {{train: {{images: "{images}"{labelled}}}}}'
    return written(tmp_path, f"classes: {classes}\n{split}\n{more}\n")


def keys(data):
    return [sample.key for sample in data.samples]


def labels_of(data):
    return [None if s.label is None else s.label.relative_to(data.root).as_posix() for s in data.samples]


@pytest.fixture
def told(caplog):
    """What was warned of, in words."""
    return lambda: [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def test_one_star_is_the_frame_and_the_data_the_city(tmp_path):
    for name in ("Bild 2", "Bild 1"):
        photograph(tmp_path / f"a/{name}.jpg")
        label(tmp_path / f"b/{name}_L.png", 0, 1)
    data = DescribedData(describe(tmp_path, labels="b/*_L.png"))
    assert keys(data) == ["town/Bild 1", "town/Bild 2"]
    assert labels_of(data) == ["b/Bild 1_L.png", "b/Bild 2_L.png"]
    assert (data.name, data.root, data.split, data.editable) == ("town train", tmp_path, "train", True)
    assert data.mask(0)[:, 0].tolist() == [0, 1, 0, 1]
    assert data.classes.names == ("road", "car")


def test_several_stars_are_city_and_frame(tmp_path):
    photograph(tmp_path / "Photos/Nord/cam1/x_7_rgb.jpg")
    label(tmp_path / "Labels/Nord/7/cam1-x.png", 0)
    data = DescribedData(
        describe(tmp_path, images="Photos/*/*/*_rgb.jpg", labels="Labels/*/*-*.png"), needs_labels=None
    )
    assert keys(data) == ["Nord-cam1/x_7"]
    assert labels_of(data) == ["Labels/Nord/cam1-x_7.png"]


def test_fewer_stars_of_labels_are_the_last(tmp_path):
    photograph(tmp_path / "Photos/Nord/cam1/x.jpg")
    label(tmp_path / "flat/x.png", 0)
    label(tmp_path / "half/cam1/x.png", 0)
    for pattern, expected in (("flat/*.png", "flat/x.png"), ("half/*/*.png", "half/cam1/x.png")):
        data = DescribedData(describe(tmp_path, images="Photos/*/*/*.jpg", labels=pattern))
        assert labels_of(data) == [expected]


def test_two_stars_are_folders_of_any_depth_and_none(tmp_path):
    for place in ("", "Nord/", "Nord/cam1/"):
        photograph(tmp_path / f"Photos/{place}x.jpg")
        label(tmp_path / f"Labels/{place}x.png", 0)
    data = DescribedData(describe(tmp_path, images="Photos/**/*.jpg", labels="Labels/**/*.png"))
    assert keys(data) == ["Nord-cam1/x", "Nord/x", "town/x"]
    assert labels_of(data) == ["Labels/Nord/cam1/x.png", "Labels/Nord/x.png", "Labels/x.png"]
    cities = DescribedData(describe(tmp_path, images="Photos/**/*/*.jpg", labels=None), needs_labels=False)
    assert keys(cities) == ["Nord-cam1/x", "Nord/x"]


def test_one_star_stays_in_its_folder(tmp_path):
    photograph(tmp_path / "Photos/x.jpg")
    photograph(tmp_path / "Photos/deep/y.jpg")
    assert keys(DescribedData(describe(tmp_path, images="Photos/*.jpg", labels=None), needs_labels=False)) == ["town/x"]


def test_two_stars_at_the_root(tmp_path):
    photograph(tmp_path / "deep/er/x.jpg")
    assert keys(DescribedData(describe(tmp_path, images="**/*.jpg", labels=None), needs_labels=False)) == ["deep-er/x"]


@pytest.mark.parametrize("image", ["x.JPG", "x.jpg", "x.Jpg"])
@pytest.mark.parametrize("mask", ["x.PNG", "x.png", "x.Png"])
@pytest.mark.parametrize("endings", [("jpg", "png"), ("JPG", "PNG")])
def test_endings_count_in_upper_and_lower_case(tmp_path, image, mask, endings):
    photograph(tmp_path / "a" / image)
    label(tmp_path / "b" / mask, 0)
    data = DescribedData(describe(tmp_path, images=f"a/*.{endings[0]}", labels=f"b/*.{endings[1]}"))
    assert keys(data) == ["town/x"]
    assert labels_of(data) == [f"b/{mask}"]
    assert data.mask(0).tolist() == [[0] * SIDE] * SIDE


def test_the_ending_as_it_is_written_comes_first(tmp_path):
    photograph(tmp_path / "a/x.jpg")
    for mask in ("x.PNG", "x.Png", "x.pNg"):
        label(tmp_path / "b" / mask, 0)
    assert labels_of(DescribedData(describe(tmp_path, labels="b/*.PNG"))) == ["b/x.PNG"]


def test_a_folder_of_labels_is_listed_once_and_only_if_need_be(tmp_path, monkeypatch):
    listed, real = [], Path.iterdir
    for name in ("x", "y", "z"):
        photograph(tmp_path / f"a/{name}.jpg")
        label(tmp_path / f"b/{name}.Png", 0)
    monkeypatch.setattr(Path, "iterdir", lambda folder: listed.append(folder) or real(folder))
    assert labels_of(DescribedData(describe(tmp_path))) == ["b/x.Png", "b/y.Png", "b/z.Png"]
    assert listed.count(tmp_path / "b") == 1
    listed.clear()
    assert len(DescribedData(describe(tmp_path, labels="b/*.Png"))) == 3
    assert tmp_path / "b" not in listed


def test_the_rest_of_a_name_counts_as_it_is_written(tmp_path):
    photograph(tmp_path / "a/x_RGB.jpg")
    with pytest.raises(DataError, match=rf"^town train: no images as a/\*_rgb.jpg under {tmp_path}"):
        DescribedData(describe(tmp_path, images="a/*_rgb.jpg", labels=None), needs_labels=False)


def test_letters_with_a_meaning_of_their_own_elsewhere_are_letters(tmp_path):
    photograph(tmp_path / "a (1)/[x]+.y?.jpg")
    label(tmp_path / "b {0}/[x]+.png", 0)
    data = DescribedData(describe(tmp_path, images="a (1)/*.y?.jpg", labels="b {0}/*.png"))
    assert labels_of(data) == ["b {0}/[x]+.png"]


def test_no_folder_and_no_images(tmp_path):
    with pytest.raises(DataError, match=rf"^town train: no folder {tmp_path}/a; expected images as a/\*.jpg under"):
        DescribedData(describe(tmp_path))
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match=rf"^town train: no images as a/\*.jpg under {tmp_path}"):
        DescribedData(describe(tmp_path))


def test_two_images_of_one_key_are_refused(tmp_path):
    for name in ("N/x.jpg", "N/x.JPG"):
        photograph(tmp_path / "a" / name)
    expected = r"^town train: .*/a/N/x.JPG and .*/a/N/x.jpg would both be N/x; expected a name of its own for each"
    with pytest.raises(DataError, match=expected):
        DescribedData(describe(tmp_path, images="a/*/*.jpg", labels=None), needs_labels=False)
    (tmp_path / "a/N/x.JPG").unlink()
    photograph(tmp_path / "c/m-n/x.jpg")
    photograph(tmp_path / "c/m/n/x.jpg")
    with pytest.raises(DataError, match="would both be m-n/x"):
        DescribedData(describe(tmp_path, images="c/**/*.jpg", labels=None), needs_labels=False)


def test_an_image_without_its_label(tmp_path):
    for name in ("x", "y"):
        photograph(tmp_path / f"a/{name}.jpg")
    label(tmp_path / "b/x.png", 0)
    file = describe(tmp_path)
    expected = r"^town train: 1 of 2 images have no label, the first is .*/a/y.jpg; expected .*/b/y.png"
    with pytest.raises(DataError, match=expected):
        DescribedData(file)
    assert labels_of(DescribedData(file, needs_labels=None)) == ["b/x.png", "b/y.png"]
    tolerant = DescribedData(file, needs_labels=False)
    assert labels_of(tolerant) == ["b/x.png", None]
    assert (tolerant.mask(1) == IGNORE).all()


def test_a_split_without_labels(tmp_path):
    photograph(tmp_path / "a/x.jpg")
    file = describe(tmp_path, labels=None)
    data = DescribedData(file, needs_labels=False)
    assert (data.mask(0) == IGNORE).all()
    with pytest.raises(ConfigError, match=r"town.yaml: splits.train has no labels:, which are needed here"):
        DescribedData(file)


def test_a_split_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match=r"town.yaml: no split 'val'; there are train$"):
        DescribedData(describe(tmp_path), "val")


def test_images_that_no_split_takes_are_told(tmp_path, told):
    for name in ("train_1.jpg", "val_1.jpg", "other.png", ".train_2.jpg"):
        photograph(tmp_path / "a" / name)
    splits = 'splits: {train: {images: "a/train_*.jpg"}, val: {images: "a/val_*.jpg"}}'
    file = written(tmp_path, f"classes: {{road: 0}}\n{splits}")
    assert keys(DescribedData(file, "train", needs_labels=False)) == ["town/1"]
    (warning,) = told()
    assert warning == (
        f"town train: 1 of 3 images under {tmp_path}/a are not used, the first is {tmp_path}/a/other.png; expected names as "
        "a/train_*.jpg"
    )


def test_nothing_is_told_where_all_are_taken(tmp_path, told):
    photograph(tmp_path / "a/x.jpg")
    DescribedData(describe(tmp_path, labels=None), needs_labels=False)
    assert told() == []


def test_labels_of_a_palette_are_read_by_index_whatever_their_colours(tmp_path):
    photograph(tmp_path / "a/x.jpg")
    mask = rows(3, 4, 0, 255)
    mask.putpalette([*CITYSCAPES.palette[::-1].ravel()])
    (tmp_path / "b").mkdir()
    mask.save(tmp_path / "b/x.png")
    data = DescribedData(describe(tmp_path, classes="{road: 3, car: 4}", more="ignore: 0"))
    assert data.mask(0)[:, 0].tolist() == [0, 1, IGNORE, IGNORE]


def test_ids_outside_the_table_are_refused(tmp_path):
    photograph(tmp_path / "a/x.jpg")
    label(tmp_path / "b/x.png", 3, 4, 9, 10)
    data = DescribedData(describe(tmp_path, classes="{road: 3, car: 4}", more="ignore: [0]"))
    with pytest.raises(DataError, match=r"b/x.png: ids outside the table of town: \[9, 10\]; expected 0, 3, 4 and 255"):
        data.mask(0)


PAINTED = '{road: "#804080", car: ["#010203", "#040506"]}'


def painted(mode):
    colours = [(0x80, 0x40, 0x80), (1, 2, 3), (4, 5, 6), (0, 0, 0)]
    image = Image.fromarray(np.array(colours, np.uint8)[:, None].repeat(SIDE, 1))
    if mode == "P":
        # The index is not that of the class.
        image = rows(7, 2, 1, 0)
        image.putpalette([0, 0, 0, 4, 5, 6, 1, 2, 3, *[9, 9, 9] * 4, 0x80, 0x40, 0x80])
    return image.convert(mode)


@pytest.mark.parametrize("mode", ["P", "RGB", "RGBA"])
def test_painted_labels(tmp_path, mode):
    photograph(tmp_path / "a/x.jpg")
    (tmp_path / "b").mkdir()
    painted(mode).save(tmp_path / "b/x.png")
    data = DescribedData(describe(tmp_path, classes=PAINTED, more='ignore: ["#000000"]'))
    assert data.mask(0).dtype == np.uint8
    assert data.mask(0).tolist() == [[value] * SIDE for value in (0, 1, 1, IGNORE)]


@pytest.mark.parametrize("mode", ["P", "RGB", "RGBA"])
def test_colours_of_nothing_are_refused_with_their_counts(tmp_path, mode):
    photograph(tmp_path / "a/x.jpg")
    (tmp_path / "b").mkdir()
    image = painted(mode)
    image.putpixel((0, 0), 1 if mode == "P" else (4, 5, 6, 255)[: len(mode)])
    image.save(tmp_path / "b/x.png")
    data = DescribedData(describe(tmp_path, classes='{road: "#804080", car: "#010203"}'))
    expected = (
        r"b/x.png: painted in colours that town does not hold: #040506 \(5 pixels\), #000000 \(4 pixels\); expected those of its "
        "classes and of ignore:"
    )
    with pytest.raises(DataError, match=expected) as caught:
        data.mask(0)
    assert not isinstance(caught.value, DamagedImageError)


def test_of_many_colours_of_nothing_the_most_frequent_are_told(tmp_path):
    photograph(tmp_path / "a/x.jpg")
    (tmp_path / "b").mkdir()
    pixels = np.arange(SIDE * SIDE * 3, dtype=np.uint8).reshape(SIDE, SIDE, 3)
    pixels[0] = 255
    Image.fromarray(pixels).save(tmp_path / "b/x.png")
    data = DescribedData(describe(tmp_path, classes=PAINTED))
    with pytest.raises(DataError, match=r"hold: #ffffff \(4 pixels\), #2d2e2f \(1 pixels\), .* and 10 more; expected"):
        data.mask(0)


def test_painted_labels_of_16_bits_are_refused(tmp_path):
    photograph(tmp_path / "a/x.jpg")
    (tmp_path / "b").mkdir()
    Image.fromarray(np.zeros((SIDE, SIDE), np.uint16)).save(tmp_path / "b/x.png")
    data = DescribedData(describe(tmp_path, classes='{road: "#000000"}'))
    with pytest.raises(DataError, match=r"b/x.png: a painted label of 16 bits; expected 8 bits of a channel"):
        data.mask(0)


@pytest.mark.parametrize("classes", [PAINTED, "{road: 0}"])
def test_labels_as_jpeg_are_refused(tmp_path, classes):
    photograph(tmp_path / "a/x.jpg")
    photograph(tmp_path / "b/x.png")
    with pytest.raises(DamagedImageError, match=r"b/x.png: cannot be decoded \(no PNG.*\); expected a complete PNG"):
        DescribedData(describe(tmp_path, classes=classes)).mask(0)


def test_colours_are_no_ids(tmp_path):
    photograph(tmp_path / "a/x.jpg")
    (tmp_path / "b").mkdir()
    painted("RGB").save(tmp_path / "b/x.png")
    with pytest.raises(DataError, match=r"b/x.png: .*expected"):
        DescribedData(describe(tmp_path)).mask(0)


def test_the_nineteen_classes_by_like(tmp_path):
    photograph(tmp_path / "a/x.jpg")
    label(tmp_path / "b/x.png", 3, 4, 5, 6)
    classes = "{road: 3, Auto: {ids: [4, 5], like: car}, Kiosk: 6}"
    data = DescribedData(describe(tmp_path, classes=classes))
    assert data.mask(0)[:, 0].tolist() == [0, 1, 1, 2]
    car = CITYSCAPES.names.index("car")
    for other in (data.with_classes(CITYSCAPES), DescribedData(tmp_path / "town.yaml", classes=19)):
        assert other.classes is CITYSCAPES
        assert other.mask(0)[:, 0].tolist() == [0, car, car, IGNORE]
    assert data.classes.names == ("road", "Auto", "Kiosk"), "with_classes changed what it was asked of"


def test_cityscapes_in_the_classes_of_a_user(tmp_path):
    """The other way round: a run of these classes is scored on label ids."""
    photograph(tmp_path / "a/x.jpg")
    label(tmp_path / "b/x.png", 0)
    own = DescribedData(describe(tmp_path, classes="{Auto: {ids: 0, like: [car, truck]}, Kiosk: 6}")).classes
    assert own.to_ids(np.array([26, 27, 7], np.uint8), "labelIds").tolist() == [0, 0, IGNORE]
    assert find_classes(json.loads(json.dumps(own.plain()))) == own


def test_where_no_class_is_shared_nothing_can_be_scored(tmp_path):
    photograph(tmp_path / "a/x.jpg")
    label(tmp_path / "b/x.png", 0)
    file = describe(tmp_path, classes="{Fahrbahn: 0, Kiosk: 1}")
    assert len(DescribedData(file)) == 1
    with pytest.raises(ConfigError, match=r"labels of town show Fahrbahn, Kiosk; none of them is among road, .*like:"):
        DescribedData(file, classes=19)


def test_what_labels_join_others_cannot_tell_apart(tmp_path):
    photograph(tmp_path / "a/x.jpg")
    label(tmp_path / "b/x.png", 0)
    data = DescribedData(describe(tmp_path, classes="{Auto: {ids: 0, like: [car, truck]}, road: 1}"))
    expected = r"labels in town do not tell car from truck; expected classes=9, a run of these, or a set that takes in car \+ truck"
    with pytest.raises(ConfigError, match=expected):
        data.with_classes(CITYSCAPES)
    automobile = CLASS_SETS["9"].names.index("automobile")
    assert data.with_classes(CLASS_SETS["9"]).mask(0)[0, 0] == automobile


def test_where_no_set_joins_the_same_none_is_proposed(tmp_path):
    photograph(tmp_path / "a/x.jpg")
    label(tmp_path / "b/x.png", 0)
    data = DescribedData(describe(tmp_path, classes="{Boden: {ids: 0, like: [road, sidewalk]}}"))
    with pytest.raises(ConfigError, match=r"expected a set that takes in road \+ sidewalk each as one class"):
        data.with_classes(CITYSCAPES)


def test_named_sets_are_read_by_all_their_ids(tmp_path):
    photograph(tmp_path / "a/x.jpg")
    sky = CLASS_SETS["11"].names.index("sky")
    for ids, stored in (("classIds", sky), ("labelIds", 23), ("labelTrainIds", 10)):
        label(tmp_path / "b/x.png", stored)
        assert DescribedData(describe(tmp_path, classes="11", more=f"ids: {ids}")).mask(0)[0, 0] == sky
    Image.new("RGB", (SIDE, SIDE), CITYSCAPES.colours[10]).save(tmp_path / "b/x.png")
    assert DescribedData(describe(tmp_path, classes="11", more="ids: colours")).mask(0)[0, 0] == sky


def test_the_fingerprint_is_that_of_files_and_table(tmp_path):
    photograph(tmp_path / "a/x.jpg")
    label(tmp_path / "b/x.png", 0, 1)

    def found(classes="{road: 0, car: 1}", more=""):
        return fingerprint(DescribedData(describe(tmp_path, classes=classes, more=more)).samples)

    first = found()
    assert found() == first
    assert found(more="size: [64, 64]") == first
    others = [found("{road: 1, car: 0}"), found("{road: 0, car: {ids: 1, like: truck}}"), found(more="ignore: 2")]
    assert len({first, *others}) == 4
    Image.new("RGB", (SIDE, SIDE), (1, 2, 3)).save(tmp_path / "b/x.png")
    assert found('{road: "#010203", car: "#040506"}') != found('{road: "#040506", car: "#010203"}')


@pytest.fixture
def three_splits(tmp_path):
    for split in ("train", "val", "night"):
        photograph(tmp_path / f"{split}/x.jpg")
        label(tmp_path / f"{split}/x.png", 0)
    photograph(tmp_path / "bare/x.jpg")
    splits = [f'  {split}: {{images: "{split}/*.jpg", labels: "{split}/*.png"}}' for split in ("train", "val", "night")]
    lines = ["classes: {road: 0}", "splits:", *splits, '  bare: {images: "bare/*.jpg"}']
    return written(tmp_path, "\n".join(lines))


def test_each_split_with_labels_but_train_is_a_setting(three_splits):
    found = described_settings(three_splits)
    assert {name: data.split for name, data in found.items()} == {"town": "val", "night": "night"}
    assert list(described_settings(three_splits, ["train"])) == ["train"]


def test_settings_that_are_none(three_splits, tmp_path):
    for splits, expected in ((["fog"], "no split 'fog'; there are train, val, night, bare"), (["bare"], "no labels:")):
        with pytest.raises(ConfigError, match=expected):
            described_settings(three_splits, splits)
    photograph(tmp_path / "a/x.jpg")
    label(tmp_path / "b/x.png", 0)
    expected = r"town.yaml: no split with labels but train; give settings.folder.splits=\[train\] to score that"
    with pytest.raises(ConfigError, match=expected):
        described_settings(describe(tmp_path))
