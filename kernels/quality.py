"""Quality codes: their statuses, which of two replaces the other, and what is a reading."""

import numpy as np

from .compiler.jit import inner

# Statuses, the low four bits of a code; smartdata_ts/_meter/quality.py lists all of them.
ESTIMATED = 1
SUSPECT = 5
MISSING = 7
# A higher rank replaces a lower one. The last eight statuses are the users' own.
STATUS_RANKS = np.array([5, 3, 4, 6, 2, 1, 0, 0, 3, 3, 3, 3, 3, 3, 3, 3], np.uint8)
STATUS_IS_ESTIMATE = np.array([0, 1, 1, 0, 1] + 11 * [0], np.uint8)  # estimated, final, temporary


@inner
def worse_of(left, right):
    """The code of the lower rank, the right one of equals."""
    return left if STATUS_RANKS[left & 15] < STATUS_RANKS[right & 15] else right


@inner
def is_estimate(quality):
    """Whether a code is an estimate's."""
    return STATUS_IS_ESTIMATE[quality & 15] != 0


@inner
def is_reading(quality):
    """Whether a code is a reading's: neither rejected nor missing."""
    return STATUS_RANKS[quality & 15] != 0
