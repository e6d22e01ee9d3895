"""Records as the original's database gives them."""

import json
from uuid import NAMESPACE_DNS, uuid5

from django_mirrors.sources.records import Record

NUMBER = 1_700_000_000_000


def build_uid(name):
    return uuid5(NAMESPACE_DNS, name)


def build_record(name, *hosts, declared=False, uid=None, **values):
    """Return the record of an active mirror; capitals go into its definition."""
    definition = {key: value for key, value in values.items() if key.isupper()}
    if not declared:
        definition.setdefault("HOSTS", list(hosts) or [f"{name}.example"])
    columns = {
        "state": "active",
        "reason": "",
        "retry_after": 0,
        "release": "",
        "version": NUMBER,
        **{key: value for key, value in values.items() if not key.isupper()},
    }
    return Record(
        name=name,
        uid=uid or build_uid(name).hex,
        declared=declared,
        definition=columns.pop("definition", json.dumps(definition)),
        **columns,
    )


def by_name(*records):
    return {record.name: record for record in records}
