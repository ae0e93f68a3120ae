"""Honest programs with the tests that they pass."""

from tests.support.honest.double import Program
from tests.support.honest.functions import FUNCTIONS
from tests.support.honest.patches import PATCHES
from tests.support.honest.practices import PRACTICES
from tests.support.honest.programs import PROGRAMS

HONEST: dict[str, Program] = {**FUNCTIONS, **PATCHES, **PRACTICES, **PROGRAMS}
