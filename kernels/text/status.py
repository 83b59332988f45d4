"""The status of a row or a cell of a text file: one number, shared by the kernels that read text.

Every text kernel passes over rows whose status is not OK, and sets the status of those that fail.
"""

OK = 0
TOO_FEW_FIELDS = 1
TOO_MANY_FIELDS = 2
MALFORMED_QUOTES = 3
EMPTY_ROW = 4  # every field that is read is empty
EMPTY_TIME = 5
UNREADABLE_TIME = 6  # not of the declared format
IMPOSSIBLE_TIME = 7  # of the format, but no such day or time of day
TIME_TOO_FINE = 8  # a fraction beyond the microsecond
TIME_OUT_OF_RANGE = 9
MISSING_LOCAL_TIME = 10  # skipped by the clocks in spring
EMPTY_VALUE = 11
UNREADABLE_NUMBER = 12
SLOW_NUMBER = 13  # a number, but one that the kernel cannot round correctly
EMPTY_KEY = 14
UNREADABLE_KEY = 15  # bytes that are no text in the declared encoding
UNREADABLE_QUALITY = 16
NUMBER_OUT_OF_RANGE = 17
PENDING_TIME = 18  # in a repeated hour which its series has not yet left
NO_ROW = 19
ZERO_KEY = 20  # a text with a zero byte, which no key has
