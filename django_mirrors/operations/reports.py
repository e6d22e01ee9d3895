"""What an operation will do and what it did, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = ["DONE", "FAILED", "SKIPPED", "Outcome", "Plan", "Report", "StepResult"]

DONE = "done"
FAILED = "failed"
SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What an operation will do to each mirror, in order."""

    operation: str
    steps: Mapping[str, tuple[str, ...]]  # name of the mirror -> what will be done
    waves: Mapping[str, str] = field(default_factory=dict)  # the mirror -> its wave
    sql: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by step

    def as_json(self) -> dict[str, Any]:
        """Return the plan for machines."""
        plan = [
            {"mirror": name, "steps": list(steps)} for name, steps in self.steps.items()
        ]
        for item in plan:
            if item["mirror"] in self.waves:
                item["wave"] = self.waves[str(item["mirror"])]
        found: dict[str, Any] = {"operation": self.operation, "plan": plan}
        if self.sql:
            found["sql"] = {step: list(lines) for step, lines in self.sql.items()}
        return found


class Outcome(NamedTuple):
    """What a step returns of itself."""

    outcome: str  # "done" or "skipped"; a failure is raised
    detail: str = ""  # one line for people
    migrations: str = ""  # which the mirror's database has now, if the step knows
    output: str = ""  # what was printed, if nobody was told at once


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What happened to one mirror."""

    mirror: str
    outcome: str  # "done", "failed" or "skipped"
    error: str = ""  # of a failure: what, where, remedy
    seconds: float = 0.0
    detail: str = ""  # one line for people
    migrations: str = ""  # digest of those that the mirror's database has now, if known
    output: str = ""  # what was printed, if nobody was told at once

    def as_json(self) -> dict[str, Any]:
        """Return the result for machines."""
        return {
            "mirror": self.mirror,
            "outcome": self.outcome,
            "error": self.error,
            "seconds": round(self.seconds, 3),
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What an operation did, sorted by mirror."""

    operation: str
    id: str
    results: tuple[StepResult, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.results)

    @property
    def failures(self) -> tuple[StepResult, ...]:
        """The results of the mirrors that failed."""
        return tuple(item for item in self.results if item.outcome == FAILED)

    def count(self, outcome: str) -> int:
        """Return how many mirrors had this outcome."""
        return sum(item.outcome == outcome for item in self.results)

    def as_json(self) -> dict[str, Any]:
        """Return the report for machines."""
        return {
            "operation": self.operation,
            "id": self.id,
            DONE: self.count(DONE),
            FAILED: self.count(FAILED),
            SKIPPED: self.count(SKIPPED),
            "results": [item.as_json() for item in self.results],
        }
