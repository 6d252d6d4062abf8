import hashlib

import pytest
import torch
from PIL import Image

from zsda.errors import ConfigError
from zsda.generation.recipes import Box, Intermediate, Target, Whole, derive_seed

SOURCE = "leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png"


def test_a_seed_is_the_hash_of_what_the_edit_depends_on():
    text = f'[7,"{SOURCE}","night","target",1,"noise"]'
    first_eight_bytes = hashlib.sha256(text.encode()).hexdigest()[:16]
    assert derive_seed(7, SOURCE, "night", "target", 1, "noise") == int(first_eight_bytes, 16) // 2


def test_every_ingredient_changes_the_seed():
    ingredients = [
        (0, SOURCE, "night", "target", 0, "noise"),
        (1, SOURCE, "night", "target", 0, "noise"),
        (0, SOURCE + "x", "night", "target", 0, "noise"),
        (0, SOURCE, "snow", "target", 0, "noise"),
        (0, SOURCE, "night", "whole", 0, "noise"),
        (0, SOURCE, "night", "target", 1, "noise"),
        (0, SOURCE, "night", "target", 0, "position"),
    ]
    seeds = {derive_seed(*values) for values in ingredients}
    assert len(seeds) == len(ingredients)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_target_tiles_the_canvas_row_by_row():
    assert Target().boxes(0, SOURCE, "night") == [Box(0, 0, 512, 512), Box(512, 0, 1024, 512)]
    assert Target((96, 64), 32).boxes(0, SOURCE, "night") == [
        Box(0, 0, 32, 32),
        Box(32, 0, 64, 32),
        Box(64, 0, 96, 32),
        Box(0, 32, 32, 64),
        Box(32, 32, 64, 64),
        Box(64, 32, 96, 64),
    ]
    assert Target((96, 64), 32).patches_per_image == 6


def test_whole_is_one_box():
    assert Whole((96, 64)).boxes(0, SOURCE, "night") == [Box(0, 0, 96, 64)]


def test_intermediate_positions_fill_the_canvas_and_depend_on_the_image():
    recipe = Intermediate((12, 10), 8)
    boxes = [recipe.boxes(0, f"{SOURCE}{number}", "night") for number in range(400)]
    assert all(len(of_image) == 1 for of_image in boxes)
    corners = {(of_image[0].left, of_image[0].top) for of_image in boxes}
    assert corners == {(x, y) for x in range(5) for y in range(3)}  # 12 - 8 + 1 columns, 10 - 8 + 1 rows
    assert all(box.right - box.left == 8 and box.bottom - box.top == 8 for (box,) in boxes)
    assert recipe.boxes(0, SOURCE, "night") == recipe.boxes(0, SOURCE, "night")


def test_cut_and_merge_by_hand():
    canvas = torch.arange(24, dtype=torch.uint8).reshape(1, 4, 6)
    recipe = Intermediate((6, 4), 2)
    boxes = [Box(1, 2, 3, 4)]
    patches = recipe.cut(canvas, boxes)
    assert patches.tolist() == [[[[13, 14], [19, 20]]]]
    merged = recipe.merge(canvas, boxes, patches + 100)
    assert merged[0].tolist() == [
        [0, 1, 2, 3, 4, 5],
        [6, 7, 8, 9, 10, 11],
        [12, 113, 114, 15, 16, 17],
        [18, 119, 120, 21, 22, 23],
    ]
    assert canvas[0, 2, 1] == 13


@pytest.mark.parametrize("recipe", [Target((96, 64), 32), Whole((96, 64)), Intermediate((96, 64), 32)])
def test_merging_what_was_cut_gives_the_canvas_back(recipe):
    canvas = torch.randint(0, 256, (3, 64, 96), dtype=torch.uint8)
    boxes = recipe.boxes(0, SOURCE, "night")
    assert torch.equal(recipe.merge(canvas, boxes, recipe.cut(canvas, boxes)), canvas)


def test_the_canvas_is_the_resized_image():
    image = Image.new("RGB", (40, 20), (10, 20, 30))
    canvas = Whole((16, 8)).draw_canvas(image)
    assert canvas.shape == (3, 8, 16)
    assert canvas.dtype == torch.uint8
    assert canvas[:, 3, 5].tolist() == [10, 20, 30]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Target((1024, 512), 300), "patch_size=300 does not divide the canvas of 1024x512"),
        (lambda: Intermediate((256, 128), 512), "patches of 512x512 do not fit into a canvas of 256x128"),
        (lambda: Whole((256,)), "expected width and height"),
        (lambda: Whole((256, 0)), "expected width and height"),
        (lambda: Target((256, 128), -8), "expected width and height"),
    ],
)
def test_sizes_that_make_no_sense(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_patches_must_suit_the_editor():
    Target((1000, 500), 500).check_fits(4)
    with pytest.raises(ConfigError, match=r"500x500; the editor works on multiples of 8, e.g. 496x496"):
        Target((1000, 500), 500).check_fits(8)
    with pytest.raises(ConfigError, match="1000x500"):
        Whole((1000, 500)).check_fits(8)
