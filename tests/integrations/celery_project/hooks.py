"""Lets a rollout to a mirror take its time."""

import os
import signal
from time import sleep

from django.conf import settings

from django_mirrors import Mirror


def wait(mirror: Mirror) -> None:
    """Note that the mirror was begun, and wait as long as a file says."""
    with settings.BEGUN.open("a") as file:
        file.write(f"{mirror.name} {os.getpid()}\n")
    if settings.DEADLY.exists() and settings.DEADLY.read_text() == mirror.name:
        os.kill(os.getpid(), signal.SIGKILL)
    if settings.PAUSE.exists():
        sleep(float(settings.PAUSE.read_text()))
