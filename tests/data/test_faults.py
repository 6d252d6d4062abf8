import pytest
import torch

from zsda.core.errors import DataError, IncompleteError
from zsda.data.faults import Fault, FaultLog, collate, load_or_fault
from zsda.data.reader import DamagedImageError


def raising(error):
    def load():
        raise error

    return load


def test_damage_is_a_fault_that_others_survive():
    fault = load_or_fault(raising(DamagedImageError("a.png: cut off")))
    batch = collate([{"x": torch.tensor(1)}, fault, {"x": torch.tensor(2)}])
    log = FaultLog()
    assert log.take(batch)
    assert batch["x"].tolist() == [1, 2]
    with pytest.raises(IncompleteError, match=r"scored, but 1 image was left out: a.png: cut off"):
        log.conclude("scored")


def test_a_file_met_every_epoch_is_counted_once():
    log = FaultLog()
    for _ in range(3):
        assert not log.take(collate([Fault("a.png", fatal=False)]))
    assert log.messages == ["a.png"]


def test_a_wrong_label_ends_the_run():
    fault = load_or_fault(raising(DataError("ids outside the table")))
    with pytest.raises(DataError, match="outside the table"):
        FaultLog().take(collate([{"x": torch.tensor(1)}, fault]))


def test_a_mistake_of_ours_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        load_or_fault(raising(ZeroDivisionError()))


def test_nothing_left_out_is_no_error():
    FaultLog().conclude("scored")


def test_many_are_counted_and_the_first_are_named():
    log = FaultLog()
    log.add([f"{number}.png" for number in range(11)])
    with pytest.raises(IncompleteError, match=r"but 11 images were left out: 0.png; .*7.png; and 3 more, each named"):
        log.conclude("scored")
