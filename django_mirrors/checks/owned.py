"""Whether mirrors that share a database share what they are meant to."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage
from django.db import models

from django_mirrors.checks.findings import Findings
from django_mirrors.checks.messages import build_errors, build_warnings
from django_mirrors.db.scope import is_owned
from django_mirrors.mirror import DATABASE
from django_mirrors.owners import OwnerField, find_owner_field

__all__ = ["check_owned"]

Model = type[models.Model]

_APP = "django_mirrors"
# What migrations write says nothing of a mirror, and the key of a session is bound to
# the mirror that made it.
_COMMON = frozenset({"auth.permission", "contenttypes.contenttype", "sessions.session"})


def check_owned(findings: Findings) -> list[CheckMessage]:
    """Return which rows mirrors would share, or learn of, without meaning to."""
    common = findings.conf.common_models
    # Those that each mirror's database has tables of.
    checked = [
        model
        for model in apps.get_models()
        if model._meta.app_label not in {_APP, *findings.conf.original_apps}
        and not model._meta.proxy
    ]
    messages = [
        *build_errors(_find_unknown(common), 33),
        *build_errors(_find_contradicted(checked, common), 34),
    ]
    names = {mirror.name for mirror in findings.all}
    owners = ((item.name, item.find_owner(DATABASE)) for item in findings.all)
    if not any(owner != name and owner in names for name, owner in owners):
        return messages
    return [
        *messages,
        *build_warnings(_find_rules(checked), 35),
        *build_warnings(_find_relations(checked), 36),
        *build_warnings(_find_ownerless(checked, common), 37),
    ]


def _find_unknown(names: frozenset[str]) -> Iterable[str]:
    known = {config.label for config in apps.get_app_configs()}
    known |= {model._meta.label for model in apps.get_models()}
    folded = {name.lower() for name in known}
    for name in sorted(names):
        if name.lower() not in folded:
            close = get_close_matches(name, known, n=1)
            hint = f"Did you mean '{close[0]}'?" if close else "Write 'app.Model'."
            yield (
                f"MIRRORS_OPTIONS['COMMON_MODELS'] names '{name}', which is no "
                f"installed app or model. {hint}"
            )


def _find_contradicted(listed: Iterable[Model], names: frozenset[str]) -> Iterable[str]:
    folded = {name.lower(): name for name in names}
    for model in listed:
        label = model._meta.label_lower
        if label in folded and is_owned(model):
            yield (
                f"MIRRORS_OPTIONS['COMMON_MODELS'] names '{folded[label]}', whose rows "
                "belong to one mirror each. Remove it from the list."
            )


def _find_rules(listed: Iterable[Model]) -> Iterable[str]:
    for model in listed:
        field = find_owner_field(model)
        if field is None or not is_owned(model):
            continue
        for names in _iter_unique(model):
            if not any(_is_of_one_mirror(model, name) for name in names):
                named = ", ".join(f"'{name}'" for name in names)
                yield (
                    f"{model._meta.label}: {named} must be unique among the rows of "
                    "all mirrors that share a database, so one learns what another "
                    f"one has. Write a UniqueConstraint that has '{field.name}' too."
                )


def _iter_unique(model: Model) -> Iterator[tuple[str, ...]]:
    meta = model._meta
    for field in meta.local_concrete_fields:
        if field.unique and not _is_random(field):
            yield (field.name,)
    for names in meta.unique_together:
        yield tuple(names)
    for rule in meta.constraints:
        if isinstance(rule, models.UniqueConstraint):
            yield (*rule.fields, *_iter_named(rule.expressions))


def _is_random(field: Any) -> bool:
    """Whether no mirror learns anything of a value, which nobody chooses."""
    if isinstance(field, models.UUIDField):
        return field.has_default() or field.has_db_default()
    return isinstance(field, models.AutoField | models.CompositePrimaryKey)


def _iter_named(expressions: Iterable[Any]) -> Iterator[str]:
    for expression in expressions:
        if isinstance(expression, models.F):
            yield str(expression.name)  # type: ignore[attr-defined]
        elif hasattr(expression, "get_source_expressions"):
            yield from _iter_named(expression.get_source_expressions())


def _is_of_one_mirror(model: Model, name: str) -> bool:
    """Whether rows of two mirrors never have the same value of a field."""
    field = next((item for item in model._meta.fields if item.name == name), None)
    if isinstance(field, OwnerField):
        return True
    return isinstance(field, models.ForeignKey) and is_owned(field.related_model)


def _find_relations(listed: Iterable[Model]) -> Iterable[str]:
    for model in listed:
        if is_owned(model):
            continue
        for field in model._meta.local_concrete_fields:
            if isinstance(field, models.ForeignKey) and is_owned(field.related_model):
                label = model._meta.label
                yield (
                    f"{label}.{field.name} leads from rows of no mirror to a row of "
                    f"one. Let {label} inherit from MirrorOwned too."
                )


def _find_ownerless(listed: Iterable[Model], names: frozenset[str]) -> Iterable[str]:
    common = _COMMON | {name.lower() for name in names}
    # One sentence for all: without any owner there are as many as models.
    labels = [
        model._meta.label
        for model in listed
        if not is_owned(model)
        and model._meta.label_lower not in common
        and model._meta.app_label.lower() not in common
    ]
    if labels:
        yield (
            "Mirrors that share a database share the rows of models that have no "
            f"owner: {', '.join(sorted(labels))}. Let each inherit from MirrorOwned, "
            "or name it in MIRRORS_OPTIONS['COMMON_MODELS'] if they may."
        )
