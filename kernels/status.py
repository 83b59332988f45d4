"""Results of kernels in the place of a count, once for all of them."""

OK = 0
MALFORMED = -1
