"""The installable app."""

from typing import Any

from django.apps import AppConfig, apps
from django.core.checks import register
from django.core.signals import setting_changed
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _

from django_mirrors import (
    _compat,
    _compat_auth,
    _compat_csrf,
    _compat_reports,
    _compat_sessions,
    _compat_settings,
    _compat_sites,
    _compat_templates,
)
from django_mirrors.behind import learn_migrations
from django_mirrors.checks import check_fleet
from django_mirrors.checks.starting import begin_command, check_in_original
from django_mirrors.conf import forget_conf
from django_mirrors.context import (
    get_current_mirror,
    leave_mirror_for_garbage,
    suspend_mirror,
)
from django_mirrors.csrf import accept_csrf_secret, build_csrf_secret
from django_mirrors.db.imports import leave_mirror_at_import
from django_mirrors.db.pins import check_instance, find_content_owner, pin_queries
from django_mirrors.db.settings import forget_changed_databases
from django_mirrors.mail import find_mail_setting
from django_mirrors.middleware import find_trusted_origins
from django_mirrors.mirror import ORIGINAL_NAME
from django_mirrors.overlay import find_overlaid, find_site_host, find_site_owner
from django_mirrors.redaction import redact, redact_text
from django_mirrors.registry import forget_fleet
from django_mirrors.sessions import (
    accept_session_key,
    build_session_key,
    hold_sessions_owner,
)
from django_mirrors.signals import fleet_changed
from django_mirrors.signing import MirrorKey
from django_mirrors.themes import find_current_theme


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
        fleet_changed.connect(learn_migrations, dispatch_uid="django_mirrors.behind")
        post_migrate.connect(
            _write_down_migrations, sender=self, dispatch_uid="django_mirrors.ledger"
        )
        _compat_settings.overlay_settings(find_overlaid, find_mail_setting, MirrorKey)
        _compat_sessions.bind_session_keys(build_session_key, accept_session_key)
        _compat_sessions.sign_sessions_in(hold_sessions_owner)
        _compat_csrf.bind_csrf_secrets(build_csrf_secret, accept_csrf_secret)
        _compat_auth.check_users(check_instance)
        _compat.check_mail(get_current_mirror)
        _compat_reports.redact_error_reports(redact, redact_text)
        _compat_settings.follow_default_timezone()
        _compat_settings.follow_default_language(suspend_mirror)
        _compat_sites.follow_sites(find_site_owner, find_site_host)
        _compat_sites.follow_content_types(find_content_owner)
        _compat_templates.keep_templates_apart(find_current_theme)
        _compat.follow_trusted_origins(find_trusted_origins)
        if apps.is_installed("django_hosts"):
            # Its modules read settings that a project without it has not.
            from django_mirrors.integrations.hosts import (  # noqa: PLC0415
                follow_fleet,
            )

            follow_fleet()
        register(check_fleet, "mirrors")
        check_in_original()
        pin_queries()
        leave_mirror_at_import()
        leave_mirror_for_garbage()
        arguments = _compat.find_command_arguments()
        if arguments is not None:
            begin_command(arguments)
        if _compat.is_testing_imported() or "test" in (arguments or ())[1:2]:
            _compat.follow_default_in_tests()


def _write_down_migrations(using: str, **arguments: Any) -> None:
    """Let the fleet know what `migrate` did to a mirror."""
    if using == ORIGINAL_NAME:
        return
    # It has the records, which are there only once the apps are.
    from django_mirrors.operations.ledger import enter_migrated  # noqa: PLC0415

    enter_migrated(using, **arguments)
