"""Laws are tried without a clock: how long an example takes says nothing of the law on a machine that others use."""

from hypothesis import HealthCheck, settings

settings.register_profile("netlb", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("netlb")
