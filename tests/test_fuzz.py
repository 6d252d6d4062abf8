"""A few of the mutants of `tests.fuzzing`, always the same; ``python -m tests.fuzzing`` tries more."""

import os

from tests.fuzzing.files import KINDS, fuzz_files
from tests.fuzzing.images import MUTATIONS, fuzz_images
from tests.fuzzing.outcomes import READ, REFUSED


def test_a_damaged_image_is_read_or_named(tmp_path):
    outcomes = fuzz_images(150, 1, tmp_path)
    assert not outcomes.faults, "\n".join(outcomes.faults)
    assert outcomes.kinds() == MUTATIONS.keys()
    assert outcomes.total(READ) > 30 and outcomes.total(REFUSED) > 30


def test_a_damaged_file_is_read_or_told_in_one_line(tmp_path):
    outcomes = fuzz_files(20, 5, tmp_path, dict(os.environ))
    assert not outcomes.faults, "\n".join(outcomes.faults)
    assert len(outcomes.kinds()) > len(KINDS) - 3
    assert outcomes.total(READ) > 2 and outcomes.total(REFUSED) > 10
