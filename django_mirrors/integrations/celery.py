"""Celery: rollouts by workers that may be on other machines.

The task is sent through the project's own Celery app, to the queue that its
`task_routes` name for `django_mirrors.tasks.do_errand`. Its message holds names only. What
came of it is read from the original's database, so no result backend is needed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import current_app, shared_task
from celery.exceptions import OperationalError

from django_mirrors.dsn import redact_text
from django_mirrors.exceptions import OperationFailed
from django_mirrors.operations.elsewhere import Elsewhere
from django_mirrors.operations.executors import Executor
from django_mirrors.operations.rollout import errands
from django_mirrors.operations.runner import describe

__all__ = ["do_errand", "open_celery_executor"]

_CONNECT_SECONDS = 4
_RETRY = {
    "max_retries": 2,
    "interval_start": 0.2,
    "interval_step": 0.3,
    "interval_max": 0.5,
}
# A limit that a project has set for its mail must not end a migration.
_NO_LIMIT = 7 * 24 * 60 * 60

_REMEDY = (
    "Start workers of this release that listen to the queue '{queue}', and see with "
    "'celery -A PROJECT inspect registered' that they know the task '{task}'."
)


# Acknowledged when it is done, so that a broker gives what a killed worker had to
# another one. That may happen too often: whoever comes second does nothing.
@shared_task(  # type: ignore[untyped-decorator]
    name="django_mirrors.tasks.do_errand",
    acks_late=True,
    reject_on_worker_lost=True,
    ignore_result=True,
    max_retries=0,
    time_limit=_NO_LIMIT,
    soft_time_limit=_NO_LIMIT,
)
def do_errand(errand: str, mirror: str) -> None:
    """Do a step of a rollout in `mirror`, which people see in the message."""
    errands.do_errand(errand)


@contextmanager
def open_celery_executor(jobs: int) -> Iterator[Executor]:
    """Yield what lets Celery's workers do the steps, `jobs` of them under way.

    Raises `OperationFailed` if there is no app with a broker, or the broker cannot be
    reached.
    """
    _check_broker()
    remedy = _REMEDY.format(queue=_find_queue(), task=do_errand.name)
    elsewhere = Elsewhere(_send, at_most=jobs, remedy=remedy)
    try:
        yield elsewhere
    finally:
        elsewhere.end()


def _send(errand: str, mirror: str) -> None:
    try:
        do_errand.apply_async(
            kwargs={"errand": errand, "mirror": mirror},
            serializer="json",
            ignore_result=True,
            retry=True,
            retry_policy=_RETRY,
        )
    except (OperationalError, OSError) as error:
        raise OperationFailed(_describe_broker(error)) from error


def _check_broker() -> None:
    conf = current_app.conf
    if conf.task_always_eager:
        return  # it is this process that does them
    if not conf.broker_write_url:
        raise OperationFailed(
            "This process has no Celery app that knows a broker. Set 'broker_url' of "
            "the project's app, and import the app in the project's __init__.py, so "
            "that manage.py has it too."
        )
    # Redis waits for ever unless it is told.
    options = {"socket_connect_timeout": _CONNECT_SECONDS}
    with current_app.connection_for_write(
        connect_timeout=_CONNECT_SECONDS,
        transport_options=options if _is_redis(conf.broker_write_url) else None,
    ) as connection:
        problems = (*connection.connection_errors, *connection.channel_errors)
        try:
            connection.ensure_connection(max_retries=1, interval_start=0.2)
        except (OperationalError, OSError, *problems) as error:
            raise OperationFailed(_describe_broker(error)) from error


def _is_redis(url: Any) -> bool:
    return str(url).startswith(("redis", "sentinel"))


def _describe_broker(error: BaseException) -> str:
    connection = current_app.connection_for_write()
    place = connection.hostname or "localhost"
    if connection.port:
        place = f"{place}:{connection.port}"
    return (
        f"Celery's broker at {redact_text(place)} cannot be used: "
        f"{redact_text(describe(error))}. Start it, or correct 'broker_url' of the "
        "project's Celery app."
    )


def _find_queue() -> str:
    routed = current_app.amqp.router.route({}, do_errand.name)
    queue = routed.get("queue")
    return str(getattr(queue, "name", queue or current_app.conf.task_default_queue))
