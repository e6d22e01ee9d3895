"""Settings of a fleet whose rollouts are done by Celery's workers."""

import os

from tests.kills.settings import *  # noqa: F403
from tests.kills.settings import DIRECTORY, MIRRORS_OPTIONS, TOKEN

MIRRORS_OPTIONS = {
    **MIRRORS_OPTIONS,
    "RELEASE": os.environ.get("FLEET_RELEASE", ""),
    "WORKER_TIMEOUT": float(os.environ["FLEET_TIMEOUT"]),
    "HOOKS": {"BEFORE_ROLLOUT": "tests.integrations.celery_project.hooks.wait"},
}
PAUSE = DIRECTORY / "pause"  # how many seconds a mirror takes
DEADLY = DIRECTORY / "deadly"  # the mirror that takes its worker down
BEGUN = DIRECTORY / "begun.txt"  # the mirrors that were begun, and by which process

# Beside those of others on the same broker.
CELERY_BROKER_URL = os.environ["FLEET_BROKER"] or None
CELERY_TASK_DEFAULT_QUEUE = TOKEN
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
if os.environ["FLEET_BROKER"].startswith("redis"):
    CELERY_BROKER_TRANSPORT_OPTIONS = {"global_keyprefix": f"{TOKEN}:"}
