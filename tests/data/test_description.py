import os
import re

import pytest

from zsda.core.errors import ConfigError
from zsda.data.classes import find_classes
from zsda.data.description import Split, read_description
from zsda.data.labels import CITYSCAPES, CLASS_SETS, COLOUR, IGNORE

SPLITS = 'splits: {train: {images: "a/*.jpg", labels: "b/*.png"}}'


def written(tmp_path, text, name="town.yaml"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def read(tmp_path, classes="classes: {road: 0, car: 1}", splits=SPLITS, more=""):
    return read_description(written(tmp_path, f"{more}\n{classes}\n{splits}\n"))


def refused(tmp_path, text):
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        read_description(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def test_the_shortest_file(tmp_path):
    said = read(tmp_path)
    assert (said.name, said.root, said.size) == ("town", tmp_path, None)
    assert said.classes.names == ("road", "car")
    assert said.classes.colours == (COLOUR["road"], COLOUR["car"])
    assert said.encoding.ids == ((0, ("road",)), (1, ("car",)))
    assert said.encoding.colours == ()
    assert said.splits == {"train": Split("a/*.jpg", "b/*.png")}


def test_a_whole_file(tmp_path):
    text = """
        name: neustadt
        root: ../elsewhere
        size: [144, 192]
        classes:
          road: [3, 4]
          Auto: {ids: [5, 6], like: [car, truck], paint: "#00008e"}
          Kiosk: {ids: 9}
        ignore: [0, 255]
        splits:
          train: {images: "Photos/*/*.JPG", labels: "Labels/*/*_L.png"}
          val: {images: "More/*.jpg"}
    """
    said = read_description(written(tmp_path, text))
    assert (said.name, said.size) == ("neustadt", (144, 192))
    assert said.root == tmp_path / "../elsewhere"
    assert said.classes.name == "neustadt"
    assert [one.takes for one in said.classes.classes] == [("road",), ("car", "truck"), ("Kiosk",)]
    assert said.classes.colours[1] == (0, 0, 0x8E)
    assert dict(said.encoding.ids) == {
        0: (), 3: ("road",), 4: ("road",), 5: ("car", "truck"), 6: ("car", "truck"), 9: ("Kiosk",),
    }  # fmt: skip
    assert said.splits["val"].labels is None
    assert (said.setting("val"), said.setting("train")) == ("neustadt", "train")
    assert find_classes(said.classes.plain()) == said.classes  # as a run records it


def test_the_root_may_lie_anywhere(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert read(tmp_path, more='root: "~/photos"').root == tmp_path / "home/photos"
    assert read(tmp_path, more="root: /data/town").root.as_posix() == "/data/town"


def test_the_name_of_a_file_becomes_one_of_a_folder(tmp_path):
    text = f"classes: {{road: 0}}\n{SPLITS}"
    assert read_description(written(tmp_path, text, "Neue Stadt.yaml")).name == "Neue_Stadt"
    assert read_description(written(tmp_path, text, "-.Köln.yml")).name == "K_ln"


def test_a_file_of_windows_with_a_mark_and_its_own_letters(tmp_path):
    text = "classes: {road: 0}\nsplits: {val: {images: 'Prüfen/*.jpg'}}"
    path = tmp_path / "town.yaml"
    path.write_bytes(text.encode("utf-8-sig").replace(b"\n", b"\r\n"))
    assert read_description(path).splits["val"].images == "Prüfen/*.jpg"


def test_paths_are_written_in_one_way(tmp_path):
    said = read(tmp_path, splits='splits: {train: {images: "./a//*.jpg", labels: "./b/*.png"}}')
    assert said.splits["train"] == Split("a/*.jpg", "b/*.png")


@pytest.mark.parametrize("name", sorted(CLASS_SETS))
@pytest.mark.parametrize("ids", ["", "ids: classIds"])
def test_the_numbers_of_a_named_set(tmp_path, name, ids):
    said = read(tmp_path, classes=f"classes: {name}\n{ids}\nignore: [200]")
    assert said.classes is CLASS_SETS[name]
    held = dict(said.encoding.ids)
    assert held.pop(200) == ()
    assert held == {number: one.takes for number, one in enumerate(said.classes.classes)}


def test_a_named_set_in_the_ids_of_cityscapes(tmp_path):
    for ids in ("labelIds", "labelTrainIds"):
        said = read(tmp_path, classes=f"classes: 11\nids: {ids}")
        assert said.encoding == ids
        assert said.classes is CLASS_SETS["11"]


def test_a_named_set_that_is_painted(tmp_path):
    said = read(tmp_path, classes='classes: 19\nids: colours\nignore: ["#000000"]')
    assert dict(said.encoding.colours) == {**{c.colour: n for n, c in enumerate(CITYSCAPES.classes)}, (0, 0, 0): IGNORE}
    assert dict(said.encoding.ids) == {n: c.takes for n, c in enumerate(CITYSCAPES.classes)}


def test_colours_in_all_their_writings(tmp_path):
    classes = """classes:
      sky: "#8080c0"
      Auto: {colours: [[1, 2, 3], "#0A0b0C"], like: car}
      Haus: ["#010101", "#020202"]
      Zaun: [[3, 3, 3]]
    """
    said = read(tmp_path, classes=classes, more='ignore: ["#000000", [9, 9, 9]]')
    assert dict(said.encoding.colours) == {
        (128, 128, 192): 0, (1, 2, 3): 1, (10, 11, 12): 1, (1, 1, 1): 2, (2, 2, 2): 2, (3, 3, 3): 3, (0, 0, 0): IGNORE,
        (9, 9, 9): IGNORE,
    }  # fmt: skip
    assert dict(said.encoding.ids) == {0: ("sky",), 1: ("car",), 2: ("Haus",), 3: ("Zaun",)}
    assert said.classes.colours == ((128, 128, 192), (1, 2, 3), (1, 1, 1), (3, 3, 3))


@pytest.mark.parametrize("ignored", ["[9, 8, 7]", "[[9, 8, 7]]", '"#090807"', '["#090807"]'])
def test_one_colour_is_ignored_in_all_its_writings(tmp_path, ignored):
    said = read(tmp_path, classes='classes: {road: "#010203"}', more=f"ignore: {ignored}")
    assert dict(said.encoding.colours) == {(1, 2, 3): 0, (9, 8, 7): IGNORE}


def test_a_class_is_that_of_cityscapes_whatever_its_case(tmp_path):
    said = read(tmp_path, classes="classes: {ROAD: 0, Traffic Sign: 1, Car: {ids: 2, like: truck}, Tram: 3}")
    assert [one.takes for one in said.classes.classes] == [("road",), ("traffic sign",), ("truck",), ("Tram",)]
    assert said.classes.names == ("ROAD", "Traffic Sign", "Car", "Tram")


def test_classes_without_a_colour_get_one_of_their_own(tmp_path):
    said = read(tmp_path, classes="classes: {a: 0, b: 1, c: 2, road: 3, d: {ids: 4, paint: [1, 2, 3]}}")
    assert len(set(said.classes.colours)) == 5
    assert said.classes.colours[3:] == (COLOUR["road"], (1, 2, 3))


WRONG_FILES = {
    "": "holds no names and values; see docs/own_data.md",
    "[1, 2]": "holds no names and values; see docs/own_data.md",
    "only a sentence": "holds no names and values; see docs/own_data.md",
    "classes: {road: 0": "cannot be read (",
    "a:\tb: c: {": "cannot be read (",
    "? [a]\n: 1": "cannot be read (",
    "!!python/object/apply:os.getcwd []": "cannot be read (",
    "[" * 3000: "cannot be read (",
    f"classes: {{road: 0}}\n{SPLITS}\nclases: 3": "the file: no 'clases' is known there; expected some of name, root, size, classes",
    f"classes: {{road: 0}}\n{SPLITS}\n3: 3": "the file: no '3' is known there; expected some of",
    SPLITS: "no classes: in it; see docs/own_data.md",
    f"classes: {{}}\n{SPLITS}": "no classes: in it; see docs/own_data.md",
    "classes: {road: 0}": "no splits: in it; see docs/own_data.md",
    "classes: {road: 0}\nsplits:": "no splits: in it; see docs/own_data.md",
    f"classes: {{road: 0, car: 1, road: 2}}\n{SPLITS}": "line 1: road: stands there twice; expected each key once",
    "classes: {road: 0}\nsplits:\n  val: {images: *.jpg}": "cannot be read (",
    "classes: {road: 0}\nsplits:\n  val: {images: *a}": "line 3: *a stands for what is written elsewhere; expected it here, or a path that "
    "begins with a star in quotes",
    "classes: &a [*a]\nsplits: 3": "line 1: *a stands for what is written elsewhere",
}


@pytest.mark.parametrize("text", WRONG_FILES)
def test_what_is_no_such_file(tmp_path, text):
    assert refused(tmp_path, text).startswith(WRONG_FILES[text])


WRONG_KEYS = {
    "name: 2024": "name=2024; expected a name for a folder",
    "name: a/b": "name=a/b; expected a name for a folder",
    "name: Köln": "name=Köln; expected a name for a folder",
    "name: ''": "name=; expected a name for a folder",
    "name:": "name=null; expected a name for a folder",
    "name: [a]": "name=[a]; expected a name for a folder",
    "root: 3": "root=3; expected a path",
    "root:": "root=null; expected a path",
    "root: ''": "root=; expected a path",
    "root: [a]": "root=[a]; expected a path",
    'root: "a\\0b"': "root=a",
    "root: ~nobody-of-this-name/photos": "root=~nobody-of-this-name/photos; expected a path",
    "size: 144": "size=144; expected height and width in pixels",
    "size: [144]": "size=[144]; expected height and width",
    "size: [true, 192]": "size=[true,192]; expected height and width",
    "size: [144, 0]": "size=[144,0]; expected height and width",
    "size: [144.0, 192]": "size=[144.0,192]; expected height and width",
    "size: [144, 9000]": "size=[144,9000]; expected height and width in pixels, 8192 at most",
    "ids: labelIds": "ids: belongs to a named set of classes; each class of your own says its ids itself",
    "ignore: 256": "ignore=256; expected an id of a label map from 0 to 255, or a list of them",
    "ignore: [true]": "ignore=true; expected an id of a label map from 0 to 255",
    "ignore: [[]]": "ignore=[]; expected an id of a label map from 0 to 255",
    "ignore: '#000000'": "ignore=#000000; expected an id of a label map from 0 to 255",
    "ignore: [0.5]": "ignore=0.5; expected an id of a label map from 0 to 255",
    "ignore: [1]": "ignore: 1 is that of classes.car as well; expected each once",
    "ignore: [7, 7]": "ignore: 7 stands there twice; expected each once",
    "ignore: {a: 1}": "ignore={a:1}; expected an id of a label map from 0 to 255",
}


@pytest.mark.parametrize("more", WRONG_KEYS)
def test_a_wrong_key(tmp_path, more):
    told = refused(tmp_path, f"{more}\nclasses: {{road: 0, car: 1}}\n{SPLITS}")
    assert told.startswith(WRONG_KEYS[more])


NO_ID = "expected an id of a label map from 0 to 254, or a list of them"
NO_COLOUR = 'expected a colour as "#804080", in quotes, or [128,64,128]'
WRONG_CLASSES = {
    "3": f"classes=3; expected names with their ids, {{road: 0, car: 1}}, or one of {', '.join(CLASS_SETS)}",
    "true": "classes=true; expected names with their ids",
    "[road, car]": "classes=[road,car]; expected names with their ids",
    "[[19]]": "classes=[[19]]; expected names with their ids",
    "cityscapes": "classes=cityscapes; expected names with their ids",
    "{road: -1}": f"classes.road.ids=-1; {NO_ID}",
    "{road: 255}": f"classes.road.ids=255; {NO_ID}",
    "{road: 1.0}": f"classes.road.ids=1.0; {NO_ID}",
    "{road: false}": f"classes.road.ids=false; {NO_ID}",
    "{road: []}": f"classes.road.ids=[]; {NO_ID}",
    "{road: [1, true]}": f"classes.road.ids=[1,true]; {NO_ID}",
    "{road: [1, [2]]}": f"classes.road.ids=[1,[2]]; {NO_ID}",
    "{road: {ids: '3'}}": f"classes.road.ids=3; {NO_ID}",
    "{road: 2024-01-01}": f"classes.road.ids=2024-01-01; {NO_ID}",
    "{road: }": "classes.road: expected either ids or colours, in quotes, which label maps have for it",
    "{road: {}}": "classes.road: expected either ids or colours",
    "{road: {like: car}}": "classes.road: expected either ids or colours",
    "{road: {ids: 3, colours: '#010203'}}": "classes.road: expected either ids or colours",
    "{road: '#010203', car: 3}": "classes.road has colours and classes.car ids; expected one of both for all",
    "{car: 3, road: '#010203'}": "classes.road has colours and classes.car ids; expected one of both for all",
    "{road: {id: 3}}": "classes.road: no 'id' is known there; expected some of ids, colours, like, paint",
    "{road: 3, car: [4, 3]}": "classes.car: 3 is that of classes.road as well; expected each once",
    "{road: [3, 3]}": "classes.road: 3 stands there twice; expected each once",
    "{road: '#01020a', car: [[1, 2, 10]]}": "classes.car: #01020a is that of classes.road as well; expected each once",
    "{road: blue}": f"classes.road.colours=blue; {NO_COLOUR}",
    "{road: '#12345'}": f"classes.road.colours=#12345; {NO_COLOUR}",
    "{road: '#12345g'}": f"classes.road.colours=#12345g; {NO_COLOUR}",
    "{road: ['#010203', 3]}": f"classes.road.colours=3; {NO_COLOUR}",
    "{road: [[1, 2]]}": f"classes.road.colours=[1,2]; {NO_COLOUR}",
    "{road: [[1, 2, 256]]}": f"classes.road.colours=[1,2,256]; {NO_COLOUR}",
    "{road: [[1, 2, true]]}": f"classes.road.colours=[1,2,true]; {NO_COLOUR}",
    "{road: {colours: []}}": f"classes.road.colours=[]; {NO_COLOUR}",
    "{road: {ids: 0, paint: 3}}": f"classes.road.paint=3; {NO_COLOUR}",
    "{road: {ids: 0, like: street}}": "classes.road.like=street; expected one or more of unlabeled, ",
    "{road: {ids: 0, like: [road, street]}}": "classes.road.like=[road,street]; expected one or more of unlabeled, ",
    "{road: {ids: 0, like: []}}": "classes.road.like=[]; expected one or more of unlabeled, ",
    "{road: {ids: 0, like: }}": "classes.road.like=null; expected one or more of unlabeled, ",
    "{road: {ids: 0, like: [[road]]}}": "classes.road.like=[[road]]; expected one or more of unlabeled, ",
    "{road: {ids: 0, like: 3}}": "classes.road.like=3; expected one or more of unlabeled, ",
    "{Auto: {ids: 0, like: car}, car: 1}": "classes: car taken in twice; expected each name once at most",
    "{Road: 0, ROAD: 1}": "classes: road taken in twice; expected each name once at most",
    "{Straße: 0}": "classes: 'Straße'; expected names of letters, digits, spaces and _.+-",
    f"{{{', '.join(f'c{n}: 0' for n in range(256))}}}": "classes: 256 classes; expected 1 to 255",
}


@pytest.mark.parametrize("classes", WRONG_CLASSES)
def test_a_wrong_class(tmp_path, classes):
    assert refused(tmp_path, f"classes: {classes}\n{SPLITS}").startswith(WRONG_CLASSES[classes])


def test_a_number_and_its_text_are_one_class(tmp_path):
    assert "1: stands there twice; expected each key once" in refused(tmp_path, f"classes: {{1: 0, '1': 1}}\n{SPLITS}")


WRONG_IDS = {
    "ids: trainIds": "ids=trainIds; expected classIds, labelIds, labelTrainIds, colours",
    "ids: [labelIds]": "ids=[labelIds]; expected classIds, labelIds, labelTrainIds, colours",
    "ids: {a: 1}": "ids={a:1}; expected classIds, labelIds, labelTrainIds, colours",
    "ids: labelIds\nignore: [3]": "ignore: has no place beside ids: labelIds, which says itself what is no class",
    "ids: labelTrainIds\nignore: 3": "ignore: has no place beside ids: labelTrainIds",
    "ids: colours\nignore: 3": f"ignore=[3]; {NO_COLOUR}",
    "ids: colours\nignore: [0, 0]": f"ignore=[0,0]; {NO_COLOUR}",
    "ids: colours\nignore: ['#000000', [0, 0]]": f"ignore=[0,0]; {NO_COLOUR}",
    "ids: colours\nignore: ['#804080']": "ignore: #804080 is that of classes.road as well; expected each once",
    "ignore: 3": "ignore: 3 is that of classes.wall as well; expected each once",
}


@pytest.mark.parametrize("more", WRONG_IDS)
def test_wrong_ids_of_a_named_set(tmp_path, more):
    assert refused(tmp_path, f"classes: 19\n{more}\n{SPLITS}").startswith(WRONG_IDS[more])


LABEL_STARS = "expected one * at least, which stands for what it stands for in images, and no more of them than the"
WRONG_SPLITS = {
    "3": "splits=3; expected names of splits, each with images: and labels:",
    "[train]": "splits=[train]; expected names of splits, each with images: and labels:",
    "{3: {images: 'a/*.jpg'}}": "splits=3; expected a name for a folder",
    "{a/b: {images: 'a/*.jpg'}}": "splits=a/b; expected a name for a folder",
    "{Prüfen: {images: 'a/*.jpg'}}": "splits=Prüfen; expected a name for a folder",
    "{val: }": "splits.val=null; expected {images: ",
    "{val: 'a/*.jpg'}": "splits.val=a/*.jpg; expected {images: ",
    "{val: {labels: 'a/*.png'}}": "splits.val={labels:a/*.png}; expected {images: ",
    "{val: {images: , labels: 'a/*.png'}}": "splits.val={images:null,labels:a/*.png}; expected {images: ",
    "{val: {images: 'a/*.jpg', masks: 3}}": "splits.val: no 'masks' is known there; expected some of images, labels",
    "{val: {images: ['a/*.jpg']}}": "splits.val.images=[a/*.jpg]; expected a path with stars, from the root",
    "{val: {images: ''}}": "splits.val.images=; expected a path with stars, from the root",
    "{val: {images: true}}": "splits.val.images=true; expected a path with stars, from the root",
    '{val: {images: "a\\0/*.jpg"}}': "splits.val.images=a",
    "{val: {images: '/a/*.jpg'}}": "splits.val.images=/a/*.jpg; expected a path from the root, without ..",
    "{val: {images: 'a/../*.jpg'}}": "splits.val.images=a/../*.jpg; expected a path from the root, without ..",
    "{val: {images: 'a/*.*'}}": "splits.val.images=a/*.*; expected an ending without a star, e.g. .jpg",
    "{val: {images: 'a/b.jpg'}}": "splits.val.images=a/b.jpg; expected a * for what tells one image from another",
    "{val: {images: 'a/*.jpg', labels: 3}}": "splits.val.labels=3; expected a path with stars, from the root",
    "{val: {images: 'a/*.jpg', labels: 'b/c.png'}}": f"splits.val.labels=b/c.png; {LABEL_STARS} 1 there",
    "{val: {images: 'a/*.jpg', labels: 'b/*/*.png'}}": f"splits.val.labels=b/*/*.png; {LABEL_STARS} 1 there",
    "{val: {images: 'a/**/*.jpg', labels: '*/*/*.png'}}": f"splits.val.labels=*/*/*.png; {LABEL_STARS} 2 there",
    "{val: {images: 'a/*.jpg'}, town: {images: 'b/*.jpg'}}": "splits.town: is called as the data are, which is what val is called",
}


@pytest.mark.parametrize("splits", WRONG_SPLITS)
def test_a_wrong_split(tmp_path, splits):
    told = refused(tmp_path, f"classes: {{road: 0}}\nsplits: {splits}")
    assert told.startswith(WRONG_SPLITS[splits])


def test_data_may_be_called_as_a_split_where_none_is_mistaken_for_another(tmp_path):
    assert read(tmp_path, more="name: train").setting("train") == "train"
    assert read(tmp_path, splits='splits: {val: {images: "a/*.jpg"}}', more="name: val").setting("val") == "val"


@pytest.mark.parametrize("file", [None, ""])
def test_without_a_file(file):
    with pytest.raises(ConfigError, match=r"which data\? give data.file=FILE.yaml"):
        read_description(file)


def test_what_cannot_be_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, why in (
        ("none.yaml", "No such file or directory"),
        (".", "Is a directory"),
        ("pipe", "no regular file"),
    ):
        path = tmp_path / name
        with pytest.raises(
            ConfigError, match=rf"^{re.escape(str(path))}: cannot be read \({why}\); expected a YAML file"
        ):
            read_description(path)


def test_a_photograph_and_other_letters_are_no_yaml(tmp_path):
    path = tmp_path / "town.yaml"
    for content in (b"\xff\xd8\xff\xe0", b"\x00" * 9, "Stra\xdfe: 1".encode("latin-1")):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=r"town.yaml: cannot be read \(.*\); expected YAML in UTF-8; see docs"):
            read_description(path)


def test_a_huge_file_is_not_parsed(tmp_path):
    told = refused(tmp_path, f"classes: {{road: 0}}\n{SPLITS}\n#{'x' * 2**20}")
    assert re.fullmatch(r"\d+ bytes; expected at most 1048576", told)


def test_copies_of_copies_are_not_unfolded(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert refused(tmp_path, "\n".join(lines)).startswith("line 2: *a0 stands for what is written elsewhere")


def test_values_stay_as_they_are_written(tmp_path):
    """No variables of the environment, no references."""
    said = read(tmp_path, splits='splits: {train: {images: "${oc.env:HOME}/*.jpg"}}')
    assert said.splits["train"].images == "${oc.env:HOME}/*.jpg"
