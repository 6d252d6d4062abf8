"""Whether random decisions depend on each other."""

import numpy as np


def assert_independent(values: np.ndarray) -> None:
    """Neither the columns nor their distances from the middle are correlated; 0.2 is over four deviations for 500 rows."""
    from_the_middle = np.abs(values - np.median(values, axis=0))
    usable = from_the_middle.std(axis=0) > 0  # of a coin both sides are equally far
    columns = np.concatenate([values, from_the_middle[:, usable]], axis=1)
    of = [*range(values.shape[1]), *np.flatnonzero(usable)]
    related = np.abs(np.corrcoef(columns.T))
    apart = np.not_equal.outer(of, of)
    assert related[apart].max() < 0.2
