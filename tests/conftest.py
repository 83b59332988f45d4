"""How the suite searches: the same examples on every run, so that a failure belongs to the change at hand.

`make search` looks at new ones instead (HYPOTHESIS_PROFILE=random) and keeps what it finds in .hypothesis.
"""

import os

from hypothesis import settings

settings.register_profile("same", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("random", deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
