import json
import shutil
import zipfile
from copy import copy

import cv2
import numpy as np
import pytest
from cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling import args, evaluateImgLists, getPrediction
from PIL import Image

from tests.conftest import SMALL_MODEL, one_line
from zsda.data.labels import CITYSCAPES, to_label_ids

RUN = "night_sdgpa_seed0"
CPU = ["trainer=cpu", "machine.num_workers=0"]
ALL = ["overlay", "colours", "train_ids", "label_ids", "confidence"]


@pytest.fixture(scope="module")
def street(world):
    """A rendered photograph, RGB, 64x128."""
    return Image.open(sorted(world.glob("cityscapes/leftImg8bit/val/*/*.png"))[0]).convert("RGB")


@pytest.fixture(scope="module")
def photos(street, tmp_path_factory):
    """A folder of photographs of all kinds, upright 97x131 but the first."""
    root = tmp_path_factory.mktemp("photos")
    (root / "deep/er").mkdir(parents=True)
    street.save(root / "street.png")
    odd = street.resize((131, 97), Image.Resampling.LANCZOS)
    odd.save(root / "deep/odd.JPG", "JPEG", quality=95)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right to see it upright
    odd.transpose(Image.Transpose.ROTATE_90).save(root / "deep/turned.Jpeg", "JPEG", quality=95, exif=exif)
    odd.convert("L").save(root / "deep/er/grey.png")
    odd.convert("RGBA").save(root / "deep/er/clear.PNG")
    return root


def opened(path):
    with Image.open(path) as image:
        image.load()
        return image


@pytest.fixture(scope="module")
def predicted(trained, photos, tmp_path_factory):
    """What ``predict`` wrote of them."""
    from tests.conftest import run

    out = tmp_path_factory.mktemp("predicted") / "out"
    result = run("predict", f"input={photos}", f"write=[{','.join(ALL)}]", f"out={out}", *CPU, cwd=trained)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"predicted 5 of 5 photographs by {RUN}" in result.stdout
    return out


def test_every_output_has_the_size_of_the_photograph_and_its_place(predicted):
    keys = ["deep/er/clear", "deep/er/grey", "deep/odd", "deep/turned", "street"]
    for kind in ALL:
        found = {path.relative_to(predicted / kind).as_posix() for path in (predicted / kind).rglob("*.png")}
        assert found == {f"{key}.png" for key in keys}
        for key in keys:
            expected = (128, 64) if key == "street" else (131, 97)
            assert opened(predicted / kind / f"{key}.png").size == expected


def test_the_outputs_tell_the_same(predicted, street):
    ids, labels, colours, overlay, confidence = (
        np.array(opened(predicted / kind / "street.png"))
        for kind in ("train_ids", "label_ids", "colours", "overlay", "confidence")
    )
    assert len(np.unique(ids)) > 1
    assert np.isin(ids, [*range(19), 255]).all()
    assert (labels == to_label_ids(ids)).all()
    assert (colours == ids).all()
    painted = np.asarray(opened(predicted / "colours/street.png").convert("RGB"))
    assert (painted == CITYSCAPES.colourise(ids)).all()
    assert np.abs(overlay.astype(int) - (np.asarray(street).astype(int) + painted) // 2).max() == 0
    assert confidence.dtype == np.uint16
    assert 65535 / 20 < confidence.min() < confidence.max() <= 65535


def test_a_photograph_is_seen_as_its_viewer_does(predicted):
    """Turned by its EXIF, with an alpha channel, or grey."""
    odd, turned, clear = (
        np.array(opened(predicted / "train_ids" / f"{key}.png")) for key in ("deep/odd", "deep/turned", "deep/er/clear")
    )
    assert (odd == turned).mean() > 0.9  # the JPEG has other blocks
    assert (odd == clear).mean() > 0.9
    assert len(np.unique(opened(predicted / "train_ids/deep/er/grey.png"))) > 1


def test_what_is_finished_is_not_made_again(zsda, trained, photos, predicted, tmp_path):
    out, own = tmp_path / "out", tmp_path / "photos"
    shutil.copytree(photos, own)
    shutil.copytree(predicted, out)
    (out / "predicted.jsonl").write_text((out / "predicted.jsonl").read_text().replace(str(photos), str(own)) + '["cut')
    words = ["predict", f"input={own}", "write=[train_ids,colours]", f"out={out}", *CPU]
    before = (out / "train_ids/deep/odd.png").stat().st_mtime_ns
    (out / "train_ids/street.png").unlink()
    Image.open(own / "deep/er/grey.png").rotate(180).save(own / "deep/er/grey.png")
    result = zsda(*words, cwd=trained)
    assert result.returncode == 0, result.stderr
    assert "5 of 5 photographs, 3 of them before" in result.stdout
    assert (out / "train_ids/deep/odd.png").stat().st_mtime_ns == before
    assert (out / "train_ids/street.png").read_bytes() == (predicted / "train_ids/street.png").read_bytes()
    grey = "train_ids/deep/er/grey.png"
    assert (out / grey).read_bytes() != (predicted / grey).read_bytes()
    assert not (out / "overlay/deep/er/grey.png").exists()  # of what it was, and not asked for now
    assert (out / "overlay/deep/er/clear.png").exists()

    other = zsda(*words, "size=[32,64]", cwd=trained)
    assert other.returncode == 2
    assert f"{out} holds predictions with other size; give out=FOLDER" in one_line(other)
    elsewhere = zsda("predict", f"input={photos}", *words[2:], cwd=trained)
    assert elsewhere.returncode == 2
    assert f"grey.png is the prediction of {own / 'deep/er/grey.png'}" in one_line(elsewhere)

    again = zsda(*words, "size=[32,64]", "again=true", cwd=trained)
    assert again.returncode == 0, again.stderr
    assert "predicted 5 of 5 photographs by" in again.stdout
    assert (out / "train_ids/deep/odd.png").stat().st_mtime_ns > before
    assert json.loads((out / "predictions.json").read_text())["settings"]["size"] == [32, 64]


def test_a_broken_photograph_is_named_and_the_others_are_predicted(zsda, trained, photos, tmp_path):
    shutil.copytree(photos, tmp_path / "photos")
    (tmp_path / "photos/broken.png").write_bytes((photos / "street.png").read_bytes()[:500])
    result = zsda("predict", f"input={tmp_path / 'photos'}", f"out={tmp_path / 'out'}", *CPU, cwd=trained)
    assert result.returncode == 1
    told = one_line(result)
    assert "but 1 image was left out" in told
    assert "broken.png: cannot be decoded" in told
    assert len(list((tmp_path / "out/overlay").rglob("*.png"))) == 5
    assert not list((tmp_path / "out").rglob("*broken*"))


def test_predictions_are_no_photographs(zsda, trained, street, tmp_path):
    """Those of a folder in it, and all that lies beside the runs."""
    (tmp_path / "work/runs").symlink_to(trained / "runs")
    for name in ("a", "b"):
        street.save(tmp_path / f"work/{name}.png")
    for _ in range(2):
        result = zsda("predict", "input=.", "out=old/new", *CPU)
        assert result.returncode == 0, result.stderr
        assert "predicted 2 of 2 photographs" in result.stdout
    shutil.copytree(trained / "runs" / RUN, tmp_path / f"work/mine/{RUN}")
    for place in ("mine/scores.png", "other/found.png"):  # of another command, and what a former one left
        (tmp_path / "work" / place).parent.mkdir(exist_ok=True)
        street.save(tmp_path / "work" / place)
    for out in ("other", "mine"):
        result = zsda("predict", "input=.", "runs_root=mine", f"out={out}", *CPU)
        assert result.returncode == 0, result.stderr
        assert "predicted 2 of 2 photographs" in result.stdout


def test_no_file_of_others_is_written_over(zsda, trained, street, tmp_path):
    place = tmp_path / "photos/overlay"
    place.mkdir(parents=True)
    street.save(place / "a.png")
    before = (place / "a.png").read_bytes()
    for words, message in (
        (
            [f"input={place}", f"out={tmp_path / 'photos'}"],
            "photos/overlay/a.png is to be predicted, and would be written",
        ),
        ([f"input={place / 'a.png'}", f"out={tmp_path / 'photos'}"], "photos/overlay/a.png is to be predicted"),
        ([f"input={place}", f"out={place}"], "overlay is what is predicted; expected a folder of its own"),
    ):
        result = zsda("predict", *words, "again=true", *CPU, cwd=trained)
        assert result.returncode == 2, result.stdout
        assert message in one_line(result)
    street.save(tmp_path / "a.png")
    result = zsda("predict", f"input={tmp_path / 'a.png'}", f"out={tmp_path / 'photos'}", *CPU, cwd=trained)
    assert result.returncode == 2
    assert "photos/overlay/a.png would be written over, and is no prediction that predicted.jsonl tells of" in one_line(
        result
    )
    assert [path.name for path in (tmp_path / "photos").rglob("*")] == ["overlay", "a.png"]
    assert (place / "a.png").read_bytes() == before


def test_one_photograph_goes_beside_the_run(zsda, trained, photos):
    result = zsda("predict", f"input={photos / 'deep/odd.JPG'}", f"run={RUN}", *CPU, cwd=trained)
    assert result.returncode == 0, result.stderr
    folder = trained / "runs" / RUN / "predict/odd"
    assert [path.name for path in folder.rglob("*.png")] == ["odd.png"]
    assert opened(folder / "overlay/odd.png").size == (131, 97)


@pytest.mark.parametrize(
    ("name", "content", "words", "message"),
    [
        (None, None, [], "no file or folder"),
        ("empty/", None, [], "no images under"),
        ("notes.txt", b"", [], "expected a photograph (.png, .jpg, .jpeg), a folder of them, or a video"),
        ("film.mp4", b"no film" * 999, [], "film.mp4: cannot be read as a video"),
        ("film.mp4", b"", ["format=acdc"], "format=acdc is for photographs"),
        ("a.png", b"no photograph", [], "no photograph could be read"),
        ("a.png", b"", ["write=[ids]"], "write=[ids]; expected one or a list of overlay, colours"),
        ("a.png", b"", ["write=[overlay]", "format=acdc"], "give either format= or write="),
        ("a.png", b"", ["format=cityscapes"], "a: format=cityscapes goes by the names of its frames"),
        ("a.png", b"", ["mirror=true"], "mirror=true sums probabilities"),
        ("a.png", b"", ["overlap=1"], "overlap=1; expected a number from 0 to 0.9"),
    ],
)
def test_bad_input_gets_one_line(zsda, trained, tmp_path, name, content, words, message):
    place = tmp_path / (name or "nowhere")
    if content is None and name:
        place.mkdir()
    elif content is not None:
        place.write_bytes(content)
    result = zsda("predict", f"input={place}", f"out={tmp_path / 'out'}", *words, *CPU, cwd=trained)
    assert result.returncode == 2, result.stdout + result.stderr
    assert message in one_line(result)


def test_label_ids_need_classes_of_cityscapes(zsda, trained, photos, tmp_path):
    weights = trained / "runs" / RUN / "target/weights.safetensors"
    network = [f"ckpt={weights}", "classes=9", *SMALL_MODEL, "model.num_classes=20"]
    words = ["predict", f"input={photos}", *network, f"out={tmp_path / 'out'}", *CPU]
    result = zsda(*words, "write=label_ids")
    assert result.returncode == 2
    assert "label_ids: the class person (person + rider) of classes=9 is not exactly one class" in one_line(result)
    assert zsda(*words, "write=train_ids", "size=[32,64]").returncode == 0
    ids = np.array(opened(tmp_path / "out/train_ids/street.png"))
    assert np.isin(ids, [*range(9), 255]).all()


def make_video(path, street, size, own, code, frames=5):
    writer = cv2.VideoWriter(str(path), own, cv2.VideoWriter.fourcc(*code), 12.5, size[::-1])
    for number in range(frames):
        frame = np.roll(np.asarray(street.resize(size[::-1])), 9 * number, axis=1)
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()


def test_a_video_becomes_a_video(zsda, trained, street, tmp_path):
    make_video(tmp_path / "drive.MP4", street, (64, 128), cv2.CAP_FFMPEG, "mp4v")
    out = tmp_path / "out"
    words = ["predict", f"input={tmp_path / 'drive.MP4'}", "write=[overlay,colours,train_ids]", f"out={out}", *CPU]
    result = zsda(*words, cwd=trained)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "predicted a video of 5 frames" in result.stdout
    ids = [np.array(opened(found)) for found in sorted((out / "train_ids/drive").iterdir())]
    assert [one.shape for one in ids] == [(64, 128)] * 5
    assert any((one != ids[0]).any() for one in ids)
    for kind in ("overlay", "colours"):
        capture = cv2.VideoCapture(str(out / f"{kind}/drive.mp4"))
        assert capture.get(cv2.CAP_PROP_FPS) == 12.5
        written = []
        while (read := capture.read())[0]:
            written.append(read[1][..., ::-1].astype(int))
        assert [one.shape[:2] for one in written] == [(64, 128)] * 5
        if kind == "colours":
            differs = [np.abs(one - CITYSCAPES.colourise(own)).mean() for one, own in zip(written, ids, strict=True)]
            assert max(differs) < 12  # of a film, which is lossy
    assert not list(out.rglob("*part*"))
    assert "predicted a video, finished before" in zsda(*words, cwd=trained).stdout


def fast(path):
    """Brings the list of its frames to the start of an MP4, as cameras and servers do: half of it can be decoded then."""
    content, parts, start = path.read_bytes(), {}, 0
    while start < len(content):
        length = int.from_bytes(content[start : start + 4])
        parts[content[start + 4 : start + 8]] = content[start : start + length]
        start += length
    moov = bytearray(parts.pop(b"moov"))
    table = moov.index(b"stco") + 8
    for place in range(table + 4, table + 4 + 4 * int.from_bytes(moov[table : table + 4]), 4):
        moov[place : place + 4] = (int.from_bytes(moov[place : place + 4]) + len(moov)).to_bytes(4)
    path.write_bytes(parts.pop(b"ftyp") + moov + b"".join(parts.values()))


@pytest.mark.parametrize("ending", ["mp4", "avi"])
def test_a_video_without_its_end_is_named_and_not_finished(zsda, trained, street, tmp_path, ending):
    film, out = tmp_path / f"drive.{ending}", tmp_path / "out"
    if ending == "mp4":
        make_video(film, street, (64, 128), cv2.CAP_FFMPEG, "mp4v")
        fast(film)
    else:
        make_video(film, street, (64, 128), cv2.CAP_OPENCV_MJPEG, "MJPG")
    whole = film.read_bytes()
    words = ["predict", f"input={film}", "write=[overlay,train_ids]", f"out={out}", *CPU]

    def frames():
        return sorted(path.name for path in (out / "train_ids/drive").iterdir())

    assert zsda(*words, cwd=trained).returncode == 0
    assert len(frames()) == 5
    film.write_bytes(whole[: len(whole) * 3 // 4])
    for _ in range(2):
        result = zsda(*words, cwd=trained)
        assert result.returncode == 1, result.stdout
        assert f"drive.{ending}: the end of the file is missing; its first {len(frames())} frames were" in one_line(
            result
        )
        assert 1 < len(frames()) < 5
        assert (out / "overlay/drive.mp4").is_file()
    film.write_bytes(whole)
    result = zsda(*words, cwd=trained)
    assert result.returncode == 0, result.stderr
    assert "predicted a video of 5 frames" in result.stdout
    assert len(frames()) == 5


def test_a_video_that_tells_of_more_is_warned_of(zsda, trained, street, tmp_path):
    """Whether it was damaged or trimmed nobody knows."""
    film = tmp_path / "drive.mp4"
    make_video(film, street, (64, 128), cv2.CAP_FFMPEG, "mp4v", frames=25)
    fast(film)
    content = film.read_bytes()
    film.write_bytes(content[: len(content) // 3].ljust(len(content), b"\0"))
    words = ["predict", f"input={film}", f"out={tmp_path / 'out'}", *CPU]
    result = zsda(*words, cwd=trained)
    assert result.returncode == 0, result.stderr
    assert "seconds; the rest is damaged, was trimmed, or is sound alone" in result.stdout + result.stderr


def test_frames_may_be_called_like_a_film(zsda, trained, street, tmp_path):
    make_video(tmp_path / "drive.mp4.avi", street, (64, 128), cv2.CAP_OPENCV_MJPEG, "MJPG")
    words = [f"input={tmp_path / 'drive.mp4.avi'}", "write=[colours,train_ids]", f"out={tmp_path / 'out'}"]
    result = zsda("predict", *words, *CPU, cwd=trained)
    assert result.returncode == 0, result.stdout + result.stderr
    assert (tmp_path / "out/colours/drive.mp4.mp4").is_file()
    assert len(list((tmp_path / "out/train_ids/drive.mp4").iterdir())) == 5


def test_a_video_of_odd_size_becomes_pictures(zsda, trained, street, tmp_path):
    """No codec of FFmpeg takes it without cutting something off."""
    make_video(tmp_path / "drive.avi", street, (97, 131), cv2.CAP_OPENCV_MJPEG, "MJPG")
    result = zsda("predict", f"input={tmp_path / 'drive.avi'}", f"out={tmp_path / 'out'}", *CPU, cwd=trained)
    assert result.returncode == 0, result.stdout + result.stderr
    found = sorted((tmp_path / "out/overlay/drive").iterdir())
    assert [path.name for path in found] == [f"{number:06}.png" for number in range(5)]
    assert {opened(path).size for path in found} == {(131, 97)}


def test_windows_are_of_the_size_that_the_network_sees(zsda, trained, photos, tmp_path, predicted):
    """One that covers the photograph tells the same as the whole."""
    words = ["predict", f"input={photos / 'street.png'}", "write=[train_ids,confidence]", *CPU]
    for name, window in (("whole", "[64,128]"), ("small", "[48,64]")):
        result = zsda(*words, f"out={tmp_path / name}", f"window={window}", cwd=trained)
        assert result.returncode == 0, result.stderr
        settings = json.loads((tmp_path / name / "predictions.json").read_text())["settings"]
        assert settings["size"] == settings["window"] == json.loads(window)
    for kind in ("train_ids", "confidence"):
        expected = (predicted / kind / "street.png").read_bytes()
        assert (tmp_path / "whole" / kind / "street.png").read_bytes() == expected
    small = np.array(opened(tmp_path / "small/train_ids/street.png"))
    assert small.shape == (64, 128)


def test_the_benchmark_of_cityscapes_scores_them_as_eval_does(zsda, trained, world, tmp_path):
    out = tmp_path / "submission"
    frames = world / "cityscapes/leftImg8bit/val"
    result = zsda("predict", f"input={frames}", "format=cityscapes", f"out={out}", *CPU, cwd=trained)
    assert result.returncode == 0, result.stderr
    result = zsda(
        "eval", "setting=day", "protocol=full", f"data_root={world}", f"out={tmp_path / 'eval'}", *CPU, cwd=trained
    )
    assert result.returncode == 0, result.stderr
    scores = json.loads((tmp_path / "eval/day_full/scores.json").read_text())["settings"]["day"]

    arguments = copy(args)
    arguments.quiet, arguments.JSONOutput, arguments.evalInstLevelScore = True, False, False
    arguments.predictionPath, arguments.predictionWalk = str(out), None
    labels = sorted(str(path) for path in (world / "cityscapes/gtFine/val").rglob("*_labelIds.png"))
    found = evaluateImgLists([getPrediction(arguments, label) for label in labels], labels, arguments)
    for name, iou in scores["iou"].items():
        theirs = found["classScores"][name]
        assert np.isnan(theirs) if iou is None else theirs == pytest.approx(iou, abs=1e-6)
    assert found["averageScoreClasses"] == pytest.approx(scores["miou"], abs=1e-6)
    assert scores["miou"] > 0


def test_acdc_takes_three_folders_in_a_zip(zsda, trained, street, tmp_path):
    frames, out = tmp_path / "fog/test/GOPR0475", tmp_path / "out"
    frames.mkdir(parents=True)
    names = [f"GOPR0475_frame_00000{number}_rgb_anon.png" for number in (1, 2)]
    for name in names:
        street.save(frames / name)
    result = zsda("predict", f"input={tmp_path / 'fog'}", "format=acdc", f"out={out}", *CPU, cwd=trained)
    assert result.returncode == 0, result.stderr
    kinds = ["confidence", "labelTrainIds", "labelTrainIds_invalid"]
    with zipfile.ZipFile(out / "results.zip") as archive:
        assert archive.namelist() == [f"{kind}/{name}" for kind in kinds for name in names]
        assert archive.testzip() is None
        for entry in archive.namelist():
            with archive.open(entry) as file:
                image = Image.open(file)
                assert (image.size, image.mode[0]) == ((1920, 1080), "I" if entry.startswith("confidence") else "L")
    plain, invalid = (np.array(opened(out / kind / names[0])) for kind in kinds[1:])
    assert plain.max() < 19
    assert (plain == invalid)[invalid != 255].all()

    street.rotate(180).save(frames / names[1])
    (frames / names[0]).write_bytes((frames / names[0]).read_bytes()[:500])
    result = zsda("predict", f"input={tmp_path / 'fog'}", "format=acdc", f"out={out}", *CPU, cwd=trained)
    assert result.returncode == 1
    assert f"{names[0]}: cannot be decoded" in one_line(result)
    with zipfile.ZipFile(out / "results.zip") as archive:
        assert archive.namelist() == [f"{kind}/{names[1]}" for kind in kinds]
    assert not list(out.rglob(names[0]))
    (out / "predicted.jsonl").write_text("")
    (out / "results.zip").write_bytes(b"mine")
    for kind in kinds:
        (out / kind / names[1]).unlink()
    result = zsda("predict", f"input={tmp_path / 'fog'}", "format=acdc", f"out={out}", *CPU, cwd=trained)
    assert result.returncode == 2
    assert "results.zip would be written over" in one_line(result)
