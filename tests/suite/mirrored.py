"""Settings for Django's own test suite: the same, in a project with mirrors."""

from django_mirrors.db import mirror_databases
from tests.suite import plain
from tests.suite.plain import *  # noqa: F403

DATABASES = mirror_databases(plain.DATABASES)
DATABASE_ROUTERS = ["django_mirrors.db.MirrorRouter"]
TEST_RUNNER = "tests.suite.runner.MirroredRunner"
