"""Makes a fleet of the first release: `python -m ... 20`."""

import sys

import django


def main(mirrors: int) -> None:
    """Make so many mirrors, each with a tree."""
    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from django_mirrors import use_mirror, use_original
    from django_mirrors.operations import add_mirror

    with use_original():
        call_command("migrate", verbosity=0)
    for number in range(mirrors):
        name = f"m{number:03}"
        add_mirror(name, {})
        with use_mirror(name), connection.cursor() as cursor:
            cursor.execute("INSERT INTO orchard_tree (name) VALUES ('old')")


if __name__ == "__main__":
    main(int(sys.argv[1]))
