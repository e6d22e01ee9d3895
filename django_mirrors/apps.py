"""The installable app."""

from django.apps import AppConfig, apps
from django.core.checks import register
from django.core.signals import setting_changed
from django.utils.translation import gettext_lazy as _

from django_mirrors import _compat, _compat_sessions
from django_mirrors.checks import check_fleet
from django_mirrors.checks.starting import begin_command
from django_mirrors.conf import forget_conf
from django_mirrors.context import get_current_mirror, suspend_mirror
from django_mirrors.db.imports import leave_mirror_at_import
from django_mirrors.db.pins import pin_queries
from django_mirrors.db.settings import forget_changed_databases
from django_mirrors.dsn import redact
from django_mirrors.middleware import find_trusted_origins
from django_mirrors.overlay import find_overlaid, find_site_owner
from django_mirrors.registry import forget_fleet
from django_mirrors.sessions import (
    accept_session_key,
    build_session_key,
    hold_sessions_owner,
)
from django_mirrors.signals import fleet_changed
from django_mirrors.signing import MirrorKey


class DjangoMirrorsConfig(AppConfig):
    """Connects the package to Django; reads and validates nothing."""

    name = "django_mirrors"
    verbose_name = _("Mirrors")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect what follows the current mirror, and the command being run."""
        _compat.end_commands_with_text()
        setting_changed.connect(forget_conf, dispatch_uid="django_mirrors.conf")
        setting_changed.connect(forget_fleet, dispatch_uid="django_mirrors.registry")
        fleet_changed.connect(
            forget_changed_databases, dispatch_uid="django_mirrors.db"
        )
        _compat.overlay_settings(find_overlaid, MirrorKey)
        _compat_sessions.bind_session_keys(build_session_key, accept_session_key)
        _compat_sessions.sign_sessions_in(hold_sessions_owner)
        _compat.check_mail(get_current_mirror)
        _compat.redact_error_reports(redact)
        _compat.follow_default_timezone()
        _compat.follow_default_language(suspend_mirror)
        _compat.follow_sites(find_site_owner)
        _compat.follow_trusted_origins(find_trusted_origins)
        if apps.is_installed("django_hosts"):
            # Its modules read settings that a project without it has not.
            from django_mirrors.integrations.hosts import (  # noqa: PLC0415
                follow_fleet,
            )

            follow_fleet()
        register(check_fleet, "mirrors")
        pin_queries()
        leave_mirror_at_import()
        arguments = _compat.find_command_arguments()
        if arguments is not None:
            begin_command(arguments)
        if _compat.is_testing_imported() or "test" in (arguments or ())[1:2]:
            _compat.follow_default_in_tests()
