"""What a test may need besides Python: which services answer here, and where."""

import os
import shutil
import socket
import subprocess
import warnings
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import cache
from urllib.parse import SplitResult, unquote, urlsplit

__all__ = [
    "PROBLEMS",
    "find_browser_problem",
    "find_chromium",
    "find_mariadb_problem",
    "find_postgres_problem",
    "find_rabbitmq_problem",
    "find_redis_problem",
    "find_s3_problem",
    "get_mariadb_url",
    "get_postgres_url",
    "get_rabbitmq_url",
    "get_redis_url",
]

SECONDS = 3  # more than a server on this machine needs
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def get_postgres_url() -> str:
    """Return the URL of a PostgreSQL database whose user may create databases."""
    default = "postgres://postgres@127.0.0.1:5432/postgres"
    return os.environ.get("TEST_POSTGRES_URL") or default


def get_mariadb_url() -> str:
    """Return the URL of a MariaDB database whose user may create databases."""
    return os.environ.get("TEST_MYSQL_URL") or "mysql://root@127.0.0.1:3306/test"


def get_redis_url() -> str:
    """Return the URL of a Redis database that tests may empty."""
    return os.environ.get("TEST_REDIS_URL") or "redis://127.0.0.1:6379/9"


def get_rabbitmq_url() -> str:
    """Return the URL of a virtual host of RabbitMQ where tests may make queues."""
    return os.environ.get("TEST_RABBITMQ_URL") or "amqp://guest@127.0.0.1:5672//"


def find_chromium() -> str | None:
    """Return the path of a Chromium, or None."""
    named = os.environ.get("TEST_CHROMIUM")
    if named:
        return shutil.which(named)
    return next(filter(None, map(shutil.which, BROWSERS)), None)


@cache
def find_postgres_problem() -> str | None:
    """Return why tests cannot use PostgreSQL here, or None."""
    url = get_postgres_url()
    problem = _find_connection_problem("PostgreSQL", url, port=5432)
    if problem:
        return problem
    try:
        import psycopg
    except ImportError:
        return "PostgreSQL: the driver psycopg is not installed"
    try:
        psycopg.connect(url, connect_timeout=SECONDS).close()
    except psycopg.Error as error:
        return _describe_refusal("PostgreSQL", url, error)
    return None


@cache
def find_mariadb_problem() -> str | None:
    """Return why tests cannot use MariaDB here, or None."""
    url = get_mariadb_url()
    problem = _find_connection_problem("MariaDB", url, port=3306)
    if problem:
        return problem
    try:
        import MySQLdb
    except ImportError:
        return "MariaDB: the driver mysqlclient is not installed"
    parts = urlsplit(url)
    try:
        MySQLdb.connect(
            host=parts.hostname or "",
            port=parts.port or 3306,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            database=parts.path.strip("/"),
            connect_timeout=SECONDS,
        ).close()
    except MySQLdb.Error as error:
        return _describe_refusal("MariaDB", url, error)
    return None


@cache
def find_redis_problem() -> str | None:
    """Return why tests cannot use Redis here, or None."""
    url = get_redis_url()
    problem = _find_connection_problem("Redis", url, port=6379)
    if problem:
        return problem
    try:
        import redis
    except ImportError:
        return "Redis: the client redis is not installed"
    try:
        with closing(
            redis.Redis.from_url(
                url, socket_connect_timeout=SECONDS, socket_timeout=SECONDS
            )
        ) as client:
            client.ping()
    except redis.RedisError as error:
        return _describe_refusal("Redis", url, error)
    return None


@cache
def find_rabbitmq_problem() -> str | None:
    """Return why tests cannot use RabbitMQ here, or None."""
    url = get_rabbitmq_url()
    problem = _find_connection_problem("RabbitMQ", url, port=5672)
    if problem:
        return problem
    try:
        import kombu
    except ImportError:
        return "RabbitMQ: the client kombu, which Celery brings, is not installed"
    with kombu.Connection(url, connect_timeout=SECONDS) as connection:
        try:
            connection.connect()
        except (*connection.connection_errors, *connection.channel_errors) as error:
            return _describe_refusal("RabbitMQ", url, error)
    return None


@cache
def find_s3_problem() -> str | None:
    """Return why tests cannot use moto's S3 server here, or None."""
    try:
        import boto3  # noqa: F401
        from moto.server import ThreadedMotoServer
    except ImportError as error:
        return f"S3: {error.name} is not installed"
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        return _find_connection_problem("S3", f"http://{host}:{port}", port=port)
    finally:
        server.stop()


@cache
def find_browser_problem() -> str | None:
    """Return why tests cannot drive Chromium here, or None."""
    path = find_chromium()
    if path is None:
        wanted = os.environ.get("TEST_CHROMIUM") or ", ".join(BROWSERS)
        return f"Chromium: not found ({wanted})"
    try:
        import playwright  # noqa: F401
    except ImportError:
        return "Chromium: playwright is not installed"
    try:
        subprocess.run([path, "--version"], check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.SubprocessError) as error:
        return f"Chromium: '{path} --version' failed ({type(error).__name__})"
    return None


def _quietly(find: Callable[[], str | None]) -> Callable[[], str | None]:
    """Return `find` deaf to the warnings that the tests treat as errors."""

    def find_problem() -> str | None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return find()

    return find_problem


PROBLEMS: Mapping[str, Callable[[], str | None]] = {  # by pytest marker
    "postgres": _quietly(find_postgres_problem),
    "mariadb": _quietly(find_mariadb_problem),
    "redis": _quietly(find_redis_problem),
    "rabbitmq": _quietly(find_rabbitmq_problem),
    "s3": _quietly(find_s3_problem),
    "browser": _quietly(find_browser_problem),
}


def _find_connection_problem(service: str, url: str, *, port: int) -> str | None:
    parts = urlsplit(url)
    if not parts.hostname:
        return None  # a socket file; the driver will tell
    try:
        address = (parts.hostname, parts.port or port)
        socket.create_connection(address, timeout=SECONDS).close()
    except OSError:
        return f"{service}: no server at {_describe_address(parts, port)}"
    return None


def _describe_address(parts: SplitResult, port: int) -> str:
    return f"{parts.hostname}:{parts.port or port}"


def _describe_refusal(service: str, url: str, error: Exception) -> str:
    """Return what the server said, in one line; the URL may hold a password."""
    said = str(error).strip().splitlines()
    return (
        f"{service}: {urlsplit(url).hostname or 'the socket'} answered "
        f"{said[-1] if said else type(error).__name__!r}"
    )
