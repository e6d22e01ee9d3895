"""How much a test of isolation tries: a tenth of all of it, unless it is told."""

import os

__all__ = ["get_seed", "scaled"]

# A hundredth reaches every line, which is what the measuring of coverage is for.
_PARTS = {"full": 1, "usual": 10, "small": 100}


def scaled(full: int) -> int:
    """Return the part of `full` that MIRRORS_SIZES asks for: "usual" is a tenth."""
    return full // _PARTS[os.environ.get("MIRRORS_SIZES", "usual")]


def get_seed(default: int) -> int:
    """Return the seed to generate from: `default`, or what MIRRORS_SEED says."""
    return int(os.environ.get("MIRRORS_SEED") or default)
