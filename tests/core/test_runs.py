import errno
import json
import os
import time
from hashlib import sha256
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

import zsda
from tests.reporting.made import make_run, phase_report
from zsda.core.errors import StoreError
from zsda.core.files import write_atomic
from zsda.core.provenance import provenance, versions
from zsda.core.run_records import RunRecord
from zsda.core.runs import RunFolder, latest_finished_run, matching_runs
from zsda.core.settings import differences, without


def test_a_full_disk_leaves_the_old_file_and_no_rest(tmp_path, monkeypatch):
    write_atomic(tmp_path / "a.png", b"old")

    def full(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StoreError, match=r"no space left to write .*a.png; free some"):
        write_atomic(tmp_path / "a.png", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == b"old"


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write .*file"):
        write_atomic(tmp_path / "file/inside.png", b"")


def claim(run, files=None, **settings):
    record = RunRecord(
        header=None, settings=settings, choices={"model": "smp"}, phases=["one", "two"], files=files or {"source": "a"}
    )
    run.claim(record, {"started": "now"})


def test_a_run_continues_with_equal_settings_and_remembers_each_start(tmp_path):
    run = RunFolder(tmp_path / "run")
    claim(run, seed=1, data={"size": [1, 2]})
    claim(run, seed=1, data={"size": [1, 2]})
    assert len(run.record().starts) == 2
    assert run.phase_names() == ["one", "two"]


def test_a_run_of_an_earlier_version_is_refused_in_one_line(tmp_path):
    path = make_run(tmp_path, "sdgpa", "fog", 0) / "run.json"
    record = json.loads(path.read_text())
    del record["header"]["source"]
    path.write_text(json.dumps(record))
    with pytest.raises(
        StoreError, match=r"^\S+run.json: it names no header.source; .*score its weights with ckpt=FILE model="
    ):
        RunFolder(path.parent).header()
    del record["header"]
    path.write_text(json.dumps(record))
    with pytest.raises(
        StoreError, match=r"^[^\n]*it names no header; it is none that this version of python -m zsda.train wrote"
    ):
        RunFolder(path.parent).header()


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"settings": {"seed": [1]}}, r"settings.seed is \[1\], and 0 in its header"),
        ({"choices": {}}, "choices is empty"),
    ],
)
def test_a_run_that_contradicts_itself_is_refused(tmp_path, part, said):
    path = make_run(tmp_path, "sdgpa", "fog", 0) / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **part}))
    with pytest.raises(
        StoreError, match=rf"run.json: {said}; it is none that this version of python -m zsda.train wrote"
    ):
        RunFolder(path.parent).header()


def test_a_run_with_other_settings_is_refused(tmp_path):
    run = RunFolder(tmp_path / "run")
    claim(run, seed=1, data={"size": [1, 2]})
    write_atomic(run.phase("one").checkpoint, b"")
    with pytest.raises(
        StoreError, match=r"other settings \(data.size was \[1, 2\] and is now \[3, 4\]; seed was 1 and is now 2\)"
    ):
        claim(run, seed=2, data={"size": [3, 4]})
    assert run.record().settings["seed"] == 1


def test_phases_that_no_record_tells_of_are_not_gone_on_with(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.phase("two").finish(phase_report())
    with pytest.raises(
        StoreError, match=r"holds the phase two but no run.json that tells what it is; give the new one"
    ):
        claim(run, seed=1)
    claim(RunFolder(tmp_path / "other"), seed=1)
    record = json.loads((tmp_path / "other/run.json").read_text())
    (tmp_path / "run/run.json").write_text(json.dumps({**record, "phases": ["three"]}))
    with pytest.raises(StoreError, match=r'phases was \["three"\] and is now \["one", "two"\]'):
        claim(run, seed=1)


def test_runs_with_names_of_their_own_are_no_runs_of_ours(tmp_path):
    for name in ("a", "a[/b]", "\x1b]0;evil\x07"):
        claim(RunFolder(tmp_path / name))
    assert [run.path.name for run in matching_runs(tmp_path, ["*"])] == ["a"]


def test_a_run_that_trained_nothing_yet_may_be_corrected(tmp_path):
    run = RunFolder(tmp_path / "run")
    claim(run, seed=1)
    claim(run, seed=2)
    assert run.record().settings["seed"] == 2


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"holds no run of zsda.train; expected run.json"):
        RunFolder(tmp_path).record()


def test_the_latest_finished_run_is_the_one_whose_last_phase_ended_last(tmp_path):
    with pytest.raises(StoreError, match="no finished run under"):
        latest_finished_run(tmp_path)
    for name, phases in (("old", ["one", "two"]), ("new", ["one", "two"]), ("unfinished", ["one"])):
        run = RunFolder(tmp_path / name)
        claim(run)
        for phase in phases:
            write_atomic(run.phase(phase).weights, b"")
            run.phase(phase).finish(phase_report())
        time.sleep(0.01)
    assert latest_finished_run(tmp_path).path.name == "new"


def test_the_epochs_that_a_phase_kept_end_with_its_last(tmp_path):
    phase = RunFolder(tmp_path).phase("one")
    for epoch in (100, 5, 20):
        write_atomic(phase.epoch_weights(epoch), b"")
    for other in (".0040.safetensors.part", "1a.safetensors", "٣.safetensors"):
        write_atomic(phase.path / "epochs" / other, b"")
    phase.finish(phase_report(epochs=103))
    assert list(phase.kept().items()) == [*((e, phase.epoch_weights(e)) for e in (5, 20, 100)), (103, phase.weights)]
    phase.finish(phase_report(epochs=100))
    assert phase.kept()[100] == phase.weights, "kept twice, the same"


def test_runs_are_found_by_names_and_patterns_each_once(tmp_path):
    for name in ("fog_b", "fog_a", "day"):
        claim(RunFolder(tmp_path / name))
    (tmp_path / "fog_report").mkdir()

    def names(*patterns):
        return [run.path.name for run in matching_runs(tmp_path, patterns)]

    assert names("fog_*") == ["fog_a", "fog_b"]
    assert names("day", "*") == ["day", "fog_a", "fog_b"]
    with pytest.raises(StoreError, match=r"no run under .* matches snow\*, rain; there are day, fog_a, fog_b"):
        names("day", "snow*", "rain")
    with pytest.raises(StoreError, match=r"no run under .* matches an empty list"):
        names()
    with pytest.raises(StoreError, match=r"nowhere matches \*; train one"):
        matching_runs(tmp_path / "nowhere", ["*"])


def test_differences_name_nested_keys():
    assert differences({"a": {"b": 1}, "c": 2}, {"a": {"b": 1}, "c": 2}) == {}
    assert differences({"a": {"b": 1}}, {"a": {"b": "x"}, "d": 0}) == {
        "a.b": 'a.b was 1 and is now "x"',
        "d": 'd was "nothing" and is now 0',
    }


def test_an_option_that_did_not_exist_is_as_good_as_null():
    old, new = {"data": {"flip": 0.5}}, {"data": {"flip": 0.5, "keep_best": None}}
    assert differences(old, new) == differences(new, old) == {}
    assert differences(old, {"data": {"flip": None}}) == {"data.flip": "data.flip was 0.5 and is now null"}


def test_without_drops_nested_keys_and_leaves_the_original():
    settings = {"data": {"workers": 1, "size": 2}, "trainer": {}}
    assert without(settings, ["trainer", "data.workers"]) == {"data": {"size": 2}}
    assert settings["data"]["workers"] == 1


def test_provenance_is_plain():
    assert json.loads(json.dumps(provenance()))["versions"]["torch"]


def test_a_checkout_that_is_not_installed_knows_its_version(monkeypatch):
    def found(name):
        if name == "zsda":
            raise PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr("zsda.core.provenance.version", found)
    assert versions("torch") == {"zsda": zsda.__version__, "torch": "1.0"}


def test_provenance_names_the_command_as_it_was_started(monkeypatch):
    for script, command in (
        ("train.py", "zsda.train"),
        ("../../tools/small_editor/train.py", "tools.small_editor.train"),
    ):
        monkeypatch.setattr("sys.argv", [str(Path(zsda.__file__).parent / script), "seed=1"])
        assert provenance()["command"] == ["python", "-m", command, "seed=1"]


@pytest.mark.parametrize("ends", [KeyboardInterrupt, SystemExit, MemoryError])
def test_whatever_ends_the_writing_no_part_of_a_file_is_left(tmp_path, monkeypatch, ends):
    def ended(*_args):
        raise ends

    monkeypatch.setattr(Path, "replace", ended)
    with pytest.raises(ends):
        write_atomic(tmp_path / "a.png", b"new")
    assert not list(tmp_path.iterdir())


def test_a_start_removes_what_a_killed_one_left(tmp_path):
    run = RunFolder(tmp_path / "run")
    record = RunRecord(header=None, settings={}, choices={}, phases=["one", "two"])
    run.claim(record, {})
    left = [".tmpa.part", "one/.tmpb.part", "one/epochs/.tmpc.part", "two/labels/.tmpd.part"]
    stays = ["eval/day_sdgpa/.tmpe.part", "one/manifest.0.jsonl.part"]
    for name in (*left, *stays):
        write_atomic(run.path / name, b"")
    run.claim(record, {}, write=False)
    assert all((run.path / name).is_file() for name in left), "only its owner may"
    run.claim(record, {})
    assert not any((run.path / name).exists() for name in left)
    assert all((run.path / name).is_file() for name in stays), "an evaluation may be writing"


def test_only_what_a_begun_phase_read_must_be_as_it_was(tmp_path):
    run, before = RunFolder(tmp_path / "run"), {"one/source": "a", "two/source": "a", "two/target": "b"}
    claim(run, files=before)
    claim(run, files={"one/source": "z", "two/source": "z", "two/target": "b"})
    claim(run, files=before)
    run.phase("one").finish(phase_report(leaves=[]))
    claim(run, files={**before, "two/target": "c"})
    assert run.record().files["two/target"] == "c"
    with pytest.raises(StoreError, match=r"trained on other files of source \(names or contents differ"):
        claim(run, files={**before, "one/source": "c", "two/target": "b"})
    write_atomic(run.phase("two").checkpoint, b"")
    with pytest.raises(StoreError, match=r"trained on other files of source, target \(names"):
        claim(run, files={**before, "two/source": "c", "two/target": "b"})


@pytest.fixture
def finished(tmp_path):
    """A finished run of two phases; the first left a teacher and an epoch as well."""
    run = RunFolder(tmp_path / "run")
    claim(run)
    one, two = run.phase("one"), run.phase("two")
    for path in (one.weights, one.network("teacher"), one.epoch_weights(1), one.checkpoint, two.weights):
        write_atomic(path, path.name.encode())
    one.finish(phase_report(leaves=["weights", "teacher"]))
    two.finish(phase_report())
    return run


def test_a_report_tells_the_digests_of_all_weights(finished):
    report = finished.phase("one").report()
    assert set(report.digests) == {"weights.safetensors", "teacher.safetensors", "epochs/0001.safetensors"}
    assert report.digests["teacher.safetensors"] == sha256(b"teacher.safetensors").hexdigest()
    finished.phase("one").check_unchanged()


@pytest.mark.parametrize("name", ["weights", "teacher"])
def test_weights_that_are_gone_or_others_are_named(finished, name):
    phase = finished.phase("one")
    path = phase.network(name)
    phase.check_there()
    path.write_bytes(path.name.encode()[::-1])
    with pytest.raises(
        StoreError, match=rf"one/{name}.safetensors is not what its training wrote.*put it back, or delete it"
    ):
        phase.check_unchanged()
    assert not phase.restorable
    path.unlink()
    phase.check_unchanged()
    assert phase.restorable
    with pytest.raises(StoreError, match=rf"one/{name}.safetensors is gone; start its python -m zsda.train again"):
        phase.check_there()
    phase.checkpoint.unlink()
    assert not phase.restorable
    with pytest.raises(
        StoreError, match=rf"one/{name}.safetensors is gone; put it back, or delete \S+one to make it anew"
    ):
        phase.check_there()


def test_a_kept_epoch_may_be_gone_but_not_another(finished):
    phase = finished.phase("one")
    epoch = phase.epoch_weights(1)
    write_atomic(epoch, b"another")
    with pytest.raises(StoreError, match=r"epochs/0001.safetensors is not what its training wrote"):
        phase.check_unchanged()
    epoch.unlink()
    phase.check_unchanged()
    phase.check_there()


def test_a_pseudo_label_may_not_be_another(finished):
    phase = finished.phase("two")
    for name in "ab":
        write_atomic(phase.labels / f"{name}.png", name.encode())
    phase.finish(phase_report(leaves=["labels"]))
    phase.check_unchanged()
    (phase.labels / "a.png").write_bytes(b"b")
    with pytest.raises(StoreError, match=r"two/labels is not what its training wrote"):
        phase.check_unchanged()


def test_epochs_beyond_the_last_are_none_of_this_training(finished):
    phase = finished.phase("one")
    for epoch in (2, 3, 4):
        write_atomic(phase.epoch_weights(epoch), b"")
    phase.finish(phase_report(epochs=3))
    assert list(phase.kept()) == [1, 2, 3]
    phase.start_anew()
    assert not list(phase.path.rglob("*.safetensors"))


def test_labels_that_are_gone_are_not_made_from_a_checkpoint(finished):
    phase = finished.phase("two")
    phase.finish(phase_report(leaves=["labels"]))
    write_atomic(phase.checkpoint, b"")
    with pytest.raises(StoreError, match=r"two/labels is gone; put it back, or delete \S+two"):
        phase.check_there()


def test_a_report_of_an_earlier_version_has_no_digests(finished):
    phase = finished.phase("one")
    report = phase.path / "phase.json"
    report.write_text(json.dumps({k: v for k, v in json.loads(report.read_text()).items() if k != "digests"}))
    phase.weights.write_bytes(b"others")
    phase.check_unchanged()


def test_a_finished_run_without_its_weights_is_not_passed_over_for_an_older_one(finished, tmp_path):
    newer = RunFolder(tmp_path / "newer")
    claim(newer)
    newer.phase("two").finish(phase_report())
    os.utime(newer.phase("two").path / "phase.json", (2e9, 2e9))
    assert latest_finished_run(tmp_path).path.name == "newer"
    with pytest.raises(StoreError, match=r"newer/two/weights.safetensors is gone"):
        newer.finished_phase()
