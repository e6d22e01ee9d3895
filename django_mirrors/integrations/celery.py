"""Celery: rollouts by workers that may be on other machines.

The task is sent through the project's own Celery app, to the queue that its
`task_routes` name for `django_mirrors.tasks.do_errand`. Its message holds names only.
What came of it is read from the original's database, so no result backend is needed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from celery import current_app, shared_task
from celery.exceptions import OperationalError

from django_mirrors.exceptions import OperationFailed
from django_mirrors.operations.elsewhere import Elsewhere
from django_mirrors.operations.executors import Executor
from django_mirrors.operations.rollout import errands
from django_mirrors.operations.runner import describe
from django_mirrors.redaction import redact_text

__all__ = ["do_errand", "open_celery_executor"]

_SECONDS = 3  # in which a broker has to answer
_REDIS_OPTIONS = {"socket_connect_timeout": _SECONDS, "socket_timeout": _SECONDS}
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
    remedy = _REMEDY.format(queue=_find_queue(), task=do_errand.name)
    with _open_broker() as connection:
        send = partial(_send, current_app.amqp.Producer(connection))
        elsewhere = Elsewhere(send, at_most=jobs, remedy=remedy)
        try:
            yield elsewhere
        finally:
            elsewhere.end()


def _send(producer: Any, errand: str, mirror: str) -> None:
    problems = producer.connection.connection_errors
    try:
        do_errand.apply_async(
            kwargs={"errand": errand, "mirror": mirror},
            serializer="json",
            ignore_result=True,
            producer=producer,
            retry=True,
            retry_policy=_RETRY,
        )
    except (OperationalError, OSError, *problems) as error:
        raise OperationFailed(_describe_broker(error)) from error


@contextmanager
def _open_broker() -> Iterator[Any]:
    """Yield a connection of our own, which waits for nothing for ever."""
    conf = current_app.conf
    if not conf.broker_write_url and not conf.task_always_eager:
        raise OperationFailed(
            "This process has no Celery app that knows a broker. Set 'broker_url' of "
            "the project's app, and import the app in the project's __init__.py, so "
            "that manage.py has it too."
        )
    is_redis = _get_url().startswith(("redis", "sentinel"))
    try:
        connection = current_app.connection_for_write(
            connect_timeout=_SECONDS,
            transport_options=_REDIS_OPTIONS if is_redis else {},
        )
        problems = (*connection.connection_errors, *connection.channel_errors)
    except (ImportError, KeyError) as error:  # there is no such kind, or no client
        raise OperationFailed(_describe_broker(error)) from error
    with connection:
        try:
            if not conf.task_always_eager:  # in this process
                connection.ensure_connection(max_retries=1, interval_start=0.2)
                connection.default_channel  # noqa: B018 - Redis is asked only now
        except (OperationalError, OSError, *problems) as error:
            raise OperationFailed(_describe_broker(error)) from error
        yield connection


def _get_url() -> str:
    """Return the URL of the broker, the first one if there are several."""
    given = current_app.conf.broker_write_url or ""
    first = given if isinstance(given, str) else next(iter(given), "")
    return first.partition(";")[0]


def _describe_broker(error: BaseException) -> str:
    try:
        parts = urlsplit(_get_url())
        place = parts.netloc.rpartition("@")[2] or parts.scheme
    except ValueError:
        place = "'broker_url'"
    return (
        f"Celery's broker at {place} cannot be used: {redact_text(describe(error))}. "
        "Start it, or correct 'broker_url' of the project's Celery app."
    )


def _find_queue() -> str:
    routed = current_app.amqp.router.route({}, do_errand.name)
    queue = routed.get("queue")
    return str(getattr(queue, "name", queue or current_app.conf.task_default_queue))
