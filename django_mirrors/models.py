"""The models: those of the fleet's records, and what models of projects inherit."""

from django_mirrors.owned import MirrorOwned
from django_mirrors.owners import OwnerField
from django_mirrors.records import (
    Errand,
    FleetVersion,
    LockRecord,
    Marker,
    MigrationState,
    MirrorRecord,
    OperationRecord,
    StepRecord,
    Tombstone,
)

__all__ = [
    "Errand",
    "FleetVersion",
    "LockRecord",
    "Marker",
    "MigrationState",
    "MirrorOwned",
    "MirrorRecord",
    "OperationRecord",
    "OwnerField",
    "StepRecord",
    "Tombstone",
]
