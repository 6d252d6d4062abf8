import numpy as np
import pytest
import torch

from tests.generation.conftest import shifted
from zsda.core.errors import ConfigError
from zsda.core.seeds import derive_seed
from zsda.data.classes import find_classes
from zsda.data.datasets.cityscapes import Cityscapes
from zsda.data.labels import CITYSCAPES
from zsda.generation.editors.base import Edits
from zsda.generation.gates import Gate
from zsda.generation.preview import Edit, Previewer, Scales, SourceImage, Trial, around, choose, grid, read_images
from zsda.generation.recipes import Target

RECIPE = Target((128, 64), 64)


class Darkener:
    """Darkens by the text guidance; remembers the seeds, and goes black from 9 on."""

    multiple = 8

    def __init__(self):
        self.seeds, self.steps, self.sizes = [], [], []

    def with_steps(self, steps):
        self.steps.append(steps)
        return self

    def edit(self, patches, prompt, seeds, text_guidance, image_guidance, precise=False):
        self.seeds += seeds
        self.sizes.append(len(patches))
        factor = 0 if text_guidance >= 9 else 1 / text_guidance
        return Edits((patches * factor).byte(), torch.ones(len(patches), dtype=torch.bool))


class Brightness:
    """Scores a picture by its brightness."""

    classes = CITYSCAPES

    def prepare(self, image, mask):
        return np.asarray(image), mask

    def score(self, image, mask):
        return float(image.mean() / 255)


@pytest.fixture
def editor():
    return Darkener()


@pytest.fixture
def previewer(editor, night):
    return Previewer(editor, RECIPE, night, 7, 8, Brightness(), Gate())


def test_images_are_spread_over_the_split(source):
    paths = [sample.image.relative_to(source.root).as_posix() for sample in source.samples]
    images = read_images(source, 2, RECIPE, Brightness())
    assert [image.path for image in images] == [paths[0], paths[2]]
    assert images[0].canvas.shape == (3, 64, 128)
    assert images[0].layout == pytest.approx(images[0].canvas.float().mean().item() / 255)
    with pytest.raises(ConfigError, match=r"images=6; expected a whole number from 1 to 5"):
        read_images(source, 6, RECIPE, None)


def test_masks_are_in_the_classes_of_the_judge(source):
    judge = Brightness()
    judge.classes = find_classes(9)
    (nine,), (plain,) = read_images(source, 1, RECIPE, judge), read_images(source, 1, RECIPE, None)
    assert (nine.classes.name, plain.classes.name) == ("9", "19")
    assert (nine.mask == find_classes(9).to_ids(plain.mask, "labelTrainIds")).all()
    assert (nine.mask != plain.mask).any()


def test_an_edit_is_the_one_that_generate_would_make(previewer, editor, source):
    (image,) = read_images(source, 1, RECIPE, Brightness())
    edit = previewer.edit(image, Scales(2, 1.5, 20))
    assert (edit.image == (image.canvas // 2).permute(1, 2, 0).numpy()).all()
    assert edit.change == pytest.approx((image.canvas - image.canvas // 2).float().mean().item() / 255)
    assert edit.layout == pytest.approx(edit.image.mean() / 255)
    assert edit.flaw is None
    assert editor.steps == [20]
    assert editor.seeds == [derive_seed(7, image.path, "night", "target", index, "noise") for index in (0, 1)]


def test_a_bad_edit_is_shown_with_its_flaw(previewer, source):
    (image,) = read_images(source, 1, RECIPE, Brightness())
    assert previewer.edit(image, Scales(9, 1.5, 20)).flaw == "black"


def test_scales_that_the_editor_ignores_are_refused(previewer, source):
    (image,) = read_images(source, 1, RECIPE, Brightness())
    with pytest.raises(ConfigError, match=r"domain.text_guidance=1; expected a number above 1"):
        previewer.edit(image, Scales(1, 1.5, 20))
    with pytest.raises(ConfigError, match=r"domain.text_guidance=a; expected a number above 1"):
        previewer.check(Scales("a", 1.5, 20))


def test_the_editor_gets_no_more_patches_at_once_than_asked(editor, night, source):
    (image,) = read_images(source, 1, RECIPE, None)
    one_by_one = Previewer(editor, RECIPE, night, 7, 1, None, Gate())
    edit = one_by_one.edit(image, Scales(2, 1.5, 20))
    assert editor.sizes == [1, 1]
    assert (edit.image == (image.canvas // 2).permute(1, 2, 0).numpy()).all()
    assert edit.layout is None


class Shifter(Darkener):
    """Moves the second patch of two by as many pixels as the text guidance says."""

    def edit(self, patches, prompt, seeds, text_guidance, image_guidance, precise=False):
        first, second = (patches * 0.6 + 20).byte()
        return Edits(torch.stack([first, shifted(second, text_guidance, 0)]), torch.ones(2, dtype=torch.bool))


def test_an_edit_shows_how_far_it_moved_and_is_refused_beyond_the_bound(night, rendered):
    (image,) = read_images(Cityscapes(rendered / "cityscapes"), 1, Target((256, 128), 128), None)
    previewer = Previewer(Shifter(), Target((256, 128), 128), night, 7, 8, None, Gate(max_drift=4))
    near, far = (previewer.edit(image, Scales(pixels, 1.5, 5)) for pixels in (3, 9))
    assert (near.flaw, far.flaw) == (None, "drifted")
    assert (near.drift, far.drift) == pytest.approx((3, 9), abs=0.5)
    assert Trial(Scales(2, 1.5, 5), [near, far]).drift == far.drift
    aligning = Previewer(Shifter(), Target((256, 128), 128), night, 7, 8, None, Gate(max_drift=4, align=True))
    moved = aligning.edit(image, Scales(9, 1.5, 5))
    assert moved.flaw is None
    assert moved.drift <= 1
    assert moved.moved_back == pytest.approx(9, abs=0.5)
    assert near.moved_back is far.moved_back is None
    assert Trial(Scales(9, 1.5, 5), [near, moved]).moved_back == moved.moved_back
    assert (moved.image != far.image).any()


def test_drift_that_is_not_known_is_none_of_a_trial():
    assert made(0.7, 0.1).drift is None


def test_the_grid_and_its_defaults():
    assert grid([2, 3], [1.5], [5, 9]) == [Scales(2, 1.5, 5), Scales(3, 1.5, 5), Scales(2, 1.5, 9), Scales(3, 1.5, 9)]
    assert grid(2, [1.5, 1.5], 5) == [Scales(2, 1.5, 5)]
    assert around(15.0) == [8, 15, 29]
    assert around(1.1) == [1.05, 1.1, 1.2]
    assert Scales(15.0, 1.1, 50).words() == ["domain.text_guidance=15", "domain.image_guidance=1.1", "editor.steps=50"]


def made(layout, change, flaw=None):
    edit = Edit(np.zeros((2, 2, 3), np.uint8), flaw, layout, change)
    return Trial(Scales(2, 1.5, 5), [edit, edit])


def images(*layouts):
    return [
        SourceImage("a", torch.zeros(3, 2, 2), np.zeros((2, 2), np.uint8), layout, CITYSCAPES) for layout in layouts
    ]


def test_the_best_is_the_strongest_that_keeps_the_layout():
    weak, strong, ruined, broken = made(0.7, 0.1), made(0.5, 0.2), made(0.3, 0.4), made(0.7, 0.9, "black")
    trials, own = [weak, strong, ruined, broken], images(0.9, 0.7)
    assert choose(trials, own, 0.6) is strong
    assert choose(trials, own, 0.8) is weak
    assert choose(trials, own, 0.95) is None
    assert choose(trials, images(0.9, None), 0.6) is None
    assert choose([made(None, 0.1)], own, 0.6) is None
