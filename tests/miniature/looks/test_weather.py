import dataclasses

import numpy as np
import pytest

from tests.miniature.streets import SEEDS, differing_fields
from zsda.core.errors import ConfigError
from zsda.miniature.looks.weather import LOOKS, Fog, Night, apply_look
from zsda.miniature.render.scenes import Scene, render_scene


@pytest.fixture(scope="module")
def shown(scenes) -> dict[str, list[np.ndarray]]:
    return {look: [apply_look(scene, look, seed) for seed, scene in zip(SEEDS, scenes, strict=True)] for look in LOOKS}


def colourfulness(image: np.ndarray) -> float:
    return float((image.max(axis=-1).astype(int) - image.min(axis=-1)).mean())


def ground(scene: Scene) -> np.ndarray:
    return scene.is_class("road", "sidewalk", "terrain")


def test_the_six_settings_have_a_look():
    assert set(LOOKS) == {"day", "night", "snow", "rain", "fog", "game"}


@pytest.mark.parametrize("look", LOOKS)
def test_a_look_is_a_function_of_scene_and_seed(look, scenes, shown):
    picture = shown[look][0]
    assert picture.shape == scenes[0].image.shape and picture.dtype == np.uint8
    assert np.array_equal(apply_look(scenes[0], look, 0), picture)
    assert not np.array_equal(apply_look(scenes[0], look, 1), picture)


@pytest.mark.parametrize("look", LOOKS)
def test_a_look_leaves_the_scene_alone(look):
    scene, untouched = render_scene(11), render_scene(11)
    apply_look(scene, look, 5)
    assert differing_fields(scene, untouched) == []


@pytest.mark.parametrize("look", LOOKS)
def test_looks_work_at_other_sizes(look):
    assert apply_look(render_scene(2, (64, 128)), look, 2).shape == (64, 128, 3)


def test_looks_differ_from_day_and_from_each_other(shown):
    for i in SEEDS:
        pictures = [shown[look][i].astype(int) for look in LOOKS]
        for a, first in enumerate(pictures):
            for second in pictures[a + 1 :]:
                assert np.abs(first - second).mean() > 8


def test_day_stays_close_to_the_rendered_image(scenes, shown):
    for scene, day in zip(scenes, shown["day"], strict=True):
        assert np.abs(day.astype(int) - scene.image).mean() < 25


def test_night_is_dark_but_for_its_lamps(scenes, shown):
    assert np.mean(shown["night"]) < 0.7 * np.mean(shown["day"])
    for scene, day, night in zip(scenes, shown["day"], shown["night"], strict=True):
        assert night.mean() < 0.95 * day.mean()
        assert night[scene.sky == 1].mean() < 60
        burning = scene.lamps.max(axis=-1) > 200
        if burning.sum() > 10:
            assert night[burning].max(axis=-1).mean() > 200


def test_night_lights_the_ground_below_lamps(scenes):
    dark = Night(ambient=(0.05, 0.05), beam=(0.1, 0.1), lamps=(0.0, 0.0), glow=(0.0, 0.0), noise=(0.0, 0.0))
    lit = dataclasses.replace(dark, lamps=(1.0, 1.0))
    for scene in scenes:
        without, with_lamps = (apply_look(scene, "night", 0, {"night": look}).astype(int) for look in (dark, lit))
        near = ground(scene) & (scene.depth < 30)
        assert with_lamps[near].mean() > without[near].mean() + 8


def test_snow_whitens_the_ground_and_greys_the_sky(scenes, shown):
    for scene, day, snow in zip(scenes, shown["day"], shown["snow"], strict=True):
        assert snow[ground(scene)].mean() > day[ground(scene)].mean() + 25
        white = snow[ground(scene) & ~scene.is_class("road")].astype(int)
        assert white.mean() > 150 and np.ptp(white, axis=-1).mean() < 40
        assert colourfulness(snow[scene.sky == 1]) < 25


def test_snow_leaves_wheel_tracks_on_the_road(scenes):
    for scene in scenes:
        snow = apply_look(scene, "snow", 0).astype(int).mean(axis=-1)
        at = scene.positions()
        middle = scene.street.lane_middles()[0][0]
        lane = scene.is_class("road") & (at.ahead < 25) & (scene.open > 0.9)
        in_track = lane & (np.abs(np.abs(at.across - middle) - 0.78) < 0.12)
        between = lane & (np.abs(at.across - middle) < 0.25)
        if min(in_track.sum(), between.sum()) > 40:
            assert snow[in_track].mean() < snow[between].mean() - 10


def test_rain_darkens_the_picture_and_mirrors_lamps_in_the_road(scenes, shown):
    for day, rain in zip(shown["day"], shown["rain"], strict=True):
        assert rain.mean() < 0.92 * day.mean()
    # The mirror image of a lamp that is painted bright above the road shows up on the road below it.
    scene = scenes[0]
    lamps = scene.lamps.copy()
    rows, columns = np.nonzero(scene.is_class("car", "bus", "truck", "train"))
    lamps[rows, columns] = 255.0
    brighter = apply_look(dataclasses.replace(scene, lamps=lamps), "rain", 0).astype(int)
    change = (brighter - apply_look(scene, "rain", 0)).mean(axis=-1)
    assert np.quantile(change[scene.is_class("road")], 0.95) > 15


def test_fog_takes_contrast_away_with_distance(scenes):
    look = {"fog": Fog(patchy=(0.0, 0.0), visibility=(50.0, 50.0))}
    for scene in scenes:
        day, fog = (
            scene.image.astype(float).mean(axis=-1),
            apply_look(scene, "fog", 0, look).astype(float).mean(axis=-1),
        )
        near, far = scene.depth < 12, (scene.depth > 40) & (scene.sky == 0)
        if min(near.sum(), far.sum()) > 200:
            assert fog[far].std() / day[far].std() < 0.7 * fog[near].std() / day[near].std()


def test_fog_is_denser_with_less_visibility(scenes):
    pictures = [apply_look(scenes[1], "fog", 0, {"fog": Fog(visibility=(v, v))}).astype(float) for v in (25.0, 400.0)]
    far = (scenes[1].sky == 0) & (scenes[1].depth > 20)
    assert pictures[0][far].std() < 0.5 * pictures[1][far].std()


def test_game_is_more_colourful_and_flatter(scenes, shown):
    for scene, day, game in zip(scenes, shown["day"], shown["game"], strict=True):
        assert colourfulness(game) > 1.2 * colourfulness(day)
        inside = scene.is_class("building", "road")
        # Posterised surfaces: far more neighbours are exactly alike than in a picture with texture and noise.
        alike = [(np.abs(np.diff(p.astype(int), axis=1)).max(axis=-1) <= 1)[inside[:, 1:]].mean() for p in (game, day)]
        assert alike[0] > 1.5 * alike[1]


def test_an_unknown_look_names_the_known_ones(scenes):
    with pytest.raises(ConfigError, match="look 'hail' is not known; expected one of day, night"):
        apply_look(scenes[0], "hail", 0)


def test_another_family_of_looks_is_chosen_by_the_caller(scenes):
    def inverted(scene, generator):
        return 255.0 - scene.image

    picture = apply_look(scenes[0], "night", 0, {"night": inverted})
    assert np.array_equal(picture, 255 - scenes[0].image)
