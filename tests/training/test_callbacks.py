from dataclasses import replace

import pytest

from tests.adaptation.test_phases import InterruptedTask, equal, shared, two_phases, weights
from zsda.adaptation.phases import run_phases
from zsda.core.errors import ConfigError
from zsda.core.runs import RunFolder
from zsda.models.weights import read_weights


def test_kept_epochs_are_those_of_a_shorter_training_and_survive_an_interruption(world_with_sets, tmp_path):
    made = shared(world_with_sets)
    plain, keeping, short = (RunFolder(tmp_path / name) for name in ("plain", "keeping", "short"))
    run_phases(two_phases(epochs=4)[:1], made, plain)
    with pytest.raises(InterruptedError):
        run_phases(two_phases(task=InterruptedTask)[:1], replace(shared(world_with_sets), keep_every=2), keeping)
    assert [path.name for path in (keeping.phase("intermediate").path / "epochs").iterdir()] == ["0002.safetensors"]
    run_phases(two_phases(), replace(shared(world_with_sets), keep_every=2), keeping)
    kept = keeping.phase("intermediate").kept()
    assert list(kept) == [2, 4]
    assert equal(weights(plain, "intermediate"), weights(keeping, "intermediate")), "keeping changes nothing"
    assert equal(read_weights(keeping.phase("intermediate").epoch_weights(4)), weights(keeping, "intermediate"))
    # The schedule is that of four epochs.
    two = replace(two_phases(epochs=2)[0], horizon=4)
    run_phases([two], shared(world_with_sets), short)
    assert equal(read_weights(kept[2]), weights(short, "intermediate"))
    assert list(keeping.phase("target").kept()) == [1], "none of its own, only the last"
    assert not equal(read_weights(kept[2]), read_weights(kept[4]))


@pytest.mark.parametrize("every", [0, -1, 2.5, "two"])
def test_what_is_no_number_of_epochs_is_refused(world_with_sets, every):
    with pytest.raises(ConfigError, match=f"keep_every={every}; expected a whole number"):
        replace(shared(world_with_sets), keep_every=every)
