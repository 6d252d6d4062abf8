import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from tests.generation.conftest import HALVES, NegativeEditor, always, contents, draw_cityscapes, lines
from zsda.core.errors import DataError, StoreError
from zsda.core.files import write_atomic
from zsda.data.datasets.cityscapes import Cityscapes
from zsda.data.datasets.generated import GeneratedSet
from zsda.data.panels import font, shorten
from zsda.data.set_names import CONTACT_SHEET
from zsda.generation import contact
from zsda.generation.contact import PAIRS, ContactSheet, Pair, draw_sheet
from zsda.generation.data import PatchDataModule, SourcePatches
from zsda.generation.domains import Domain
from zsda.generation.recipes import Intermediate, Target, Whole
from zsda.generation.store import Edited, GeneratedStore
from zsda.generation.task import StoreWriter


@pytest.fixture
def drawn(monkeypatch):
    """Of each sheet that is drawn the frames in their order, and the thread that draws it."""
    found, draw = [], contact.draw_sheet

    def watched(prompt, name, pairs):
        frames = [int(pair.source.split("_")[-2]) for pair in pairs]
        found.append((frames, threading.current_thread().name.split("_")[0]))
        return draw(prompt, name, pairs)

    monkeypatch.setattr(contact, "draw_sheet", watched)
    return found


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(contact, "EVERY", 0.0)


def numbers(source):
    """Numbers of the frames in the order of their paths."""
    return [int(sample.image.name.split("_")[2]) for sample in sorted(source.samples, key=lambda sample: sample.image)]


def without_sheet(root):
    return {name: content for name, content in contents(root).items() if name != CONTACT_SHEET}


def as_edited(sample):
    return Edited(sample["source"], sample["source_digest"], sample["boxes"], [1, 2], 255 - sample["canvas"])


class Watching(NegativeEditor):
    """Keeps what the sheet is whenever the editor is called."""

    def __init__(self, path, **more):
        super().__init__(**more)
        self.path, self.seen = path, []

    def edit(self, *words, **more):
        self.seen.append(self.path.read_bytes() if self.path.exists() else None)
        return super().edit(*words, **more)


def test_the_sheet_is_there_after_the_first_group_while_the_run_goes_on(make, source, drawn, tmp_path):
    editor = Watching(tmp_path / "set" / CONTACT_SHEET)
    root = make("set", editor)
    order = numbers(source)
    assert [frames for frames, _ in drawn] == [order[1::-1], order[::-1]], "after the first group, and at the end"
    assert [thread for _, thread in drawn] == ["writer", "MainThread"], "editing does not wait for it"
    assert len(editor.seen) == 3
    assert editor.seen[0] is None
    assert editor.seen[2] not in (None, (root / CONTACT_SHEET).read_bytes()), "the one of the first group"
    assert Image.open(root / CONTACT_SHEET).format == "JPEG"


def test_it_is_refreshed_when_a_group_is_done_but_not_too_often(source, night, drawn, tmp_path, monkeypatch):
    patches = SourcePatches(source, HALVES, night, 0)
    sheet = ContactSheet(GeneratedStore(tmp_path / "set", {}), patches)
    order = numbers(source)
    for number, (now, due) in enumerate([(500, True), (504, False), (509, False), (511, True), (520, False)]):
        monkeypatch.setattr(contact, "time", SimpleNamespace(monotonic=lambda now=now: now))
        before = len(drawn)
        sheet.show([as_edited(patches[number])], [patches[number]["canvas"]])
        assert len(drawn) - before == due
        if due:
            assert drawn[-1][0] == order[number::-1]
        sheet.show([], [])  # a group of which nothing passed


def test_the_running_sheet_ends_as_the_finished_one(make, source, drawn, at_once, monkeypatch):
    written = []
    monkeypatch.setattr(
        contact, "write_atomic", lambda path, content: written.append(content) or write_atomic(path, content)
    )
    root = make("set", NegativeEditor())
    order = numbers(source)
    assert [frames for frames, _ in drawn] == [order[1::-1], order[3::-1], order[::-1], order[::-1]]
    assert len(written) == 3, "it was right before the last time"
    assert (root / CONTACT_SHEET).read_bytes() == written[-1]


def test_no_more_than_some_are_shown(make, drawn, at_once, tmp_path):
    many = Cityscapes(draw_cityscapes(tmp_path / "many", train=11))
    root = make("set", NegativeEditor(), edited=many)
    order = numbers(many)[::-1]
    assert [frames for frames, _ in drawn][-2:] == [order[:PAIRS]] * 2
    drawn.clear()
    whole = make("one group", NegativeEditor(), batch_size=64, edited=many)
    assert [frames for frames, _ in drawn] == [order[:PAIRS]] * 2
    assert contents(whole) == contents(root)
    assert (root / CONTACT_SHEET).stat().st_size < 300_000


@pytest.mark.parametrize("recipe", [Intermediate((128, 64), 32), Target((128, 64), 64), Whole((64, 128))])
def test_the_canvas_stands_beside_its_edit(make, source, night, recipe, tmp_path):
    editor = Watching(tmp_path / "set" / CONTACT_SHEET)
    root = make("set", editor, recipe, batch_size=recipe.patches_per_image)
    patches = SourcePatches(source, recipe, night, 0)
    tile = (320, 160) if recipe.canvas[0] > recipe.canvas[1] else (160, 320)
    (tmp_path / "first.jpg").write_bytes(editor.seen[2])
    canvas = patches[0]["canvas"].permute(1, 2, 0).numpy()
    edit = np.asarray(Image.open(root / lines(root)[0]["output"]))
    for path in (
        tmp_path / "first.jpg",
        root / CONTACT_SHEET,
    ):  # the one image; and the last of five, alone in the last row
        sheet = np.asarray(Image.open(path)).astype(int)
        for number, expected in enumerate((canvas, edit)):
            left = 12 + number * (tile[0] + 6)
            found = sheet[-12 - tile[1] : -12, left : left + tile[0]]
            wanted = np.asarray(Image.fromarray(expected).resize(tile, Image.Resampling.BICUBIC)).astype(int)
            assert abs(found - wanted).mean() < 6


def test_equal_sets_have_equal_sheets_however_they_came_to_be(make, source, tmp_path):
    val = Cityscapes(source.root, "val")
    reference = make("reference", NegativeEditor())
    make("reference", NegativeEditor(), edited=val)
    assert CONTACT_SHEET in contents(reference)
    for limit in (1, 3, None):
        make("by parts", NegativeEditor(), batch_size=8, edited=val, limit=limit)
    with pytest.raises(KeyError):
        make("by parts", NegativeEditor(fail_after=2), batch_size=2)
    before = contents(tmp_path / "by parts")
    assert before[CONTACT_SHEET] != contents(reference)[CONTACT_SHEET]
    assert contents(make("by parts", NegativeEditor(), batch_size=1)) == contents(reference)


def test_a_finished_set_without_a_sheet_gets_one(make):
    root = make("set", NegativeEditor())
    reference = contents(root)
    times = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file() and path.name != CONTACT_SHEET}
    for damage in ((root / CONTACT_SHEET).unlink, lambda: (root / CONTACT_SHEET).write_bytes(b"half a JPEG")):
        damage()
        editor = NegativeEditor()
        assert contents(make("set", editor)) == reference
        assert editor.calls == []
        assert {path: path.stat().st_mtime_ns for path in times} == times
    time = (root / CONTACT_SHEET).stat().st_mtime_ns
    make("set", NegativeEditor())
    assert (root / CONTACT_SHEET).stat().st_mtime_ns == time


def test_what_is_edited_with_its_group_and_was_there_before_is_nothing_new(make, source, drawn):
    root = make("set", NegativeEditor())
    victim = root / lines(root)[1]["output"]
    victim.unlink()
    drawn.clear()
    make("set", NegativeEditor())
    order = numbers(source)
    assert [frames for frames, _ in drawn] == [[order[1]], order[::-1]]


def test_left_out_images_are_not_shown(make, source, drawn, at_once):
    flaws = always("black", 1, source) | always("flat", 4, source)
    make("set", NegativeEditor(flaws=flaws))
    left = [int(source.samples[number].image.name.split("_")[2]) for number in (1, 4)]
    assert drawn
    assert not {number for frames, _ in drawn for number in frames} & {*left}
    assert drawn[-1][0] == [number for number in numbers(source)[::-1] if number not in left]


def test_a_set_without_images_has_no_sheet(make, source):
    flaws = {seed: "black" for number in range(5) for seed in always("black", number, source)}
    root = make("set", NegativeEditor(flaws=flaws))
    assert sorted(contents(root)) == ["generation.json", "manifest.jsonl"]
    good = make("good", NegativeEditor())
    assert CONTACT_SHEET in contents(good)
    for number, sample in enumerate(source.samples):
        Image.open(sample.image).point(lambda value, number=number: value // 2 + number).save(sample.image)
    make("good", NegativeEditor(flaws=flaws))
    assert sorted(contents(good)) == ["generation.json", "manifest.jsonl"], "those that it showed are gone"


def test_an_image_that_is_not_what_the_manifest_tells_is_passed_over(make, source, drawn):
    val = Cityscapes(source.root, "val")
    make("set", NegativeEditor(), edited=val)
    val.samples[0].image.unlink()
    Image.open(val.samples[1].image).point(lambda value: value // 2).save(val.samples[1].image)
    drawn.clear()
    make("set", NegativeEditor())
    assert drawn[-1][0] == numbers(source)[::-1]


@pytest.mark.parametrize("why", ["a folder in its place", "a fault of the drawing"])
def test_a_sheet_that_cannot_be_written_loses_no_edit(make, tmp_path, monkeypatch, caplog, why):
    reference = without_sheet(make("reference", NegativeEditor()))
    if why == "a folder in its place":
        (tmp_path / "set" / CONTACT_SHEET).mkdir(parents=True)
        (tmp_path / "set/generation.json").write_bytes(reference["generation.json"])
    else:
        monkeypatch.setattr(contact, "draw_sheet", lambda *_: 1 / 0)
    monkeypatch.setattr(contact, "EVERY", 0.0)
    caplog.clear()
    assert contents(make("set", NegativeEditor())) == reference
    said = [message for message in caplog.messages if "set: no new contact sheet: " in message]
    assert len(said) == 2, "once while the run goes on, and at the end"


def test_a_link_in_its_place_is_replaced_and_not_followed(make, tmp_path):
    reference = contents(make("reference", NegativeEditor()))
    (tmp_path / "precious").write_text("as it was")
    (tmp_path / "set").mkdir()
    (tmp_path / "set/generation.json").write_bytes(reference["generation.json"])
    (tmp_path / "set" / CONTACT_SHEET).symlink_to(tmp_path / "precious")
    assert contents(make("set", NegativeEditor())) == reference
    assert (tmp_path / "precious").read_text() == "as it was"


def test_only_one_process_writes_it(source, night, tmp_path):
    patches = SourcePatches(source, HALVES, night, 0)
    data = PatchDataModule(patches, GeneratedStore(tmp_path / "set", {}), 4)
    data.setup("predict")
    sample = patches[0]
    image = as_edited(sample)
    for rank in (1, 0):
        writer = StoreWriter()
        trainer = SimpleNamespace(is_global_zero=rank == 0, global_rank=rank, datamodule=data)
        writer.on_predict_start(trainer, None)
        writer.write_on_batch_end(trainer, None, [image], None, {"canvas": sample["canvas"][None]}, 0, 0)
        writer.on_predict_epoch_end(trainer, None)
        assert (tmp_path / "set" / CONTACT_SHEET).exists() == (rank == 0)


def test_a_folder_that_holds_nothing_else_is_no_set(source, night, tmp_path):
    root = tmp_path / "night_target"
    write_atomic(root / CONTACT_SHEET, b"a picture")
    with pytest.raises(StoreError, match=r"no generation\.json, so zsda did not make it"):
        GeneratedStore(root, {})
    with pytest.raises(DataError, match="night_target: no images"):
        GeneratedSet(tmp_path, "night", "target", source)


HOSTILE = [
    "",
    "a" * 5000,
    "two\nlines\r\x1b[31m\x00",
    "half a character \udcff",
    "\u202eturned round",
    "夜にして ☔ 🌧",
    "é" * 400,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_any_prompt_and_name_is_drawn_within_the_sheet(text):
    tile = np.zeros((160, 320, 3), np.uint8)
    sheet = np.asarray(draw_sheet(text, text, [Pair(f"leftImg8bit/train/a/{text}_leftImg8bit.png", tile, tile)]))
    assert sheet.shape == np.asarray(draw_sheet("x", "x", [Pair("x", tile, tile)])).shape
    assert (sheet[:, -12:] == sheet[0, 0]).all(), "it leaves the margin"
    assert (sheet[:, :10] == sheet[0, 0]).all()


def test_a_text_is_cut_where_it_has_to_be():
    small = font(14)
    assert shorten("Make it evening", small, 300) == "Make it evening"
    cut = shorten("Make it evening, " * 20, small, 300)
    assert cut.startswith("Make it evening, ") and cut.endswith("…")
    assert 250 < small.getlength(cut) <= 300
    assert shorten("Make it evening", small, 3) == "…"
    assert shorten("a\nb\udcff", small, 300) == "a\\nb\\udcff"


def test_names_that_are_no_text_and_a_prompt_of_any_length(make, source, tmp_path, faults):
    odd = b"bochum_000000_000009\xff\n_leftImg8bit.png".decode(errors="surrogateescape")
    sample = source.samples[-1]
    sample.image.rename(sample.image.with_name(odd))
    sample.label.rename(sample.label.with_name(odd.replace("leftImg8bit", "gtFine_labelIds")))
    edited = Cityscapes(source.root)
    domain = Domain("night", "Make it evening\n" * 300)
    root = make("set", NegativeEditor(), edited=edited, domain=domain)
    reference = contents(root)
    assert sum(odd in name for name in reference) == 1
    with pytest.raises(KeyError):
        make("again", NegativeEditor(fail_after=1), edited=edited, domain=domain)
    assert contents(make("again", NegativeEditor(), edited=edited, domain=domain)) == reference
    editor = NegativeEditor()
    assert contents(make("again", editor, edited=edited, domain=domain)) == reference
    assert editor.calls == []
    assert not faults.messages
    Image.open(root / CONTACT_SHEET).load()


@pytest.mark.parametrize("canvas", [(1024, 512), (512, 512), (128, 2048)])
def test_it_is_small_even_of_noise(source, night, tmp_path, canvas):
    patches = SourcePatches(source, Whole(canvas), night, 0)
    sheet = ContactSheet(GeneratedStore(tmp_path / "set", {}), patches)
    noise = torch.randint(0, 256, (PAIRS, 3, canvas[1], canvas[0]), dtype=torch.uint8)
    sheet.show([Edited(f"{number}.png", "", [], [], noise[number]) for number in range(PAIRS)], noise)
    assert sheet.path.stat().st_size < 300_000
    shown = Image.open(sheet.path)
    assert max(shown.size) < 2800
    assert shown.width < 1400
