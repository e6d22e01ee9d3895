"""The fleet's records, in the original's database: data only."""

from __future__ import annotations

from typing import ClassVar
from uuid import uuid4

from django.db import models
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from django_mirrors.mirror import STATES, State


class MirrorRecord(models.Model):
    """What is known of one mirror beside, or in place of, its declaration.

    Triggers of the database set `version` at every change and count it up in
    `FleetVersion`, so that changes by raw SQL are noticed too.
    """

    name = models.CharField(_("name"), max_length=48, unique=True)
    uid = models.UUIDField(_("uid"), unique=True, default=uuid4, editable=False)
    state = models.CharField(
        _("state"),
        max_length=16,
        choices=[(state, state) for state in STATES],
        default=State.PROVISIONING,
    )
    # Whether `definition` holds the mirror, rather than settings or a file.
    declared = models.BooleanField(_("declared elsewhere"), default=False)
    definition = models.JSONField(_("definition"), default=dict)
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    retry_after = models.PositiveIntegerField(_("retry after, in seconds"), default=0)
    release = models.CharField(_("release"), max_length=100, blank=True)
    # Which migrations its database has: a `MigrationState`, or "" if that is unknown.
    migrations = models.CharField(
        _("migrations"), max_length=32, blank=True, default="", db_default=""
    )
    rollout = models.UUIDField(_("rollout"), null=True, editable=False)  # the last one
    rolled_out = models.DateTimeField(_("rolled out"), null=True, editable=False)
    step = models.CharField(_("step reached"), max_length=32, blank=True)
    # What it was made of: "" for nothing, else "mirror books" or "archive ...".
    origin = models.CharField(
        _("origin"), max_length=500, blank=True, default="", db_default=""
    )
    # Where the archive is that was made when it was retired; perhaps not complete yet.
    archive = models.CharField(
        _("archive"), max_length=500, blank=True, default="", db_default=""
    )
    # While it is moved: its data is read, and nothing is written.
    read_only = models.BooleanField(_("read-only"), default=False, db_default=False)
    version = models.BigIntegerField(default=0, editable=False, db_index=True)
    created = models.DateTimeField(_("created"), auto_now_add=True)
    changed = models.DateTimeField(_("changed"), auto_now=True)

    objects: ClassVar[models.Manager[MirrorRecord]] = models.Manager()

    class Meta:
        verbose_name = _("mirror")
        verbose_name_plural = _("mirrors")
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class FleetVersion(models.Model):
    """One row that counts the changes of all records; written by triggers only."""

    number = models.BigIntegerField(default=0)
    deletions = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return str(self.number)


class OperationRecord(models.Model):
    """One operation over mirrors: who runs it, since when, and how it ended."""

    uid = models.UUIDField(unique=True, default=uuid4, editable=False)
    operation = models.CharField(max_length=32)
    mirror = models.CharField(max_length=48, blank=True)  # if it is about one
    step = models.CharField(max_length=32, blank=True)  # the one that was begun last
    holder = models.CharField(max_length=200)  # user@host:pid
    plan = models.JSONField(default=dict)
    outcome = models.CharField(max_length=16, blank=True, default="")  # once it ended
    request = models.CharField(max_length=16, blank=True, default="")  # of an operator
    started = models.DateTimeField(auto_now_add=True)
    finished = models.DateTimeField(null=True)

    objects: ClassVar[models.Manager[OperationRecord]] = models.Manager()

    class Meta:
        ordering = ("-started",)

    def __str__(self) -> str:
        return f"{self.operation} {self.uid}"


class StepRecord(models.Model):
    """What an operation did to one mirror."""

    operation = models.ForeignKey(
        OperationRecord, on_delete=models.CASCADE, related_name="steps"
    )
    mirror = models.CharField(max_length=48)
    wave = models.PositiveIntegerField(default=0)
    outcome = models.CharField(max_length=16)
    detail = models.CharField(max_length=200, blank=True)
    error = models.TextField(blank=True)
    seconds = models.FloatField(default=0.0)
    ended = models.DateTimeField(default=now)

    objects: ClassVar[models.Manager[StepRecord]] = models.Manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("operation", "mirror"), name="django_mirrors_one_step"
            ),
        )
        ordering = ("mirror",)

    def __str__(self) -> str:
        return f"{self.mirror}: {self.outcome}"


class Errand(models.Model):
    """A step in one mirror that was handed to workers elsewhere, and what came of it.

    It is gone once the result was taken, or is not wanted any more.
    """

    uid = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    operation = models.ForeignKey(
        OperationRecord, on_delete=models.CASCADE, related_name="errands"
    )
    mirror = models.CharField(max_length=48)
    kind = models.CharField(max_length=16)  # of step
    fence = models.BigIntegerField()  # of the lock under which it may be done
    attempts = models.PositiveIntegerField(default=0)  # that were begun
    worker = models.CharField(max_length=200, blank=True)  # of the last of them
    outcome = models.CharField(max_length=16, blank=True)  # once it is done
    detail = models.CharField(max_length=200, blank=True)
    error = models.TextField(blank=True)
    seconds = models.FloatField(default=0.0)
    migrations = models.CharField(max_length=32, blank=True)

    objects: ClassVar[models.Manager[Errand]] = models.Manager()

    def __str__(self) -> str:
        return f"{self.kind} {self.mirror}"


class MigrationState(models.Model):
    """A set of applied migrations that mirrors have, under its digest."""

    digest = models.CharField(max_length=32, primary_key=True)
    applied = models.JSONField(default=list)  # "app.0001_name"

    objects: ClassVar[models.Manager[MigrationState]] = models.Manager()

    def __str__(self) -> str:
        return self.digest


class Tombstone(models.Model):
    """A host of a mirror that is gone, which no other mirror may have for a time."""

    host = models.CharField(max_length=255, unique=True)
    mirror = models.CharField(max_length=48)
    until = models.DateTimeField()

    objects: ClassVar[models.Manager[Tombstone]] = models.Manager()

    def __str__(self) -> str:
        return self.host


class LockRecord(models.Model):
    """Who may change something now, until `expires`; `fence` grows with each holder."""

    name = models.CharField(max_length=64, unique=True)
    holder = models.CharField(max_length=200, blank=True)
    operation = models.CharField(max_length=100, blank=True)
    fence = models.BigIntegerField(default=0)
    since = models.DateTimeField(null=True)
    expires = models.DateTimeField(null=True)

    objects: ClassVar[models.Manager[LockRecord]] = models.Manager()

    def __str__(self) -> str:
        return self.name


class Marker(models.Model):
    """Whose database this is. The only table of this app in a mirror's database."""

    uid = models.UUIDField(primary_key=True)
    name = models.CharField(max_length=48)
    # Of the last rollout that changed something here: an older one must not.
    fence = models.BigIntegerField(default=0, db_default=0)
    # The rollout that changed this and has not finished, or "".
    rollout = models.CharField(max_length=36, default="", db_default="")
    # A migration that no single transaction holds, and how far it came: how many of its
    # operations are done, and whether one more was begun.
    migration = models.CharField(max_length=320, default="", db_default="")
    operations = models.PositiveIntegerField(default=0, db_default=0)
    is_begun = models.BooleanField(default=False, db_default=False)

    objects: ClassVar[models.Manager[Marker]] = models.Manager()

    def __str__(self) -> str:
        return self.name
