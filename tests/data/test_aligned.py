import json
import os
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from zsda.core.errors import ConfigError, DataError, SeveralErrors
from zsda.core.signals import outlive_signals
from zsda.data.aligned import ViewsData, ViewsDataset
from zsda.data.datasets.acdc import ACDC
from zsda.data.datasets.cityscapes import Cityscapes
from zsda.data.datasets.generated import GeneratedSet
from zsda.data.datasets.gta5 import GTA5
from zsda.data.evaluation import EvaluationData
from zsda.data.faults import Fault
from zsda.data.reader import Reader
from zsda.data.samplers import EpochSampler, UnpaddedSampler
from zsda.data.transforms import TrainingTransform

STILL = {"brightness": (1, 1), "contrast": (1, 1), "saturation": (1, 1), "hue": (0, 0)}
JITTER = {"brightness": (0.5, 1.5), "contrast": (0.5, 1.5), "saturation": (0.5, 1.5), "hue": (-0.3, 0.3)}


def views_data(root, views=("source",), **changes):
    arguments = {
        "source": Cityscapes(root / "cityscapes", "train"),
        "validation": Cityscapes(root / "cityscapes", "val"),
        "watch": ["source"],
        "generated_root": root,
        "domain": "night",
        "transform": TrainingTransform((64, 128), (48, 96), 0.5, **JITTER),
        "batch_size": 2,
        "num_workers": 0,
        "seed": 3,
        "setting": "day",
        "views": views if isinstance(views, str) else list(views),
        **changes,
    }
    return ViewsData(**arguments)


def batches(data, epoch=0):
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return [data.on_after_batch_transfer(batch, 0) for batch in loader]


def test_renders_lie_apart_from_generated_sets(copied_world, tmp_path):
    sets = tmp_path / "sets"
    sets.mkdir()
    for recipe in ("target", "intermediate"):
        (copied_world / f"night_{recipe}").rename(sets / f"night_{recipe}")
    apart = {"generated_root": sets, "rendered_root": copied_world}
    data = views_data(copied_world, views=["oracle", "target", "intermediate"], watch=["source", "oracle"], **apart)
    assert len(data.training_set) == 8
    with pytest.raises(DataError, match="sets/night_oracle"):
        views_data(copied_world, views=["oracle"], generated_root=sets)


@pytest.mark.parametrize(
    "views", [["source"], ["source", "intermediate"], ["target", "intermediate"], ["source", "intermediate", "target"]]
)
def test_any_list_of_views(world_with_sets, views):
    data = views_data(world_with_sets, views=views)
    found = batches(data)
    assert len(found) == 4
    assert list(found[0]["images"]) == views
    assert all(image.shape == (2, 3, 48, 96) for image in found[0]["images"].values())
    assert found[0]["mask"].shape == (2, 48, 96)
    assert len({key for batch in found for key in batch["key"]}) == 8


def test_a_view_named_twice_has_a_jitter_of_its_own(world_with_sets):
    data = views_data(world_with_sets, views=["source", "source"])
    images = batches(data)[0]["images"]
    assert list(images) == ["source", "source_2"]
    assert (images["source"] - images["source_2"]).abs().mean() > 0.05


def test_the_weather_view_is_the_source_in_other_weather(world_with_sets):
    still = TrainingTransform((64, 128), None, 0.0, **STILL)
    data = views_data(world_with_sets, transform=still, weather="night", views=["source", "weather"])
    images = batches(data)[0]["images"]
    factor = (images["weather"] - images["weather"].min()).mean() / (images["source"] - images["source"].min()).mean()
    assert 0.1 < factor < 0.8
    with pytest.raises(ConfigError, match=r"no augmentation of albumentations matches data.weather=sandstorm"):
        views_data(world_with_sets, weather="sandstorm", views=["weather"])


def test_other_sources_than_cityscapes_have_no_edits(world):
    gta5 = GTA5(world / "GTA5", None)
    data = views_data(world, ["source", "weather"], source=gta5, validation=gta5, weather="night")
    assert data.describe() == "source + weather, 3 scenes"
    message = (
        "^the view 'target' needs a generated set, which Cityscapes and own data have, and the source is gta5; give"
    )
    for more in ({"views": ["source", "target"]}, {"watch": ["target"]}, {"views": ["target"], "domain": None}):
        with pytest.raises(ConfigError, match=message):
            views_data(world, **{"source": gta5, "validation": gta5, **more})


def test_edits_that_lost_their_layout_can_be_left_out(copied_world):
    def kept(*views, least=0.5):
        return len(views_data(copied_world, min_layout_score=least, views=views).training_set)

    with pytest.raises(DataError, match=r"night_target/manifest.jsonl: cannot be read"):
        kept("target")
    images = sorted((copied_world / "night_target").glob("leftImg8bit/*/*/*.png"))
    lines = [
        {"source": image.relative_to(copied_world / "night_target").as_posix(), "layout_score": number / 10}
        for number, image in enumerate(images)
    ]
    manifest = copied_world / "night_target/manifest.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert kept("source", "target") == 3, "of 0.0 to 0.7"
    with pytest.raises(DataError, match=r"no image reaches data.min_layout_score=0.9; the best has 0.700"):
        kept("target", least=0.9)
    unlabelled = [*lines[:-1], {**lines[-1], "layout_score": None}]
    manifest.write_text("".join(json.dumps(line) + "\n" for line in unlabelled))
    assert kept("source", "target") == 2, "nothing tells that the last one kept its layout"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines[1:]))
    with pytest.raises(
        DataError, match=r"1 of 8 images have no layout score, the first is .*generate again with layout"
    ):
        kept("target")


def score(root, name, scores, networks=None):
    """Writes a manifest: the scores of the images of a set in order, and of which network each is; "" leaves an image out."""
    images = sorted((root / name).glob("leftImg8bit/*/*/*.png"))
    networks = networks or ["one"] * len(images)
    lines = [
        {"source": image.relative_to(root / name).as_posix(), "layout_score": value, "layout_network": network}
        for image, value, network in zip(images, scores, networks, strict=True)
        if value != ""
    ]
    (root / name / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def keys_of(root):
    return [sample.key for sample in Cityscapes(root / "cityscapes", "train").samples]


@pytest.fixture
def large_world(world_with_sets, tmp_path):
    """240 scenes, all the same one."""
    first = keys_of(world_with_sets)[0]
    for folder, ending in (
        ("cityscapes/leftImg8bit", "_leftImg8bit.png"), ("cityscapes/gtFine", "_gtFine_labelTrainIds.png"),
        ("night_target/leftImg8bit", "_leftImg8bit.png"), ("night_intermediate/leftImg8bit", "_leftImg8bit.png"),
    ):  # fmt: skip
        (tmp_path / folder / "train/a").mkdir(parents=True)
        for number in range(240):
            link = tmp_path / folder / f"train/a/a_{number:06}_000000{ending}"
            os.link(world_with_sets / folder / f"train/{first}{ending}", link)
    for folder in ("cityscapes/leftImg8bit", "cityscapes/gtFine"):
        (tmp_path / folder / "val").symlink_to(world_with_sets / folder / "val")
    return tmp_path


def test_the_best_share_of_the_scenes_is_trained_on_and_it_is_said(large_world):
    drawn = random.Random(0)
    of_target = [drawn.randrange(400, 900) / 1000 for _ in range(240)]  # some twice
    of_intermediate = [drawn.randrange(400, 900) / 1000 for _ in range(240)]
    score(large_world, "night_target", of_target)
    score(large_world, "night_intermediate", of_intermediate)
    data = views_data(large_world, views=["target", "intermediate"], keep_best=0.9)
    pairs = zip(of_target, of_intermediate, strict=True)
    least = {f"a/a_{number:06}_000000": min(pair) for number, pair in enumerate(pairs)}
    best = sorted(least, key=lambda key: (-least[key], key))[:216]
    assert data.training_set.keys == sorted(best)
    assert len({least[key] for key in best}) < 216, "equal scores"
    said = f"216 scenes: the best 90 % of 240 by layout score, from {least[best[-1]]:.3f}"
    assert data.describe() == f"target + intermediate, {said}"
    assert len(data.wanted()[0].dataset) == 216

    of_one = views_data(large_world, views=["source", "target"], keep_best=0.9)
    ranked = sorted(least, key=lambda key: (-of_target[int(key[4:10])], key))[:216]
    assert of_one.training_set.keys == sorted(ranked) != sorted(best)


def test_equal_and_unlabelled_scenes_are_left_out_in_the_same_order_always(copied_world):
    keys = keys_of(copied_world)

    def kept(share, *views):
        data = views_data(copied_world, keep_best=share, views=views or ["source", "target"])
        return [keys.index(key) for key in data.training_set.keys], data.describe()

    score(copied_world, "night_target", [0.5, None, 0.7, 0.5, 0.5, 0.2, 0, 0.5])
    assert kept(0.1) == ([2], "source + target, 1 scenes: the best 10 % of 8 by layout score, from 0.700")
    assert kept(0.001)[0] == [2], "one at least"
    assert kept(0.5)[0] == [0, 2, 3, 4]
    assert kept(0.31)[0] == [0, 2], "of 2.48"
    assert kept(0.3125)[0] == [0, 2, 3], "of 2.5"
    assert kept(0.8)[0] == [0, 2, 3, 4, 5, 7]
    assert kept(0.9)[0] == [0, 2, 3, 4, 5, 6, 7], "what has no score comes after what has none of its layout"
    everything = "source + target, 8 scenes: the best 100 % of 8 by layout score, from 0.000, 1 of them without one"
    assert kept(1) == ([*range(8)], everything)
    score(copied_world, "night_intermediate", [None, 0.9, 0.9, 0.9, 0.1, 0.9, 0.9, 0.9])
    assert kept(0.5, "target", "intermediate")[0] == [2, 3, 5, 7], "each at its worst"
    score(copied_world, "night_target", [None] * 8)
    nothing = "source + target, 2 scenes: the best 25 % of 8 by layout score, 2 of them without one"
    assert kept(0.25) == ([0, 1], nothing)


def test_the_share_is_of_the_scenes_that_all_views_have(copied_world):
    score(copied_world, "night_target", [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, "", 0.8])
    sets = {
        name: sorted((copied_world / name).glob("*/train/*/*.png")) for name in ("night_target", "night_intermediate")
    }
    score(copied_world, "night_intermediate", [1] * 8)
    for place in (6, 7):
        sets["night_intermediate"][place].unlink()
    sets["night_target"][0].unlink()
    data = views_data(copied_world, views=["target", "intermediate"], keep_best=0.5)
    assert data.training_set.keys == keys_of(copied_world)[3:6], "the best 3 of 5"
    assert data.describe() == (
        "target + intermediate, 3 scenes: the best 50 % of 5 by layout score, from 0.400; 2 more of target are not in every view; "
        "1 more of intermediate are not in every view"
    )


def test_what_is_no_edit_is_neither_ranked_nor_left_out(copied_world):
    for option in ("keep_best", "min_layout_score"):
        for views in (["source", "source"], ["source", "weather", "oracle"]):
            alone = views_data(copied_world, views=views, weather="night", **{option: 0.5})
            assert len(alone.training_set) == 8
            assert alone.describe().endswith(f", 8 scenes: data.{option}=0.5 leaves none out, no view shows edits")
    score(copied_world, "night_target", [number / 10 for number in range(8)])
    views = ["source", "source", "weather", "oracle", "target"]
    edits = copied_world / "night_target/leftImg8bit"
    (edits / "val").mkdir()
    for image in (copied_world / "night_oracle/leftImg8bit/val").glob("*/*.png"):
        (edits / "val" / image.parent.name).mkdir(exist_ok=True)
        (edits / "val" / image.parent.name / image.name).symlink_to(image)
    data = views_data(copied_world, views=views, weather="night", keep_best=0.5, watch=["source", "target"])
    assert data.training_set.keys == keys_of(copied_world)[4:]
    assert len(data.training_set[(0, 0)]["images"]) == 5
    assert len(data.source) == 8, "the source itself stays whole"
    assert {name: len(images) for name, images in data.watched.settings.items()} == {"source": 4, "target": 4}


def test_what_is_left_out_does_not_tell_the_files_apart_and_other_scores_do(copied_world):
    def files():
        return views_data(copied_world, views=["source", "target"], keep_best=0.5).fingerprints()

    scores = [number / 10 for number in range(8)]
    score(copied_world, "night_target", scores)
    before = files()
    worst = min((copied_world / "night_target").glob("leftImg8bit/train/*/*.png"))
    Image.open(worst).rotate(180).save(worst)
    assert files() == before
    score(copied_world, "night_target", scores[::-1])
    assert not {*files().values()} & {*before.values()}


def test_scores_that_lack_are_told_of_all_sets(copied_world):
    score(copied_world, "night_target", [0.5, ""] * 4)
    score(copied_world, "night_intermediate", [""] + [0.5] * 7)
    with pytest.raises(SeveralErrors) as raised:
        views_data(copied_world, views=["target", "intermediate"], keep_best=0.5)
    of_target, of_intermediate = map(str, raised.value.errors)
    assert "night_target: 4 of 8 images have no layout score, the first is" in of_target
    assert "night_intermediate: 1 of 8 images have no layout score, the first is" in of_intermediate
    assert of_target.endswith("again with layout.ckpt=FILE or layout.run=NAME, or give data.keep_best=null")


@pytest.mark.parametrize("choice", [{"keep_best": 0.5}, {"min_layout_score": 0.5}])
def test_scores_of_different_networks_are_not_compared(copied_world, choice):
    def made(*views):
        return views_data(copied_world, views=views, **choice)

    (option,) = choice
    score(copied_world, "night_target", [0.6] * 8, ["one"] * 8)
    score(copied_world, "night_intermediate", [0.7] * 8, ["0123456789abcdef"] * 8)
    made("target")
    made("intermediate")
    message = (
        "night_target, night_intermediate: layout scores that different networks gave cannot be compared, 8 of night_target by one, "
        f"8 of night_intermediate by 0123456789ab; .* the same layout.ckpt=FILE or layout.run=NAME, or give data.{option}=null"
    )
    with pytest.raises(DataError, match=message):
        made("target", "intermediate")
    score(copied_world, "night_target", [0.6] * 8, ["one"] * 7 + [None])
    with pytest.raises(
        DataError, match=r"night_target: .* 7 of night_target by one, 1 of night_target by an unknown one"
    ):
        made("source", "target")
    score(copied_world, "night_target", [0.6] * 7 + [None], ["one"] * 7 + ["two"])
    made("source", "target")  # nothing is compared with what has no score
    score(copied_world, "night_target", [0.6] * 8, [3] * 8)
    with pytest.raises(
        DataError,
        match=r"manifest.jsonl: cannot be read \(line 1: layout_network: input should be a valid string, found 3",
    ):
        made("source", "target")


class Counting(Reader):
    """Notes what is opened."""

    def __init__(self):
        self.opened = []

    def pixels(self, path, *how):
        self.opened.append(path)
        return super().pixels(path, *how)

    def label(self, path, encoding, classes):
        self.opened.append(path)
        return super().label(path, encoding, classes)


@pytest.mark.parametrize("views", [["source", "source", "target"], ["target", "weather"], ["target", "intermediate"]])
@pytest.mark.parametrize("share", [None, 0.5])
def test_what_views_share_is_read_once(copied_world, views, share):
    source, reader = Cityscapes(copied_world / "cityscapes", "train"), Counting()
    source.reader = reader
    for name in ("night_target", "night_intermediate"):
        score(copied_world, name, [0.5] * 8)
    data = views_data(copied_world, source=source, weather="night", views=views, keep_best=share)
    scene = data.training_set[(0, 0)]
    assert len(scene["images"]) == len(views)
    assert len(reader.opened) == len(set(reader.opened)) == 3
    assert sum("gtFine" in str(path) for path in reader.opened) == 1


def test_labels_are_checked_against_the_source_wherever_it_stands(copied_world):
    data = views_data(copied_world, views=["target", "source"])
    image = data.source.samples[0].image
    Image.open(image).resize((100, 50)).save(image)
    fault = data.training_set[(0, 0)]
    assert fault.fatal
    assert "100x50, but its label" in fault.message
    data = views_data(copied_world, views=["target", "intermediate"])
    assert not isinstance(data.training_set[(0, 0)], Fault)


def test_views_show_the_same_scene(world_with_sets):
    source = Cityscapes(world_with_sets / "cityscapes", "train")
    target = GeneratedSet(world_with_sets, "night", "target", source)
    dataset = ViewsDataset(
        {"source": source, "target": target}, TrainingTransform((64, 128), (48, 96), 0.5, **STILL), 0
    )
    for index in range(8):
        views = dataset[(0, index)]["images"]
        mirrored = views["target"].flip(1)
        # Of one channel: darkening it is affine, what it does to the channels together is not.
        likeness = torch.corrcoef(
            torch.stack([view[..., 0].float().flatten() for view in (*views.values(), mirrored)])
        )[0]
        assert likeness[1] > max(0.99, likeness[2])


def test_augmentation_depends_on_seed_epoch_and_scene_alone(world_with_sets):
    def by_key(epoch, **changes):
        data = views_data(world_with_sets, views=["source", "target"], **changes)
        return {
            k: image for b in batches(data, epoch) for k, image in zip(b["key"], b["images"]["target"], strict=True)
        }

    first, workers = by_key(1), by_key(1, num_workers=2)
    assert all(torch.equal(first[key], workers[key]) for key in first)
    other_epoch, other_seed = by_key(2), by_key(1, seed=4)
    assert not any(torch.equal(first[key], other_epoch[key]) for key in first)
    assert not any(torch.equal(first[key], other_seed[key]) for key in first)


def test_each_phase_draws_its_own_order_and_augmentation(world_with_sets):
    drawn = []
    for phase, views in enumerate((["source", "intermediate"], ["target", "intermediate"])):
        found = batches(views_data(world_with_sets, views=views, phase=phase), 1)
        drawn.append(
            {key: image for b in found for key, image in zip(b["key"], b["images"]["intermediate"], strict=True)}
        )
    first, second = drawn
    assert list(first) != list(second)
    assert not any(torch.equal(first[key], second[key]) for key in first)


def test_the_last_incomplete_batch_is_dropped_and_each_epoch_is_shuffled(world_with_sets):
    data = views_data(world_with_sets, batch_size=3)
    orders = []
    for epoch in range(2):
        found = batches(data, epoch)
        assert [len(batch["mask"]) for batch in found] == [3, 3]
        orders.append([key for batch in found for key in batch["key"]])
    assert orders[0] != orders[1]


def test_what_is_only_for_training_is_not_watched(world_with_sets):
    with pytest.raises(ConfigError, match=r"data.watch=\['weather'\]; expected source and names of recipes"):
        views_data(world_with_sets, watch=["weather"])


@pytest.mark.parametrize("score", ["abc", [1], 1.5, -0.1])
def test_a_layout_score_that_is_no_share_is_refused(world_with_sets, score):
    with pytest.raises(ConfigError, match=r"data\.min_layout_score=.*; expected a number from 0 to 1, or null"):
        views_data(world_with_sets, min_layout_score=score)


@pytest.mark.parametrize("share", ["abc", [1], 1.5, 0, -0.1, True, float("nan")])
def test_a_best_share_that_is_none_is_refused(world_with_sets, share):
    expected = r"^data\.keep_best=.*; expected a number above 0, up to 1, or null"
    with pytest.raises(ConfigError, match=expected):
        views_data(world_with_sets, keep_best=share)
    with pytest.raises(ConfigError, match=expected):
        source = Cityscapes(world_with_sets / "cityscapes", "train")
        GeneratedSet(world_with_sets, "night", "target", source, keep_best=share)


def test_there_is_one_choice_by_layout_score(world_with_sets):
    both = {"min_layout_score": 0, "keep_best": 0.9}
    message = r"^data.min_layout_score=0 and data.keep_best=0.9; give one of the two$"
    with pytest.raises(ConfigError, match=message):
        views_data(world_with_sets, **both)
    with pytest.raises(ConfigError, match=message):
        source = Cityscapes(world_with_sets / "cityscapes", "train")
        GeneratedSet(world_with_sets, "night", "target", source, **both)


def test_the_best_share_of_a_set_by_itself(copied_world):
    source = Cityscapes(copied_world / "cityscapes", "train")
    score(copied_world, "night_target", [0.1, 0.8, 0.3, 0.8, 0.5, 0.6, 0.7, 0.2])
    images = GeneratedSet(copied_world, "night", "target", source, keep_best=0.6)
    assert [sample.key for sample in images.samples] == [source.samples[place].key for place in (1, 3, 4, 5, 6)]
    assert images.best.describe() == "the best 60 % of 8 by layout score, from 0.500"
    assert len(GeneratedSet(copied_world, "night", "oracle", source, keep_best=0.6)) == 8
    score(copied_world, "night_target", [0.1] * 8, ["one"] * 2 + ["two"] * 6)
    for choice in ({"keep_best": 0.6}, {"min_layout_score": 0.6}):
        with pytest.raises(DataError, match=r"^night_target: .* 6 of night_target by two, 2 of night_target by one; "):
            GeneratedSet(copied_world, "night", "target", source, **choice)


def test_a_scene_that_one_view_lacks_is_left_out(copied_world):
    next((copied_world / "night_target").glob("leftImg8bit/train/*/*.png")).unlink()
    data = views_data(copied_world, views=["source", "target"])
    assert len(data.training_set) == 7
    assert "1 more of source are not in every view" in data.training_set.describe()


def test_a_damaged_image_leaves_the_rest_of_its_batch(copied_world):
    victim = next((copied_world / "night_target").glob("leftImg8bit/train/*/*.png"))
    victim.write_bytes(victim.read_bytes()[:300])
    data = views_data(copied_world, views=["source", "target"])
    found = batches(data)
    faults = [fault for batch in found for fault in batch["faults"]]
    assert len(faults) == 1
    assert isinstance(faults[0], Fault)
    assert victim.name in faults[0].message
    assert [len(batch["mask"]) for batch in found] == [2, 2, 2, 2], (
        "a good sample takes its place, batches do not shrink"
    )
    assert len({key for batch in found for key in batch["key"]}) == 7


def test_a_process_whose_only_scene_is_damaged_takes_another(copied_world):
    """Each of two processes has one scene of a step: without a stand-in, one would wait for the other for ever."""
    victims = sorted((copied_world / "night_target").glob("leftImg8bit/train/*/*.png"))[:2]
    for victim in victims:
        victim.write_bytes(victim.read_bytes()[:300])
    data = views_data(copied_world, views=["source", "target"])
    data.trainer = process(0, 2)
    found = batches(data)
    assert [len(batch["mask"]) for batch in found] == [1, 1, 1, 1]
    told = {fault.message for batch in found for fault in batch["faults"]}
    assert all(any(victim.name in message for victim in victims) for message in told)
    good, stand_in = data.training_set[(0, 2)], data.training_set[(0, 1)].stand_in
    assert stand_in["key"] == good["key"]
    assert torch.equal(stand_in["images"]["target"], good["images"]["target"])


def test_a_missing_set_says_how_to_make_it(world):
    with pytest.raises(DataError, match=r"night_target: no folder .*make it with python -m zsda.generate"):
        views_data(world, views=["source", "target"])


def test_a_generated_view_needs_a_domain(world_with_sets):
    with pytest.raises(ConfigError, match="give domain="):
        views_data(world_with_sets, domain=None, views=["source", "target"])


def test_a_batch_larger_than_the_set_is_refused(world_with_sets):
    with pytest.raises(ConfigError, match=r"lower data\.batch_size"):
        views_data(world_with_sets, batch_size=9).train_dataloader()


def test_a_batch_of_one_is_refused_before_batch_normalisation_fails(world_with_sets):
    with pytest.raises(ConfigError, match=r"data\.batch_size=1; expected at least 2"):
        views_data(world_with_sets, batch_size=1)


def process(rank, world):
    """What a loader asks its trainer for."""
    return SimpleNamespace(global_rank=rank, world_size=world)


def test_processes_share_the_batch_of_one(world_with_sets):
    whole = [set(batch["key"]) for batch in batches(views_data(world_with_sets, batch_size=4))]
    shares = []
    for rank in range(2):
        data = views_data(world_with_sets, batch_size=4)
        data.trainer = process(rank, 2)
        shares.append([set(batch["key"]) for batch in batches(data)])
    assert [len(share) for share in shares[0]] == [2, 2]
    assert [first | second for first, second in zip(*shares, strict=True)] == whole


def test_a_batch_that_processes_cannot_share_is_refused(world_with_sets):
    data = views_data(world_with_sets, batch_size=4)
    data.trainer = process(0, 3)
    for share in (data.train_dataloader, lambda: data.check_shared(3, synchronised=True)):
        with pytest.raises(ConfigError, match=r"data.batch_size=4 .* cannot be shared by 3; give a multiple of 3"):
            share()
    with pytest.raises(ConfigError, match=r"on 4 devices leaves one scene each.*machine.sync_batchnorm=true"):
        data.check_shared(4, synchronised=False)
    data.check_shared(4, synchronised=True)
    data.check_shared(2, synchronised=False)


def test_an_epoch_of_cityscapes_has_the_published_number_of_steps(world_with_sets):
    data = views_data(world_with_sets, batch_size=4)
    data.training_set = range(2975)
    assert len(data.train_dataloader()) == 743


def test_neighbouring_seeds_do_not_share_their_orders(world_with_sets):
    orders = []
    for seed, epoch in ((3, 1), (4, 0)):
        found = batches(views_data(world_with_sets, seed=seed), epoch)
        orders.append([key for batch in found for key in batch["key"]])
    assert orders[0] != orders[1]


def test_epoch_sampler_tells_the_epoch_and_shuffles_by_it():
    sampler = EpochSampler(range(10), 1, 0, shuffle=True, seed=1)
    sampler.set_epoch(4)
    drawn = list(sampler)
    assert {epoch for epoch, _ in drawn} == {4}
    assert sorted(index for _, index in drawn) == list(range(10))
    sampler.set_epoch(5)
    assert [index for _, index in sampler] != [index for _, index in drawn]


@pytest.mark.parametrize(("count", "world_size"), [(7, 3), (2, 4), (8, 2)])
def test_every_image_is_in_exactly_one_share(count, world_size):
    shares = [list(UnpaddedSampler(count, rank, world_size)) for rank in range(world_size)]
    assert sorted(index for share in shares for index in share) == list(range(count))


@pytest.mark.parametrize(("size", "shape"), [((48, 96), (48, 96)), (None, (64, 128))])
def test_labels_have_the_size_that_is_asked_for_or_their_own(world, size, shape):
    data = EvaluationData({"night": ACDC(world / "ACDC", "night")}, (32, 64), size, 2, 0)
    (loader,) = data.test_dataloader()
    batch = next(iter(loader))
    assert batch["image"].shape == (2, 32, 64, 3)
    assert data.on_after_batch_transfer(batch, 0)["image"].shape == (2, 3, 32, 64)
    assert [tuple(mask.shape) for mask in batch["mask"]] == [shape] * 2
    assert batch["mask"][0].dtype == torch.uint8


def test_native_labels_may_differ_in_size(copied_world):
    dataset = ACDC(copied_world / "ACDC", "night")
    for path in (dataset.samples[0].image, dataset.samples[0].label):
        Image.open(path).resize((100, 50), Image.Resampling.NEAREST).save(path)
    shapes = [(50, 100), (64, 128), (64, 128)]
    resized = EvaluationData({"night": dataset}, (32, 64), None, 3, 0)
    batch = next(iter(resized.test_dataloader()[0]))
    assert [tuple(mask.shape) for mask in batch["mask"]] == shapes
    assert batch["image"].shape == (3, 32, 64, 3)
    own = EvaluationData({"night": dataset}, None, None, 3, 0)
    batch = own.on_after_batch_transfer(next(iter(own.test_dataloader()[0])), 0)
    assert [tuple(image.shape[1:]) for image in batch["image"]] == shapes, "images of several sizes are a list"


def test_watching_a_generated_validation_set_needs_it_made(world_with_sets):
    with pytest.raises(DataError, match=r"night_target: no images under .*leftImg8bit/val"):
        views_data(world_with_sets, watch=["source", "target"])


def test_no_loader_of_a_training_ends_by_a_signal_that_reaches_all_processes(world_with_sets):
    data = views_data(world_with_sets)
    assert {loader.worker_init_fn for loader in (data.train_dataloader(), *data.val_dataloader())} == {outlive_signals}


def test_masks_hold_train_ids(world_with_sets):
    values = np.unique(batches(views_data(world_with_sets))[0]["mask"])
    assert set(values) <= {*range(19), 255}


@pytest.mark.parametrize("views", ["source", []])
def test_views_are_a_list(world_with_sets, views):
    with pytest.raises(ConfigError, match=r"data.views=.*; expected a list, for example \[source,target\]"):
        views_data(world_with_sets, views=views)
