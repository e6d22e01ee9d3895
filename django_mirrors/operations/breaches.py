"""STUB until merged."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    migration: str
    operation: str
    reason: str


def find_breaches(plan: object, before: object) -> tuple[Breach, ...]:
    return ()
