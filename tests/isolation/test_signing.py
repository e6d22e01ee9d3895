"""Nothing that one mirror signed is believed by another one, or by the original."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model

from django_mirrors import use_mirror
from tests.isolation import artefacts
from tests.isolation.artefacts import KINDS, OWN
from tests.isolation.sizes import get_seed, scaled

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).parents[2]
# A process reads its keys when it starts; this kind keeps those of the import.
ROTATED = [name for name in KINDS if name != "Signer made at import"]
NAMES = ("books", "films", "films-fr", "original")


def make_all(kind: str) -> dict[str, str]:
    """Return what each mirror signs."""
    signed = {}
    for name in NAMES:
        with use_mirror(name):
            signed[name] = KINDS[kind].make()
    return signed


def find_believers(kind: str, text: str) -> set[str]:
    """Return the mirrors that accept what was signed."""
    believers = set()
    for name in NAMES:
        with use_mirror(name):
            if KINDS[kind].believe(text):
                believers.add(name)
    return believers


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_mirror_signed_is_believed_by_itself_only(fleet, kind):
    signed = make_all(kind)

    assert {name: find_believers(kind, text) for name, text in signed.items()} == {
        name: {name} for name in NAMES
    }


@pytest.mark.parametrize("kind", ["password reset token", "session auth hash"])
def test_token_of_a_cloned_user_is_believed_at_home_only(fleet, monkeypatch, kind):
    for name in ("books", "films", "original"):
        with use_mirror(name):
            get_user_model().objects.create(pk=1, username="ann", password="hash")
    monkeypatch.setattr(
        artefacts, "build_user", lambda: get_user_model().objects.get(pk=1)
    )
    signed = make_all(kind)

    assert {name: find_believers(kind, text) for name, text in signed.items()} == {
        name: {name} for name in NAMES
    }


@pytest.mark.parametrize("kind", ROTATED)
def test_replaced_key_is_believed_as_fallback_at_home_only(fleet, settings, kind):
    settings.SECRET_KEY = "first"
    signed = make_all(kind)

    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "second", ["first"]

    assert {name: find_believers(kind, text) for name, text in signed.items()} == {
        name: {name} for name in NAMES
    }


@pytest.mark.parametrize("kind", sorted({*ROTATED} - {"CSRF secret"}))
def test_dropped_key_is_believed_nowhere(fleet, settings, kind):
    settings.SECRET_KEY = "first"
    signed = make_all(kind)

    settings.SECRET_KEY = "second"

    assert [find_believers(kind, text) for text in signed.values()] == [set()] * 4


@pytest.fixture(scope="module")
def made_without_mirrors():
    """What a project without mirrors signed with the key that the tests have."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.isolation.artefacts"],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.isolation.plain_settings"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("kind", [name for name in KINDS if name != OWN])
def test_what_was_signed_before_the_mirrors_is_believed_by_the_original_only(
    fleet, made_without_mirrors, kind
):
    assert find_believers(kind, made_without_mirrors[kind]) == {"original"}


def test_no_pair_of_mirrors_believes_one_another(settings, tmp_path, report_figure):
    seed, pairs = get_seed(3), scaled(10_000)
    chosen = random.Random(seed)
    names = [f"mirror-{number}" for number in range(50)]
    settings.MIRRORS = {
        name: {
            "HOSTS": [f"{name}.example"],
            "DATABASE": f"sqlite:///{tmp_path / name}.sqlite3",
            "STORAGE": f"file://{tmp_path / name}/",
            "STATE": "active",
        }
        for name in names
    }
    everybody = [*names, "original"]
    believed, refused_at_home = [], []
    for _ in range(pairs):
        kind = chosen.choice(list(KINDS))
        maker, other = chosen.sample(everybody, 2)
        with use_mirror(maker):
            text = KINDS[kind].make()
            if not KINDS[kind].believe(text):
                refused_at_home.append((kind, maker))
        with use_mirror(other):
            if KINDS[kind].believe(text):
                believed.append((kind, maker, other))

    assert (believed, refused_at_home) == ([], []), f"MIRRORS_SEED={seed}"
    report_figure(
        "signed artefacts",
        f"{pairs} random pairs of 51 mirrors, {len(KINDS)} kinds: "
        f"accepted {len(believed)}, refused at home {len(refused_at_home)}",
    )
