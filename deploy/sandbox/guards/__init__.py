"""Guards: what looks at a candidate without running it. They work inside of the sandbox. Standard library only,
beside the tools of the image (docs/guards.md)."""
