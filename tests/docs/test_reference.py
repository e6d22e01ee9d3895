"""The reference and the code, compared both ways: neither has what the other lacks."""

import ast
import json
from dataclasses import fields
from types import MappingProxyType
from uuid import uuid4

import pytest

from django_mirrors import _compat_settings, dsn, exceptions
from django_mirrors.management.commands._fleet import describe_mirror
from django_mirrors.management.commands.mirror_show import describe_in_full
from django_mirrors.mirror import DEFINITION_KEYS, SERVICES, STATES, Mirror
from django_mirrors.operations import Plan, Report, Status, StepResult
from django_mirrors.options import HOOKS, OPTIONS
from django_mirrors.refusals import REFUSALS
from django_mirrors.registry import MirrorRegistry
from tests.docs.code import (
    describe_action,
    describe_call,
    find_check_ids,
    find_commands,
    find_loggers,
    find_public,
    find_template_tags,
    find_texts,
    find_variables,
    get_value,
    iter_actions,
)
from tests.docs.pages import Block, Section, find_codes, iter_blocks_of, read_page

SETTINGS = read_page("reference/settings.md")
COMMANDS = read_page("reference/commands.md")
PYTHON = read_page("reference/python.md")
BACKENDS = read_page("reference/backends.md")
EXCEPTIONS = read_page("reference/exceptions.md")
SIGNALS = read_page("reference/signals.md")
CHECKS = read_page("reference/checks.md")
LOGGERS = read_page("reference/loggers.md")

TEXTS = find_texts()
SELECTION = COMMANDS.get("Selecting mirrors").first_codes
# Modules whose every public name is on the page of the Python API.
MODULES = (
    "django_mirrors",
    "django_mirrors.hosts",
    "django_mirrors.operations",
    "django_mirrors.urls",
    "django_mirrors.testing",
)
# Names that settings, URLs and templates use, and their modules.
NAMED = {
    "mirror_databases": "django_mirrors.db",
    "MirrorRouter": "django_mirrors.db",
    "MirrorOwned": "django_mirrors.models",
    "OwnerField": "django_mirrors.models",
    "MirrorStorage": "django_mirrors.storage",
    "serve_media": "django_mirrors.storage.media",
    "sign_media_url": "django_mirrors.storage.media",
    "MirrorCache": "django_mirrors.cache",
    "MirrorMail": "django_mirrors.mail",
    "MirrorMiddleware": "django_mirrors.middleware",
    "MirrorTemplates": "django_mirrors.templates",
    "ThemeLoader": "django_mirrors.templates",
    "ThemeFinder": "django_mirrors.staticfiles",
    "ThemeStaticStorage": "django_mirrors.staticfiles",
    "mirror": "django_mirrors.context_processors",
    "mirror_url": "django_mirrors.templatetags.mirrors",
    "host_patterns": "django_mirrors.integrations.hosts",
    "MirrorFilter": "django_mirrors.log",
}
TAGS = {"mirror_url"}
CALLED = [
    *((module, name) for module in MODULES for name in PYTHON.get(module).titles),
    *((module, name) for name, module in NAMED.items()),
]


def get_block(section: Section) -> Block:
    return next(iter_blocks_of(section.text))


def find_call(module: str, name: str) -> str:
    """Return how the page calls a name, or nothing if it is not to be called."""
    section = find_section(module, name)
    lines = [block.text.splitlines()[0] for block in iter_blocks_of(section.text)]
    return next((line for line in lines if line.startswith(f"{name}(")), "")


def find_section(module: str, name: str) -> Section:
    if module in MODULES:
        return PYTHON.get(module).get(name)
    return next(part for part in BACKENDS.iter_sections() if name in part.titles).get(
        name
    )


def is_called(module: str, name: str) -> bool:
    """Whether Python code calls a name: a function, or a class named like one."""
    if name in TAGS or module.endswith("context_processors"):
        return False
    return name.islower() and callable(get_value(f"{module}.{name}"))


def get_documented_arguments(command: str) -> list[str]:
    section = COMMANDS.get(command)
    selection = SELECTION if "SELECTION" in get_block(section).text else []
    return sorted([*section.first_codes, *selection, "--json"])


def get_row(command: str, argument: str) -> str:
    places = (COMMANDS.get(command), COMMANDS.get("Selecting mirrors"))
    rows = [row for place in places for row in place.rows]
    return next(row[1] for row in rows if find_codes(row[0])[:1] == [argument])


def build_mirror() -> Mirror:
    return Mirror.from_mapping("books", {"HOSTS": ["books.example"]})


def build_report() -> Report:
    result = StepResult(mirror="books", outcome="done")
    return Report(operation="rollout", id=str(uuid4()), results=(result,))


JSON = {
    "Mirror": lambda: [describe_mirror(build_mirror())],
    "Mirror in full": lambda: [
        {
            key: value
            for key, value in describe_in_full(build_mirror()).items()
            if key not in describe_mirror(build_mirror())
        }
    ],
    "Status": lambda: [Status(mirror=build_mirror()).as_json()],
    "Report": lambda: [build_report().as_json(), *build_report().as_json()["results"]],
    "Plan": lambda: [
        Plan(operation="rollout", steps=MappingProxyType({"books": ("a",)})).as_json()
    ],
}


def read_json(title: str) -> list[dict[str, object]]:
    """Return the objects of an example: itself, and the first of its results."""
    example = json.loads(get_block(COMMANDS.get("JSON").get(title)).text)
    return [example, *example.get("results", [])[:1]]


def is_in_code(sentence: str) -> bool:
    """Whether the code has this sentence, with … for what varies."""
    return any(sentence in text for text in TEXTS)


def find_public_attributes(owner: type) -> set[str]:
    return {
        name
        for item in owner.__mro__
        if item.__module__.startswith("django_mirrors")
        for name in vars(item)
        if not name.startswith("_")
    }


def find_names(section: Section) -> set[str]:
    """Return the names of the first cells, without arguments and owner."""
    return {code.partition("(")[0].rpartition(".")[2] for code in section.first_codes}


def test_every_key_of_a_definition_is_documented():
    assert SETTINGS.get("MIRRORS").titles == list(DEFINITION_KEYS)


def test_every_option_is_documented():
    assert SETTINGS.get("MIRRORS_OPTIONS").titles == list(OPTIONS)


@pytest.mark.parametrize("name", OPTIONS)
def test_default_of_an_option_is_the_documented_one(name):
    text = SETTINGS.get("MIRRORS_OPTIONS").get(name).text

    assert (
        ast.literal_eval(text.partition("Default: `")[2].partition("`")[0])
        == (OPTIONS[name][2])
    )


def test_every_hook_is_documented():
    codes = find_codes(SETTINGS.get("MIRRORS_OPTIONS").get("HOOKS").text)

    assert set(HOOKS) == {code for code in codes if code.isupper()}


def test_every_setting_that_can_vary_is_documented():
    shown = SETTINGS.get("MIRRORS").get("SETTINGS").first_codes

    assert shown == sorted(_compat_settings.VARYING_SETTINGS)


def test_every_setting_that_cannot_vary_is_documented_with_its_reason():
    rows = SETTINGS.get("Settings that cannot vary").rows

    assert [(find_codes(row[0]), *row[1:]) for row in rows] == [
        (list(refusal.names), refusal.reason, refusal.remedy) for refusal in REFUSALS
    ]


def test_every_service_is_documented():
    assert SETTINGS.get("MIRRORS").get("SHARES").first_codes == list(SERVICES)


def test_every_state_is_documented():
    assert SETTINGS.get("MIRRORS").get("STATE").first_codes == list(STATES)


@pytest.mark.parametrize(
    ("title", "known"),
    [
        ("Schemes of storages", dsn._STORAGES),
        ("Schemes of caches", dsn._CACHES),
        ("Schemes of mail", dsn._MAIL),
    ],
)
def test_every_scheme_is_documented(title, known):
    assert SETTINGS.get("DSNs").get(title).first_codes == list(known)


def test_every_environment_variable_is_documented():
    assert set(SETTINGS.get("Environment variables").first_codes) == find_variables()


def test_every_command_is_documented():
    shown = [title for title in COMMANDS.titles if title.startswith("mirror_")]

    assert sorted(shown) == find_commands()


@pytest.mark.parametrize("command", find_commands())
def test_every_argument_of_a_command_is_documented(command):
    arguments = sorted(describe_action(action) for action in iter_actions(command))

    assert get_documented_arguments(command) == arguments


@pytest.mark.parametrize(
    ("command", "argument"),
    [
        pytest.param(command, describe_action(action), id=f"{command}-{action.dest}")
        for command in find_commands()
        for action in iter_actions(command)
        if type(action).__name__ == "_AppendAction" or action.nargs == "*"
    ],
)
def test_argument_that_can_be_repeated_is_said_to_be(command, argument):
    assert get_row(command, argument).endswith("repeatable")


@pytest.mark.parametrize(
    ("command", "argument", "choices"),
    [
        pytest.param(
            command,
            describe_action(action),
            action.choices,
            id=f"{command}-{action.dest}",
        )
        for command in find_commands()
        for action in iter_actions(command)
        if action.choices
    ],
)
def test_choices_of_an_argument_are_documented(command, argument, choices):
    assert find_codes(get_row(command, argument)) == list(choices)


@pytest.mark.parametrize("title", JSON)
def test_json_has_the_documented_keys(title):
    actual = [set(item) for item in JSON[title]()]

    assert [set(item) for item in read_json(title)] == actual


def test_every_json_document_is_documented():
    assert COMMANDS.get("JSON").titles == list(JSON)


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_documented(module):
    assert sorted(PYTHON.get(module).titles) == find_public(module)


def test_no_other_module_is_on_the_page_of_the_python_api():
    assert PYTHON.titles == list(MODULES)


@pytest.mark.parametrize(
    ("module", "name"),
    [item for item in CALLED if find_call(*item)],
)
def test_call_is_the_documented_one(module, name):
    assert find_call(module, name) == describe_call(module, name)


@pytest.mark.parametrize(
    ("module", "name"), [item for item in CALLED if is_called(*item)]
)
def test_every_function_shows_how_it_is_called(module, name):
    assert find_call(module, name)


def test_every_attribute_of_a_mirror_is_documented():
    shown = find_names(PYTHON.get("django_mirrors").get("Mirror"))

    assert shown == find_public_attributes(Mirror) | {
        item.name for item in fields(Mirror)
    }


def test_every_attribute_of_the_registry_is_documented():
    shown = find_names(PYTHON.get("django_mirrors").get("mirrors"))

    assert shown - {"mirrors[name]"} == find_public_attributes(MirrorRegistry)


def test_every_name_for_settings_urls_and_templates_is_documented():
    titles = [title for part in BACKENDS.iter_sections() for title in part.titles]

    assert titles == list(NAMED)


def test_every_template_tag_is_documented():
    assert find_template_tags() == TAGS


def test_every_exception_is_documented():
    assert sorted(EXCEPTIONS.first_codes) == find_public("django_mirrors.exceptions")


@pytest.mark.parametrize("row", EXCEPTIONS.rows, ids=EXCEPTIONS.first_codes)
def test_exception_also_is_what_the_page_says(row):
    exception = getattr(exceptions, find_codes(row[0])[0])
    others = [
        base.__name__
        for base in exception.__bases__
        if base is not exceptions.MirrorError
    ]

    assert find_codes(row[1]) == others


def test_every_signal_is_documented():
    assert sorted(SIGNALS.first_codes) == find_public("django_mirrors.signals")


def test_every_check_is_documented():
    assert sorted(CHECKS.first_codes) == sorted(find_check_ids())


@pytest.mark.parametrize("row", CHECKS.rows, ids=CHECKS.first_codes)
def test_message_and_hint_of_a_check_are_the_codes(row):
    sentences = [code for code in find_codes("".join(row[1:])) if " " in code]
    unknown = [code for code in sentences if not is_in_code(code)]

    assert unknown == []


def test_every_logger_is_documented():
    assert set(LOGGERS.first_codes) == find_loggers()
