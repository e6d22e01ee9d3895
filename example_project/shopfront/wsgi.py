"""The WSGI application of the example."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shopfront.settings")

application = get_wsgi_application()
