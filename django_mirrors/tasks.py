"""Where Celery looks for the tasks of an app."""

from importlib.util import find_spec

# Others look for modules of this name too, in projects without Celery.
if find_spec("celery") is not None:
    from django_mirrors.integrations.celery import do_errand

    __all__ = ["do_errand"]
