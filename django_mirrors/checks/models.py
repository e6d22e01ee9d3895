"""Whether relations stay inside one database."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error
from django.db.models import Model

from django_mirrors.checks.findings import Findings
from django_mirrors.checks.messages import build_errors

__all__ = ["check_models"]

Relation = Any  # a field of models; its class has no parameters at run time

_APP = "django_mirrors"
_MARKER = "django_mirrors.Marker"  # the one model of ours that every mirror has


def check_models(findings: Findings) -> list[CheckMessage]:
    """Return relations between tables of the original only and those of each mirror."""
    original = findings.conf.original_apps
    labels = {config.label for config in apps.get_app_configs()}
    unknown = [
        f"MIRRORS_OPTIONS['ORIGINAL_APPS'] names '{label}', which is no installed app. "
        f"{_suggest(label, labels)}"
        for label in sorted(original - labels)
    ]
    return [
        *build_errors(unknown, 31),
        *(
            _build_error(field, other, original)
            for model in apps.get_models()
            for field, other in _iter_relations(model)
            if _is_of_original(model, original) != _is_of_original(other, original)
        ),
    ]


def _suggest(label: str, labels: set[str]) -> str:
    # People write the path of an app where its label, the last part, is wanted.
    close = get_close_matches(label.rpartition(".")[2], labels, n=1)
    if close:
        return f"Did you mean '{close[0]}'?"
    return "Use the labels of apps in INSTALLED_APPS."


def _iter_relations(
    model: type[Model],
) -> Iterable[tuple[Relation, type[Model]]]:
    meta = model._meta
    for field in (*meta.local_fields, *meta.local_many_to_many):
        relation = field.remote_field
        if relation is None:
            continue
        for other in (relation.model, getattr(relation, "through", None)):
            # A name in place of a model is one that Django's own checks report.
            if isinstance(other, type):
                yield field, other


def _is_of_original(model: type[Model], original: frozenset[str]) -> bool:
    if model._meta.label == _MARKER:
        return False
    return model._meta.app_label in original or model._meta.app_label == _APP


def _build_error(
    field: Relation, other: type[Model], original: frozenset[str]
) -> CheckMessage:
    model = field.model
    where = ("each mirror", "the original only")
    return Error(
        f"{model._meta.label}.{field.name} relates {model._meta.label}, which is in "
        f"the database of {where[_is_of_original(model, original)]}, to "
        f"{other._meta.label}, which is in that of "
        f"{where[_is_of_original(other, original)]}.",
        hint="Keep a value, such as a uid, in place of the relation, or change "
        "MIRRORS_OPTIONS['ORIGINAL_APPS'].",
        obj=field,
        id="mirrors.E032",
    )
