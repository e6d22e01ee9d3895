"""Who gets reports of errors; Django 6.0 changed how they are written."""

import django

ADMINS = (
    ["admin@example.com"]
    if django.VERSION >= (6, 0)
    else [("Admin", "admin@example.com")]
)
