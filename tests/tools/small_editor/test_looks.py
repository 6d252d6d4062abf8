import dataclasses

import numpy as np
import pytest

from tests.miniature.streets import SEEDS, differing_fields
from tools.small_editor import optics
from tools.small_editor.looks import LOOKS
from zsda.miniature.looks import weather
from zsda.miniature.looks.weather import apply_look
from zsda.miniature.render.scenes import Scene, render_scene


@pytest.fixture(scope="module")
def shown(scenes) -> dict[str, list[np.ndarray]]:
    return {look: [show(scene, look, seed) for seed, scene in zip(SEEDS, scenes, strict=True)] for look in LOOKS}


def show(scene: Scene, look: str, seed: int, **spans: tuple) -> np.ndarray:
    return apply_look(scene, look, seed, {look: dataclasses.replace(LOOKS[look], **spans)})


def at(value: float) -> tuple:
    return ((value, value),)


def colourfulness(image: np.ndarray) -> float:
    return float(np.ptp(image.astype(int), axis=-1).mean())


def ground(scene: Scene) -> np.ndarray:
    return scene.is_class("road", "sidewalk", "terrain")


def shared_fields(look: str) -> set[str]:
    return {f.name for f in dataclasses.fields(LOOKS[look])} & {f.name for f in dataclasses.fields(weather.LOOKS[look])}


def test_both_families_have_the_same_names():
    assert list(LOOKS) == list(weather.LOOKS)


@pytest.mark.parametrize("look", LOOKS)
def test_shared_parameters_leave_out_the_range_of_the_benchmark(look):
    assert len(shared_fields(look)) >= 3
    for name in shared_fields(look):
        low, high = getattr(weather.LOOKS[look], name)
        spans = getattr(LOOKS[look], name)
        assert all(end < low or start > high for start, end in spans), name
        assert {end < low for _, end in spans} == {True, False}, f"{name} lies on one side only"


@pytest.mark.parametrize("look", LOOKS)
def test_spans_rise(look):
    for field in dataclasses.fields(LOOKS[look]):
        ends = [end for span in getattr(LOOKS[look], field.name) for end in span]
        assert ends == sorted(ends) and len(ends) % 2 == 0


def test_pick_meets_intervals_in_proportion_to_their_length():
    generator = np.random.default_rng(0)
    values = np.array([optics.pick(generator, ((0.0, 1.0), (10.0, 13.0))) for _ in range(2000)])
    low = values < 5
    assert ((values[low] <= 1) & (values[low] >= 0)).all() and ((values[~low] >= 10) & (values[~low] <= 13)).all()
    assert 0.2 < low.mean() < 0.3
    assert optics.pick(generator, ((4.0, 4.0),)) == 4.0


@pytest.mark.parametrize("look", LOOKS)
def test_a_look_is_a_function_of_scene_and_seed(look, scenes, shown):
    picture = shown[look][0]
    assert picture.shape == scenes[0].image.shape and picture.dtype == np.uint8
    assert np.array_equal(apply_look(scenes[0], look, 0, LOOKS), picture)
    assert not np.array_equal(apply_look(scenes[0], look, 1, LOOKS), picture)


@pytest.mark.parametrize("look", LOOKS)
def test_a_look_paints_finite_float32_and_leaves_the_scene_alone(look):
    scene, untouched = render_scene(11), render_scene(11)
    painted = LOOKS[look](scene, np.random.default_rng(5))
    assert painted.dtype == np.float32 and np.isfinite(painted).all()
    assert differing_fields(scene, untouched) == []


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("size", [(64, 128), (160, 320)])
def test_looks_work_at_other_sizes(look, size):
    assert apply_look(render_scene(2, size), look, 2, LOOKS).shape == (*size, 3)


@pytest.mark.parametrize("look", LOOKS)
def test_a_look_differs_from_the_benchmarks(look, scenes, shown):
    for seed, scene in zip(SEEDS, scenes, strict=True):
        assert np.abs(apply_look(scene, look, seed).astype(int) - shown[look][seed]).mean() > 4


def test_looks_differ_from_each_other(shown):
    for i in SEEDS:
        pictures = [shown[look][i].astype(int) for look in LOOKS]
        for a, first in enumerate(pictures):
            assert all(np.abs(first - second).mean() > 8 for second in pictures[a + 1 :])


def test_day_stays_close_to_the_rendered_image(scenes, shown):
    for scene, day in zip(scenes, shown["day"], strict=True):
        assert np.abs(day.astype(int) - scene.image).mean() < 30


def test_night_is_dark_but_for_its_lamps(scenes, shown):
    assert np.mean(shown["night"]) < 0.6 * np.mean(shown["day"])
    for scene, night in zip(scenes, shown["night"], strict=True):
        assert night.mean() < 0.85 * scene.image.mean()
        assert night[scene.sky == 1].mean() < 70
        burning = scene.lamps.max(axis=-1) > 200
        if burning.sum() > 10:
            assert night[burning].max(axis=-1).mean() > 200


def test_night_lights_the_ground_below_lamps_and_before_the_car(scenes):
    off = {"lamps": at(0.0), "beam": at(0.1), "glow": at(0.0), "spikes": at(0.0), "noise": at(0.0)}
    for scene in scenes:
        near = ground(scene) & (scene.depth < 30)
        dark = show(scene, "night", 0, **off)[near].mean()
        assert show(scene, "night", 0, **{**off, "lamps": at(1.0), "reach": at(8.0)})[near].mean() > dark + 5
        assert show(scene, "night", 0, **{**off, "beam": at(15.0)})[near].mean() > dark + 5


def test_night_lights_more_windows_when_more_are_lit(scenes):
    panes = [scene for scene in scenes if (scene.windows > 0).sum() > 300]
    assert panes
    for scene in panes:
        few, many = (show(scene, "night", 0, lit=at(share))[scene.windows > 0].mean() for share in (0.05, 0.9))
        assert many > few + 30


def test_snow_whitens_the_ground_and_greys_the_sky(scenes, shown):
    for scene, snow in zip(scenes, shown["snow"], strict=True):
        white = snow[ground(scene) & ~scene.is_class("road")].astype(int)
        assert white.mean() > 130 and np.ptp(white, axis=-1).mean() < 25
        assert snow[ground(scene)].mean() > scene.image[ground(scene)].mean() + 20
        assert colourfulness(snow[scene.sky == 1]) < 25


def test_slush_bares_the_road_and_nothing_else(scenes):
    for scene in scenes:
        white, bare = (show(scene, "snow", 0, slush=at(s), flakes=at(0.0)).astype(int) for s in (0.0, 1.0))
        road = scene.is_class("road")
        assert bare[road].mean() < white[road].mean() - 30
        assert np.array_equal(bare[~road], white[~road])


def test_flakes_stay_behind_what_is_nearer(scenes):
    for scene in scenes:
        still, falling = (show(scene, "snow", 0, flakes=at(f)).astype(int) for f in (0.0, 2.0))
        touched = np.abs(falling - still).max(axis=-1) > 40
        assert touched[scene.depth > 30].mean() > 3 * touched[scene.depth < 5].mean()


def test_rain_darkens_greys_and_streaks(scenes, shown):
    assert np.mean(shown["rain"]) < 0.85 * np.mean(shown["day"])
    for scene, rain in zip(scenes, shown["rain"], strict=True):
        assert colourfulness(rain) < colourfulness(scene.image)
        dry, wet = (show(scene, "rain", 0, streaks=at(s), drops=at(0.0)).astype(int) for s in (0.0, 2.0))
        assert 0.05 < (np.abs(wet - dry).max(axis=-1) > 12).mean() < 0.6


def test_lamps_run_down_the_wet_road(scenes):
    scene = scenes[0]
    lit, dark = (
        show(s, "rain", 0, mirror=at(1.0), streaks=at(0.0)).astype(int)
        for s in (scene, dataclasses.replace(scene, lights=(), lamps=np.zeros_like(scene.lamps)))
    )
    change = (lit - dark).max(axis=-1)[scene.is_class("road")]
    assert np.quantile(change, 0.97) > 20 and np.median(change) < 10


@pytest.mark.parametrize("visibility", [25.0, 95.0])
def test_fog_takes_contrast_away_with_distance(visibility, scenes):
    compared = 0
    for scene in scenes:
        black = dataclasses.replace(
            scene,
            image=np.zeros_like(scene.image),
            albedo=np.zeros_like(scene.albedo),
            lamps=np.zeros_like(scene.lamps),
        )
        street, air = (show(s, "fog", 0, visibility=at(visibility)).astype(float) for s in (scene, black))
        near, far = scene.depth < 12, (scene.depth > 40) & (scene.sky == 0)
        if min(near.sum(), far.sum()) > 200:
            compared += 1
            left = [(street - air)[part].mean() / scene.image[part].mean() for part in (near, far)]
            assert 0.0 < left[1] < 0.7 * left[0]
    assert compared


def test_fog_is_denser_with_less_visibility(scenes):
    far = (scenes[1].sky == 0) & (scenes[1].depth > 20)
    thick, thin = (show(scenes[1], "fog", 0, visibility=at(v)).astype(float)[far].std() for v in (20.0, 110.0))
    assert thick < 0.4 * thin


def test_game_is_more_colourful_and_inked(scenes, shown):
    assert np.mean([*map(colourfulness, shown["game"])]) > 1.3 * np.mean([*map(colourfulness, shown["day"])])
    for scene in scenes:
        plain, inked = (show(scene, "game", 0, outline=at(o)).astype(int).mean(axis=-1) for o in (0.0, 1.0))
        drawn = inked < plain - 20
        assert 0.02 < drawn.mean() < 0.35
        assert not drawn[scene.depth > 90].any()


def test_planes_have_no_creases():
    scene = render_scene(0)
    creases = optics.creases(scene)
    near_road = scene.is_class("road") & (scene.depth < 15)
    assert creases[near_road].mean() < 0.05 < creases[~near_road & (scene.sky == 0)].mean()
