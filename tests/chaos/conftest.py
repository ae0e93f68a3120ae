"""A stack of its own for the tests that kill its parts."""

from tests.support.golden_fixtures import golden, provider

__all__ = ["golden", "provider"]
