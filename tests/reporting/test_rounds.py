"""What is read of the rounds of self-training."""

import json

import pytest

from tests.reporting.made import WEIGHTS, add_scores, make_run, phase_report
from zsda.core.files import file_digest, to_json, write_atomic
from zsda.core.runs import RunFolder
from zsda.reporting.results import read_results
from zsda.reporting.rounds import read_rounds

PHASES = ["start", "student", "labels1", "round1", "labels2", "only"]


@pytest.fixture
def run(tmp_path):
    """Two rounds; the last phase and the first round are scored."""
    path = make_run(tmp_path / "runs", "hiast", "fog", 0, {"fog": 0.5, "day": 0.6})
    record = RunFolder(path).record()
    settings = {**record.settings, "method": {"phases": {"labels1": {"network": "start/teacher"}}}}
    changed = record.model_copy(update={"phases": PHASES, "settings": settings})
    write_atomic(path / "run.json", to_json(changed.model_dump()))
    for number, row in ((1, "all,100,50,0.5,,,0.9"), (2, "all,100,60,0.6,,,")):
        text = f"class,predicted_pixels,kept_pixels,kept_share,threshold,mean_confidence,accuracy\nroad,1,1,1,1,1,1\n{row}\n"
        write_atomic(path / f"labels{number}/pseudo_labels.csv", text.encode())
    for name in ("start", "round1"):
        write_atomic(path / name / "weights.safetensors", WEIGHTS)
        RunFolder(path).phase(name).finish(phase_report())
    for phase, score in (("start", 0.3), ("round1", 0.4)):
        add_scores(path, {"fog": score})
        (path / "eval" / phase).mkdir()
        (path / "eval/fog_sdgpa").rename(path / "eval" / phase / "fog_sdgpa")
    return RunFolder(path)


def told(run):
    rounds = read_rounds([run], read_results([run], "sdgpa"))
    scores = [{} if r.reached is None else {name: s["miou"] for name, s in r.reached.settings.items()} for r in rounds]
    return [(r.number, r.kept, r.right, found) for r, found in zip(rounds, scores, strict=True)]


def test_shares_and_scores_of_every_round(run):
    assert told(run) == [
        (0, None, None, {"fog": 0.3}),
        (1, 0.5, 0.9, {"fog": 0.4}),
        (2, 0.6, None, {"fog": 0.5, "day": 0.6}),
    ]


def test_rounds_are_from_their_own_files(run):
    (last,) = read_results([run], "sdgpa")
    start, first, second = read_rounds([run], [last])
    assert [one.reached.label for one in (start, first, second)] == [
        *(f"{last.run}/{phase}" for phase in ("start", "round1")),
        last.run,
    ]
    assert first.labelled.label == f"{last.run}/labels1"
    path = run.path / "labels1/pseudo_labels.csv"
    assert first.labelled.source.files == [(str(path), file_digest(path), "")]
    (scores,) = first.reached.source.files
    assert scores[0] == str(run.path / "eval/round1/fog_sdgpa/scores.json")


@pytest.mark.parametrize("case", ["other weights", "other images", "another size"])
def test_scores_of_something_else_do_not_count(run, caplog, case):
    path = run.path / "eval/round1/fog_sdgpa/scores.json"
    stored = json.loads(path.read_text())
    if case == "other weights":
        (run.path / "round1/weights.safetensors").write_bytes(b"others")
    elif case == "other images":
        path.write_text(json.dumps({**stored, "files": {"fog": "others"}}))
    else:
        path.write_text(json.dumps({**stored, "size": [32, 64]}))
    assert told(run)[1][3] == {}
    assert ("was scored on other images of fog" in caplog.text) == (case == "other images")


@pytest.mark.parametrize(
    "content", ["nonsense", "class,kept_share,accuracy\nall,7,\n", "class,kept_share,accuracy\nall,0.5,nan\n"]
)
def test_a_damaged_summary_is_named_and_its_round_shown(run, caplog, content):
    (run.path / "labels1/pseudo_labels.csv").write_text(content)
    assert told(run)[1] == (1, None, None, {"fog": 0.4})
    assert "labels1/pseudo_labels.csv cannot be read" in caplog.text


@pytest.mark.parametrize("phases", [None, "start", [], {"labels1": "start"}, {"labels1": {"network": ["start"]}}])
def test_settings_that_name_no_network_have_no_round_before_the_first(run, phases):
    record = RunFolder(run.path).record()
    changed = record.model_copy(update={"settings": {**record.settings, "method": {"phases": phases}}})
    write_atomic(run.path / "run.json", to_json(changed.model_dump()))
    assert [number for number, *_ in told(run)] == [1, 2]


def test_a_run_without_labellings_has_no_rounds(tmp_path):
    path = make_run(tmp_path, "sdgpa", "fog", 0, {"fog": 0.5})
    assert told(RunFolder(path)) == []
