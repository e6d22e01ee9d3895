"""A project of its own sends mail for its mirrors, by commands and without a test."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.smtp import serve_mail

ROOT = Path(__file__).parents[2]
MANAGE = """
import os, sys
from django.core.management import execute_from_command_line
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
execute_from_command_line(sys.argv)
"""
SETTINGS = """
import os
from pathlib import Path
from django_mirrors.db import mirror_databases

BASE_DIR = Path(__file__).parent
SECRET_KEY = "only for tests"
INSTALLED_APPS = ["django_mirrors"]
MIDDLEWARE = ["django_mirrors.middleware.MirrorMiddleware"]
DATABASES = mirror_databases(
    {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db"}}
)
DATABASE_ROUTERS = ["django_mirrors.db.MirrorRouter"]
MIRRORS = {
    name: {
        "HOSTS": [f"{name}.example"],
        "DATABASE": f"sqlite:///{name}.sqlite3",
        "MAIL": os.environ[name],
        "SETTINGS": {"DEFAULT_FROM_EMAIL": f"hello@{name}.example"},
    }
    for name in ("books", "films")
}
MIRRORS_OPTIONS = {"SNAPSHOT": None, "RECORDS": False}
"""
PROJECTS = {
    "legacy": 'EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"\n'
    'EMAIL_FILE_PATH = BASE_DIR / "mail"\n',
    "mailers": 'MAILERS = {"default": {"BACKEND": '
    '"django.core.mail.backends.filebased.EmailBackend", '
    '"OPTIONS": {"file_path": BASE_DIR / "mail"}}}\n',
}


@pytest.fixture(
    params=["legacy", pytest.param("mailers", marks=pytest.mark.needs_django(6, 1))]
)
def project(request, tmp_path):
    (tmp_path / "manage.py").write_text(MANAGE)
    (tmp_path / "settings.py").write_text(SETTINGS + PROJECTS[request.param])
    return tmp_path


def run(project, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )


def test_command_sends_by_the_server_of_its_mirror_or_the_projects_way(project):
    with serve_mail() as books, serve_mail() as films:
        dsns = {"books": books.build_dsn("bob"), "films": films.build_dsn("fay")}

        run(project, "sendtestemail", "a@x.example", DJANGO_MIRROR="films", **dsns)
        run(project, "sendtestemail", "b@x.example", **dsns)

    assert (books.senders, films.senders) == ([], ["hello@films.example"])
    assert films.deliveries[0].recipients == ["a@x.example"]
    (written,) = (project / "mail").iterdir()
    assert "To: b@x.example" in written.read_text()
