"""What tests read of the library's code, to compare it with the documentation."""

import ast
import inspect
import re
from argparse import Action
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from django.core.management import load_command_class
from django.core.management.base import BaseCommand

from tests.docs.pages import ROOT

PACKAGE = ROOT / "django_mirrors"
CHECKS = PACKAGE / "checks"
COMMANDS = PACKAGE / "management" / "commands"
APP = "django_mirrors"

_DOTTED = re.compile(r"…(?:\.…)+")
_CHECK_ID = re.compile(r"mirrors\.[A-Z][0-9]{3}")


def find_commands() -> list[str]:
    return sorted(path.stem for path in COMMANDS.glob("mirror_*.py"))


def iter_actions(command: str) -> Iterator[Action]:
    """Yield the arguments that a command adds to those of every Django command."""
    common = {action.dest for action in build_actions(BaseCommand())}
    for action in build_actions(load_command_class(APP, command)):
        if action.dest not in common:
            yield action


def build_actions(command: BaseCommand) -> list[Action]:
    return command.create_parser("manage.py", "command")._actions


def describe_action(action: Action) -> str:
    """Return an argument as the reference writes it: `--host HOST`, `NAME`."""
    if not action.option_strings:
        return str(action.metavar or action.dest.upper())
    value = "" if action.nargs == 0 else f" {action.metavar or action.dest.upper()}"
    return f"{action.option_strings[-1]}{value}"


def find_public(module: str) -> list[str]:
    return sorted(import_module(module).__all__)


def describe_call(module: str, name: str) -> str:
    """Return how a public name is called, without annotations."""
    signature = inspect.signature(getattr(import_module(module), name))
    plain = signature.replace(
        parameters=[
            item.replace(annotation=inspect.Parameter.empty)
            for item in signature.parameters.values()
        ],
        return_annotation=inspect.Signature.empty,
    )
    return f"{name}{plain}"


def iter_calls() -> Iterator[tuple[str, ast.Call]]:
    """Yield the module and the node of every call in the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.Call):
                yield find_module(path), node


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def find_module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(
        ".__init__"
    )


def find_loggers() -> set[str]:
    """Return the names given to logging.getLogger()."""
    return {
        ast.literal_eval(node.args[0])
        if isinstance(node.args[0], ast.Constant)
        else module
        for module, node in iter_calls()
        if ast.unparse(node.func) == "logging.getLogger"
    }


def find_check_ids() -> set[str]:
    """Return the ids of check messages: written out, or made of a number."""
    makers = {"build_errors": "mirrors.E", "build_warnings": "mirrors.W"}
    for path in CHECKS.rglob("*.py"):
        for function in ast.walk(parse(path)):
            if isinstance(function, ast.FunctionDef):
                makers.update(
                    (function.name, prefix) for prefix in find_prefixes(function)
                )
    found = {
        f"{makers[name]}{number:03}"
        for module, node in iter_calls()
        if (name := ast.unparse(node.func)) in makers and ".checks." in module
        for number in find_numbers(node)
    }
    return found | {text for text in find_texts() if _CHECK_ID.fullmatch(text)}


def find_prefixes(function: ast.FunctionDef) -> Iterator[str]:
    """Yield what the ids begin with that a function makes of a number."""
    for node in ast.walk(function):
        if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
            prefix = str(node.values[0].value)
            if prefix.startswith("mirrors."):
                yield prefix


def find_numbers(call: ast.Call) -> Iterator[int]:
    for argument in call.args:
        if isinstance(argument, ast.Constant) and isinstance(argument.value, int):
            yield argument.value


def find_texts() -> set[str]:
    """Return every text in the package, with … in place of what varies."""
    return {
        write_text(node)
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(parse(path))
        if isinstance(node, ast.JoinedStr | ast.Constant)
    }


def write_text(node: ast.JoinedStr | ast.Constant) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    text = "".join(
        str(part.value) if isinstance(part, ast.Constant) else "…"
        for part in node.values
    )
    return _DOTTED.sub("…", text)


def find_template_tags() -> set[str]:
    """Return the names of the tags and filters that templates can load."""
    libraries = [
        import_module(find_module(path)).register
        for path in (PACKAGE / "templatetags").glob("[!_]*.py")
    ]
    return {name for library in libraries for name in (*library.tags, *library.filters)}


def find_variables() -> set[str]:
    """Return the names given to os.environ.get(), with what varies as <FIELD>."""
    return {
        write_pattern(node.args[0])
        for _, node in iter_calls()
        if ast.unparse(node.func) == "os.environ.get"
    }


def write_pattern(node: ast.expr) -> str:
    if not isinstance(node, ast.JoinedStr):
        return str(ast.literal_eval(node))
    return "".join(
        str(part.value) if isinstance(part, ast.Constant) else "<FIELD>"
        for part in node.values
    )


def get_value(dotted: str) -> Any:
    """Return what a dotted path names: a module, or something inside one."""
    try:
        return import_module(dotted)
    except ModuleNotFoundError:
        module, _, name = dotted.rpartition(".")
        return getattr(get_value(module), name)
