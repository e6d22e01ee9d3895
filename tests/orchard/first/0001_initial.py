from importlib import import_module

Migration = import_module("tests.orchard.migrations.0001_initial").Migration
