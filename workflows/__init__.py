"""Deterministic orchestration, one workflow a file, with the pure decisions they need beside them."""
