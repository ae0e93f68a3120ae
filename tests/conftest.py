"""What holds for all tests."""

from hypothesis import settings

# How long an example takes says more of what else the machine does than of what is tested.
settings.register_profile("tests", settings.default, deadline=None)
settings.load_profile("tests")
