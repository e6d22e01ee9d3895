"""Directories for data that is written apart: a killed process leaves none for long."""

import os
import subprocess
import sys
import tempfile

import pytest

from django_mirrors.operations.scratch import use_scratch_directory


@pytest.fixture
def directory(tmp_path, monkeypatch):
    """Return where temporary files are."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_directory_is_its_owners_and_gone_after_the_block(directory):
    with use_scratch_directory() as path:
        (path / "dump").write_text("personal data")
        assert path.parent == directory
        assert path.stat().st_mode & 0o777 == 0o700

    assert list(directory.iterdir()) == []


def test_directory_of_a_killed_process_is_removed_by_the_next(directory):
    subprocess.run(
        [sys.executable, "-c", LEAVE],
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "TMPDIR": str(directory),
        },
        check=True,
    )
    (left,) = directory.glob("django-mirrors-scratch-*/dump")

    with use_scratch_directory():
        assert not left.exists()


LEAVE = """
import os
import django
django.setup()
from django_mirrors.operations.scratch import use_scratch_directory
with use_scratch_directory() as path:
    (path / "dump").write_text("personal data")
    os._exit(0)
"""


def test_directory_in_use_is_left_alone(directory):
    with use_scratch_directory() as first, use_scratch_directory() as second:
        assert {*directory.iterdir()} == {first, second}


def test_link_is_not_followed(directory):
    (directory / "kept").mkdir()
    (directory / "kept" / "file").touch()
    (directory / "django-mirrors-scratch-x").symlink_to(directory / "kept")

    with use_scratch_directory():
        pass

    assert (directory / "kept" / "file").exists()
