"""Names one set of voters' weights, so that what was proposed for one is never applied to another."""

from collections.abc import Mapping

from schema.messages.vote import Voter
from schema.texts import canonical_json, digest_of


def weights_digest(voters: Mapping[Voter, int]) -> str:
    """SHA-256 of the weights that are above 0, in basis points, whatever their order."""
    return digest_of(canonical_json({voter: weight for voter, weight in voters.items() if weight > 0}))
