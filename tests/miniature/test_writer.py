import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zsda.core.errors import ConfigError, StoreError
from zsda.data.labels import CITYSCAPES, CLASSES, LABEL_ID, to_label_ids
from zsda.miniature import writer
from zsda.miniature.looks.weather import LOOKS
from zsda.miniature.street.style import CITY
from zsda.miniature.writer import write_miniature

SMALL = {"train": 3, "val": 2, "test": 2, "size": (64, 128)}
LOOKS_TO_TRAIN_ON = ("night", "snow", "rain", "fog", "game")


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("miniature")
    write_miniature(root, **SMALL, trained_on=LOOKS_TO_TRAIN_ON)
    return root


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def count(root: Path, pattern: str) -> int:
    return len(list(root.glob(pattern)))


def test_cityscapes_is_laid_out_as_the_real_one(world):
    for split, number in (("train", 3), ("val", 2)):
        images = sorted((world / "cityscapes/leftImg8bit" / split).glob("*/*_leftImg8bit.png"))
        assert len(images) == number
        for image in images:
            city, sequence, frame = image.name.removesuffix("_leftImg8bit.png").split("_")
            assert image.parent.name == city and len(sequence) == len(frame) == 6
            for encoding in ("labelIds", "labelTrainIds"):
                name = f"{city}_{sequence}_{frame}_gtFine_{encoding}.png"
                assert (world / "cityscapes/gtFine" / split / city / name).is_file()


def test_acdc_is_laid_out_as_the_real_one(world):
    for condition in ("night", "snow", "rain", "fog"):
        for split, number in (("train", 3), ("val", 2)):
            images = sorted((world / "ACDC/rgb_anon" / condition / split).glob("*/*_rgb_anon.png"))
            assert len(images) == number
            for image in images:
                folder = world / "ACDC/gt" / condition / split / image.parent.name
                stem = image.name.removesuffix("_rgb_anon.png")
                assert all((folder / f"{stem}_gt_{e}.png").is_file() for e in ("labelIds", "labelTrainIds"))


def test_gta5_labels_are_palette_images_of_label_ids(world):
    names = (world / "GTA5/val_subset.txt").read_text().split()
    assert names == ["00001.png", "00002.png"]
    assert (world / "GTA5/train_subset.txt").read_text().split() == ["00003.png", "00004.png", "00005.png"]
    for name in names:
        assert (world / "GTA5/images" / name).is_file()
        with Image.open(world / "GTA5/labels" / name) as label:
            assert label.mode == "P"
            ids, palette = np.array(label), np.array(label.getpalette()).reshape(-1, 3)
        train_ids = CITYSCAPES.to_ids(ids, "labelIds")
        assert len(np.unique(train_ids)) >= 6
        assert np.array_equal(to_label_ids(train_ids), ids)
        for row in CLASSES:
            if row.label_id in ids:
                assert tuple(palette[row.label_id]) == row.colour


def test_both_encodings_agree_and_fit_the_image(world):
    for path in world.rglob("*_labelIds.png"):
        ids = np.array(Image.open(path))
        train_ids = np.array(Image.open(str(path).replace("labelIds", "labelTrainIds")))
        assert ids.shape == (64, 128) and np.array_equal(CITYSCAPES.to_ids(ids, "labelIds"), train_ids)
    image = Image.open(next(world.rglob("*_rgb_anon.png")))
    assert image.mode == "RGB" and image.size == (128, 64)


def test_no_scene_occurs_twice(world):
    labels = [*world.rglob("*_labelTrainIds.png"), *(world / "GTA5/labels").glob("*.png")]
    masks = {
        to_label_ids(np.array(Image.open(p))).tobytes() if "TrainIds" in p.name else np.array(Image.open(p)).tobytes()
        for p in labels
    }
    assert len(labels) == 3 + 2 + 4 * (3 + 2) + 3 + 2
    assert len(masks) == len(labels)


def test_road_is_where_the_labels_say(world):
    for path in world.rglob("*_gtFine_labelIds.png"):
        assert (np.array(Image.open(path))[-16:] == LABEL_ID["road"]).mean() > 0.2


def test_a_second_run_writes_nothing(world, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in world.rglob("*")}
    monkeypatch.setattr(writer, "render_scene", lambda *_: pytest.fail("rendered again"))
    write_miniature(world, **SMALL)
    assert {path: path.stat().st_mtime_ns for path in world.rglob("*")} == before


def test_several_processes_write_the_same_bytes(world, tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "_WORTH_A_PROCESS", 1)
    monkeypatch.setattr(writer, "cores", lambda: 2)
    monkeypatch.setattr(writer, "render_scene", lambda *_: pytest.fail("rendered in this process"))
    write_miniature(tmp_path, **SMALL, trained_on=LOOKS_TO_TRAIN_ON)
    assert contents(tmp_path) == contents(world)


def test_what_another_process_cannot_write_is_said(world, tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "_WORTH_A_PROCESS", 1)
    monkeypatch.setattr(writer, "cores", lambda: 2)
    state = json.loads((world / "miniature.json").read_text())
    (tmp_path / "miniature.json").write_text(json.dumps({**state, "finished": False}))
    (tmp_path / "GTA5").mkdir()
    (tmp_path / "GTA5/images").write_text("in the way")
    with pytest.raises(StoreError, match="GTA5/images"):
        write_miniature(tmp_path, **SMALL)


def test_an_interrupted_writing_continues_to_the_same_bytes(world, tmp_path, monkeypatch):
    rendered, render = [], writer.render_scene

    def stop_after_five(seed, size, style):
        rendered.append(seed)
        if len(rendered) == 6:
            raise KeyboardInterrupt
        return render(seed, size, style)

    monkeypatch.setattr(writer, "render_scene", stop_after_five)
    with pytest.raises(KeyboardInterrupt):
        write_miniature(tmp_path, **SMALL)
    assert not json.loads((tmp_path / "miniature.json").read_text())["finished"]
    written = {
        path: content for path, content in contents(tmp_path).items() if not str(path).endswith("miniature.json")
    }
    label = next(path for path in tmp_path.rglob("*_labelIds.png"))
    label.unlink()
    monkeypatch.undo()
    counted = []
    monkeypatch.setattr(writer, "render_scene", lambda seed, *how: (counted.append(seed), render(seed, *how))[1])
    write_miniature(tmp_path, **SMALL)
    assert len(counted) == 15 - 5 + 1  # what was left, and the frame whose label was lost
    write_miniature(tmp_path, **SMALL, trained_on=LOOKS_TO_TRAIN_ON)
    assert contents(tmp_path) == contents(world)
    assert written.items() <= contents(tmp_path).items()


def training_frames(root: Path) -> set[str]:
    names = {str(p.relative_to(root)) for p in root.glob("ACDC/rgb_anon/*/train/*/*.png")}
    listed = root / "GTA5/train_subset.txt"
    return names | ({f"GTA5/images/{name}" for name in listed.read_text().split()} if listed.exists() else set())


def test_training_frames_are_written_once_they_are_asked_for(world, tmp_path, monkeypatch):
    write_miniature(tmp_path, **SMALL)
    assert not training_frames(tmp_path)
    before, rendered, render = contents(tmp_path), [], writer.render_scene
    monkeypatch.setattr(writer, "render_scene", lambda seed, *how: (rendered.append(seed), render(seed, *how))[1])
    write_miniature(tmp_path, **SMALL, trained_on=["game", None, "day", "robotcar"])
    write_miniature(tmp_path, **SMALL, trained_on=["fog", "game"])
    write_miniature(tmp_path, **SMALL)
    found = training_frames(tmp_path)
    assert len(found) == len(rendered) == 6
    assert found == {name for name in training_frames(world) if "fog" in name or "GTA5" in name}
    after = contents(tmp_path)
    assert all(after[name] == content for name, content in before.items() if name != "miniature.json")
    assert {name: content for name, content in contents(world).items() if name in found} == {n: after[n] for n in found}
    assert json.loads(after["miniature.json"])["training_looks"] == ["fog", "game"]


def test_interrupted_training_frames_are_completed(world, tmp_path, monkeypatch):
    write_miniature(tmp_path, **SMALL)
    rendered, render = [], writer.render_scene

    def stop_after_two(seed, size, style):
        rendered.append(seed)
        if len(rendered) == 3:
            raise KeyboardInterrupt
        return render(seed, size, style)

    monkeypatch.setattr(writer, "render_scene", stop_after_two)
    with pytest.raises(KeyboardInterrupt):
        write_miniature(tmp_path, **SMALL, trained_on=["night"])
    assert json.loads((tmp_path / "miniature.json").read_text())["training_looks"] == []
    write_miniature(tmp_path, **SMALL, trained_on=["night"])
    assert len(rendered) == 4
    assert training_frames(tmp_path) == {name for name in training_frames(world) if "night" in name}


def test_no_frame_of_the_game_is_both_trained_on_and_scored(world):
    train, val = (set((world / f"GTA5/{split}_subset.txt").read_text().split()) for split in ("train", "val"))
    assert len(train) == 3 and not train & val
    assert train | val == {path.name for path in (world / "GTA5/images").iterdir()}


def test_a_world_of_an_earlier_version_goes_on(world, tmp_path, monkeypatch):
    write_miniature(tmp_path, **SMALL)
    marker = tmp_path / "miniature.json"
    state = json.loads(marker.read_text())
    del state["training_looks"]
    marker.write_text(json.dumps({**state, "target_train": 0}))
    monkeypatch.setattr(writer, "render_scene", lambda *_: pytest.fail("rendered again"))
    write_miniature(tmp_path, **SMALL)
    marker.write_text(json.dumps({**state, "target_train": 4}))
    with pytest.raises(StoreError, match='target_train was 4 and is now "nothing"'):
        write_miniature(tmp_path, **SMALL)


def test_another_seed_gives_another_world(world, tmp_path):
    write_miniature(tmp_path, **SMALL, seed=1)
    mine, other = contents(tmp_path), contents(world)
    assert mine.keys() < other.keys()
    assert not [name for name in mine if name.endswith(".png") and mine[name] == other[name]]


def test_other_settings_are_refused_and_nothing_is_touched(world):
    before = contents(world)
    with pytest.raises(StoreError) as caught:
        write_miniature(world, **{**SMALL, "train": 5}, seed=7)
    message = str(caught.value)
    assert "\n" not in message and str(world) in message
    assert "another miniature world (seed was 0 and is now 7; train was 3 and is now 5); delete that folder" in message
    assert "delete that folder or point data_root to another one" in message
    assert contents(world) == before


def test_a_renderer_of_another_version_is_refused(tmp_path):
    write_miniature(tmp_path, train=1, val=0, test=0, size=(64, 128))
    marker = tmp_path / "miniature.json"
    settings = json.loads(marker.read_text())
    marker.write_text(json.dumps({**settings, "renderer": settings["renderer"] + 1}))
    with pytest.raises(StoreError, match=f"renderer was {settings['renderer'] + 1} and is now {settings['renderer']}"):
        write_miniature(tmp_path, train=1, val=0, test=0, size=(64, 128))


def test_other_data_are_never_mixed_with_it(tmp_path):
    (tmp_path / "cityscapes").mkdir()
    with pytest.raises(StoreError, match=r"holds cityscapes but no miniature.json; a miniature world is not mixed"):
        write_miniature(tmp_path, train=1, val=0, test=0)
    assert [path.name for path in tmp_path.iterdir()] == ["cityscapes"]


def test_a_damaged_marker_is_refused(tmp_path):
    (tmp_path / "miniature.json").write_text("{half a")
    with pytest.raises(StoreError, match=r"renderer was \"nothing\" and is now"):
        write_miniature(tmp_path, train=1, val=0, test=0)


def test_a_root_that_is_a_file_is_one_clear_error(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(StoreError, match=r"cannot write .*file"):
        write_miniature(blocked / "world", train=1, val=0, test=0, size=(64, 128))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_root_is_one_clear_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="cannot write"):
        write_miniature(tmp_path / "world", train=1, val=0, test=0, size=(64, 128))
    tmp_path.chmod(0o700)


def test_the_oracle_shows_the_day_scenes_as_they_look_otherwise(world):
    sets = sorted(path.name for path in world.glob("*_oracle"))
    assert sets == ["fog_oracle", "game_oracle", "night_oracle", "rain_oracle", "snow_oracle"]
    names = {str(path.relative_to(world / "cityscapes")) for path in world.glob("cityscapes/leftImg8bit/*/*/*.png")}
    for folder in sets:
        assert {str(path.relative_to(world / folder)) for path in (world / folder).rglob("*.png")} == names
    shown = {
        where: [np.asarray(Image.open(world / where / name), float) for name in sorted(names)]
        for where in ("cityscapes", "night_oracle", "fog_oracle", "game_oracle")
    }
    assert np.mean(shown["night_oracle"]) < 0.8 * np.mean(shown["cityscapes"])
    for day, fog, game in zip(shown["cityscapes"], shown["fog_oracle"], shown["game_oracle"], strict=True):
        assert fog.std() < day.std()
        assert np.corrcoef(day.ravel(), game.ravel())[0, 1] > 0.5


def test_another_style_is_another_world(world):
    with pytest.raises(StoreError, match=r'place was "city" and is now "elsewhere"'):
        write_miniature(world, **SMALL, style=dataclasses.replace(CITY, name="elsewhere"))


def test_a_missing_look_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="look 'night' is not known; expected one of day"):
        write_miniature(tmp_path, **SMALL, looks={"day": LOOKS["day"]})
    assert not list(tmp_path.glob("night_oracle/**/*.png"))
