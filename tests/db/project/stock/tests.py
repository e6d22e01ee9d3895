"""Tests written before the project had mirrors."""

import threading
from urllib.request import Request, urlopen

from django.db import connection, transaction
from django.test import (
    LiveServerTestCase,
    SimpleTestCase,
    TestCase,
    TransactionTestCase,
    skipUnlessDBFeature,
)
from django.test.testcases import DatabaseOperationForbidden

from django_mirrors import use_mirror
from stock.models import Item


class ItemTests(TestCase):
    @classmethod
    def setUpTestData(cls):
        Item.objects.all().delete()
        cls.item = Item.objects.create(name="chair")

    def test_data_of_the_class_is_there(self):
        self.assertEqual(Item.objects.get(), self.item)

    def test_changes_are_rolled_back(self):
        Item.objects.create(name="table")
        self.assertEqual(Item.objects.count(), 2)

    def test_queries_are_counted(self):
        with self.assertNumQueries(1):
            list(Item.objects.all())

    def test_callbacks_are_captured(self):
        with self.captureOnCommitCallbacks(execute=True) as callbacks:
            transaction.on_commit(lambda: Item.objects.create(name="lamp"))
        self.assertEqual(len(callbacks), 1)
        self.assertEqual(Item.objects.count(), 2)

    @skipUnlessDBFeature("supports_transactions")
    def test_features_of_the_database_are_asked(self):
        self.assertTrue(connection.features.supports_transactions)

    def test_client_is_answered_by_the_original(self):
        response = self.client.get("/")
        self.assertEqual(response.json(), {"items": ["chair"]})


class DurableTests(TransactionTestCase):
    def test_durable_block_commits(self):
        with transaction.atomic(durable=True):
            Item.objects.create(name="chair")
        self.assertEqual(Item.objects.filter(name="chair").count(), 1)

    def test_table_is_empty_again(self):
        self.assertFalse(Item.objects.filter(name="chair").exists())


class NoDatabaseTests(SimpleTestCase):
    def test_query_is_forbidden(self):
        with self.assertRaises(DatabaseOperationForbidden):
            Item.objects.count()

    def test_query_in_a_thread_is_forbidden(self):
        errors = []

        def count():
            try:
                with use_mirror("original"):
                    Item.objects.count()
            except DatabaseOperationForbidden as error:
                errors.append(error)

        thread = threading.Thread(target=count)
        thread.start()
        thread.join()
        self.assertEqual(len(errors), 1)


class ServerTests(LiveServerTestCase):
    def test_server_sees_what_the_test_wrote(self):
        Item.objects.create(name="chair")
        request = Request(self.live_server_url)
        with urlopen(request) as response:
            self.assertIn(b"chair", response.read())
