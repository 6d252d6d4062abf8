"""What an evaluation tells of single scenes, by networks that answer with one class."""

import csv
import io
import json
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from tests.evaluation.test_scorer import TRAINER, OneClass
from zsda.core.errors import StoreError
from zsda.core.trained import TrainedNetwork
from zsda.data.datasets.acdc import ACDC
from zsda.evaluation.protocols import PROTOCOLS
from zsda.evaluation.scenes import LABELS, PREDICTION, SceneScores, has_scenes, read_picture, read_scenes, scene_files
from zsda.evaluation.scorer import Scorer
from zsda.models.weights import save_weights

ROAD = 0


@pytest.fixture(scope="module")
def scored(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scored")
    model = OneClass()
    model.bias.data[ROAD] = 1
    save_weights(model, folder / "weights.safetensors")
    network = TrainedNetwork("road", folder / "weights.safetensors", [32, 64], folder / "eval", OneClass)
    datasets = {condition: ACDC(world / "ACDC", condition) for condition in ("fog", "rain")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zsda.evaluation.scorer.write_confusions", lambda _folder, _results: None)
        result = Scorer(datasets, PROTOCOLS["sdgpa"], TRAINER, batch_size=2, num_workers=0).score(network)
    return datasets["fog"], result


def test_each_scene_has_its_own_scores(scored):
    fog, result = scored
    scenes = read_scenes(result.folder, "fog")
    assert [scene.scene for scene in scenes] == [sample.key for sample in fog.samples]
    assert [scene.number for scene in scenes] == [0, 1, 2]
    for place, scene in enumerate(scenes):
        assert fog.root / scene.image == fog.samples[place].image
        mask = fog.mask(place, (32, 64))
        labelled = mask[mask != 255]
        assert scene.accuracy == pytest.approx((labelled == ROAD).mean(), abs=1e-6)
        # Of all classes that are labelled only road is ever predicted.
        assert scene.miou_present == pytest.approx((labelled == ROAD).mean() / len(np.unique(labelled)), abs=1e-6)
    means = [scene.accuracy for scene in scenes]
    assert min(means) < result.settings["fog"]["accuracy"] < max(means)


def test_the_pictures_are_ids_in_the_colours_of_the_classes(scored):
    fog, result = scored
    for place, scene in enumerate(read_scenes(result.folder, "fog")):
        labels = read_picture(result.folder, "fog", scene.number, LABELS)
        assert np.array_equal(np.asarray(labels), fog.mask(place, (32, 64)))
        assert (np.asarray(read_picture(result.folder, "fog", scene.number, PREDICTION)) == ROAD).all()
        assert np.array_equal(np.asarray(labels.convert("RGB")), fog.classes.colourise(np.asarray(labels)))


def test_large_maps_are_thinned_out_to_points(tmp_path):
    import torch

    from zsda.data.labels import CITYSCAPES
    from zsda.evaluation.metrics import confusion_matrix
    from zsda.evaluation.scene_log import SceneLog

    ids = torch.arange(1100 * 1500).reshape(1100, 1500) % 19
    log = SceneLog(CITYSCAPES, ["day"])
    log.add(0, "a", confusion_matrix(ids, ids, 19), ids, ids.to(torch.uint8))
    log.gather()
    written = log.files({"day": {"a": "a.png"}})
    for name, content in written.items():
        (tmp_path / name).write_bytes(content)
    picture = np.asarray(read_picture(tmp_path, "day", 0, LABELS))
    assert picture.shape == (367, 500)
    assert np.array_equal(picture, ids[1::3, 1::3].numpy())
    assert [scene.miou_present for scene in read_scenes(tmp_path, "day")] == [1]


def test_equal_evaluations_make_equal_files(scored):
    _, result = scored
    scenes = {"fog": read_scenes(result.folder, "fog"), "rain": read_scenes(result.folder, "rain")}
    with zipfile.ZipFile(result.folder / "scenes.zip") as archive:
        pictures = {name: archive.read(name) for name in archive.namelist()}
    assert len(pictures) == 2 * (3 + 3)
    assert scene_files(scenes, pictures) == {
        name: (result.folder / name).read_bytes() for name in ("scenes.csv", "scenes.zip")
    }


def test_scenes_belong_to_the_scores_that_name_them(scored, tmp_path):
    _, result = scored
    folder = shutil.copytree(result.folder, tmp_path / "copy")
    digests = json.loads((folder / "scores.json").read_text())["scenes"]
    assert has_scenes(folder, digests)
    assert not has_scenes(folder, {}), "scored by an earlier version"
    with (folder / "scenes.csv").open("a") as file:
        file.write("fog,9,z,z.png,0.5,0.5\n")
    assert not has_scenes(folder, digests)
    (folder / "scenes.csv").unlink()
    assert not has_scenes(folder, digests)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("scenes.csv", b"\xff\xfe"),
        ("scenes.csv", b"setting,number\nfog,0\n"),
        ("scenes.csv", b"setting,number,scene,image,miou_present,accuracy\nfog,0,a,../../secret.png,0.5,0.5\n"),
        ("scenes.csv", b"setting,number,scene,image,miou_present,accuracy\nfog,0,a,/etc/a.png,0.5,0.5\n"),
        ("scenes.csv", b"setting,number,scene,image,miou_present,accuracy\nfog,0,a,a.png,7,0.5\n"),
        ("scenes.csv", b"setting,number,scene,image,miou_present,accuracy\nfog,zero,a,a.png,0.7,0.5\n"),
        ("scenes.zip", b"no archive"),
        ("scenes.zip", b""),
    ],
)
def test_foreign_files_are_refused_in_one_line(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StoreError, match=f"{name} cannot be read .*; evaluate this run again"):
        read_scenes(tmp_path, "fog") if name.endswith("csv") else read_picture(tmp_path, "fog", 0, LABELS)


def png(mode, size):
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "packing"),
    [
        (png("RGB", (8, 8)), zipfile.ZIP_STORED),
        (png("P", (20_000, 20_000)), zipfile.ZIP_STORED),  # Pillow would make room for it
        (png("P", (8, 8)), zipfile.ZIP_DEFLATED),
        (png("P", (8, 8)), zipfile.ZIP_LZMA),
        (png("P", (8, 8))[:60], zipfile.ZIP_STORED),
        (b"", zipfile.ZIP_STORED),
        (bytes(2**20 + 1), zipfile.ZIP_STORED),
    ],
)
def test_pictures_of_another_kind_are_refused(tmp_path, content, packing):
    with zipfile.ZipFile(tmp_path / "scenes.zip", "w", packing) as archive:
        archive.writestr("fog/00000_labels.png", content)
    with pytest.raises(StoreError, match="cannot be read"):
        read_picture(tmp_path, "fog", 0, LABELS)


def test_an_archive_with_any_byte_changed_is_read_or_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "scenes.zip", "w") as archive:
        archive.writestr("fog/00000_labels.png", png("P", (8, 8)))
    whole = (tmp_path / "scenes.zip").read_bytes()
    refused = 0
    for place in range(len(whole)):
        (tmp_path / "scenes.zip").write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            read_picture(tmp_path, "fog", 0, LABELS)
        except StoreError:
            refused += 1
    assert refused > len(whole) / 2


def test_names_that_are_no_text_do_not_end_an_evaluation(tmp_path):
    files = scene_files({"fog": [SceneScores(0, "a\udcff\n", "a\udcff\n.png", None, None)]}, {})
    (tmp_path / "scenes.csv").write_bytes(files["scenes.csv"])
    (row,) = csv.DictReader((tmp_path / "scenes.csv").open())
    assert (row["miou_present"], "\n" in row["scene"]) == ("", False)
    (scene,) = read_scenes(tmp_path, "fog")
    assert scene.miou_present is None
