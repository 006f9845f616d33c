"""Property tests here have no deadline: a busy machine is no defect of a parser."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
