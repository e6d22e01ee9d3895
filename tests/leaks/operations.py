"""Leaks of operations: what is there already, and is taken for a new mirror's own."""

from tests.leaks import Leak

PROVISION = "tests/operations/test_provision.py -k"
LOCKS = "tests/operations/test_locks.py"
MOVE = "tests/operations/test_move.py -k"
VISITORS = (
    "tests/operations/test_move.py"
    "::test_visitors_read_all_the_time_and_write_before_and_after[sqlite]"
)

LEAKS = [
    Leak(
        "a database that is there is the new mirror's",
        "operations/drafts.py",
        "    if find_marker(config) == mirror.uid:\n        return True\n",
        "    return True\n",
        f"{PROVISION} existing",
    ),
    Leak(
        "a directory that holds files is the new mirror's",
        "operations/provision.py",
        "        if root.is_dir() and any(root.iterdir()):\n",
        "        if False:\n",
        f"{PROVISION} existing",
    ),
    Leak(
        "what a killed attempt left under another name is taken for whole",
        "operations/drafts.py",
        "    is_ready = find_marker(draft) == mirror.uid\n",
        "    is_ready = backend.exists(draft)\n",
        "tests/operations/test_drafts.py",
    ),
    Leak(
        "a database appears before it is complete",
        "operations/drafts.py",
        "        fill(draft)\n        mark(mirror, draft)\n"
        "        backend.rename(draft, config)\n",
        "        backend.create(draft)\n        backend.rename(draft, config)\n"
        "        fill(draft)\n",
        "tests/operations/test_drafts.py",
    ),
    Leak(
        "what failed is left behind",
        "operations/drafts.py",
        "    except BaseException:\n        backend.drop(draft)\n        raise\n",
        "    except BaseException:\n        raise\n",
        "tests/operations/test_drafts.py",
    ),
    Leak(
        "a copy keeps the marker of its source",
        "operations/drafts.py",
        "        Marker.objects.exclude(uid=mirror.uid).delete()\n",
        "",
        "tests/operations/test_clone.py -k marked",
    ),
    Leak(
        "who is logged in at a mirror is so at its copy",
        "operations/contents.py",
        "        if session_table in present:\n",
        "        if not session_table:\n",
        "tests/operations/test_clone.py -k logged_in",
    ),
    Leak(
        "personal data stays in the free pages of a file",
        "operations/scrub.py",
        '            cursor.execute("VACUUM")\n',
        "            pass\n",
        "tests/operations/test_clone.py -k trace",
    ),
    Leak(
        "an archive with a wrong bit is taken",
        "operations/archive.py",
        "        if told != self._seen:\n",
        "        if False:\n",
        "tests/operations/test_export.py -k wrong_bit",
    ),
    Leak(
        "an archive is written over another",
        "operations/archive.py",
        "        path.hardlink_to(draft)",
        "        draft.rename(path)",
        "tests/operations/test_export.py -k overwritten",
    ),
    Leak(
        "others can read an archive",
        "operations/archive.py",
        "_MODE = 0o600\n",
        "_MODE = 0o644\n",
        "tests/operations/test_export.py -k only_its_owner",
    ),
    Leak(
        "what is served is destroyed",
        "operations/retire.py",
        "    mirror = mirrors[name]\n    if mirror.state != State.ARCHIVED:\n",
        "    mirror = mirrors[name]\n    if mirror.is_original:\n",
        "tests/operations/test_retire.py -k not_archived",
    ),
    Leak(
        "a mirror is destroyed whose archive is lost",
        "operations/retire.py",
        "        _check_archive(mirror, record.archive)\n        for",
        "        for",
        "tests/operations/test_retire.py -k whole_archive",
    ),
    Leak(
        "the archive of another mirror counts",
        "operations/retire.py",
        '    if manifest["uid"] != str(mirror.uid):\n',
        "    if False:\n",
        "tests/operations/test_retire.py -k archive_of_another",
    ),
    Leak(
        "the database of another mirror is destroyed",
        "operations/retire.py",
        "    if backend.exists(config) and find_marker(config) != mirror.uid:\n",
        "    if False:\n",
        "tests/operations/test_retire.py -k another_mirrors",
    ),
    Leak(
        "a purge needs no name typed",
        "operations/retire.py",
        "    if confirm != name:\n",
        "    if False:\n",
        "tests/operations/test_retire.py -k typed",
    ),
    Leak(
        "what is shared is destroyed with who shares it",
        "operations/retire.py",
        "        if mirror.find_owner(service) == mirror.name\n",
        "        if mirror\n",
        "tests/operations/test_retire.py -k leaves_what_is_shared",
    ),
    Leak(
        "a mirror is retired whose services others share",
        "operations/retire.py",
        "    if sharers:\n",
        "    if False:\n",
        "tests/operations/test_retire.py -k services_are_shared",
    ),
    Leak(
        "hosts of a mirror that is gone are free at once",
        "operations/definitions.py",
        "    _check_tombstones(planned)\n    check_services",
        "    check_services",
        "tests/operations/test_retire.py -k kept_from_others",
    ),
    Leak(
        "an archive counts that was made before the mirror was served again",
        "operations/fleet.py",
        'retry_after=retry_after, archive=""\n',
        "retry_after=retry_after\n",
        "tests/operations/test_retire.py -k before_it_was_served",
    ),
    Leak(
        "a step that was begun is done: what exists is ready",
        "operations/provision.py",
        "        if step.is_final and step.name in begun[:-1]:\n",
        "        if step.name in begun:\n",
        f"{PROVISION} continues_after",
    ),
    Leak(
        "a mirror is active as soon as its database exists",
        "operations/provision.py",
        "        make_database(mirror, partial(work.content.fill_database, mirror))\n",
        "        _record(mirror, state=State.ACTIVE)\n"
        "        make_database(mirror, partial(work.content.fill_database, mirror))\n",
        f"{PROVISION} served_while",
    ),
    Leak(
        "an active mirror is made again",
        "operations/fleet.py",
        "    if known is not None and "
        "known.state not in {State.PROVISIONING, State.FAILED}:",
        "    if known is None and name == '':",
        f"{PROVISION} active_mirror",
    ),
    Leak(
        "a lock is held by two",
        "operations/locks.py",
        "        if record.holder and not _is_abandoned(record, now):\n",
        "        if False:\n",
        LOCKS,
    ),
    Leak(
        "a process that lost its lock goes on",
        "operations/locks.py",
        "                .filter(fence=self.fence)\n                .update(expires",
        "                .update(expires",
        LOCKS,
    ),
    Leak(
        "an operation that ends frees the lock of the next one",
        "operations/locks.py",
        "            _find(name).filter(fence=lock.fence).update(holder=",
        "            _find(name).update(holder=",
        LOCKS,
    ),
    Leak(
        "rows are written while they are moved, and lost",
        "db/reaching.py",
        "        if is_read_only(self.settings_dict):\n            begin",
        "        if False:\n            begin",
        VISITORS,
    ),
    Leak(
        "files are changed while they are moved, and lost",
        "storage/router.py",
        "    if owner.is_read_only:\n",
        "    if False:\n",
        VISITORS,
    ),
    Leak(
        "forms are taken while a mirror is moved",
        "middleware.py",
        "    is_refused = mirror.is_read_only and",
        "    is_refused = False and",
        VISITORS,
    ),
    Leak(
        "a transaction that has written is not waited for, and lost",
        "operations/databases/sqlite.py",
        '            connection.execute("BEGIN IMMEDIATE")\n            yield',
        '            connection.execute("BEGIN")\n            yield',
        f"{MOVE} has_written",
    ),
    Leak(
        "a copy is used that differs from its database",
        "operations/move.py",
        '    if wrong:\n        raise OperationFailed(\n            f"The copy of',
        '    if False:\n        raise OperationFailed(\n            f"The copy of',
        f"{MOVE} differs",
    ),
    Leak(
        "a database that is there is the new place of a mirror",
        "operations/places.py",
        "        if get_database_backend(config).exists(config):\n",
        "        if False:\n",
        f"{MOVE} not_touched",
    ),
    Leak(
        "what a mirror left is taken for its own again",
        "operations/databases/sqlite.py",
        "    connection.execute(f'DELETE FROM",
        "    str(f'DELETE FROM",
        f"{MOVE} left_is",
    ),
    Leak(
        "a mirror is changed while it is moved",
        "operations/fleet.py",
        "    if mirror.is_read_only:\n        raise OperationFailed",
        "    if False:\n        raise OperationFailed",
        f"{MOVE} not_changed",
    ),
]
