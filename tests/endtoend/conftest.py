"""One whole stack for all end-to-end tests."""

from tests.support.golden_fixtures import golden, provider, temporal

__all__ = ["golden", "provider", "temporal"]
