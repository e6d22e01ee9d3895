"""Signals of the fleet. Receivers must not raise: the work is already done."""

from django.dispatch import Signal

__all__ = ["fleet_changed", "mirror_provisioned", "step_finished"]

# Sent after a process took over a new version of the fleet.
# Arguments: sender (the registry), mirrors (names that were added, changed, removed).
fleet_changed = Signal()

# Sent when a mirror became active for the first time, with that mirror current.
# Arguments: sender (the `Mirror` class), mirror.
mirror_provisioned = Signal()

# Sent by the runner after each mirror of an operation.
# Arguments: sender (the name of the operation), result (a `StepResult`).
step_finished = Signal()
