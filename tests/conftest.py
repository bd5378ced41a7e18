"""For all tests: no test fails because the machine was busy."""

from hypothesis import settings

settings.register_profile("netlb", deadline=None)
settings.load_profile("netlb")
