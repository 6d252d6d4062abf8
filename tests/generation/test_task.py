import json
import threading
import time

import pytest
import torch

from tests.generation.conftest import (
    HALVES,
    NegativeEditor,
    always,
    contents,
    enlarged,
    lines,
    noise,
    pixels,
    shifted,
    truncate,
)
from zsda.core.errors import ConfigError, IncompleteError, ModelError, StoreError
from zsda.core.seeds import derive_seed
from zsda.data.datasets.cityscapes import Cityscapes
from zsda.generation.data import SourcePatches
from zsda.generation.editors.base import Edits
from zsda.generation.editors.instruct_pix2pix import InstructPix2PixEditor
from zsda.generation.gates import Gate
from zsda.generation.recipes import Intermediate, Target, Whole
from zsda.generation.store import GeneratedStore
from zsda.generation.task import GenerationTask


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


def test_images_are_written_while_the_next_are_edited(make, monkeypatch):
    second, add = threading.Event(), GeneratedStore.add

    class Announcing(NegativeEditor):
        def edit(self, *words, **more):
            if self.calls:
                second.set()
            return super().edit(*words, **more)

    def late(store, edited, rank=0):
        assert second.wait(timeout=30), "the second group is not edited before the first is written"
        add(store, edited, rank)

    monkeypatch.setattr(GeneratedStore, "add", late)
    root = make("set", Announcing())
    assert [line["source"] for line in lines(root)] == sorted(line["source"] for line in lines(root))
    assert len(lines(root)) == 5


def test_an_image_that_cannot_be_written_ends_the_run(make, monkeypatch):
    def full(store, edited, rank=0):
        raise StoreError("no space left on device")

    monkeypatch.setattr(GeneratedStore, "add", full)
    editor = NegativeEditor()
    with pytest.raises(StoreError, match="no space left"):
        make("set", editor)
    assert len(editor.calls) == 2, "it is said as soon as the next group is done"
    with pytest.raises(StoreError, match="no space left"):
        make("single group", NegativeEditor(), batch_size=16)


def test_images_that_are_done_are_written_whatever_ends_the_run(make, tmp_path, monkeypatch):
    add = GeneratedStore.add

    def slow(store, edited, rank=0):
        time.sleep(0.2)
        add(store, edited, rank)

    monkeypatch.setattr(GeneratedStore, "add", slow)
    with pytest.raises(KeyError):
        make("set", NegativeEditor(fail_after=1))
    assert len(list((tmp_path / "set").rglob("*.png"))) == 2


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


@pytest.mark.parametrize(
    "recipe",
    [
        Intermediate((128, 64), (40, 24), patches=3),
        Intermediate((128, 64), 32, position="right"),
        Target((128, 64), 48),
    ],
    ids=["three patches", "a fixed place", "tiles that overlap"],
)
def test_other_recipes_make_sets_like_the_published_ones(make, source, night, recipe):
    root = make("set", NegativeEditor(), recipe)
    patches = SourcePatches(source, recipe, night, 0)
    for index, line in enumerate(lines(root)):
        canvas, boxes = patches[index]["canvas"], patches[index]["boxes"]
        assert line["boxes"] == [list(box) for box in boxes]
        assert len(set(line["seeds"])) == len(boxes) == recipe.patches_per_image
        expected = recipe.merge(canvas, boxes, 255 - recipe.cut(canvas, boxes)).permute(1, 2, 0).numpy()
        assert (pixels(root / line["output"]) == expected).all()
    assert contents(make("other batches", NegativeEditor(), recipe, batch_size=1)) == contents(root)


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
    with pytest.raises(IncompleteError, match=f"1 image was left out: .*{source.samples[1].image.name}"):
        faults.conclude("done")


def test_a_group_of_damaged_sources_is_skipped(make, source):
    for sample in source.samples[:2]:
        truncate(sample.image)
    assert len(lines(make("set", NegativeEditor()))) == 3


@pytest.mark.parametrize("flaw", ["black", "flat", "unchanged", "non-finite"])
def test_a_bad_patch_is_edited_again_alone_with_the_next_seed_in_fp32(make, source, faults, flaw):
    first, second, third = (noise(1, source, 1, attempt) for attempt in range(3))
    reference = make("reference", NegativeEditor())
    editor = NegativeEditor(flaws={first: flaw, second: "black"})
    root = make("set", editor)
    before, after = lines(reference), lines(root)
    assert after[1].pop("retries") == [
        {"patch": 1, "seed": first, "flaw": flaw},
        {"patch": 1, "seed": second, "flaw": "black"},
    ]
    assert after[1]["seeds"] == [noise(1, source, 0), third]
    assert {**after[1], "seeds": before[1]["seeds"]} == before[1]  # the negative is the same with any seed
    assert after[:1] + after[2:] == before[:1] + before[2:]
    assert editor.calls[1:3] == [[second], [third]]
    assert editor.precise == [False, True, True, False, False]
    faults.conclude("done")  # nothing was left out


def test_an_image_that_stays_bad_is_left_out_counted_and_not_tried_again(make, source, faults, caplog):
    flaws = {**always("black", 1, source, patch=1), noise(1, source, 1, 2): "flat"}
    with caplog.at_level("INFO"):
        root = make("set", NegativeEditor(flaws=flaws))
    path = source.samples[1].image.relative_to(source.root).as_posix()
    assert f"left out: {path}, patch 1 stays black" in caplog.text
    assert "set: 4 made, 0 were there already, 1 left out" in caplog.text
    line = lines(root)[1]
    assert (line["source"], line["output"], line["digest"]) == (path, None, None)
    assert [(entry["patch"], entry["flaw"]) for entry in line["retries"]] == [
        (1, flaw) for flaw in ("black", "black", "flat", "black")
    ]
    assert [entry["seed"] for entry in line["retries"]] == [noise(1, source, 1, attempt) for attempt in range(4)]
    assert sorted(p.name for p in root.rglob("*.png")) == sorted(
        sample.image.name for number, sample in enumerate(source.samples) if number != 1
    )
    reference, editor = contents(root), NegativeEditor()
    for _ in range(2):
        faults.messages.clear()
        caplog.clear()
        with caplog.at_level("INFO"):
            make("set", editor)
        assert editor.calls == []
        assert contents(root) == reference
        assert "set: 0 made, 4 were there already, 1 left out" in caplog.text
        with pytest.raises(IncompleteError) as caught:
            faults.conclude("done")
        assert f"set/{path}, whose patch 1 came out black and flat in 4 attempts (raise retries=" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_more_retries_end_as_if_there_had_been_as_many_from_the_start(make, source, faults):
    flaws = always("black", 1, source, attempts=2)
    reference = contents(make("reference", NegativeEditor(flaws=flaws), retries=2))
    root = make("set", NegativeEditor(flaws=flaws), retries=1)
    assert lines(root)[1]["output"] is None
    faults.messages.clear()
    make("set", NegativeEditor(flaws=flaws), retries=2)
    assert contents(root) == reference
    faults.conclude("done")
    editor = NegativeEditor()
    make("set", editor, retries=0)
    assert editor.calls == []


def test_without_retries_a_bad_edit_is_left_out_at_once(make, source):
    editor = NegativeEditor(flaws=always("flat", 0, source, attempts=1))
    root = make("set", editor, retries=0)
    assert not any(editor.precise)
    assert [line["output"] is None for line in lines(root)] == [True, False, False, False, False]


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_retries_depend_neither_on_the_batch_nor_on_an_interruption(make, source, batch_size):
    flaws = {noise(0, source, 1): "flat", noise(3, source, 0): "non-finite", **always("black", 2, source)}
    reference = contents(make("reference", NegativeEditor(flaws=flaws)))
    assert contents(make("batches", NegativeEditor(flaws=flaws), batch_size=batch_size)) == reference
    with pytest.raises(KeyError):
        make("set", NegativeEditor(fail_after=4, flaws=flaws))  # among the retries of the third image
    assert contents(make("set", NegativeEditor(flaws=flaws))) == reference


def test_a_changed_source_gives_an_image_another_chance(make, source):
    root = make("set", NegativeEditor(flaws=always("black", 1, source)))
    assert lines(root)[1]["output"] is None
    source.samples[1].image.write_bytes(source.samples[0].image.read_bytes())
    make("set", NegativeEditor())
    line = lines(root)[1]
    assert "retries" not in line
    assert (pixels(root / line["output"]) == pixels(root / lines(root)[0]["output"])).all()


@pytest.mark.parametrize("retries", [-1, 1.5])
def test_a_number_of_retries_that_makes_no_sense(night, faults, retries):
    with pytest.raises(ConfigError, match=f"retries={retries}; expected a whole number from 0 to 1000"):
        GenerationTask(NegativeEditor(), HALVES, night, 0, 4, faults, retries)


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


def test_an_editor_that_never_passes_is_not_given_all_images(make, monkeypatch):
    class Black(NegativeEditor):
        def edit(self, patches, *arguments, **named):
            edits = super().edit(patches, *arguments, **named)
            return edits._replace(images=edits.images * 0)

    monkeypatch.setattr("zsda.generation.task.HOPELESS", 3)
    with pytest.raises(
        ModelError, match=r"not one of the first 4 images of night_target has an edit that passes \(black\)"
    ):
        make("set", Black(), retries=0)


def test_an_editor_that_always_moves_is_told_from_one_that_fails(make, streets, monkeypatch):
    monkeypatch.setattr("zsda.generation.task.HOPELESS", 3)
    editor = StubEditor(lambda _, edit: shifted(edit, 7, 0))
    with pytest.raises(ModelError, match=r"passes \(drifted\); .*gate.align=true; they make another set"):
        make("set", editor, STREET, edited=streets, gate=STRICT, retries=0)


def test_a_set_that_holds_some_is_never_hopeless(make, source, monkeypatch):
    monkeypatch.setattr("zsda.generation.task.HOPELESS", 1)
    flaws = always("black", 3, source, attempts=8) | always("black", 4, source, attempts=8)
    make("set", NegativeEditor(flaws=flaws), batch_size=2)
    root = make("set", NegativeEditor(flaws=flaws), batch_size=2, retries=5)
    assert [line["output"] is None for line in lines(root)] == [False, False, False, True, True]


STREET = Target((256, 128), 128)
STRICT = Gate(max_drift=2)


class StubEditor:
    """Darkens a patch, and does to it what is asked for; remembers which seeds were bad.

    Args:
        spoil: patch, its darkened edit -> the edit, or None for values that are not finite.
        share: how many of so many seeds are bad; 1 spoils all.
    """

    multiple = 8

    def __init__(self, spoil, share=1, fail_after=None):
        self.spoil, self.share, self.fail_after, self.calls = spoil, share, fail_after, 0

    def to(self, device):
        return self

    def edit(self, patches, prompt, seeds, text_guidance, image_guidance, precise=False):
        if self.calls == self.fail_after:
            raise KeyError("the power went off")
        self.calls += 1
        edits, finite = [], []
        for patch, seed in zip(patches, seeds, strict=True):
            honest = (patch * 0.6 + 20).byte()
            edit = self.spoil(patch, honest) if seed % self.share == 0 else honest
            finite.append(edit is not None)
            edits.append(honest if edit is None else edit)
        return Edits(torch.stack(edits), torch.tensor(finite))


STUBS = {
    "shifted by 7 pixels": (lambda patch, honest: shifted(honest, 7, 0), "drifted"),
    "the source, shifted by 7 pixels": (lambda patch, honest: shifted(patch, 0, -7), "drifted"),
    "larger by 5 %": (lambda patch, honest: enlarged(honest, 1.05), "drifted"),
    "smaller by 5 %": (lambda patch, honest: enlarged(honest, 0.95), "drifted"),
    "the source, larger by 5 %": (lambda patch, honest: enlarged(patch, 1.05), "drifted"),
    "black": (lambda patch, honest: honest * 0, "black"),
    "as it was": (lambda patch, honest: patch, "unchanged"),
    "not finite": (lambda patch, honest: None, "non-finite"),
    "flat": (lambda patch, honest: honest * 0 + 90, "flat"),
}


@pytest.fixture
def streets(rendered):
    return Cityscapes(rendered / "cityscapes")


@pytest.mark.parametrize(("spoil", "flaw"), STUBS.values(), ids=STUBS)
def test_nothing_of_a_bad_edit_is_in_a_set(make, streets, faults, caplog, spoil, flaw):
    with caplog.at_level("INFO"):
        root = make("set", StubEditor(spoil), STREET, edited=streets, gate=STRICT, retries=1)
    assert f"set: 12 edits did not pass the gate: 12 {flaw}\n" in caplog.text
    assert [line["output"] for line in lines(root)] == [None] * 6
    assert {entry["flaw"] for line in lines(root) for entry in line["retries"]} == {flaw}
    assert {len(line["retries"]) for line in lines(root)} == {2}
    assert not list(root.rglob("*.png"))
    with pytest.raises(IncompleteError, match=f"6 images were left out: .* came out {flaw} in 2 attempts"):
        faults.conclude("done")


@pytest.mark.parametrize(("spoil", "flaw"), STUBS.values(), ids=STUBS)
def test_where_some_edits_are_bad_the_set_is_that_of_an_editor_without_them(make, streets, faults, spoil, flaw):
    honest = make("honest", StubEditor(spoil, share=2**64), STREET, edited=streets, gate=STRICT)
    assert [line["drift"] for line in lines(honest)] == [0] * 6
    assert not any("retries" in line for line in lines(honest))
    root = make("set", StubEditor(spoil, share=3), STREET, edited=streets, gate=STRICT, retries=20)
    faults.conclude("done")
    images = {path: content for path, content in contents(root).items() if path.endswith("leftImg8bit.png")}
    assert images == {path: content for path, content in contents(honest).items() if path.endswith("leftImg8bit.png")}
    thrown = [entry for line in lines(root) for entry in line.get("retries", [])]
    assert thrown, "no seed was bad"
    assert all(entry["flaw"] == flaw and entry["seed"] % 3 == 0 for entry in thrown)
    assert not [seed for line in lines(root) for seed in line["seeds"] if seed % 3 == 0]


def test_an_edit_that_moved_is_recorded_with_how_it_moved(make, streets):
    root = make("set", StubEditor(lambda _, edit: shifted(edit, 7, -3), share=2), STREET, edited=streets, gate=STRICT)
    thrown = [entry["drift"] for line in lines(root) for entry in line.get("retries", [])]
    assert thrown
    assert all((entry["x"], entry["y"]) == pytest.approx((7, -3), abs=0.5) for entry in thrown)
    assert all(entry["zoom"] == pytest.approx(1, abs=0.01) for entry in thrown)


def test_edits_that_moved_are_moved_back_where_that_is_asked_for(make, streets, faults):
    gate = Gate(max_drift=2, align=True)
    root = make("set", StubEditor(lambda _, edit: shifted(edit, 7, 0), share=2), STREET, edited=streets, gate=gate)
    faults.conclude("done")
    found = lines(root)
    assert not any("retries" in line for line in found)
    moved = {(line["source"], entry["patch"]) for line in found for entry in line.get("aligned", [])}
    assert moved == {
        (line["source"], patch) for line in found for patch, seed in enumerate(line["seeds"]) if seed % 2 == 0
    }
    assert all(line["drift"] <= 2 for line in found)
    again = make("set", StubEditor(lambda _, edit: shifted(edit, 7, 0), share=2), STREET, edited=streets, gate=gate)
    assert contents(again) == contents(root)


@pytest.mark.parametrize("gate", [STRICT, Gate(max_drift=2, align=True)], ids=["reject", "align"])
@pytest.mark.parametrize("moment", [1, 4])
def test_a_crash_with_all_gates_on_and_a_second_start_end_in_the_same_bytes(make, streets, gate, moment):
    def spoil(patch, edit):
        return None if edit[0, 0, 0] % 3 == 0 else shifted(edit, 7, 0)

    reference = contents(make("reference", StubEditor(spoil, share=2), STREET, edited=streets, gate=gate))
    with pytest.raises(KeyError):
        make("set", StubEditor(spoil, share=2, fail_after=moment), STREET, edited=streets, gate=gate)
    assert contents(make("set", StubEditor(spoil, share=2), STREET, edited=streets, gate=gate)) == reference
    other = make("other", StubEditor(spoil, share=2), STREET, edited=streets, gate=gate, batch_size=1)
    assert contents(other) == reference


def test_a_set_that_was_begun_with_another_gate_is_not_continued(make, streets, night):
    make("set", StubEditor(None, share=2**64), STREET, edited=streets, gate=STRICT)
    with pytest.raises(StoreError, match=r"made with other settings: gate.max_drift was 2 and is now 3"):
        make("set", StubEditor(None, share=2**64), STREET, edited=streets, gate=Gate(max_drift=3))


def test_without_a_bound_no_drift_is_recorded(make, streets):
    root = make("set", StubEditor(None, share=2**64), STREET, edited=streets)
    assert not any("drift" in line for line in lines(root))


def test_where_no_drift_can_be_told_that_is_recorded_and_said(make, caplog):
    caplog.set_level("INFO", "zsda")
    root = make("set", NegativeEditor(), Target((128, 64), 32), gate=STRICT)
    assert [line["drift"] for line in lines(root)] == [None] * 5
    assert "set: how far 5 images moved cannot be told" in caplog.text


def test_a_set_from_before_drift_was_measured_is_continued_and_that_is_said(make, streets, caplog):
    root = make("set", StubEditor(None, share=2**64), STREET, edited=streets, limit=2)
    made_with = json.loads((root / "generation.json").read_text())
    del made_with["gate"]
    (root / "generation.json").write_text(json.dumps(made_with))
    make("set", StubEditor(None, share=2**64), STREET, edited=streets, gate=STRICT)
    assert ["drift" in line for line in lines(root)] == [False] * 2 + [True] * 4
    assert f"{root} was begun before edits were measured" in caplog.text
    caplog.clear()
    make("set", StubEditor(None, share=2**64), STREET, edited=streets, gate=STRICT)
    assert "before edits were measured" not in caplog.text
    with pytest.raises(StoreError, match=r"made with other settings: gate.max_drift was 2 and is now 3"):
        make("set", StubEditor(None, share=2**64), STREET, edited=streets, gate=Gate(max_drift=3))
