"""Rollouts: mirrors brought in step with the running code."""

from django_mirrors.operations.rollout.engine import (
    OnWave,
    Options,
    resume_rollout,
    roll_out,
    stop_rollout,
)
from django_mirrors.operations.rollout.journal import CANCEL, PAUSE, Journal, Summary
from django_mirrors.operations.rollout.planning import plan_rollout
from django_mirrors.operations.rollout.waves import Wave, parse_waves

__all__ = [
    "CANCEL",
    "PAUSE",
    "Journal",
    "OnWave",
    "Options",
    "Summary",
    "Wave",
    "parse_waves",
    "plan_rollout",
    "resume_rollout",
    "roll_out",
    "stop_rollout",
]
