import errno
import os
import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.layouts import SIZE, stripes, write_image, write_robotcar, write_synthia
from zsda.core.errors import ConfigError, DataError
from zsda.data.classes import find_classes
from zsda.data.datasets.acdc import ACDC
from zsda.data.datasets.cityscapes import Cityscapes
from zsda.data.datasets.folder import ImageFolder
from zsda.data.datasets.generated import GeneratedSet
from zsda.data.datasets.gta5 import GTA5
from zsda.data.datasets.robotcar import RobotCar
from zsda.data.datasets.synthia import SYNTHIA
from zsda.data.evaluation import EvaluationDataset
from zsda.data.labels import CITYSCAPES
from zsda.data.reader import DamagedImageError, Reader
from zsda.data.samples import fingerprint, pseudo_label


def test_cityscapes_is_found(world):
    dataset = Cityscapes(world / "cityscapes", "train")
    assert len(dataset) == 8
    sample = dataset[0]
    city, frame = sample["key"].split("/")
    assert frame.startswith(city)
    assert sample["mask"].shape == (64, 128) == sample["image"].shape[:2]
    assert len(np.unique(sample["mask"])) > 3


def test_both_label_encodings_give_the_same_labels(copied_world):
    by_label_ids = Cityscapes(copied_world / "cityscapes", "val")
    assert by_label_ids.samples[0].encoding == "labelIds"
    masks = [by_label_ids[index]["mask"] for index in range(4)]
    for path in (copied_world / "cityscapes/gtFine/val").glob("*/*_labelIds.png"):
        path.unlink()
    by_train_ids = Cityscapes(copied_world / "cityscapes", "val")
    assert by_train_ids.samples[0].encoding == "labelTrainIds"
    assert all((by_train_ids[index]["mask"] == mask).all() for index, mask in enumerate(masks))


@pytest.mark.parametrize("condition", ["fog", "night", "rain", "snow"])
def test_acdc_is_found(world, condition):
    dataset = ACDC(world / "ACDC", condition, "val")
    assert len(dataset) == 3
    assert dataset[0]["mask"].shape == (64, 128)


def test_frames_of_another_size_can_be_left_out(copied_world, caplog):
    caplog.set_level("INFO")
    sample = ACDC(copied_world / "ACDC", "fog", "val").samples[0]
    for path in (sample.image, sample.label):
        Image.open(path).resize((64, 32)).save(path)
    dataset = ACDC(copied_world / "ACDC", "fog", "val", only_size=[128, 64])
    assert sample.key not in [other.key for other in dataset.samples]
    assert len(dataset) == 2
    assert "acdc fog val: 1 of 3 frames left out, they are not 128x64" in caplog.messages
    assert len(ACDC(copied_world / "ACDC", "fog", "val")) == 3
    with pytest.raises(
        DataError, match=r"none of the 3 images of fog val is 1920x1080; give settings.fog.only_size=null"
    ):
        ACDC(copied_world / "ACDC", "fog", "val", only_size=[1920, 1080])


def test_a_frame_whose_size_cannot_be_told_is_kept_and_named_when_it_is_read(copied_world):
    sample = ACDC(copied_world / "ACDC", "fog", "val").samples[1]
    sample.image.write_bytes(b"")
    dataset = ACDC(copied_world / "ACDC", "fog", "val", only_size=[128, 64])
    assert len(dataset) == 3
    with pytest.raises(DamagedImageError, match=sample.image.name):
        dataset[1]
    with pytest.raises(ConfigError, match=r"settings.fog.only_size=1920; expected \[width,height\]"):
        ACDC(copied_world / "ACDC", "fog", "val", only_size=1920)


def test_gta5_palette_labels_are_read_as_ids(world):
    dataset = GTA5(world / "GTA5", world / "GTA5/val_subset.txt")
    assert len(dataset) == 3
    assert Image.open(dataset.samples[0].label).mode == "P"
    assert set(np.unique(dataset[0]["mask"])) <= {*range(19), 255}
    assert 0 in dataset[0]["mask"]


def test_the_licence_plates_of_gta5_are_ignored(copied_world):
    dataset = GTA5(copied_world / "GTA5", copied_world / "GTA5/val_subset.txt")
    ids = np.array(Image.open(dataset.samples[0].label))
    ids[:5] = 34
    Image.fromarray(ids).save(dataset.samples[0].label)
    assert (dataset[0]["mask"][:5] == 255).all()


def gta5(root, *frames, label_size=SIZE):
    """Writes frames of the road alone, but for one column of cars in the middle."""
    for frame in frames:
        write_image(root / f"images/{frame:05d}.png", frame)
        ids = stripes([7, 7, 7, 26, 7, 7, 7], label_size).astype(np.uint8)
        (root / "labels").mkdir(exist_ok=True)
        Image.fromarray(ids).save(root / f"labels/{frame:05d}.png")
    return root


def test_of_gta5_hiast_trains_on_all_but_25_frames(tmp_path):
    around = [(2153, 2159), (4633, 4638), (7114, 7120), (9682, 9689), (12049, 12055)]
    frames = [frame for first, last in around for frame in range(first, last + 1)]
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
        for frame in frames:
            (tmp_path / folder / f"{frame:05d}.png").touch()
    kept = [int(sample.key) for sample in GTA5(tmp_path, "train").samples]
    assert kept == [frame for ends in around for frame in ends]
    assert len(GTA5(tmp_path, None)) - len(kept) == 24_966 - 24_941


def test_the_rest_of_gta5_is_what_is_not_scored_and_needs_no_labels(tmp_path):
    scored = [Path(sample).stem for sample in files("zsda.data.datasets").joinpath("gta5_val.txt").read_text().split()]
    others = ["00002", "00003", "24966"]
    assert len(scored) == 1000 and not {*scored} & {*others}
    (tmp_path / "images").mkdir()
    for name in (*scored[:3], *others):
        (tmp_path / f"images/{name}.png").touch()
    with pytest.raises(DataError, match="3 of 3 images have no label"):
        GTA5(tmp_path, "rest")
    found = GTA5(tmp_path, "rest", needs_labels=False)
    assert [(sample.key, sample.label) for sample in found.samples] == [(name, None) for name in others]


def test_two_labels_of_gta5_are_brought_to_the_size_of_their_image(tmp_path):
    root = gta5(tmp_path, 15188, 17705, label_size=(50, 107))
    dataset = GTA5(root, "train")
    expected = CITYSCAPES.to_ids(np.array(Image.open(root / "labels/15188.png")), "gta5Ids")
    rows, columns = (np.arange(to) * of // to for to, of in zip(SIZE, expected.shape, strict=True))
    for place in (0, 1):
        assert (dataset[place]["mask"] == expected[rows][:, columns]).all()
        assert dataset.mask(place).shape == SIZE
    seen = EvaluationDataset(dataset, (32, 64), None)[0]
    assert seen["mask"].shape == SIZE
    Image.fromarray(np.zeros((50, 107), np.uint8)).save(gta5(tmp_path, 15189) / "labels/15189.png")
    with pytest.raises(DataError, match=r"15189.png: 128x64, but its label .* is 107x50; expected equal sizes"):
        GTA5(root, None)[1]


def test_synthia_is_found_and_counts_in_its_classes(tmp_path):
    root = write_synthia(tmp_path)
    dataset = SYNTHIA(root)
    assert [sample.key for sample in dataset.samples] == [f"{number:07d}" for number in range(4)]
    assert dataset[1]["mask"].shape == SIZE
    assert set(np.unique(dataset[1]["mask"])) == {*range(19), 255}
    for name in ("16", "13", "9"):
        assert set(np.unique(SYNTHIA(root, classes=name)[1]["mask"])) == {*range(int(name)), 255}
    (root / "GT/LABELS/0000002.png").unlink()
    with pytest.raises(DataError, match=r"synthia: 1 of 4 images have no label.*expected .*GT/LABELS/0000002.png"):
        SYNTHIA(root)
    with pytest.raises(DataError, match=r"synthia: no images under .*; expected RGB/\*.png"):
        SYNTHIA(root.parent)


def test_robotcar_is_found_and_has_no_labels_to_train_on(tmp_path):
    root = write_robotcar(tmp_path)
    train, val = RobotCar(root, "train"), RobotCar(root, "val")
    assert (len(train), len(val), val.classes.name) == (3, 2, "9")
    assert {sample.label for sample in train.samples} == {None}
    assert (train.mask(0) == 255).all()
    assert set(np.unique(val[1]["mask"])) == {*range(9), 255}
    (root / "anno/val_1.png").unlink()
    with pytest.raises(DataError, match=r"robotcar: 1 of 2 images have no label.*expected .*anno/val_1.png"):
        RobotCar(root, "val")


def test_labels_that_do_not_tell_the_classes_apart_are_refused_before_a_file_is_read(tmp_path):
    root = write_robotcar(tmp_path)
    for label in (root / "anno").iterdir():
        label.write_bytes(b"")
    val, message = (
        RobotCar(root, "val"),
        "labels in robotcarIds do not tell person from rider; expected classes=9, a run of these, or",
    )
    for act in (lambda: RobotCar(root, "val", classes=19), lambda: val.with_classes(CITYSCAPES)):
        with pytest.raises(ConfigError, match=message):
            act()
    assert RobotCar(root, "train", classes=19).classes is CITYSCAPES, "no labels"
    assert val.unlabelled().with_classes(CITYSCAPES).classes is CITYSCAPES


def test_any_folder_is_a_set_of_images(tmp_path):
    for name in ("b/2.JPG", "b/1.png", "a.jpeg", "b/c/1.Png", "._a.png", ".git/x.png", "b/.hidden.jpg"):
        write_image(tmp_path / name, 0)
    (tmp_path / "notes.txt").write_text("no image")
    dataset = ImageFolder(tmp_path)
    assert [sample.key for sample in dataset.samples] == ["a", "b/1", "b/2", "b/c/1"]
    assert dataset.name == f"folder {tmp_path.name}"
    assert dataset[2]["image"].shape == (*SIZE, 3)
    assert (dataset[2]["mask"] == 255).all()
    write_image(tmp_path / "b/2.png", 1)
    with pytest.raises(DataError, match=r"b/2.JPG and .*b/2.png would both be b/2; expected a name of its own"):
        ImageFolder(tmp_path)


def test_the_contact_sheet_of_a_generated_set_is_none_of_its_images(tmp_path):
    for name in ("contact_sheet.jpg", "leftImg8bit/val/a/b_leftImg8bit.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    assert len(ImageFolder(tmp_path)) == 2, "in a folder of one's own it is an image like others"
    (tmp_path / "generation.json").write_text("{}")
    assert [sample.image.name for sample in ImageFolder(tmp_path).samples] == ["b_leftImg8bit.png"]


def test_a_folder_without_images_is_named(tmp_path):
    write_image(tmp_path / ".a.png", 0)
    with pytest.raises(DataError, match=r"no images under .*; expected PNG or JPEG"):
        ImageFolder(tmp_path)
    with pytest.raises(DataError, match=r"no folder .*nowhere; expected one that holds images"):
        ImageFolder(tmp_path / "nowhere")


def test_gta5_names_a_listed_frame_that_is_missing(world):
    with pytest.raises(DataError, match=r"1000 images that .*gta5_val.txt lists are not under"):
        GTA5(world / "GTA5", "val")


def test_a_list_cannot_leave_its_folder(world, tmp_path):
    (tmp_path / "list.txt").write_text("../../secret.png\n")
    with pytest.raises(DataError, match="is a path; expected bare file names"):
        GTA5(world / "GTA5", tmp_path / "list.txt")


def test_a_generated_set_has_the_labels_of_its_source(world_with_sets):
    source = Cityscapes(world_with_sets / "cityscapes", "train")
    edited = GeneratedSet(world_with_sets, "night", "target", source)
    assert [s.key for s in edited.samples] == [s.key for s in source.samples]
    assert (edited[2]["mask"] == source[2]["mask"]).all()
    assert np.mean(edited[2]["image"]) < np.mean(source[2]["image"])


@pytest.mark.parametrize("how", ["linked folder", "linked files", "hard links", "copies", "saved anew"])
def test_originals_are_no_edits(copied_world, how):
    """The published code links the val split of Cityscapes into its sets."""
    originals = copied_world / "cityscapes/leftImg8bit/val"
    pretended = copied_world / "night_target/leftImg8bit/val"
    source = Cityscapes(copied_world / "cityscapes", "val")
    if how == "linked folder":
        pretended.symlink_to("../../cityscapes/leftImg8bit/val")
    else:
        make = {
            "linked files": os.symlink,
            "hard links": os.link,
            "copies": shutil.copy,
            "saved anew": lambda image, place: Image.open(image).save(place, compress_level=0),
        }[how]
        for image in originals.glob("*/*.png"):
            place = pretended / image.relative_to(originals)
            place.parent.mkdir(parents=True, exist_ok=True)
            make(image, place)
    with pytest.raises(
        DataError, match=r"night_target: 4 of 4 images are no edits but their source itself, the first is .*split=val"
    ):
        GeneratedSet(copied_world, "night", "target", source)
    assert len(GeneratedSet(copied_world, "night", "target", Cityscapes(copied_world / "cityscapes", "train"))) == 8
    if how != "linked folder":
        for image in pretended.glob("*/*.png"):
            darker = Image.open(image).point(lambda value: value // 2)
            image.unlink()
            darker.save(image)
        assert len(GeneratedSet(copied_world, "night", "target", source)) == 4


def test_a_missing_root_says_what_was_expected(tmp_path):
    with pytest.raises(DataError, match=r"no folder .*nowhere; expected leftImg8bit/train/\*/\*_leftImg8bit.png"):
        Cityscapes(tmp_path / "nowhere")


def test_a_wrong_layout_says_what_was_expected(tmp_path):
    with pytest.raises(DataError, match=r"no images under .*; expected rgb_anon/snow/val/"):
        ACDC(tmp_path, "snow")


def test_an_image_without_label_is_named(copied_world):
    victim = sorted((copied_world / "cityscapes/gtFine/val").glob("*/*_labelIds.png"))[1]
    victim.unlink()
    with pytest.raises(DataError, match=f"1 of 4 images have no label.*{victim.name}"):
        Cityscapes(copied_world / "cityscapes", "val")


def test_images_whose_labels_nobody_has_are_taken_where_none_are_needed(copied_world):
    for path in (copied_world / "cityscapes/gtFine/val").glob("*/*_labelTrainIds.png"):
        path.unlink()
    labels = sorted((copied_world / "cityscapes/gtFine/val").glob("*/*_labelIds.png"))
    whole = Cityscapes(copied_world / "cityscapes", "val")
    for label in (labels[0], labels[2]):
        label.unlink()
    some = Cityscapes(copied_world / "cityscapes", "val", needs_labels=False)
    assert [sample.label for sample in some.samples] == [None, labels[1], None, labels[3]]
    assert (some[0]["mask"] == 255).all()
    assert (some[1]["mask"] == whole[1]["mask"]).all()
    shutil.rmtree(copied_world / "ACDC/gt")
    assert {s.label for s in ACDC(copied_world / "ACDC", "fog", needs_labels=False).samples} == {None}
    with pytest.raises(DataError, match="3 of 3 images have no label"):
        ACDC(copied_world / "ACDC", "fog")


def test_the_first_label_that_is_there_says_how_all_count(copied_world):
    folder = copied_world / "cityscapes/gtFine/val"
    for path in folder.glob("*/*_labelIds.png"):
        path.unlink()
    next(iter(sorted(folder.glob("*/*.png")))).unlink()
    found = Cityscapes(copied_world / "cityscapes", "val", needs_labels=False).samples
    assert [(s.label is None, s.encoding) for s in found] == [(n == 0, "labelTrainIds") for n in range(4)]


def test_hidden_files_of_macos_are_no_images(copied_world):
    image = Cityscapes(copied_world / "cityscapes", "val").samples[0].image
    (image.parent / f"._{image.name}").write_bytes(b"Mac OS X")
    assert len(Cityscapes(copied_world / "cityscapes", "val")) == 4


def test_images_that_are_not_used_are_counted_and_the_first_is_named(copied_world, caplog):
    city = Cityscapes(copied_world / "cityscapes", "val").samples[0].image.parent
    assert not caplog.messages
    linked = copied_world / "elsewhere"
    for path in (
        city / "b_leftImg8bit.jpg",
        city / "c_leftImg8bit.PNG",
        city / "one/d_leftImg8bit.png",
        linked / "e.tiff",
    ):
        write_image(path.with_suffix(".png"), 0)
        path.with_suffix(".png").rename(path)
    for hidden in ("._x.png", ".thumbs/x.png", "notes.txt"):
        write_image((city / hidden).with_suffix(".png"), 0)
        (city / hidden).with_suffix(".png").rename(city / hidden)
    (city.parent / "linked").symlink_to(linked)
    for _ in range(2):
        assert len(Cityscapes(copied_world / "cityscapes", "val")) == 4
    (said,) = caplog.messages
    assert said.startswith("cityscapes: 4 of 8 images under ")
    assert said.endswith(
        f"/leftImg8bit/val are not used, the first is {city / 'b_leftImg8bit.jpg'}; expected names as "
        "leftImg8bit/val/*/*_leftImg8bit.png"
    )


def night_target(root):
    return GeneratedSet(root, "night", "target", Cityscapes(root / "cityscapes", "train"))


@pytest.mark.parametrize(
    ("place", "make"),
    [
        ("ACDC/rgb_anon/fog/val/more/a_rgb_anon.jpg", lambda root: ACDC(root / "ACDC", "fog")),
        ("GTA5/images/00001.jpeg", lambda root: GTA5(root / "GTA5", None)),
        ("night_target/leftImg8bit/train/a_leftImg8bit.png", night_target),
        ("folder/b.webp", lambda root: ImageFolder(root / "folder")),
    ],
    ids=["ACDC", "GTA5", "generated", "folder"],
)
def test_every_set_tells_what_it_does_not_use(copied_world, caplog, place, make):
    write_image(copied_world / "folder/a.png", 0)
    make(copied_world)
    assert not caplog.messages
    (copied_world / place).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(copied_world / "folder/a.png", copied_world / place)
    make(copied_world)
    (said,) = caplog.messages
    assert ": 1 of " in said and f"not used, the first is {copied_world / place}; expected " in said


def test_a_folder_that_cannot_be_listed_is_not_passed_over(copied_world, monkeypatch):
    closed, plain = Cityscapes(copied_world / "cityscapes", "val").samples[0].image.parent, os.scandir

    def scandir(path="."):
        if Path(path) == closed:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return plain(path)

    monkeypatch.setattr(os, "scandir", scandir)
    city = closed.parent / "open/open_000000_000019_leftImg8bit.png"
    write_image(city, 0)
    with pytest.raises(
        DataError, match=rf"{closed}: the folder cannot be listed \(Permission denied\); expected one that"
    ):
        Cityscapes(copied_world / "cityscapes", "val", needs_labels=False)


def test_a_generated_image_without_source_is_named(copied_world):
    folder = next((copied_world / "night_target/leftImg8bit/train").iterdir())
    shutil.copy(next(folder.iterdir()), folder / "extra_000000_000000_leftImg8bit.png")
    with pytest.raises(DataError, match="has no source image"):
        GeneratedSet(copied_world, "night", "target", Cityscapes(copied_world / "cityscapes", "train"))


def test_sizes_that_differ_are_named(copied_world):
    dataset = Cityscapes(copied_world / "cityscapes", "val")
    image = dataset.samples[0].image
    Image.open(image).resize((100, 50)).save(image)
    with pytest.raises(DataError, match=r"100x50, but its label .* is 128x64"):
        dataset[0]


def test_a_foreign_id_is_named_with_its_file(copied_world):
    dataset = Cityscapes(copied_world / "cityscapes", "val")
    label = dataset.samples[0].label
    Image.fromarray(np.full((64, 128), 77, np.uint8)).save(label)
    with pytest.raises(DataError, match=rf"{label.name}: ids outside the table of labelIds: \[77\]"):
        dataset[0]


def test_a_colour_label_is_refused(copied_world):
    dataset = Cityscapes(copied_world / "cityscapes", "val")
    Image.new("RGB", (128, 64)).save(dataset.samples[0].label)
    with pytest.raises(DataError, match="a label in 3 channels of 8 bits; expected 1 channel of 8 bits"):
        dataset[0]


def test_a_truncated_image_is_damaged(copied_world):
    dataset = Cityscapes(copied_world / "cityscapes", "val")
    image = dataset.samples[0].image
    image.write_bytes(image.read_bytes()[:500])
    with pytest.raises(DamagedImageError, match=image.name):
        dataset[0]


def test_every_data_set_counts_the_classes_it_is_asked_for(world_with_sets):
    root = world_with_sets
    for dataset in (
        Cityscapes(root / "cityscapes", "train", 9),
        ACDC(root / "ACDC", "fog", classes=9),
        GTA5(root / "GTA5", root / "GTA5/val_subset.txt", 9),
    ):
        whole = dataset.with_classes(CITYSCAPES)
        assert (dataset.classes.name, whole.classes.name) == ("9", "19")
        expected = find_classes(9).to_ids(whole.mask(0), "labelTrainIds")
        assert (dataset[0]["mask"] == expected).all()
        assert (dataset.mask(0) == expected).all()
        assert (whole.mask(0) != expected).any()


def test_an_edit_has_the_classes_and_the_reader_of_its_source(world_with_sets):
    class Counting(Reader):
        opened = 0

        def pixels(self, path, *how):
            self.opened += 1
            return super().pixels(path, *how)

    source = Cityscapes(world_with_sets / "cityscapes", "train", "13")
    source.reader = Counting()
    edited = GeneratedSet(world_with_sets, "night", "target", source)
    assert edited.classes is source.classes
    assert (edited[2]["mask"] == source[2]["mask"]).all()
    assert source.reader.opened == 2


def test_edits_may_have_another_size_than_their_labels(copied_world):
    source = Cityscapes(copied_world / "cityscapes", "train")
    edited = GeneratedSet(copied_world, "night", "target", source)
    image = edited.samples[0].image
    Image.open(image).resize((100, 50)).save(image)
    assert edited[0]["image"].shape == (50, 100, 3)
    assert edited[0]["mask"].shape == (64, 128)


def test_without_labels_everything_is_ignored(copied_world):
    labelled = Cityscapes(copied_world / "cityscapes", "val")
    before = fingerprint(labelled.samples)
    bare = labelled.unlabelled()
    shutil.rmtree(copied_world / "cityscapes/gtFine")
    Image.new("RGB", (100, 50), "red").save(bare.samples[0].image)
    assert type(bare) is Cityscapes
    assert bare[0]["mask"].shape == bare.mask(0).shape == (50, 100)
    assert set(np.unique(bare[0]["mask"])) == {255}
    assert bare[0]["image"][0, 0].tolist() == [255, 0, 0]
    assert labelled.samples[0].label is not None
    assert len({before, fingerprint(bare.samples), fingerprint(bare.samples[:-1])}) == 3


def test_other_labels_count_in_the_classes_of_the_set(world, tmp_path):
    dataset = Cityscapes(world / "cityscapes", "val", "9")
    for number, sample in enumerate(dataset.samples):
        Image.fromarray(np.full((4, 6), [8, 255][number % 2], np.uint8)).save(tmp_path / pseudo_label(sample.image))
    pseudo = dataset.relabelled(tmp_path)
    assert [set(np.unique(pseudo[place]["mask"])) for place in (0, 1)] == [{8}, {255}]
    assert pseudo[0]["mask"].shape == (64, 128), "at the size of the image"
    assert pseudo[0]["image"].shape == (64, 128, 3)
    assert [sample.key for sample in pseudo.samples] == [sample.key for sample in dataset.samples]
    assert dataset[0]["mask"].shape == (64, 128)
    Image.fromarray(np.full((4, 6), 9, np.uint8)).save(tmp_path / pseudo_label(dataset.samples[0].image))
    with pytest.raises(DataError, match=r"ids outside the table of classIds: \[9\]; expected 0-8"):
        pseudo.mask(0)
