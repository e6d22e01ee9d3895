"""What every page says of the code: paths, commands, keys and check ids that exist."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import load_command_class

from django_mirrors.mirror import DEFINITION_KEYS
from django_mirrors.options import OPTIONS
from tests.docs.code import APP, build_actions, find_commands, get_value
from tests.docs.pages import DOCS, ROOT, find_codes, iter_blocks

PAGES = sorted({*DOCS.rglob("*.md"), ROOT / "README.md"} - {*DOCS.rglob("_build/**/*")})
IDS = [str(path.relative_to(ROOT)) for path in PAGES]

_DOTTED = re.compile(r"(?<![\w./-])django_mirrors(?:\.[A-Za-z_]\w*)+")
# Also what is meant to hold text of a page, and no name: a path of a file.
_FILE = re.compile(r"\.(?:md|py|html)$")
_COMMAND = re.compile(r"python3? manage\.py (mirror_\w+)(.*)")
# Of Django's commands, and of other programs the pages mention.
FOREIGN_OPTIONS = {"--database", "--noreload", "--help"}


def find_dotted(path: Path) -> list[str]:
    found = set(_DOTTED.findall(path.read_text(encoding="utf-8")))
    return sorted(name for name in found if not _FILE.search(name))


def iter_commands(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield each command of this app that a page shows, and its arguments."""
    for block in iter_blocks(path):
        for line in block.text.splitlines():
            match = _COMMAND.search(line)
            if match is not None:
                yield match[1], shlex.split(match[2])


def iter_python(path: Path) -> Iterator[str]:
    for block in iter_blocks(path):
        # A signature is no statement.
        if block.language == "python" and "signature" not in block.words:
            yield block.text


def iter_dictionaries(path: Path, name: str) -> Iterator[ast.Dict]:
    """Yield the dictionaries that a page assigns to `name`."""
    for text in iter_python(path):
        for node in ast.walk(ast.parse(text)):
            if (
                isinstance(node, ast.Assign)
                and ast.unparse(node.targets[0]).endswith(name)
                and isinstance(node.value, ast.Dict)
            ):
                yield node.value


def find_keys(node: ast.Dict) -> set[str]:
    return {ast.literal_eval(key) for key in node.keys if key is not None}


def find_definition_keys(path: Path) -> set[str]:
    """Return the keys of all definitions that a page shows in Python."""
    keys: set[str] = set()
    for mirrors in iter_dictionaries(path, "MIRRORS"):
        for definition in mirrors.values:
            keys |= find_keys(definition)
    for options in iter_dictionaries(path, "MIRRORS_OPTIONS"):
        for key, value in zip(options.keys, options.values, strict=True):
            if ast.literal_eval(key) in {"DEFAULTS", "ORIGINAL"}:
                keys |= find_keys(value)
    return keys


def find_options(path: Path) -> set[str]:
    """Return the command-line options that a page names in its text."""
    codes = find_codes(path.read_text(encoding="utf-8"))
    return {code.split()[0].partition("=")[0] for code in codes if code[:2] == "--"}


def find_known_options() -> set[str]:
    return {
        option
        for command in find_commands()
        for action in build_actions(load_command_class(APP, command))
        for option in action.option_strings
    }


@pytest.mark.parametrize(
    "dotted", sorted({name for path in PAGES for name in find_dotted(path)})
)
def test_dotted_path_leads_to_something(dotted):
    assert get_value(dotted) is not None


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        pytest.param(command, arguments, id=f"{path.stem}: {command} {arguments}")
        for path in PAGES
        for command, arguments in iter_commands(path)
    ],
)
def test_command_is_accepted_as_shown(command, arguments):
    parser = load_command_class(APP, command).create_parser("manage.py", command)

    assert parser.parse_args(arguments)


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_options_that_a_page_names_exist(path):
    assert find_options(path) <= find_known_options() | FOREIGN_OPTIONS | {"--"}


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_python_that_a_page_shows_can_be_read(path):
    assert all(ast.parse(text) for text in iter_python(path))


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_keys_that_a_page_shows_exist(path):
    options = [
        key
        for node in iter_dictionaries(path, "MIRRORS_OPTIONS")
        for key in find_keys(node)
    ]

    assert set(options) <= set(OPTIONS)
    assert find_definition_keys(path) <= set(DEFINITION_KEYS)


def test_every_how_to_begins_with_a_verb_that_the_index_of_them_can_list():
    titles = [
        path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        for path in (DOCS / "how-to").glob("*.md")
        if path.stem != "index"
    ]

    assert {title.split()[0] for title in titles} <= VERBS


VERBS = {
    "Add", "Archive", "Change", "Copy", "Declare", "Give", "Hold", "Keep", "Link",
    "Move", "Pin", "Roll", "Run", "Send", "Serve", "Share", "Theme", "Use", "Write",
}  # fmt: skip
