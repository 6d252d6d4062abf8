import json
import os
from functools import partial

import pytest

from tests.conftest import one_line
from tests.starting import call
from tools.small_editor import tasks, training
from zsda.generation.editors.pipelines import check_pipeline

WORDS = [
    *("scenes=3", "held_out=1", "size=[64,128]", "trainer=cpu", "trainer.precision=32-true", "machine.num_workers=0"),
    *("autoencoder.steps=2", "autoencoder.batch_size=2", "autoencoder.crop=16"),
    *("denoiser.steps=2", "denoiser.batch_size=1"),
]


def run(folder, *words):
    return call("tools.small_editor.train", words, folder, os.environ)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["held_out=0"], "held_out=0; expected at least 1 and fewer than scenes=6000"),
        (["scenes=100"], "held_out=100; expected at least 1 and fewer than scenes=100"),
        (["denoiser.steps=0"], "denoiser.steps=0; expected a whole number of at least 1"),
        (["machine.devices=2"], "machine.devices=2; so small an editor is trained on one device"),
        (["denoiser.step=500"], "no option 'denoiser.step'; did you mean denoiser.steps"),
    ],
)
def test_bad_input_gets_one_line_before_anything_is_rendered(tmp_path, words, message):
    result = run(tmp_path, *words)
    assert result.returncode == 2
    assert message in one_line(result)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "STEPS_PER_EPOCH", 2)
        patch.setattr(training, "train_text_encoder", partial(tasks.train_text_encoder, steps=10))
        result = run(folder, *WORDS)
        assert result.returncode == 0, result.stdout + result.stderr
        yield folder


def test_it_trains_both_parts_and_saves_a_pipeline(trained):
    run_folder = trained / "editors/miniature"
    check_pipeline(run_folder / "editor")
    record = json.loads((run_folder / "run.json").read_text())
    assert record["phases"] == ["autoencoder", "denoiser"]
    assert all((run_folder / phase / "phase.json").is_file() for phase in record["phases"])
    assert record["settings"]["trainer"] == {"precision": "32-true"}


def test_where_it_runs_may_change_but_not_what_it_computes(trained):
    weights = trained / "editors/miniature/denoiser/weights.safetensors"
    before = weights.stat().st_mtime_ns
    assert run(trained, *WORDS, "trainer=auto", "machine.num_workers=1").returncode == 0
    refused = run(trained, *WORDS, "denoiser.lr=0.1")
    assert refused.returncode == 2
    assert "denoiser.lr was 0.0006 and is now 0.1" in one_line(refused)
    assert weights.stat().st_mtime_ns == before
