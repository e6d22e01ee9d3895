"""Numbers of things, as messages and reports have them."""

__all__ = ["write_count"]


def write_count(number: float, noun: str) -> str:
    """Return "1 mirror" or "2 mirrors"; `noun` is for one, and takes an "s"."""
    text = f"{number:,}" if isinstance(number, int) else f"{number:g}"
    return f"{text} {noun}" if number == 1 else f"{text} {noun}s"
