"""What Django's own test suite is run with; see `tests/django_suite.py`."""
