"""Spans of time, both ends inclusive: the first and the last instant that there is."""

import numpy as np

TIME_MIN = int(np.iinfo(np.int64).min)
TIME_MAX = int(np.iinfo(np.int64).max)
