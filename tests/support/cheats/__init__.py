"""Programs that cheat, by how they do it."""

from tests.support.cheats.equal import EQUAL
from tests.support.cheats.forging import FORGING
from tests.support.cheats.judged import Cheat
from tests.support.cheats.leaving import LEAVING
from tests.support.cheats.patching import PATCHING
from tests.support.cheats.reading import READING
from tests.support.cheats.roundabout import ROUNDABOUT
from tests.support.cheats.steering import STEERING

CHEATS: dict[str, Cheat] = {**LEAVING, **FORGING, **PATCHING, **EQUAL, **READING, **ROUNDABOUT, **STEERING}
