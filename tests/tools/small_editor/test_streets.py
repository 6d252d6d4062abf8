import dataclasses
import itertools
from random import Random

import numpy as np
import pytest

from tests.miniature.streets import differing_fields
from tools.small_editor.streets import TRAINING_STREETS
from zsda.data.labels import CLASSES, IGNORE, TRAIN_ID
from zsda.miniature.render.geometry import Faces
from zsda.miniature.render.raster import SKY_DEPTH
from zsda.miniature.render.scenes import SIZE, Scene, render_scene
from zsda.miniature.street.layout import draw_plan
from zsda.miniature.street.style import CITY, Palette, StreetStyle, draw, pick

COLOURS = [field.name for field in dataclasses.fields(Palette)]
NO_SPANS = {"name", "first_seed", "palette", "sunshine"}
SPANS = [field.name for field in dataclasses.fields(StreetStyle) if field.name not in NO_SPANS]


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [render_scene(seed, style=TRAINING_STREETS) for seed in range(24)]


def both(name: str) -> tuple[np.ndarray, np.ndarray]:
    return np.array(getattr(CITY.palette, name)), np.array(getattr(TRAINING_STREETS.palette, name))


@pytest.mark.parametrize("name", COLOURS)
def test_the_styles_share_no_colour(name):
    city, training = both(name)
    assert city.shape[1:] == training.shape[1:] == (3,)
    assert np.abs(city[:, None] - training[None]).max(axis=-1).min() > 8


@pytest.mark.parametrize("name", COLOURS)
def test_training_streets_have_more_colours_and_they_reach_further(name):
    city, training = both(name)
    assert len(np.unique(training, axis=0)) == len(training) > len(city)
    assert (training.min(axis=0) <= city.min(axis=0)).all() and (training.max(axis=0) >= city.max(axis=0)).all()
    assert training.min() >= 0 and training.max() <= 255


@pytest.mark.parametrize("name", SPANS)
def test_the_styles_share_no_view(name):
    city, training = getattr(CITY, name), getattr(TRAINING_STREETS, name)
    assert all(low < high for low, high in (*city, *training))
    assert all(a[1] < c[0] or c[1] < a[0] for c, a in itertools.product(city, training))
    assert min(training)[0] < min(city)[0] and max(training)[1] > max(city)[1]


def test_the_styles_share_no_sunshine():
    assert not set(CITY.sunshine) & set(TRAINING_STREETS.sunshine)
    assert all(0 <= strength <= 1 for strength in (*CITY.sunshine, *TRAINING_STREETS.sunshine))


def test_a_number_from_one_interval_is_drawn_like_any_uniform_one():
    ours, plain = Random(4), Random(4)
    for _ in range(100):
        assert draw(ours, ((-0.7, 2.3),)) == plain.uniform(-0.7, 2.3)


def test_a_number_falls_into_intervals_by_their_length():
    rng = Random(0)
    drawn = np.array([draw(rng, ((1.0, 2.0), (5.0, 8.0))) for _ in range(4000)])
    first, second = (drawn >= 1) & (drawn <= 2), (drawn >= 5) & (drawn <= 8)
    assert (first | second).all()
    assert abs(first.mean() - 0.25) < 0.03
    assert abs(drawn[second].mean() - 6.5) < 0.1


def test_the_only_colour_is_picked_without_drawing():
    rng = Random(1)
    before = rng.getstate()
    assert pick(rng, ((1, 2, 3),)) == (1, 2, 3) and rng.getstate() == before
    assert {pick(rng, ((1, 2, 3), (4, 5, 6))) for _ in range(20)} == {(1, 2, 3), (4, 5, 6)}


def test_streets_are_the_benchmarks_unless_told_otherwise(scenes):
    assert differing_fields(render_scene(5), render_scene(5, style=CITY)) == []
    assert "image" in differing_fields(render_scene(5), scenes[5])


def test_a_seed_gives_the_same_training_street_again(scenes):
    assert differing_fields(render_scene(7, style=TRAINING_STREETS), scenes[7]) == []
    assert len({scene.image.tobytes() for scene in scenes}) == len(scenes)


def test_every_class_occurs_in_training_streets_and_is_large_enough_to_learn(scenes):
    assert set(np.unique([scene.train_ids for scene in scenes]).tolist()) <= {*range(len(CLASSES)), IGNORE}
    pixels = np.stack([np.bincount(scene.train_ids.ravel(), minlength=256)[: len(CLASSES)] for scene in scenes])
    assert (pixels.sum(axis=0) > 0).all()
    assert ((pixels >= 30).mean(axis=0) > 0.3).sum() >= 16


def test_depth_in_training_streets_is_as_sound_as_in_the_city(scenes):
    for scene in scenes:
        sky, road = scene.is_class("sky"), scene.is_class("road")
        assert np.allclose(scene.depth[sky], SKY_DEPTH) and (scene.depth[~sky] < SKY_DEPTH / 1.5).all()
        means = [float(scene.depth[row][road[row]].mean()) for row in range(SIZE[0]) if road[row].any()]
        assert all(upper > lower for upper, lower in itertools.pairwise(means))
        # Depth is that of the first of the finer pixels, a quarter of a pixel above the middle of the pixel.
        pixels = scene.positions().height * scene.camera.focal / scene.depth
        assert np.abs(pixels[scene.is_class("road", "sidewalk", "terrain")]).max() < 0.26


@pytest.mark.parametrize("style", [CITY, TRAINING_STREETS], ids=lambda style: style.name)
def test_cameras_and_roads_keep_to_the_ranges_of_their_style(style):
    for seed in range(20):
        plan = draw_plan(Random(seed), SIZE, style)
        found = {
            "focal": plan.camera.focal / SIZE[1],
            "centre": plan.camera.centre / SIZE[1],
            "horizon": plan.camera.horizon / SIZE[0],
            "eye": plan.camera.eye,
            "asphalt": plan.street.asphalt[0],
            "walks": plan.street.walks[0],
        }
        if plan.camera.curve:
            found["curve"] = plan.camera.curve
        for name, value in found.items():
            assert any(low - 1e-9 <= value <= high + 1e-9 for low, high in getattr(style, name)), name


@pytest.fixture(scope="module")
def faces() -> list[Faces]:
    plans = [draw_plan(Random(seed), SIZE, TRAINING_STREETS) for seed in range(12)]
    return [plan.mesh.faces(plan.camera) for plan in plans]


@pytest.mark.parametrize(("name", "field"), [("car", "cars"), ("truck", "trucks"), ("bus", "buses")])
def test_vehicles_on_training_streets_wear_none_of_the_colours_of_the_city(name, field, faces):
    worn = {colour for f in faces for colour in map(tuple, f.colours[f.train_ids == TRAIN_ID[name]].tolist())}
    assert worn & set(getattr(TRAINING_STREETS.palette, field))
    assert not worn & set(getattr(CITY.palette, field))
