from dataclasses import replace

import pytest

from tests.adaptation.test_phases import InterruptedTask, engine, equal, run_all, two_phases, weights
from zsda.core.errors import ConfigError
from zsda.core.runs import RunFolder
from zsda.core.values import shown
from zsda.models.weights import read_weights


def test_kept_epochs_are_those_of_a_shorter_training_and_survive_an_interruption(world_with_sets, tmp_path):
    root = world_with_sets
    plain, keeping, short = (RunFolder(tmp_path / name) for name in ("plain", "keeping", "short"))
    run_all(two_phases(root, epochs=4)[:1], plain)
    with pytest.raises(InterruptedError):
        run_all(two_phases(root, task=InterruptedTask)[:1], keeping, made=engine(keep=2))
    assert [path.name for path in (keeping.phase("intermediate").path / "epochs").iterdir()] == ["0002.safetensors"]
    run_all(two_phases(root), keeping, made=engine(keep=2))
    kept = keeping.phase("intermediate").kept()
    assert list(kept) == [2, 4]
    assert equal(weights(plain, "intermediate"), weights(keeping, "intermediate")), "keeping changes nothing"
    assert equal(read_weights(keeping.phase("intermediate").epoch_weights(4)), weights(keeping, "intermediate"))
    # The schedule is that of four epochs.
    two = replace(two_phases(root, epochs=2)[0], horizon=4)
    run_all([two], short)
    assert equal(read_weights(kept[2]), weights(short, "intermediate"))
    assert list(keeping.phase("target").kept()) == [1], "none of its own, only the last"
    assert not equal(read_weights(kept[2]), read_weights(kept[4]))


@pytest.mark.parametrize("every", [0, -1, 2.5, "two", True, None])
def test_what_is_no_number_of_epochs_is_refused(every):
    with pytest.raises(ConfigError, match=rf"keep={shown(every)}; expected last, all, or a whole number"):
        engine(keep=every)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"every_steps": 0}, "checkpoint.every_steps=0; expected a whole number of at least 1"),
        ({"every_minutes": 0}, "checkpoint.every_minutes=0; expected a number above 0, or null"),
        ({"every_minutes": "often"}, "checkpoint.every_minutes=often; expected a number above 0, or null"),
    ],
)
def test_checkpoints_that_never_come_are_refused(how, message):
    with pytest.raises(ConfigError, match=message):
        engine(**how)
