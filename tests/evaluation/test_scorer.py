import csv
import json
import logging
import os
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from PIL import Image

from zsda.core.errors import ModelError, StoreError
from zsda.core.files import file_digest
from zsda.core.trained import TrainedNetwork
from zsda.data.classes import find_classes
from zsda.data.datasets.acdc import ACDC
from zsda.data.samples import fingerprint
from zsda.evaluation.protocols import PROTOCOLS, SCORE_NAMES, Protocol, chosen_protocol, find_protocol
from zsda.evaluation.scorer import Scorer
from zsda.models.weights import save_weights
from zsda.reporting.tables import scores_table

TRAINER = partial(L.Trainer, accelerator="cpu", enable_model_summary=False)


class OneClass(torch.nn.Module):
    """Answers with the class whose bias is the largest."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = torch.nn.Parameter(torch.zeros(19))

    def forward(self, images):
        return self.bias[None, :, None, None].expand(len(images), 19, *images.shape[-2:])


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """Drawing a confusion takes longer than all else here; `test_pictures` does it."""
    monkeypatch.setattr("zsda.evaluation.scorer.write_confusions", lambda _folder, _results: None)


@pytest.fixture
def root(world, tmp_path):
    return shutil.copytree(world / "ACDC", tmp_path / "ACDC")


@pytest.fixture
def network(tmp_path):
    model = OneClass()
    model.bias.data[10] = 1
    save_weights(model, tmp_path / "weights.safetensors")
    return TrainedNetwork(
        "sky", tmp_path / "weights.safetensors", [32, 64], tmp_path / "eval", OneClass, network={"rates": [6, 12, 18]}
    )


def scorer(root, *conditions, **more):
    datasets = {condition: ACDC(root, condition) for condition in conditions or ("fog", "rain")}
    protocol = chosen_protocol(
        more.pop("protocol", "sdgpa"), more.pop("size", None), more.pop("scales", None), more.pop("mirror", False)
    )
    return Scorer(datasets, protocol, batch_size=2, num_workers=0, **{"trainer": TRAINER, **more})


def test_what_was_scored_before_is_read(root, network, tmp_path):
    first = scorer(root).score(network, known=True)
    assert first.title == "sky - protocol sdgpa, input 32x64"
    assert first.settings["fog"]["iou"]["sky"] > 0.05
    again = scorer(root).score(network, known=True)
    assert (first.known, again.known) == (False, True)
    assert again._replace(known=False) == first
    assert list(scorer(root, "rain", "fog").score(network, known=True).settings) == ["rain", "fog"]
    elsewhere = shutil.copytree(root, tmp_path / "elsewhere")
    assert scorer(elsewhere).score(network, known=True).known


def test_it_is_scored_again_unless_all_is_equal(root, network, tmp_path):
    def known(network, **more):
        return scorer(root, **more).score(network, known=True).known

    assert not scorer(root).score(network).known
    assert known(network)
    assert not scorer(root).score(network).known, "a single run is always scored"
    assert not known(network, masks=True)
    assert not known(network, protocol="full")
    assert not known(network, trainer=partial(TRAINER, precision="bf16-mixed"))
    assert not known(network), "the scores on disk are now those in another precision"

    image = next((root / "rgb_anon/rain/val").glob("*/*.png"))
    image.write_bytes(image.read_bytes() + b"\0")  # another file, though still the same picture
    assert not known(network)
    assert known(network)
    save_weights(OneClass(), network.weights)
    assert not known(network)

    whole = image.read_bytes()
    image.unlink()
    image.symlink_to("nowhere.png")
    assert len(scorer(root).score(network).left_out) == 1
    image.unlink()
    image.write_bytes(whole[: len(whole) // 2])
    assert len(scorer(root).score(network).left_out) == 1
    assert not known(network), "what lacks damaged images is no result to keep"
    (tmp_path / "eval/fog+rain_sdgpa/scores.json").write_text("{")
    assert not known(network)


def test_each_network_is_scored_in_its_own_classes(root, network):
    nine = replace(network, classes=9, out=network.out / "nine")
    of_all, of_nine = scorer(root), scorer(root)
    whole, joined = of_all.score(network), of_nine.score(nine, known=True)
    assert list(joined.settings["fog"]["iou"]) == list(find_classes(9).names)
    assert len(joined.settings["fog"]["confusion"]) == 9
    assert joined.settings["fog"]["iou"]["sky"] == 0, "channel 10 is none of nine"
    assert whole.settings["fog"]["iou"]["sky"] > 0.05
    again = of_all.score(replace(nine, out=network.out), known=True)
    assert not again.known, "those on disk are of other classes"
    stored = json.loads((nine.out / "fog+rain_sdgpa/scores.json").read_text())
    assert find_classes(stored["classes"]) == find_classes(9)
    assert of_nine.score(nine, known=True).known
    shown = {"whole": whole.settings["fog"], "joined": joined.settings["fog"]}
    table = scores_table(shown, find_protocol("sdgpa"))
    rows = dict(zip(table.columns[0].cells, zip(*(c.cells for c in table.columns[1:]), strict=True), strict=True))
    assert list(rows) == [*find_classes(19).names, "two-wheelers", "automobile", "sign", "light", *SCORE_NAMES.values()]
    assert rows["sky"][1] == "0.0"
    assert rows["terrain"][1] == rows["automobile"][0] == "-"


def test_scores_of_other_classes_are_not_known(root, network):
    scorer(root).score(network)
    assert scorer(root).score(network, known=True).known
    assert not scorer(root).score(replace(network, classes=16), known=True).known


def test_a_label_that_is_mended_in_place_is_scored_again(root, network):
    """Its file keeps its size, and even its time."""
    label = next((root / "gt/rain/val").glob("*/*labelIds.png"))
    ids, times = np.array(Image.open(label)), label.stat()
    ids[:] = 7
    Image.fromarray(ids).save(label, compress_level=0)
    size = label.stat().st_size
    before = scorer(root, "rain").score(network, known=True)
    ids[:32] = 8
    Image.fromarray(ids).save(label, compress_level=0)
    os.utime(label, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert label.stat().st_size == size
    again = scorer(root, "rain").score(network, known=True)
    assert not again.known
    assert sum(again.settings["rain"]["confusion"][1]) > sum(before.settings["rain"]["confusion"][1])


@pytest.fixture
def scored(root, network):
    scorer(root).score(network)
    return network


def test_results_of_the_same_network_on_the_same_images_take_their_place(root, scored, caplog, tmp_path):
    caplog.set_level(logging.INFO)
    scorer(root).check(scored)
    elsewhere = shutil.copytree(root, tmp_path / "elsewhere")
    scorer(elsewhere).check(scored)
    moved = Path(shutil.copy(scored.weights, tmp_path / "moved.safetensors"))
    scorer(root).check(replace(scored, weights=moved))
    assert not [said for said in caplog.messages if "before" in said]
    image = next((root / "rgb_anon/rain/val").glob("*/*.png"))
    image.write_bytes(image.read_bytes() + b"\0")
    save_weights(OneClass(), scored.weights)
    scorer(root, trainer=partial(TRAINER, precision="bf16-mixed")).check(scored)
    (said,) = (said for said in caplog.messages if "before" in said)
    assert said.endswith("eval/fog+rain_sdgpa: scored before with other weights, files, precision, scored again")


def other_weights(root, network):
    save_weights(OneClass(), network.weights.with_name("others.safetensors"))
    return scorer(root), replace(network, weights=network.weights.with_name("others.safetensors"))


def fewer_images(root, network):
    next((root / "rgb_anon/rain/val").glob("*/*.png")).unlink()
    return scorer(root), network


def other_root(root, network):
    elsewhere = Path(shutil.copytree(root, root.with_name("elsewhere")))
    image = next((elsewhere / "rgb_anon/rain/val").glob("*/*.png"))
    image.write_bytes(image.read_bytes() + b"\0")
    return scorer(elsewhere), network


def relinked_weights(root, network):
    """The link leads to other weights."""
    plain = network.weights.rename(network.weights.with_name("plain.safetensors"))
    save_weights(OneClass(), plain.with_name("others.safetensors"))
    network.weights.symlink_to(plain.with_name("others.safetensors"))
    return scorer(root), network


def relinked_root(root, network):
    elsewhere = Path(shutil.copytree(root, root.with_name("elsewhere")))
    image = next((elsewhere / "rgb_anon/rain/val").glob("*/*.png"))
    image.write_bytes(image.read_bytes() + b"\0")
    root.rename(root.with_name("before"))
    root.symlink_to(elsewhere)
    return scorer(root), network


OTHERS = {
    "weights": other_weights,
    "size": lambda root, network: (scorer(root), replace(network, size=[16, 32])),
    "classes": lambda root, network: (scorer(root), replace(network, classes=16)),
    "network": lambda root, network: (scorer(root), replace(network, network={"rates": [1, 2, 3]})),
    "weights, by a link": relinked_weights,
    "images of rain, by a link": relinked_root,
    "images of rain": fewer_images,
    "images of rain, elsewhere": other_root,
}


@pytest.mark.parametrize("what", OTHERS)
@pytest.mark.parametrize("epochs", [False, True])
def test_the_result_of_another_evaluation_is_not_written_over(root, network, what, epochs):
    if epochs:
        scorer(root).score_epochs(replace(network, epochs={1: network.weights}))
    else:
        scorer(root).score(network)
    before = {path: path.read_bytes() for path in network.out.glob("*/*.json")}
    other, asked = OTHERS[what](root, network)
    named = what.split(",")[0]
    with pytest.raises(
        StoreError, match=rf"fog\+rain_sdgpa holds the result of other {named}; give out=FOLDER to keep both"
    ):
        other.check(asked)
    assert before == {path: path.read_bytes() for path in network.out.glob("*/*.json")}
    other.check(replace(asked, out=network.out / "other"))


def test_weights_that_are_not_whole_are_found_before_the_first_is_scored(root, network):
    epochs = {1: Path(shutil.copy(network.weights, network.weights.with_name("1.safetensors"))), 2: network.weights}
    digests = {path: file_digest(path) for path in epochs.values()}
    whole = replace(network, epochs=epochs, digests=digests)
    scorer(root).check(whole, epochs=True)
    epochs[1].write_bytes(epochs[1].read_bytes()[:-1] + b"x")
    scorer(root).check(whole)
    with pytest.raises(ModelError, match=r"/1.safetensors is not what its training wrote"):
        scorer(root).check(whole, epochs=True)


def test_what_a_killed_evaluation_left_is_removed_and_not_what_another_writes(root, scored):
    folder = scored.out / "fog+rain_sdgpa"
    left, written = folder / "masks/.tmpa.part", folder / "masks/.tmpb.part"
    left.parent.mkdir()
    for part in (left, written):
        part.touch()
    os.utime(left, (1e9, 1e9))
    scorer(root).check(scored)
    assert (left.exists(), written.exists()) == (False, True)


def test_the_folder_of_a_run_is_its_own_wherever_it_was_copied_from(root, scored):
    save_weights(OneClass(), scored.weights.with_name("others.safetensors"))
    other = replace(scored, weights=scored.weights.with_name("others.safetensors"), network={})
    scorer(root).check(other, shared=False)
    with pytest.raises(StoreError, match="holds the result of other network, weights"):
        scorer(root).check(replace(other, network={"rates": [1]}))


def test_a_result_of_an_earlier_version_is_replaced(root, scored):
    path = scored.out / "fog+rain_sdgpa/scores.json"
    found = json.loads(path.read_text())
    del found["names"], found["roots"], found["network"]
    path.write_text(json.dumps({**found, "files": {"fog": "by sizes", "rain": "by sizes"}}))
    scorer(root).check(scored)


def test_a_protocol_can_fix_the_size(root, network, monkeypatch):
    monkeypatch.setitem(PROTOCOLS, "small", Protocol("small", (16, 32), "input", "zero"))
    scored = scorer(root, protocol="small").score(network)
    assert scored.title == "sky - protocol small, input 16x32"
    stored = json.loads((scored.folder / "scores.json").read_text())
    assert stored["size"] == [16, 32]
    pixels = sum(map(sum, scored.settings["fog"]["confusion"]))
    assert 16 * 32 < pixels <= 3 * 16 * 32
    assert scored.settings["fog"]["miou"] == sum(filter(None, scored.settings["fog"]["iou"].values())) / 19


def test_hiast_sees_images_at_its_own_size_unless_another_is_given(root, network):
    assert scorer(root, "fog", protocol="hiast").score(network).title == "sky - protocol hiast, input 768x1536"
    given = scorer(root, "fog", protocol="hiast", size=[16, 32]).score(network)
    assert given.title == "sky - protocol hiast, input 16x32"
    assert json.loads((given.folder / "scores.json").read_text())["size"] == [16, 32]


def test_variants_of_a_protocol_have_folders_of_their_own(root, network):
    variants = [
        {},
        {"mirror": True},
        {"scales": [[16, 32], [32, 64]]},
        {"scales": [[32, 64], [16, 32]], "mirror": True},
    ]
    for more in variants:
        assert not scorer(root, "fog", protocol="hiast", size=[16, 32], **more).score(network, known=True).known
    for more in variants:
        assert scorer(root, "fog", protocol="hiast", size=[16, 32], **more).score(network, known=True).known
    stored = [json.loads(path.read_text()) for path in sorted(network.out.glob("*/scores.json"))]
    assert {one["protocol"]: (one["size"], one["scales"], one["mirror"]) for one in stored} == {
        "hiast": ([16, 32], [], False),
        "hiast_mirror": ([16, 32], [], True),
        "hiast_16x32+32x64": ([32, 64], [[16, 32], [32, 64]], False),
        "hiast_16x32+32x64_mirror": ([32, 64], [[16, 32], [32, 64]], True),
    }
    folder = network.out / "fog_hiast"
    scorer(root, "fog", protocol="hiast", size=[16, 32]).score(network)
    stored = json.loads((folder / "scores.json").read_text())
    for changed in ({"mirror": True}, {"scales": [[16, 32]]}):
        (folder / "scores.json").write_text(json.dumps({**stored, **changed}))
        assert not scorer(root, "fog", protocol="hiast", size=[16, 32]).score(network, known=True).known


def test_scores_of_before_there_were_variants_are_known(root, network):
    folder = scorer(root).score(network).folder
    stored = json.loads((folder / "scores.json").read_text())
    for key in ("scales", "mirror"):
        del stored[key]
    for scores in stored["settings"].values():
        del scores["means"]
    (folder / "scores.json").write_text(json.dumps(stored))
    assert scorer(root).score(network, known=True).known


def test_means_of_fewer_classes_are_written_and_shown_by_the_protocol_that_has_them(root, network):
    scored = scorer(root, protocol="hiast", size=[16, 32]).score(network)
    means = scored.settings["fog"]["means"]
    sky = scored.settings["fog"]["iou"]["sky"]
    assert means == pytest.approx({"16": sky / 16, "13": sky / 13, "16_published": sky / 16, "13_published": sky / 13})
    rows = dict(row[1:] for row in csv.reader((scored.folder / "scores.csv").open()) if row[0] == "fog")
    assert {name: float(rows[f"miou_{name}"]) for name in means} == means
    protocol = find_protocol("hiast")
    table = scores_table(scored.settings, protocol)
    shown = dict(zip(table.columns[0].cells, table.columns[1].cells, strict=True))
    assert shown["mIoU of 16 classes"] == f"{100 * sky / 16:.1f}"
    assert shown["mIoU of 13 classes"] == f"{100 * sky / 13:.1f}"
    assert not [name for name in shown if "published" in name], "both rules agree"
    other = scores_table({"fog": {**scored.settings["fog"], "means": {**means, "13_published": 1.2}}}, protocol)
    shown = dict(zip(other.columns[0].cells, other.columns[1].cells, strict=True))
    assert [name for name in shown if "published" in name] == ["13 by the published rule"]
    assert shown["13 by the published rule"] == "120.0"
    assert "mIoU of 16 classes" not in scores_table(scored.settings, find_protocol("full")).columns[0].cells


def test_missing_weights_are_named_even_where_scores_are_on_disk(root, network):
    scorer(root).score(network)
    network.weights.unlink()
    with pytest.raises(ModelError, match="no weights at"):
        scorer(root).score(network, known=True)


def test_files_are_told_apart_by_key_and_size(root):
    fog, rain = ACDC(root, "fog").samples, ACDC(root, "rain").samples
    assert fingerprint(fog) != fingerprint(rain)
    assert fingerprint(fog) != fingerprint(fog[:-1])
