"""What holds for all tests: no example of hypothesis has a deadline, since how long one takes is the machine's affair."""

from hypothesis import settings

settings.register_profile("netlb", deadline=None)
settings.load_profile("netlb")
