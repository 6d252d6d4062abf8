import json

import pytest
import torch
from lightning import Trainer

from tests.generation.conftest import NegativeEditor, pixels, truncate
from zsda.errors import ConfigError, IncompleteError
from zsda.generation.editors import InstructPix2PixEditor
from zsda.generation.recipes import Intermediate, Target, Whole, derive_seed
from zsda.generation.source import PatchDataModule, SourcePatches
from zsda.generation.store import GeneratedStore
from zsda.generation.task import GenerationTask, StoreWriter, complete_set

HALVES = Target((128, 64), 64)


@pytest.fixture
def make(source, night, faults, tmp_path):
    """Makes a set as the command does, with an editor of choice."""

    def make_set(name, editor, recipe=HALVES, batch_size=4, num_workers=0, seed=0):
        trainer = Trainer(
            accelerator="cpu",
            devices=1,
            logger=False,
            enable_progress_bar=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            callbacks=[StoreWriter()],
        )
        store = GeneratedStore(tmp_path / name, {"seed": seed})
        data = PatchDataModule(SourcePatches(source, recipe, night, seed), store, batch_size, num_workers)
        complete_set(trainer, GenerationTask(editor, recipe, night, seed, batch_size, faults), data)
        return tmp_path / name

    return make_set


def contents(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def lines(root):
    return [json.loads(line) for line in (root / "manifest.jsonl").read_text().splitlines()]


def test_patches_of_different_images_are_edited_together(make):
    editor = NegativeEditor()
    root = make("set", editor)
    assert [len(call) for call in editor.calls] == [4, 4, 2]
    seeds = [seed for line in lines(root) for seed in line["seeds"]]
    assert [seed for call in editor.calls for seed in call] == seeds


def test_an_image_with_more_patches_than_the_batch_is_edited_in_turns(make):
    editor = NegativeEditor()
    root = make("set", editor, Target((128, 64), 32), batch_size=3)
    assert [len(call) for call in editor.calls] == [3, 3, 2] * 5
    assert len(lines(root)) == 5


def test_noise_comes_from_the_hash(make, source):
    line = lines(make("set", NegativeEditor(), seed=9))[1]
    relative = source.samples[1].image.relative_to(source.root).as_posix()
    assert line["source"] == relative
    assert line["seeds"] == [derive_seed(9, relative, "night", "target", index, "noise") for index in (0, 1)]


@pytest.mark.parametrize("recipe", [Intermediate((128, 64), 32), Target((128, 64), 64), Whole((128, 64))])
def test_only_the_boxes_are_edited(make, source, night, recipe):
    root = make("set", NegativeEditor(), recipe)
    patches = SourcePatches(source, recipe, night, 0)
    for index, line in enumerate(lines(root)):
        expected = patches[index]["canvas"].permute(1, 2, 0).numpy().astype(int)
        for left, top, right, bottom in line["boxes"]:
            expected[top:bottom, left:right] = 255 - expected[top:bottom, left:right]
        assert (pixels(root / line["output"]) == expected).all()


def test_a_crash_and_a_second_start_end_in_the_same_bytes(make):
    reference = contents(make("reference", NegativeEditor()))
    with pytest.raises(KeyError):
        make("set", NegativeEditor(fail_after=1))
    editor = NegativeEditor()
    assert contents(make("set", editor)) == reference
    assert len(editor.calls) == 2


def test_a_group_that_lacks_one_image_meets_the_editor_as_a_whole(make):
    editor = NegativeEditor()
    root = make("set", editor)
    reference, first_calls = contents(root), editor.calls
    victim, neighbour = (root / line["output"] for line in lines(root)[:2])
    victim.unlink()
    before = neighbour.stat().st_mtime_ns
    editor = NegativeEditor()
    assert contents(make("set", editor)) == reference
    assert editor.calls == first_calls[:1]
    assert neighbour.stat().st_mtime_ns == before


def test_a_finished_set_needs_no_editing(make, caplog):
    root = make("set", NegativeEditor())
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    editor = NegativeEditor()
    with caplog.at_level("INFO"):
        make("set", editor)
    assert editor.calls == []
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    assert f"set: 0 made, 5 were there already, in {root}" in caplog.text


def test_a_damaged_source_is_left_out_and_counted(make, source, faults, caplog):
    truncate(source.samples[1].image)
    with caplog.at_level("INFO"):
        root = make("set", NegativeEditor())
    assert len(lines(root)) == 4
    assert "set: 4 made, 0 were there already, 1 left out" in caplog.text
    with pytest.raises(IncompleteError, match=f"1 damaged file was left out: .*{source.samples[1].image.name}"):
        faults.conclude("done")


def test_a_group_of_damaged_sources_is_skipped(make, source):
    for sample in source.samples[:2]:
        truncate(sample.image)
    assert len(lines(make("set", NegativeEditor()))) == 3


def test_sizes_that_the_editor_cannot_take(source, night, faults):
    with pytest.raises(ConfigError, match="the editor works on multiples of 8"):
        GenerationTask(NegativeEditor(), Whole((100, 50)), night, 0, 4, faults)


def test_workers_change_no_byte_and_batches_at_most_one_grey_level(make, pipeline_folder):
    editor = InstructPix2PixEditor(str(pipeline_folder), steps=2)
    reference = make("reference", editor)
    assert contents(make("workers", editor, num_workers=2)) == contents(reference)
    single = make("single", editor, batch_size=1)
    assert [line["seeds"] for line in lines(single)] == [line["seeds"] for line in lines(reference)]
    for line in lines(reference):
        assert abs(pixels(single / line["output"]) - pixels(reference / line["output"])).max() <= 1


def test_the_precision_of_the_trainer_is_not_that_of_the_editor(source, night, faults, pipeline_folder):
    editor = InstructPix2PixEditor(str(pipeline_folder), steps=2)
    task = GenerationTask(editor, Whole((128, 64)), night, 0, 4, faults)
    sample = SourcePatches(source, task.recipe, night, 0)[0]
    batch = {key: [value] if not isinstance(value, torch.Tensor) else value[None] for key, value in sample.items()}
    plain = task.predict_step({**batch, "faults": []}, 0)[0].image
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(task.predict_step({**batch, "faults": []}, 0)[0].image, plain)
