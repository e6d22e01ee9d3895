"""Leaks of shared tables: rows of one mirror that another one reads or changes."""

from tests.leaks import Leak

SCOPE = "_compat_scope.py"
READS = "tests/owned/test_operations.py -k sqlite"
ROWS = "tests/owned/test_rows.py -k sqlite"
FORMS = "tests/owned/test_forms.py"
HANDOVER = "tests/operations/test_handover.py"

LEAKS = [
    Leak(
        "a SELECT reads the rows of all mirrors",
        SCOPE,
        "            _narrow(self, tables, scope)\n",
        "            pass\n",
        READS,
    ),
    Leak(
        "a joined table gives the rows of all mirrors",
        SCOPE,
        '        return f"{sql[:-1]} AND {more})", [*params, *values]\n',
        "        return sql, params\n",
        READS,
    ),
    Leak(
        "a join that another package writes is not narrowed",
        SCOPE,
        "        and type(item).as_sql is not _Join.as_sql\n",
        "        and item.parent_alias is None\n",
        ROWS,
    ),
    Leak(
        "a table that is named by hand is not narrowed",
        SCOPE,
        "        for table in query.extra_tables\n",
        "        for table in ()\n",
        READS,
    ),
    Leak(
        "what is tied to no row that is read is taken to be",
        SCOPE,
        "    if owner.beyond is None:\n        return False\n    one",
        "    if owner.beyond is None:\n        return False\n    return True\n    one",
        READS,
    ),
    Leak(
        "a link is taken to be tied by an outer join",
        SCOPE,
        "        and item.join_type == INNER\n",
        "",
        READS,
    ),
    Leak(
        "tables of links are those of all mirrors",
        SCOPE,
        "        return [field for field in meta.local_concrete_fields "
        "if field.many_to_one]\n",
        "        return []\n",
        READS,
    ),
    Leak(
        "the tables of child models are those of all mirrors",
        SCOPE,
        "    return [link for link in meta.parents.values() if link in own]\n",
        "    return []\n",
        READS,
    ),
    Leak(
        "a query keeps the condition of the mirror it was first used in",
        SCOPE,
        "        compiler.where = _add(",
        "        compiler.query.where = compiler.where = _add(",
        ROWS,
    ),
    Leak(
        "an UPDATE changes the rows of all mirrors",
        SCOPE,
        "    narrowed = object.__new__(type(query))\n",
        "    if query.compiler == _UPDATE:\n        return query\n"
        "    narrowed = object.__new__(type(query))\n",
        READS,
    ),
    Leak(
        "a DELETE removes the rows of all mirrors",
        SCOPE,
        "    narrowed = object.__new__(type(query))\n",
        "    if query.compiler != _UPDATE:\n        return query\n"
        "    narrowed = object.__new__(type(query))\n",
        READS,
    ),
    Leak(
        "what is written is not narrowed at all",
        "_compat_orm.py",
        "            made.query = pins.scope_write(self, made.connection)\n",
        "            pass\n",
        READS,
    ),
    Leak(
        "an UPDATE gives rows to another mirror",
        SCOPE,
        "        _check_values(query, uid, scope)\n",
        "        pass\n",
        ROWS,
    ),
    Leak(
        "an expression gives rows to another mirror",
        SCOPE,
        "            if not is_plain or field",
        "            if is_plain and field",
        ROWS,
    ),
    Leak(
        "an INSERT makes a row of another mirror",
        SCOPE,
        "    if value is None or value != uid:\n",
        "    if value is None:\n",
        ROWS,
    ),
    Leak(
        "an INSERT with a conflict overwrites the row of another mirror",
        SCOPE,
        "        if owner.column not in named:\n",
        "        if False:\n",
        ROWS,
    ),
    Leak(
        "a migration that acts for all mirrors forgets the others",
        SCOPE,
        "    if type(registry) is StateApps:\n        return _NONE\n",
        "",
        ROWS,
    ),
    Leak(
        "with no mirror all rows are read",
        "db/scope.py",
        "            return None if is_crossing() else get_current_mirror().uid\n",
        "            return None\n",
        ROWS,
    ),
    Leak(
        "each mirror reads as if it crossed",
        "db/scope.py",
        "        return None if frame.crossing else frame.mirror.uid\n",
        "        return None\n",
        READS,
    ),
    Leak(
        "a row that is made in another database is found by nobody there",
        "db/scope.py",
        "        name = owner if is_there and not is_for_all else mirror.name\n",
        "        name = mirror.name\n",
        ROWS,
    ),
    Leak(
        "a field that is saved is not asked for its owner",
        "owners.py",
        "            check_uid(uid, type(instance))\n",
        "            pass\n",
        ROWS,
    ),
    Leak(
        "any mirror's uid may be written",
        "owners.py",
        "    if not is_crossing() and uid != get_current_mirror().uid:\n",
        "    if False:\n",
        ROWS,
    ),
    Leak(
        "fixtures take the owner along",
        "owners.py",
        '    "serialize": False,\n',
        '    "serialize": True,\n',
        ROWS,
    ),
    Leak(
        "forms do not see a name that is there",
        "owned.py",
        "return set(exclude or ()) - ({field.name} if field is not None else set())",
        "return set(exclude or ())",
        FORMS,
    ),
    Leak(
        "a copy has the rows of mirrors that shared the database",
        "operations/handover.py",
        "        if source is not None:\n",
        "        if False:\n",
        HANDOVER,
    ),
    Leak(
        "the rows of a copy are those of the mirror that was copied",
        "operations/handover.py",
        '            f"UPDATE {name} SET {column} = %s WHERE {column} <> %s",',
        '            f"UPDATE {name} SET {column} = %s WHERE {column} = %s",',
        HANDOVER,
    ),
    Leak(
        "what referred to removed rows stays in a copy",
        "operations/handover.py",
        "            if _loosen(connection, key, table):\n",
        "            if False:\n",
        HANDOVER,
    ),
    Leak(
        "rows that migrations made are nobody's in a new mirror",
        "operations/contents.py",
        "        hand_over(mirror, draft, source=None)\n",
        "",
        HANDOVER,
    ),
    Leak(
        "a move to another engine takes the rows of one mirror for another's",
        SCOPE,
        '    if getattr(query, "is_verbatim", False):\n        return\n',
        "",
        "tests/operations/test_move.py -k sharers",
    ),
    Leak(
        "a rollout gives the rows of all mirrors to the first one",
        "operations/rollout/plain.py",
        "    default = field.default\n",
        "    default = field.default\n    if isinstance(field, OwnerField):\n"
        "        return True\n",
        "tests/operations/rollout/test_engine.py -k owner",
    ),
]
