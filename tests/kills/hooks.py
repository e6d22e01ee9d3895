"""What this project does before and after a rollout reaches a mirror."""

import os
import signal
from time import sleep

from django.conf import settings

from django_mirrors import Mirror

__all__ = ["begin", "check", "end"]

SECONDS = 0.0  # that each mirror takes longer
ILL = ""  # the mirror that is said to be ill
IS_KILLED = False  # whether it is killed as it asks how mirrors are


def begin(mirror: Mirror) -> None:
    (settings.DIRECTORY / "begun").touch()
    sleep(SECONDS)


def check(mirror: Mirror) -> str:
    if IS_KILLED:
        os.kill(os.getpid(), signal.SIGKILL)
    return f"{mirror} is ill" if mirror.name == ILL else ""


def end(mirror: Mirror) -> None:
    with (settings.DIRECTORY / "ended").open("a") as file:
        file.write(f"{mirror}\n")
