"""Leaks of the context: a mirror that stays, or that goes where it must not."""

from tests.leaks import Leak

CONTEXT = "tests/test_context.py"
STEPS = "tests/test_steps.py"
STREAMS = "tests/isolation/test_streams.py"
THREADS = "tests/isolation/test_threads.py"
CACHES = "tests/isolation/test_process_caches.py"
COMMANDS = "tests/test_command_mirror.py"
OVERLAY = "tests/test_overlay.py"
TRANSACTIONS = "tests/db/test_transactions.py"

LEAVE = "        _frame.set(_without(top, frame))\n"

LEAKS = [
    Leak(
        "the mirror is kept by thread, so that tasks have that of each other",
        "context.py",
        "_frame: ContextVar[Frame | None] = "
        'ContextVar("django_mirrors", default=None)\n',
        "class _Local(__import__('threading').local):\n"
        "    frame = None\n\n"
        "    def get(self):\n"
        "        return self.frame\n\n"
        "    def set(self, frame):\n"
        "        before, self.frame = self.frame, frame\n"
        "        return before\n\n"
        "    def reset(self, before):\n"
        "        self.frame = before\n\n\n"
        "_frame = _Local()\n",
        CONTEXT,
    ),
    Leak(
        "an exception leaves the mirror of its block current",
        "context.py",
        "        top = _frame.get()\n",
        "        if kind is not None:\n"
        "            return\n"
        "        top = _frame.get()\n",
        f"{CONTEXT}::test_exception_leaves_the_mirror",
    ),
    Leak(
        "the end of a block sets no mirror in place of the one before",
        "context.py",
        LEAVE,
        "        _frame.set(None)\n",
        f"{CONTEXT}::test_blocks_nest",
    ),
    Leak(
        "the end of a block ends the block that is innermost",
        "context.py",
        LEAVE,
        "        _frame.set(top.previous)\n",
        f"{CONTEXT}::test_blocks_that_interleave_leave_their_own_frame",
    ),
    Leak(
        "a generator has its mirror from its first step to its last",
        "context.py",
        "                return run_generator(function(*args, **kwargs), self)\n",
        "                with self:\n"
        "                    return (yield from function(*args, **kwargs))\n",
        CONTEXT,
    ),
    Leak(
        "an asynchronous generator has its mirror from its first step to its last",
        "context.py",
        "            def generate_async(*args: Any, **kwargs: Any)"
        " -> AsyncGenerator[Any, Any]:\n"
        "                return run_async_generator(function(*args, **kwargs), self)\n",
        "            async def generate_async(*args, **kwargs):\n"
        "                with self:\n"
        "                    async for item in function(*args, **kwargs):\n"
        "                        yield item\n",
        CONTEXT,
    ),
    Leak(
        "a coroutine is made in its mirror and runs in another",
        "context.py",
        "                with self:\n"
        "                    return await function(*args, **kwargs)\n",
        "                with self:\n"
        "                    made = function(*args, **kwargs)\n"
        "                return await made\n",
        CONTEXT,
    ),
    Leak(
        "a generator that is finalised elsewhere ends the mirror that is current there",
        "context.py",
        "        if not frame.is_of_this_context() and kind is GeneratorExit:\n",
        "        if False:\n",
        CONTEXT,
    ),
    Leak(
        "no mirror means the original",
        "context.py",
        "    if mirror is None:\n        raise NoCurrentMirror(\n",
        "    if mirror is None:\n        return mirrors.original\n"
        "    if not mirror:\n        raise NoCurrentMirror(\n",
        CONTEXT,
    ),
    Leak(
        "every thread has the mirror of the command",
        "context.py",
        "    if _command is not None and get_ident() == _command.thread:\n",
        "    if _command is not None:\n",
        COMMANDS,
    ),
    Leak(
        "bind_mirror binds nothing",
        "context.py",
        "    return cast(Callable[P, R], _Block(get_current_mirror())(function))\n",
        "    get_current_mirror()\n    return function\n",
        CONTEXT,
    ),
    Leak(
        "what is bound counts on where it runs",
        "context.py",
        "    def _build_frame(self, previous: Frame | None) -> Frame:\n"
        "        return Frame(self._mirror, previous)\n",
        "    def _build_frame(self, previous: Frame | None) -> Frame:\n"
        "        return previous or Frame(self._mirror, previous)\n",
        f"{CONTEXT}::test_bound_function_has_its_mirror_in_another_one",
    ),
    Leak(
        "a mirror entered while mirrors are crossed may cross too",
        "context.py",
        "        return Frame(mirror, previous, depth=depth)\n",
        "        crossing = previous.crossing if previous else ''\n"
        "        return Frame(mirror, previous, depth=depth, crossing=crossing)\n",
        CONTEXT,
    ),
    Leak(
        "mirrors are crossed without a word in the log",
        "context.py",
        '        logger.warning("Mirrors are crossed from',
        '        logger.debug("Mirrors are crossed from',
        CONTEXT,
    ),
    Leak(
        "what was begun in a mirror goes on after its block",
        "context.py",
        "    _compat.abort_transaction(mirror.alias, depth=frame.depth)\n",
        "",
        TRANSACTIONS,
    ),
    Leak(
        "nobody hears that a block was left inside a transaction",
        "context.py",
        "        if _end_atomic(frame) and kind is None:\n",
        "        if _end_atomic(frame) and kind is TypeError:\n",
        TRANSACTIONS,
    ),
    Leak(
        "the garbage collector runs what it finds in the mirror that is current",
        "context.py",
        "_collecting = None if _frame.get() is None else _frame.set(_NOBODY)\n",
        "_collecting = None\n",
        f"{CONTEXT}::test_a_collection_of_garbage_has_no_mirror",
    ),
    Leak(
        "a block that Python 3.11 finds as garbage changes a context half changed",
        "context.py",
        "        if kind is GeneratorExit and _collector == get_ident():\n",
        "        if False:\n",
        f"{CONTEXT} -k python_3_11",
    ),
    Leak(
        "a collection in one thread keeps the others in their mirrors",
        "context.py",
        "        if kind is GeneratorExit and _collector == get_ident():\n",
        "        if kind is GeneratorExit and _collector is not None:\n",
        f"{CONTEXT} -k one_thread",
    ),
    Leak(
        "after a garbage collection no mirror is current",
        "context.py",
        "        _frame.reset(_collecting)\n",
        "",
        f"{CONTEXT}::test_a_collection_of_garbage_has_no_mirror",
    ),
    Leak(
        "the steps of a stream run in no mirror",
        "steps.py",
        "                item = context.run(next, steps)\n",
        "                item = next(steps)\n",
        STEPS,
    ),
    Leak(
        "a stream is closed outside of its mirror",
        "steps.py",
        "            context.copy().run(close)\n",
        "            close()\n",
        STEPS,
    ),
    Leak(
        "an asynchronous stream is closed outside of its mirror",
        "steps.py",
        "            with block:\n                await close()\n",
        "            await close()\n",
        STEPS,
    ),
    Leak(
        "a generator is closed outside of its mirror",
        "steps.py",
        "        copy_context().run(_run_in, block, steps.close)\n",
        "        steps.close()\n",
        STEPS,
    ),
    Leak(
        "an asynchronous generator is closed outside of its mirror",
        "steps.py",
        "        with block:\n            await steps.aclose()\n",
        "        await steps.aclose()\n",
        STEPS,
    ),
    Leak(
        "an event loop that ends closes streams in no mirror",
        "steps.py",
        "    sys.set_asyncgen_hooks(None, finalize)\n",
        "",
        f"{STREAMS}::"
        "test_an_async_stream_that_outlives_its_event_loop_is_closed_in_its_mirror",
    ),
    Leak(
        "an asynchronous stream that is garbage is closed in no mirror",
        "steps.py",
        "    copy_context().run(_run_in, block, partial(finalize, steps))\n",
        "    finalize(steps)\n",
        f"{STREAMS} {STEPS}",
    ),
    Leak(
        "what runs after a commit runs in the mirror where the transaction ends",
        "db/guard.py",
        "            func = BoundCallback(func)\n",
        "            pass\n",
        TRANSACTIONS,
    ),
    Leak(
        "the current site is the one that the first mirror asked for",
        "_compat_sites.py",
        "        self._find_owner = find_owner\n        self._find_host",
        "        self._find_owner = lambda: None\n        self._find_host",
        f"{CACHES}::test_the_current_site_is_the_mirrors",
    ),
    Leak(
        "a setting keeps the value that was asked for before the apps were ready",
        "_compat_settings.py",
        "    for name in [name for name in settings.__dict__ if _is_overlaid(name)]:\n"
        "        del settings.__dict__[name]\n",
        "",
        f"{OVERLAY} -k before_the_apps",
    ),
    Leak(
        "a key that was asked for before the apps were ready signs for all mirrors",
        "_compat_settings.py",
        "        settings.__dict__.pop(name, None)\n",
        "        pass\n",
        f"{OVERLAY} -k before_the_apps",
    ),
    Leak(
        "the time zone is the one that the first mirror asked for",
        "_compat_settings.py",
        "        return ZoneInfo(settings.TIME_ZONE)\n",
        "        return kept()\n",
        f"{CACHES}::test_the_time_zone_is_the_mirrors",
    ),
    Leak(
        "texts are in the language that the first mirror asked for",
        "_compat_settings.py",
        "    trans_real._default = _DefaultTranslation()",
        "    trans_real._default = None",
        f"{CACHES}::test_the_language_is_the_mirrors",
    ),
    Leak(
        "origins that the process trusted first are trusted at every mirror",
        "_compat.py",
        "        lambda self: {*exact(self), *find()}\n",
        "        lambda self: self.__dict__.setdefault(\n"
        "            'kept', {*exact(self), *find()}\n"
        "        )\n",
        f"{CACHES}::test_origins_of_one_mirror_are_not_trusted_at_another",
    ),
]
