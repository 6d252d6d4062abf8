import json

import pytest
from lightning import Trainer
from torch import nn

from tests.generation.conftest import HALVES, NegativeEditor, truncate
from zsda.core.errors import DataError, IncompleteError
from zsda.data.classes import find_classes
from zsda.data.labels import CITYSCAPES
from zsda.data.resizing import resize_mask
from zsda.evaluation.layout import LayoutJudge
from zsda.generation.data import PatchDataModule, SourcePatches
from zsda.generation.layout import LayoutData, LayoutTask, LayoutWriter, complete_scores
from zsda.generation.store import GeneratedStore
from zsda.generation.task import GenerationTask, StoreWriter, complete_set


class CountingJudge(LayoutJudge):
    """Scores 0.1, 0.2, 0.3 and so on."""

    def __init__(self, digest="one", fail_after=None):
        super().__init__(nn.Conv2d(3, 19, 1), (64, 128), digest, CITYSCAPES)
        self.count, self.fail_after = 0, fail_after

    def score(self, image, mask):
        assert image.shape == (3, 64, 128)
        assert mask.shape == (64, 128)
        if self.count == self.fail_after:
            raise KeyError("the power went off")
        self.count += 1
        return self.count / 10


def trainer(writer):
    return Trainer(
        accelerator="cpu", devices=1, logger=False, enable_progress_bar=False, enable_checkpointing=False,
        enable_model_summary=False, use_distributed_sampler=False, callbacks=[writer],
    )  # fmt: skip


@pytest.fixture
def made(source, night, faults, tmp_path):
    """A set of five negatives, and what scores it with a judge."""
    root = tmp_path / "night_target"
    patches = SourcePatches(source, HALVES, night, 0)
    data = PatchDataModule(patches, GeneratedStore(root, {}), 4, 0)
    complete_set(trainer(StoreWriter()), GenerationTask(NegativeEditor(), HALVES, night, 0, 4, faults), data)

    def score(judge, patches=patches):
        scored = LayoutData(patches, GeneratedStore(root, {}), source, judge, 0)
        complete_scores(trainer(LayoutWriter()), LayoutTask(judge, faults), scored)
        return [json.loads(line) for line in (root / "manifest.jsonl").read_text().splitlines()]

    return root, score


def scores(lines):
    return [line.get("layout_score") for line in lines]


def test_every_image_has_its_score_beside_what_it_had(made):
    root, score = made
    before = [json.loads(line) for line in (root / "manifest.jsonl").read_text().splitlines()]
    after = score(CountingJudge())
    assert scores(after) == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert [
        {**line, "layout_score": number / 10, "layout_network": "one"} for number, line in enumerate(before, 1)
    ] == after


def test_what_is_scored_stays_and_another_network_scores_anew(made):
    _, score = made
    score(CountingJudge())
    again, other = CountingJudge(), CountingJudge("other")
    assert scores(score(again)) == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert again.count == 0
    assert {line["layout_network"] for line in score(other)} == {"other"}


def test_an_interruption_keeps_what_was_scored(made, source):
    root, score = made
    with pytest.raises(KeyError):
        score(CountingJudge(fail_after=2))
    paths = [sample.image.relative_to(source.root).as_posix() for sample in source.samples]
    GeneratedStore(root, {}).recover({path: source.root / path for path in paths})
    judge = CountingJudge()
    assert scores(score(judge)) == [0.1, 0.2, 0.1, 0.2, 0.3]
    assert not list(root.glob("*.part"))


@pytest.mark.parametrize("what", ["image", "label"])
def test_an_image_that_cannot_be_scored_is_counted_until_it_is_mended(made, source, faults, what):
    root, score = made
    victim = sorted(root.glob("leftImg8bit/*/*/*.png"))[1] if what == "image" else source.samples[1].label
    whole = victim.read_bytes()
    truncate(victim)
    lines = score(CountingJudge())
    assert scores(lines) == [0.1, None, 0.2, 0.3, 0.4]
    assert lines[1]["layout_network"] == "one", "it was tried, so whoever reads the scores need not ask for more"
    with pytest.raises(IncompleteError, match=f"1 image was left out: .*{victim.name}"):
        faults.conclude("scored")
    victim.write_bytes(whole)
    assert scores(score(CountingJudge())) == [0.1, 0.1, 0.2, 0.3, 0.4]


def test_labels_are_in_the_classes_of_the_judge(made, source):
    _, score = made
    judge, seen = CountingJudge(), []
    judge.classes = find_classes(9)
    judge.score = lambda _image, mask: seen.append(mask)
    score(judge)
    nine = source.with_classes(judge.classes)
    expected = [resize_mask(nine.mask(place), (64, 128)) for place in range(5)]
    assert all((mask.numpy() == own).all() for mask, own in zip(seen, expected, strict=True))


def test_only_the_images_that_are_asked_for_are_scored(made, source, night):
    _, score = made
    lines = score(CountingJudge(), SourcePatches(source, HALVES, night, 0, limit=2))
    assert scores(lines) == [0.1, 0.2, None, None, None]
    assert "layout_network" not in lines[2]


def test_a_foreign_label_ends_it(made, source):
    from PIL import Image

    _, score = made
    label = source.samples[0].label
    Image.open(label).point(lambda _: 77).save(label)
    with pytest.raises(DataError, match=r"ids outside the table of labelIds: \[77\]"):
        score(CountingJudge())
