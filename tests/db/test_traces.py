"""Which statements certainly leave nothing in a session."""

import pytest
from django.db.models import Avg, Count, F, OuterRef, Q, Subquery
from django.db.models.expressions import Window
from django.db.models.functions import (
    Coalesce,
    Lower,
    Now,
    RowNumber,
    TruncYear,
)

psycopg = pytest.importorskip("psycopg")
traces = pytest.importorskip("django_mirrors.db.traces")

SELECTS = [
    "SELECT 1",
    "  select\n1",
    'SELECT "shop_book"."id" FROM "shop_book" WHERE "shop_book"."id" IN (%s, %s)',
    '(SELECT "a"."id" FROM "a") UNION (SELECT "b"."id" FROM "b") LIMIT 21',
    'SELECT COUNT(*) AS "__count" FROM (SELECT DISTINCT 1) subquery',
    'SELECT pow FROM t WHERE UPPER("t"."x"::text) LIKE UPPER(%s) FOR UPDATE',
    'SELECT 1 WHERE NOT EXISTS(SELECT 1 AS "a" FROM "t" U0 LIMIT 1)',
    'SAVEPOINT "s139_x1"',
    'RELEASE SAVEPOINT "s139_x1"',
    'ROLLBACK TO SAVEPOINT "s139_x1"',
]
OTHERS = [
    # What is no statement that reads.
    "",
    "SET search_path TO films",
    "RESET ALL",
    "SHOW search_path",
    "BEGIN",
    "COMMIT",
    "INSERT INTO t VALUES (1)",
    "UPDATE t SET x = 1",
    "DELETE FROM t",
    "MERGE INTO t USING u ON true WHEN MATCHED THEN DO NOTHING",
    "WITH made AS (INSERT INTO t VALUES (1) RETURNING 1) SELECT * FROM made",
    "TABLE t",
    "VALUES (set_config('a.b', 'c', false))",
    "CREATE TEMP TABLE t (id int)",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
    "FETCH c",
    "LISTEN films",
    "LOCK TABLE t",
    "COPY t TO STDOUT",
    "CALL p()",
    "DO $$ BEGIN PERFORM set_config('a.b', 'c', false); END $$",
    "LOAD 'library'",
    "DISCARD ALL",
    "EXPLAIN ANALYZE SELECT 1",
    "SELECTED",
    "SELECT",
    # More than one of them.
    "SELECT 1; SET search_path TO films",
    "SELECT 1;",
    'SAVEPOINT "a"; SET search_path TO films',
    "SAVEPOINT a",
    # What makes a table.
    "SELECT 1 AS a INTO TEMP t",
    "SELECT 1 AS a into\ntemp t",
    # Calls of what is not known, however they are written.
    "SELECT set_config('search_path', 'films', false)",
    "SELECT SET_CONFIG ('search_path', 'films', false)",
    "SELECT pg_catalog.set_config('search_path', 'films', false)",
    "SELECT \"set_config\"('search_path', 'films', false)",
    "SELECT U&\"set\\005fconfig\"('search_path', 'films', false)",
    "SELECT set_config/**/('search_path', 'films', false)",
    "SELECT set_config--\n('search_path', 'films', false)",
    "SELECT lower(set_config('search_path', 'films', false))",
    "SELECT '(', set_config('search_path', 'films', false), ')'",
    "SELECT '/*' || set_config('search_path', 'films', false) || '*/'",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_try_advisory_lock(1)",
    "SELECT lo_open(1, 1)",
    "SELECT dblink_connect('a', 'b')",
    "SELECT setseed(0.5)",
    "SELECT nextval('t_id_seq')",
    "SELECT setval('t_id_seq', 1)",
    "SELECT own(1)",
    "SELECT * FROM own()",
    "SELECT books.lower('A')",
    "SELECT books . lower('A')",
    "SELECT \"books\".lower('A')",
    "SELECT \"books\". lower('A')",
    "SELECT \"lower\"('A')",
    "SELECT sélower('A')",
    "SELECT lower\N{NO-BREAK SPACE}('A')",
    "SELECT ran\N{KELVIN SIGN}(1)",
    # What is not worth a look.
    "SELECT " + "1, " * 3000 + "1",
    b"SELECT 1",
    psycopg.sql.SQL("SELECT 1"),
    None,
]


@pytest.mark.parametrize("sql", SELECTS)
def test_statement_that_reads_leaves_nothing(sql):
    assert traces.leaves_nothing(sql)


@pytest.mark.parametrize("sql", OTHERS)
def test_any_other_statement_may_leave_something(sql):
    assert not traces.leaves_nothing(sql)


@pytest.fixture
def trace():
    return traces.Trace()


def test_nothing_was_done_at_first(trace):
    assert trace.is_empty


def test_step_leaves_something(trace):
    trace.add()
    assert not trace.is_empty


def test_steps_that_are_known_leave_nothing(trace):
    trace.run_harmless(trace.add)
    assert trace.is_empty


def test_steps_before_those_that_are_known_still_count(trace):
    trace.add()
    trace.run_harmless(trace.add)
    assert not trace.is_empty


def test_step_of_another_thread_at_the_same_time_leaves_something(trace):
    def do_both():
        trace.add()
        trace.add()

    trace.run_harmless(do_both)

    assert not trace.is_empty


def test_step_that_fails_leaves_something(trace):
    def fail():
        trace.add()
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        trace.run_harmless(fail)

    assert not trace.is_empty


def test_forgotten_steps_do_not_count(trace):
    trace.add()
    trace.forget()
    assert trace.is_empty


@pytest.mark.django_db
@pytest.mark.parametrize(
    "engine",
    [pytest.param("postgres-schema", marks=pytest.mark.postgres)],
    indirect=True,
)
def test_what_the_orm_reads_leaves_nothing(fleet, django_assert_num_queries):
    from django.db import connections
    from django.test.utils import CaptureQueriesContext

    from django_mirrors import use_mirror
    from tests.bookshop.models import Book

    with use_mirror("books"):
        books = Book.objects.all()
        newest = Book.objects.filter(pk=OuterRef("pk")).order_by("-pk")
        with CaptureQueriesContext(connections["books"]) as captured:
            list(books.filter(Q(title__icontains="a") | Q(pk__in=[1, 2])))
            list(books.annotate(low=Lower("title"), some=Coalesce("title", F("title"))))
            books.aggregate(Count("pk", distinct=True), Avg("pk"))
            books.filter(pk=0).exists()
            list(books.annotate(one=Subquery(newest.values("title")[:1])).distinct())
            list(books.annotate(number=Window(RowNumber(), order_by="pk"))[:3])
            list(books.annotate(year=TruncYear(Now())).values("year"))
            list(books.union(books.filter(pk=1)))
        connections["books"].close()

    assert len(captured) == 8
    assert [
        query["sql"] for query in captured if not traces.leaves_nothing(query["sql"])
    ] == []
