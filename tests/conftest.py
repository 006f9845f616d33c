"""What holds for every test."""

import os

from hypothesis import settings

# No test is timed: on a busy machine an example may take as long as it likes. In CI a run speaks of
# the change at hand, so it draws the examples it drew before; elsewhere it looks for new ones.
settings.register_profile("untimed", deadline=None)
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable" if os.environ.get("CI") else "untimed")
