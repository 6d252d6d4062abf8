import itertools

import numpy as np
import pytest

from tests.miniature.streets import differing_fields
from zsda.core.errors import ConfigError
from zsda.data.labels import CLASSES, IGNORE, TRAIN_ID
from zsda.miniature.render.raster import SKY_DEPTH
from zsda.miniature.render.scenes import Scene, render_scene


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [render_scene(seed) for seed in range(24)]


def test_a_scene_has_the_promised_shapes_and_types(scenes):
    scene = scenes[0]
    assert scene.image.shape == (128, 256, 3) and scene.image.dtype == np.uint8
    assert scene.train_ids.shape == (128, 256) and scene.train_ids.dtype == np.uint8
    assert scene.depth.shape == (128, 256) and scene.depth.dtype == np.float32
    maps = ("sky", "sunlit", "open", "upward", "windows")
    assert all(getattr(scene, name).shape == (128, 256) for name in maps)
    assert all(getattr(scene, name).dtype == np.float32 for name in (*maps, "albedo", "lamps"))


@pytest.mark.parametrize("size", [(64, 128), (96, 192), (160, 320)])
def test_other_sizes_show_the_same_street(size, scenes):
    scene = render_scene(3, size)
    assert scene.image.shape == (*size, 3) and scene.train_ids.shape == size
    shares, expected = (np.bincount(s.train_ids.ravel(), minlength=256) / s.train_ids.size for s in (scene, scenes[3]))
    assert np.abs(shares - expected).max() < 0.03


@pytest.mark.parametrize("size", [(32, 64), (128, 128), (128, 257)])
def test_sizes_that_cannot_be_rendered_are_refused(size):
    with pytest.raises(ConfigError, match=f"size {size[0]}x{size[1]} .*expected at least 64x128"):
        render_scene(0, size)


def test_a_seed_gives_the_same_scene_again(scenes):
    assert differing_fields(render_scene(7), scenes[7]) == []
    assert "image" in differing_fields(render_scene(8), scenes[7])


def test_other_seeds_give_other_scenes(scenes):
    assert len({scene.image.tobytes() for scene in scenes}) == len(scenes)
    assert len({scene.train_ids.tobytes() for scene in scenes}) == len(scenes)


def test_only_train_ids_and_ignore_occur(scenes):
    found = set(np.unique(np.stack([scene.train_ids for scene in scenes])).tolist())
    assert found <= {*range(len(CLASSES)), IGNORE}


def test_every_class_occurs_and_is_large_enough_to_learn(scenes):
    pixels = np.stack([np.bincount(scene.train_ids.ravel(), minlength=256)[: len(CLASSES)] for scene in scenes])
    assert (pixels.sum(axis=0) > 0).all()
    often = (pixels >= 30).mean(axis=0) > 0.3
    assert often.sum() >= 16
    for name in ("pole", "traffic sign", "person"):
        shown = pixels[:, TRAIN_ID[name]]
        assert np.median(shown[shown > 0]) > 60, name


def test_sky_is_farthest_and_nothing_else_is_that_far(scenes):
    for scene in scenes:
        sky = scene.is_class("sky")
        assert np.allclose(scene.depth[sky], SKY_DEPTH)
        assert (scene.depth[~sky] < SKY_DEPTH / 1.5).all() and (scene.depth > 0.4).all()


def test_the_road_comes_nearer_towards_the_bottom(scenes):
    for scene in scenes:
        rows = [scene.depth[row][scene.is_class("road")[row]] for row in range(128)]
        means = [float(row.mean()) for row in rows if len(row)]
        assert all(upper > lower for upper, lower in itertools.pairwise(means))


def test_ground_lies_at_height_zero_and_cars_stand_on_it(scenes):
    for scene in scenes[:12]:
        height = scene.positions().height
        assert np.abs(height[scene.is_class("road", "sidewalk", "terrain")]).max() < 0.15
        cars = height[scene.is_class("car")]
        if len(cars) > 200:
            assert -0.3 < np.quantile(cars, 0.01) < 0.6 and np.quantile(cars, 0.99) < 2.6


def test_the_image_is_brighter_in_the_sun_than_in_shadow(scenes):
    contrasts = []
    for scene in scenes:
        road, light = scene.is_class("road"), scene.sunlit
        if light.max() < 0.4:
            continue
        sun, shade = road & (light > 0.8 * light.max()), road & (light < 0.1)
        if min(sun.sum(), shade.sum()) > 100:
            contrasts.append(scene.image[sun].mean() / scene.image[shade].mean())
    assert len(contrasts) > 5 and min(contrasts) > 1.1


def test_street_lamps_hang_over_the_street(scenes):
    lamps = [light for scene in scenes for light in scene.lights if light.street]
    assert len(lamps) > 2 * len(scenes)
    assert all(4.0 < lamp.y < 8.0 and lamp.z > 1.0 for lamp in lamps)
