"""Checksums of the rows of a table that do not depend on their order or engine."""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from hashlib import blake2b
from typing import Any
from uuid import UUID

__all__ = ["SEQUENCES", "Fingerprint", "digest_rows", "digest_sequences"]

Fingerprint = dict[str, tuple[int, str]]

SEQUENCES = "(sequences)"  # no table has a name like this

_SIZE = 16
_MASK = (1 << (8 * _SIZE)) - 1


def digest_rows(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    json_columns: Iterable[str] = (),
) -> tuple[int, str]:
    """Return the number of `rows` and a checksum of them, in the memory of one."""
    order = sorted(range(len(columns)), key=columns.__getitem__)
    is_json = [columns[index] in set(json_columns) for index in order]
    count = total = 0
    for row in rows:
        digest = blake2b(digest_size=_SIZE)
        for index, as_json in zip(order, is_json, strict=True):
            cell = _encode_json(row[index]) if as_json else _encode(row[index])
            # With its length, so that what moves to the next column is noticed.
            digest.update(b"%d:" % len(cell))
            digest.update(cell)
        # A sum, not an exclusive or, in which two equal rows would vanish.
        total = (total + int.from_bytes(digest.digest())) & _MASK
        count += 1
    head = "\0".join(columns[index] for index in order).encode()
    text = blake2b(head + total.to_bytes(_SIZE), digest_size=_SIZE).hexdigest()
    return count, text


def digest_sequences(positions: Mapping[str, int]) -> tuple[int, str]:
    """Return how many sequences there are, and a checksum of their next numbers."""
    text = json.dumps(sorted(positions.items())).encode()
    return len(positions), blake2b(text, digest_size=_SIZE).hexdigest()


def _encode(value: Any) -> bytes:
    if value is None:
        return b""
    return _ENCODERS.get(type(value), _encode_other)(value)


def _encode_number(value: float | Decimal) -> bytes:
    if isinstance(value, float):
        if not math.isfinite(value):
            return b"n%r" % value
        value = Decimal(repr(value))
    if isinstance(value, Decimal):
        if value.is_finite():
            # 10.50 of one engine is 10.5 of another, and 10.00 is 10.
            text = f"{value:f}"
            text = text.rstrip("0").rstrip(".") if "." in text else text
            return b"n" + (text if text not in {"-0", ""} else "0").encode()
        return b"n" + str(value).lower().encode()
    return b"n%d" % value


def _encode_text(value: str) -> bytes:
    return b"t" + value.encode("utf-8", "surrogateescape")


def _encode_datetime(value: datetime) -> bytes:
    offset = value.utcoffset()
    if offset is not None:
        value = value.replace(tzinfo=None) - offset
    return _encode_text(str(value))


def _encode_duration(value: timedelta) -> bytes:
    # The engines without intervals keep microseconds.
    return b"n%d" % (value // timedelta(microseconds=1))


def _encode_other(value: Any) -> bytes:
    return _encode_text(str(value))


def _encode_json(value: Any) -> bytes:
    if value is None:
        return b""
    text = value.decode() if isinstance(value, bytes) else value
    # Engines write spaces, the order of keys and numbers in ways of their own.
    read = json.loads(text, parse_float=_mark, parse_int=_mark)
    return b"j" + json.dumps(read, sort_keys=True, ensure_ascii=True).encode()


def _mark(number: str) -> list[str]:
    # In a list with a mark no text of the value can be taken for it.
    return ["\0number", _encode_number(Decimal(number)).decode()]


_ENCODERS: Mapping[type, Callable[[Any], bytes]] = {
    bool: _encode_number,
    int: _encode_number,
    float: _encode_number,
    Decimal: _encode_number,
    str: _encode_text,
    bytes: lambda value: b"b" + value,
    memoryview: lambda value: b"b" + bytes(value),
    bytearray: lambda value: b"b" + bytes(value),
    datetime: _encode_datetime,
    date: _encode_other,
    time: _encode_other,
    timedelta: _encode_duration,
    UUID: lambda value: _encode_text(value.hex),
}
