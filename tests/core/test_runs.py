import errno
import json
import time
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
    assert differences({"a": {"b": 1}}, {"a": {"b": "x"}, "d": None}) == {
        "a.b": 'a.b was 1 and is now "x"',
        "d": 'd was "nothing" and is now null',
    }


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
