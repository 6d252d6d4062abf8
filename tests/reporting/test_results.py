import csv
import io
import json
import os
import re
from pathlib import Path

import pytest

from tests.reporting.made import WEIGHTS, add_epochs, add_scores, make_run
from zsda.core.errors import StoreError
from zsda.core.files import digest, file_digest
from zsda.core.runs import RunFolder, matching_runs
from zsda.data.classes import find_classes
from zsda.reporting.results import read_results, scores_after
from zsda.reporting.run_scores import results_csv


def read(root, protocol="sdgpa", select_by=None):
    return read_results(matching_runs(root, ["*"]), protocol, select_by)


def test_each_run_tells_what_it_is_and_what_it_reached(tmp_path):
    make_run(tmp_path, "sdgpa", "fog", 3, {"day": 0.5, "fog": 0.4})
    make_run(tmp_path, "source_only", "night", 1, {"day": 0.6})
    adapted, source = sorted(read(tmp_path), key=lambda result: result.method)
    assert (adapted.run, adapted.method, adapted.target, adapted.seed) == ("fog_sdgpa_seed3", "sdgpa", "fog", 3)
    assert (adapted.protocol, adapted.size) == ("sdgpa", (64, 128))
    assert adapted.settings["fog"] == {"miou": 0.4, "miou_present": 0.2, "accuracy": 0.9}
    assert source.target is None, "a target that it saw nothing of"
    assert {adapted.source_setting, source.source_setting} == {"day"}
    assert (adapted.world, adapted.experiment, adapted.class_set) == ("miniature", "fog", "19")


def test_the_source_under_weather_belongs_to_its_target(tmp_path):
    make_run(tmp_path, "weather", "fog", 0, {"fog": 0.4})
    assert [result.target for result in read(tmp_path)] == ["fog"]


def test_a_run_whose_target_was_not_named_is_one_without_a_target(tmp_path):
    make_run(tmp_path, "weather", None, 0, {"fog": 0.4}, settings={"data": {"weather": "rain"}})
    make_run(tmp_path, "sdgpa", None, 0, {"fog": 0.4}, world="real")
    make_run(tmp_path, "sdgpa", "fog", 0, {"fog": 0.4})
    found = {(result.method, result.target): result for result in read(tmp_path)}
    assert list(found) == [("sdgpa", None), ("weather", None), ("sdgpa", "fog")]


def test_source_and_target_are_those_of_the_header(tmp_path):
    make_run(tmp_path, "source_only", None, 0, {"game": 0.6, "day": 0.3}, source_setting="game")
    make_run(tmp_path, "hiast", "day", 0, {"day": 0.4}, source_setting="game", header={"domain": None})
    assert [(result.run, result.source_setting, result.target) for result in read(tmp_path)] == [
        ("day_hiast_seed0", "game", "day"),
        ("game_source_only_seed0", "game", None),
    ]


def test_evaluations_of_one_run_add_up_and_the_newer_counts(tmp_path):
    run = make_run(tmp_path, "sdgpa", "fog", 0, {"day": 0.5})
    add_scores(run, {"fog": 0.3, "rain": 0.2})
    add_scores(run, {"fog": 0.4})
    add_scores(run, {"fog": 0.9}, protocol="full")
    add_scores(run / "eval/first_phase", {"fog": 0.9})
    for folder, seconds in (("fog+rain_sdgpa", 1), ("fog_sdgpa", 2), ("day_sdgpa", 3)):
        os.utime(run / "eval" / folder / "scores.json", (seconds, seconds))
    (result,) = read(tmp_path)
    assert {name: scores["miou"] for name, scores in result.settings.items()} == {
        "day": 0.5,
        "fog": 0.4,
        "rain": 0.2,
    }
    os.utime(run / "eval/fog+rain_sdgpa/scores.json", (5, 5))
    assert read(tmp_path)[0].settings["fog"]["miou"] == 0.3


def test_what_is_left_out_is_said(tmp_path, caplog):
    make_run(tmp_path, "sdgpa", "fog", 0, {"fog": 0.4}, left_out=["a.png"])
    make_run(tmp_path, "sdgpa", "fog", 1)
    make_run(tmp_path, "sdgpa", "fog", 2, {"fog": 0.4}, protocol="full")
    assert [(result.seed, result.left_out) for result in read(tmp_path)] == [(0, 1)]
    assert caplog.messages == [
        "fog_sdgpa_seed0: damaged images were left out of its scores",
        "left out: fog_sdgpa_seed1, not evaluated yet",
        "left out: fog_sdgpa_seed2, scored with protocol full only",
    ]


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (
            None,
            None,
            r"no scores of protocol sdgpa in 2 runs; evaluate them with python -m zsda.eval run='\*' 'setting=\[NAME,...\]' protocol=sdgpa",
        ),
        ({"protocol": "full"}, None, r"no scores of protocol sdgpa in 2 runs; give protocol=full, or evaluate with"),
        (
            {},
            {"files": "b"},
            "fog_sdgpa_seed0 and fog_sdgpa_seed1 were scored on different images of fog; evaluate both",
        ),
        ({}, {"size": (32, 64)}, r"different input sizes: 64x128 \(fog_sdgpa_seed0\), 32x64 \(fog_sdgpa_seed1\)"),
        (
            {},
            {"classes": find_classes(9).plain()},
            "fog_sdgpa_seed0 tells 19 classes apart and fog_sdgpa_seed1 others, 9; choose runs that compare with runs=",
        ),
    ],
)
def test_what_does_not_compare_is_refused(tmp_path, first, second, message):
    for seed, options in enumerate((first, second)):
        make_run(tmp_path, "sdgpa", "fog", seed, None if options is None else {"fog": 0.4}, **(options or {}))
    with pytest.raises(StoreError, match=message):
        read(tmp_path)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"weights": b"others"}, "with different weights; score them together"),
        ({"size": (1, 2)}, "with different size; score"),
    ],
)
def test_settings_of_one_run_belong_together(tmp_path, more, message):
    run = make_run(tmp_path, "sdgpa", "fog", 0, {"day": 0.5, "fog": 0.4})
    add_scores(run, {"fog": 0.3}, **more)
    os.utime(run / "eval/day+fog_sdgpa/scores.json", (1, 1))
    with pytest.raises(StoreError, match=message):
        read(tmp_path)


def test_scores_of_weights_that_are_gone_do_not_count(tmp_path):
    run = make_run(tmp_path, "sdgpa", "fog", 0, {"fog": 0.4})
    (run / "only/weights.safetensors").write_bytes(b"trained again")
    with pytest.raises(StoreError, match=r"only/weights.safetensors is not what was scored; evaluate again"):
        read(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", '{"protocol": "sdgpa"}'])
def test_a_foreign_file_is_named(tmp_path, content):
    run = make_run(tmp_path, "sdgpa", "fog", 0, {"fog": 0.4})
    (run / "eval/fog_sdgpa/scores.json").write_text(content)
    with pytest.raises(
        StoreError, match=r"fog_sdgpa/scores.json: .*it is not what python -m zsda.eval wrote: evaluate this run again"
    ):
        read(tmp_path)


DAMAGE = {
    "scores": lambda run: (run / "eval/fog_sdgpa/scores.json").write_text("[]"),
    "a score": lambda run: _set(run / "eval/fog_sdgpa/scores.json", "settings", "fog", "miou", to=7.5),
    "record": lambda run: (run / "run.json").write_bytes(b"\xff"),
    "phase": lambda run: (run / "only/phase.json").write_text("{}"),
    "time": lambda run: _set(run / "only/phase.json", "seconds", to=float("nan")),
    "weights": lambda run: (run / "only/weights.safetensors").unlink(),
}


def _set(path, *keys, to):
    inner = record = json.loads(path.read_text())
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = to
    path.write_text(json.dumps(record))


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_run_does_not_hide_the_others(tmp_path, caplog, what):
    runs = [make_run(tmp_path, "sdgpa", "fog", seed, {"fog": 0.4}) for seed in (0, 1)]
    DAMAGE[what](runs[0])
    assert [result.run for result in read(tmp_path)] == ["fog_sdgpa_seed1"]
    assert re.search(r"left out: \S*fog_sdgpa_seed0/", caplog.text)
    DAMAGE[what](runs[1])
    with pytest.raises(StoreError, match="fog_sdgpa_seed0/"):
        read(tmp_path)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_stands_in_place_of_weights_is_not_waited_for(tmp_path, make):
    run = make_run(tmp_path, "sdgpa", "fog", 0, {"fog": 0.4})
    (run / "only/weights.safetensors").unlink()
    make(run / "only/weights.safetensors")
    with pytest.raises(StoreError, match=r"only/weights.safetensors is not what was scored; evaluate again"):
        read(tmp_path)


def test_damaged_scores_of_an_earlier_phase_are_left_out(tmp_path, caplog):
    run = RunFolder(make_run(tmp_path, "sdgpa", "fog", 0, {"fog": 0.4}))
    (run.path / "eval/only/fog_sdgpa").mkdir(parents=True)
    (run.path / "eval/only/fog_sdgpa/scores.json").write_text("[]")
    assert scores_after(run, "only", read(tmp_path)[0]) is None
    assert "left out: " in caplog.text


def test_a_foreign_run_is_named(tmp_path):
    run = make_run(tmp_path, "sdgpa", "fog", 0, {"fog": 0.4})
    (run / "run.json").write_text('{"settings": {}, "choices": {}}')
    with pytest.raises(StoreError, match=r"fog_sdgpa_seed0/run.json: it names no header; it is none that this version"):
        read(tmp_path)


def test_the_csv_has_a_row_for_each_run_and_setting(tmp_path):
    make_run(tmp_path, "source_only", None, 0, {"fog": 0.25, "day": 0.5})
    make_run(tmp_path, "sdgpa", "fog", 1, {"fog": 0.375})
    rows = list(csv.reader(io.StringIO(results_csv(read(tmp_path)).decode())))
    assert rows == [
        [
            "run",
            "method",
            "source",
            "target",
            "seed",
            "setting",
            "protocol",
            "size",
            "miou",
            "miou_present",
            "accuracy",
        ],
        ["day_source_only_seed0", "source_only", "day", "", "0", "day", "sdgpa", "64x128", "0.5", "0.25", "0.9"],
        ["day_source_only_seed0", "source_only", "day", "", "0", "fog", "sdgpa", "64x128", "0.25", "0.125", "0.9"],
        ["fog_sdgpa_seed1", "sdgpa", "day", "fog", "1", "fog", "sdgpa", "64x128", "0.375", "0.1875", "0.9"],
    ]


def test_edits_of_one_domain_must_be_the_same_files(tmp_path):
    for domain, seed, files in (("fog", 0, "a"), ("night", 0, "b"), ("fog", 1, "a")):
        sets = {"edited": f"{domain}_target"}
        make_run(tmp_path, "oracle", domain, seed, {"edited": 0.4}, files=files, generated_sets=sets)
    assert len(read(tmp_path)) == 3
    add_scores(tmp_path / "fog_oracle_seed1", {"edited": 0.4}, files="c", generated_sets={"edited": "fog_target"})
    with pytest.raises(
        StoreError, match="fog_oracle_seed0 and fog_oracle_seed1 were scored on different images of edited"
    ):
        read(tmp_path)


def test_oracle_selection_takes_the_best_kept_epoch_for_each_target(tmp_path):
    run = make_run(tmp_path, "sdgpa", "fog", 0, {"day": 0.9, "fog": 0.9})
    add_epochs(
        run,
        {
            10: {"day": 0.9, "fog": 0.4},
            20: {"day": 0.5, "fog": 0.6},
            25: {"day": 0.7, "fog": 0.6},
            30: {"day": 0.8, "fog": 0.5},
        },
    )
    source = make_run(tmp_path, "source_only", None, 0)
    add_epochs(source, {15: {"day": 0.6, "fog": 0.3, "snow": 0.1}, 30: {"day": 0.7, "fog": 0.2, "snow": 0.2}})
    assert [(r.run, r.target, r.epoch, r.settings["day"]["miou"]) for r in read(tmp_path, select_by="miou")] == [
        ("day_source_only_seed0", "fog", 15, 0.6),
        ("day_source_only_seed0", "snow", 30, 0.7),
        ("fog_sdgpa_seed0", "fog", 20, 0.5),
    ]
    assert [result.settings["fog"]["miou"] for result in read(tmp_path, select_by="miou")] == [0.3, 0.2, 0.6]
    written = list(csv.DictReader(io.StringIO(results_csv(read(tmp_path, select_by="miou")).decode())))
    assert {(row["target"], row["oracle selection: epoch"]) for row in written} == {
        *(("fog", epoch) for epoch in ("15", "20")),
        ("snow", "30"),
    }


def test_oracle_selection_knows_the_source_from_the_targets(tmp_path):
    run = make_run(tmp_path, "source_only", None, 0, source_setting="game")
    add_epochs(run, {10: {"game": 0.5, "day": 0.4}, 30: {"game": 0.6, "day": 0.3}})
    (result,) = read(tmp_path, select_by="miou")
    assert (result.target, result.epoch, result.settings["game"]["miou"]) == ("day", 10, 0.5)


def test_epochs_scored_in_parts_belong_together(tmp_path):
    run = make_run(tmp_path, "sdgpa", "fog", 0)
    add_epochs(run, {10: {"fog": 0.4}, 30: {"fog": 0.3}})
    add_epochs(run, {10: {"day": 0.6}, 30: {"day": 0.7}})
    (result,) = read(tmp_path, select_by="miou")
    assert (result.epoch, result.settings["day"]["miou"]) == (10, 0.6)


@pytest.mark.parametrize("case", ["never scored", "one is missing", "another target", "another protocol"])
def test_oracle_selection_needs_every_kept_epoch_scored(tmp_path, case):
    add_epochs(make_run(tmp_path, "sdgpa", "fog", 0), {10: {"fog": 0.4}, 30: {"fog": 0.3}})
    run = make_run(tmp_path, "sdgpa", "fog", 1, {"fog": 0.4})
    if case != "never scored":
        setting = "snow" if case == "another target" else "fog"
        add_epochs(run, {10: {setting: 0.4}, 30: {setting: 0.3}}, "full" if case == "another protocol" else "sdgpa")
    if case == "one is missing":
        (run / "only/epochs/0020.safetensors").write_bytes(b"")
    message = (
        r"not every kept epoch .* protocol sdgpa: 1 of 2 runs, fog_sdgpa_seed1; train with keep=all, then .* epochs=all"
    )
    with pytest.raises(StoreError, match=message):
        read(tmp_path, select_by="miou")


def test_epochs_of_weights_that_are_gone_do_not_count(tmp_path):
    run = make_run(tmp_path, "sdgpa", "fog", 0)
    add_epochs(run, {10: {"fog": 0.4}, 30: {"fog": 0.3}})
    (run / "only/weights.safetensors").write_bytes(b"trained again")
    with pytest.raises(StoreError, match=r"only/weights.safetensors is not what was scored; evaluate again"):
        read(tmp_path, select_by="miou")


def test_scores_tell_what_they_are_from(tmp_path):
    run = make_run(tmp_path, "sdgpa", "fog", 0, {"day": 0.5, "fog": 0.4})
    record = json.loads((run / "run.json").read_text())
    starts = [{"command": ["python", "-m", "zsda.train", f"name={name}"]} for name in ("a", "a b")]
    (run / "run.json").write_text(json.dumps({**record, "starts": starts}))
    add_scores(run, {"rain": 0.3})
    path = run / "eval/rain_sdgpa/scores.json"
    told = {**json.loads(path.read_text()), "provenance": {"command": ["=1+1"]}}
    path.write_text(json.dumps(told))
    (found,) = read(tmp_path)
    assert found.source.weights == digest(WEIGHTS)
    assert found.source.trained_by == "python -m zsda.train 'name=a b'", "the last start"
    files = {Path(path).parent.name: (sha, command) for path, sha, command in found.source.files}
    assert files == {
        "day+fog_sdgpa": (file_digest(run / "eval/day+fog_sdgpa/scores.json"), ""),
        "rain_sdgpa": (file_digest(path), ""),
    }, "what is no command of Python is not told"


def test_means_of_smaller_class_sets_can_be_compared(tmp_path):
    run = make_run(tmp_path, "hiast", "day", 0, {"day": 0.5}, source_setting="synthia")
    path = run / "eval/day_sdgpa/scores.json"
    stored = json.loads(path.read_text())
    stored["settings"]["day"]["means"] = {"16": 0.6, "13": None, "16_published": 0.61, "other": 0.1}
    path.write_text(json.dumps(stored))
    (found,) = read(tmp_path)
    assert {key: value for key, value in found.settings["day"].items() if "1" in key} == {
        "miou_16": 0.6,
        "miou_16_published": 0.61,
    }
