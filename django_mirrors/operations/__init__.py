"""Operate mirrors: plain Python, which commands and the admin call."""

from django_mirrors.operations.clone import clone_mirror, plan_clone
from django_mirrors.operations.export import (
    export_mirror,
    plan_export,
    plan_restore,
    restore_mirror,
)
from django_mirrors.operations.fleet import change_mirror, register, set_state
from django_mirrors.operations.health import check_mirrors
from django_mirrors.operations.media import MediaFile, OnFile
from django_mirrors.operations.move import cancel_move, move_mirror, plan_move
from django_mirrors.operations.provision import OnStep, add_mirror, plan_mirror
from django_mirrors.operations.reports import Plan, Report, StepResult
from django_mirrors.operations.retire import (
    plan_purge,
    plan_retire,
    purge_mirror,
    retire_mirror,
)
from django_mirrors.operations.rollout import plan_rollout, resume_rollout, roll_out
from django_mirrors.operations.run import run_command
from django_mirrors.operations.spares import prepare_mirrors
from django_mirrors.operations.status import Status, get_status, iter_status

__all__ = [
    "MediaFile",
    "OnFile",
    "OnStep",
    "Plan",
    "Report",
    "Status",
    "StepResult",
    "add_mirror",
    "cancel_move",
    "change_mirror",
    "check_mirrors",
    "clone_mirror",
    "export_mirror",
    "get_status",
    "iter_status",
    "move_mirror",
    "plan_clone",
    "plan_export",
    "plan_mirror",
    "plan_move",
    "plan_purge",
    "plan_restore",
    "plan_retire",
    "plan_rollout",
    "prepare_mirrors",
    "purge_mirror",
    "register",
    "restore_mirror",
    "resume_rollout",
    "retire_mirror",
    "roll_out",
    "run_command",
    "set_state",
]
