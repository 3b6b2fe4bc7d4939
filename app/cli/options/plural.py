"""How many of what, in words."""


def plural(count: int, one: str, many: str = "") -> str:
    """1 text, 2 texts; `many`: where it is not `one` with an s."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"
