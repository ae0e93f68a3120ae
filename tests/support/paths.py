"""The paths of routes, with something in the place of each name."""


class _Names(dict[str, str]):
    def __init__(self, other: str, known: dict[str, object]) -> None:
        super().__init__({name: str(value) for name, value in known.items()})
        self._other = other

    def __missing__(self, name: str) -> str:
        return self._other


def path_of(template: str, other: object, **known: object) -> str:
    """The path with what is known in its places, and `other` in those that a test says nothing of."""
    return template.format_map(_Names(str(other), known))
