"""Hostile files meet the real steps, as processes of their own with their memory limited.

Profile `fuzz` (`make fuzz`): many examples, other ones each time; what failed is kept in .hypothesis.
"""

from hypothesis import HealthCheck, settings
from hypothesis.database import DirectoryBasedExampleDatabase

from tests.unit.steps.conftest import attempt

settings.register_profile(
    "fuzz",
    max_examples=3000,
    deadline=None,
    derandomize=False,
    database=DirectoryBasedExampleDatabase(".hypothesis/examples"),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    print_blob=True,
)

__all__ = ["attempt"]
