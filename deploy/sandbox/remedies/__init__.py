"""Remedies: deterministic repairs of what guards find. They work inside of the sandbox, on text; nothing is run.
Standard library only, beside the tools of the image (docs/guards.md)."""
