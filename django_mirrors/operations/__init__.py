"""Operate mirrors: plain Python, which commands and the admin call."""

from django_mirrors.operations.fleet import change_mirror, register, set_state
from django_mirrors.operations.health import check_mirrors
from django_mirrors.operations.provision import add_mirror, plan_mirror
from django_mirrors.operations.reports import Plan, Report, StepResult
from django_mirrors.operations.rollout import plan_rollout, roll_out
from django_mirrors.operations.run import run_command
from django_mirrors.operations.status import Status, get_status

__all__ = [
    "Plan",
    "Report",
    "Status",
    "StepResult",
    "add_mirror",
    "change_mirror",
    "check_mirrors",
    "get_status",
    "plan_mirror",
    "plan_rollout",
    "register",
    "roll_out",
    "run_command",
    "set_state",
]
