"""Close streams from within, as Django's test client does, again and again.

Run by a test in a process of its own: Python 3.11 ends it where this goes wrong, after
some thousands of times.
"""

import sys
from collections.abc import Callable, Iterator
from contextvars import copy_context
from functools import partial

import django
from django.conf import settings
from django.http import StreamingHttpResponse

settings.configure(INSTALLED_APPS=[], MIDDLEWARE=[])
django.setup()

from django_mirrors.middleware import _close, _refer_to  # noqa: E402

TIMES = 100_000


def read(steps: Iterator[bytes], close: Callable[[], object]) -> Iterator[bytes]:
    try:
        yield from steps
    finally:
        close()


def main() -> None:
    for _ in range(TIMES):
        response = StreamingHttpResponse([b"a step"])
        response._handler_class = None
        close = partial(_close, _refer_to(response), copy_context())
        response.streaming_content = read(response.streaming_content, close)
        for _ in response.streaming_content:
            pass


if __name__ == "__main__":
    main()
    sys.stdout.write("closed\n")
