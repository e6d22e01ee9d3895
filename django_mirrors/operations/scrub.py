"""Take what is personal out of a copy: rules for fields, and a hook of the project."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from django.apps import apps
from django.contrib.auth.hashers import make_password
from django.core.exceptions import FieldDoesNotExist
from django.db import IntegrityError, connections, models, transaction
from django.utils.module_loading import import_string

from django_mirrors.conf import get_conf
from django_mirrors.exceptions import InvalidMirror, OperationFailed
from django_mirrors.mirror import Mirror

__all__ = ["RULES", "check_rules", "find_rule_problems", "scrub"]

_AT_ONCE = 500
_DELETE = "delete"
_FILLER = "lorem ipsum dolor sit amet "

Replace = Callable[[models.Model, Any], Any]


def scrub(mirror: Mirror) -> None:
    """Apply `MIRRORS_OPTIONS["SCRUB"]`, then the hook, to `mirror`: the current one.

    Raises `InvalidMirror` as `check_rules`, before anything is changed.
    """
    check_rules()
    rules = get_conf().scrub
    changes: dict[type[models.Model], dict[str, Any]] = defaultdict(dict)
    for target, rule in rules.items():
        if rule == _DELETE:
            _delete_rows(apps.get_model(target), mirror)
        else:
            field = _get_field(target)
            changes[field.model][field.name] = rule
    for model, fields in changes.items():
        _change_rows(model, fields)
    hook = get_conf().hooks.get("SCRUB")
    if hook:
        import_string(hook)(mirror)
    connection = connections[mirror.alias]
    if connection.vendor == "sqlite":
        # What was deleted or replaced stays in the file until then.
        with connection.cursor() as cursor:
            cursor.execute("VACUUM")


def check_rules() -> None:
    """Raise `InvalidMirror` with what is wrong with the rules, or if there are none."""
    rules, hooks = get_conf().scrub, get_conf().hooks
    if not rules and "SCRUB" not in hooks:
        raise InvalidMirror(
            "There is nothing to scrub by: MIRRORS_OPTIONS['SCRUB'] is empty. Write "
            "rules such as {'auth.User.email': 'email'}, or a hook 'SCRUB'."
        )
    problems = find_rule_problems(rules)
    if problems:
        raise InvalidMirror(*problems)


def find_rule_problems(rules: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a sentence for each rule that cannot be applied."""
    problems = (_find_problem(target, rule) for target, rule in rules.items())
    return tuple(problem for problem in problems if problem)


def _find_problem(target: str, rule: Any) -> str:
    place = f"MIRRORS_OPTIONS['SCRUB'][{target!r}]"
    try:
        if rule == _DELETE:
            apps.get_model(target)
            return ""
        field = _get_field(target)
    except (LookupError, ValueError, FieldDoesNotExist):
        wanted = "'app.Model'" if rule == _DELETE else "'app.Model.field'"
        return f"{place} names nothing that is there. Write {wanted}."
    if rule == "null" and not field.null:
        return f"{place} is 'null', which the field cannot be. Use 'empty' or a value."
    if isinstance(rule, Mapping):
        wrong = set(rule) != {"value"}
        return f"{place} is no rule. Write {{'value': ...}}." if wrong else ""
    if rule in RULES:
        return ""
    try:
        import_string(rule)
    except (ImportError, TypeError, AttributeError):
        known = ", ".join(sorted({*RULES, _DELETE}))
        return (
            f"{place} is {rule!r}. Use one of {known}, {{'value': ...}}, or the dotted "
            "path of a function that takes the object and its value."
        )
    return ""


def _get_field(target: str) -> Any:
    label, _, name = target.rpartition(".")
    return apps.get_model(label)._meta.get_field(name)


def _delete_rows(model: type[models.Model], mirror: Mirror) -> None:
    # Not QuerySet.delete(): its signals may reach services outside, such as billing.
    connection = connections[mirror.alias]
    table = connection.ops.quote_name(model._meta.db_table)
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {table}")  # noqa: S608 - quoted
    except IntegrityError as error:
        raise OperationFailed(
            f"The rows of {model._meta.label} cannot be deleted, since others refer to "
            "them. Put a rule for those before it in MIRRORS_OPTIONS['SCRUB']."
        ) from error


def _change_rows(model: type[models.Model], fields: Mapping[str, Any]) -> None:
    replace = {name: _build_replace(rule) for name, rule in fields.items()}
    rows = model._base_manager.order_by("pk")
    batch = list(rows[:_AT_ONCE])
    while batch:
        for row in batch:
            for name, function in replace.items():
                setattr(row, name, function(row, getattr(row, name)))
        rows.bulk_update(batch, list(fields))
        # Not iterator(), since the rows it reads are being changed.
        batch = list(rows.filter(pk__gt=batch[-1].pk)[:_AT_ONCE])


def _build_replace(rule: Any) -> Replace:
    if isinstance(rule, Mapping):
        return lambda row, value: rule["value"]
    if rule in RULES:
        return RULES[rule]
    found: Replace = import_string(rule)
    return found


def _make_null(row: models.Model, value: Any) -> None:
    return None


def _make_empty(row: models.Model, value: Any) -> str:
    return ""


def _make_name(row: models.Model, value: Any) -> str:
    return f"{row._meta.model_name}-{row.pk}"


def _make_email(row: models.Model, value: Any) -> str:
    # A domain of RFC 2606 that no mail can reach.
    return f"{row._meta.model_name}-{row.pk}@example.invalid" if value else ""


def _make_text(row: models.Model, value: Any) -> str:
    length = len(str(value or ""))
    return (_FILLER * (length // len(_FILLER) + 1))[:length]


def _make_password(row: models.Model, value: Any) -> str:
    return make_password(None)


RULES: Mapping[str, Replace] = {
    "null": _make_null,
    "empty": _make_empty,
    "name": _make_name,
    "email": _make_email,
    "text": _make_text,
    "password": _make_password,
}
