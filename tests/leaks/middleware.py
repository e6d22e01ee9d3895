"""Leaks of requests and of the registry: who is served, as whom, and until when."""

from tests.leaks import Leak

MIDDLEWARE = "tests/test_middleware.py"
REQUESTS = "tests/flows/test_requests.py"
STREAMS = "tests/isolation/test_streams.py"
REGISTRY = "tests/registry"

HELD = "    if mirror.state in _HELD:\n        return mirror.state\n"

LEAKS = [
    Leak(
        "a request leaves its mirror in the thread",
        "middleware.py",
        "        response = context.run(self.get_response, request)\n",
        "        hold_mirror(mirror).__enter__()\n"
        "        response = self.get_response(request)\n",
        f"{REQUESTS}::test_no_mirror_is_left_behind_by_an_exception",
    ),
    Leak(
        "an asynchronous request leaves its mirror in the task",
        "middleware.py",
        "        with hold_mirror(mirror):\n"
        "            response = await self.get_response(request)\n",
        "        hold_mirror(mirror).__enter__()\n"
        "        response = await self.get_response(request)\n",
        REQUESTS,
    ),
    Leak(
        "a body is streamed in no mirror",
        "middleware.py",
        "    if response.streaming:\n        _follow_stream",
        "    if response.streaming and response is None:\n        _follow_stream",
        MIDDLEWARE,
    ),
    Leak(
        "a response is closed outside of its mirror",
        "middleware.py",
        "    context.copy().run(response.close)\n",
        "    response.close()\n",
        REQUESTS,
    ),
    Leak(
        "a stream that nobody closes lives until the garbage is collected",
        "middleware.py",
        "        return ref(response)\n",
        "        return lambda: response\n",
        f"{STREAMS}::"
        "test_a_stream_that_is_dropped_in_another_mirror_is_closed_in_its_own",
    ),
    Leak(
        "a mirror under maintenance is served",
        "middleware.py",
        HELD,
        HELD.replace("in _HELD", "== State.SUSPENDED"),
        MIDDLEWARE,
    ),
    Leak(
        "a suspended mirror is served",
        "middleware.py",
        HELD,
        HELD.replace("in _HELD", "== State.MAINTENANCE"),
        MIDDLEWARE,
    ),
    Leak(
        "a mirror that is not ready is served",
        "middleware.py",
        "    return mirror.state == State.ACTIVE or mirror.state in _HELD\n",
        "    return True\n",
        MIDDLEWARE,
    ),
    Leak(
        "a pinned process serves other mirrors",
        "middleware.py",
        "    if conf.pinned is not None and mirror.name != conf.pinned:\n",
        "    if conf.pinned == mirror.name == '':\n",
        MIDDLEWARE,
    ),
    Leak(
        "an unknown host is served by the original",
        "middleware.py",
        "        mirror = mirrors.find_for_host(host)\n",
        "        mirror = mirrors.find_for_host(host) or mirrors.original\n",
        MIDDLEWARE,
    ),
    Leak(
        "the origins of all mirrors are trusted",
        "middleware.py",
        "            for host in mirror.hosts\n",
        "            for item in mirrors.values()\n"
        "            for host in item.hosts\n",
        f"{MIDDLEWARE} {REQUESTS}",
    ),
    Leak(
        "the held page is in the language of the request before",
        "middleware.py",
        "    translation.deactivate()\n",
        "",
        REQUESTS,
    ),
    Leak(
        "a change that sends no signal, as that of update(), is not noticed",
        "migrations/sql/sqlite.sql",
        "    name, uid, state, declared, definition,",
        "    name, uid, declared, definition,",
        f"{REGISTRY}/test_registry.py -k noticed",
    ),
    Leak(
        "a mirror that is deleted without a signal is served on",
        "migrations/sql/sqlite.sql",
        "SET number = number + 1, deletions = deletions + 1;",
        "SET number = number + 1;",
        f"{REGISTRY}/test_registry.py -k noticed",
    ),
    Leak(
        "a fleet that is not followed by a thread is never read again",
        "registry/__init__.py",
        "        return self._snapshot is None or age >= get_conf().poll_seconds\n",
        "        return self._snapshot is None\n",
        f"{REGISTRY}/test_threads.py",
    ),
    Leak(
        "the fleet is followed once and never again",
        "registry/__init__.py",
        "        while not watching.is_over:\n",
        "        while watching.is_over:\n",
        f"{REGISTRY}/test_watching.py",
    ),
    Leak(
        "one error ends the following of the fleet",
        "registry/__init__.py",
        '            logger.exception("Looking for changes of the fleet failed.")\n',
        "            return\n",
        f"{REGISTRY}/test_threads.py",
    ),
    Leak(
        "the index of hosts that is served is changed in place",
        "registry/snapshot.py",
        "dict(base.exact) if base else {}",
        "base.exact if base else {}",
        f"{REGISTRY}/test_snapshot.py {REGISTRY}/test_fleet.py",
    ),
    Leak(
        "the mirrors that are served are changed in place",
        "registry/snapshot.py",
        "dict(base.mirrors) if base else {}",
        "base.mirrors if base else {}",
        f"{REGISTRY}/test_snapshot.py {REGISTRY}/test_fleet.py",
    ),
    Leak(
        "a mirror that goes leaves its hosts to nobody and answers on them",
        "registry/snapshot.py",
        "            if index.get(key) is mirror:\n                del index[key]\n",
        "            pass\n",
        f"{REGISTRY}/test_fleet.py",
    ),
    Leak(
        "a host that two mirrors claim goes to the later one",
        "registry/snapshot.py",
        "            if other is not None:\n"
        "                problems.append(_describe_clash(host, other, mirror))\n",
        "            pass\n",
        f"{REGISTRY}/test_snapshot.py {REGISTRY}/test_fleet.py",
    ),
    Leak(
        "an archived mirror has hosts",
        "registry/snapshot.py",
        "    def _index(self, mirror: Mirror) -> None:\n"
        "        if mirror.state == State.ARCHIVED:\n            return\n",
        "    def _index(self, mirror: Mirror) -> None:\n",
        f"{REGISTRY}/test_snapshot.py {REGISTRY}/test_registry.py",
    ),
    Leak(
        "a wildcard beats an exact name",
        "registry/snapshot.py",
        "        mirror = self.exact.get(host)\n"
        "        if mirror is None and self.wildcards:\n"
        '            mirror = self.wildcards.get(host.partition(".")[2])\n',
        '        mirror = self.wildcards.get(host.partition(".")[2])\n'
        "        if mirror is None:\n            mirror = self.exact.get(host)\n",
        f"{REGISTRY}/test_snapshot.py {MIDDLEWARE}",
    ),
]
