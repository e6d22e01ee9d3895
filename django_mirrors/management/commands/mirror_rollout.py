"""Bring mirrors in step with the running code."""

from typing import Any

from django.core.management.base import CommandParser

from django_mirrors.management.commands._fleet import (
    SelectionCommand,
    add_jobs,
    is_selecting,
)
from django_mirrors.management.commands._rollouts import (
    RolloutShow,
    add_rollout,
    build_options,
    find_executor,
    find_jobs,
)
from django_mirrors.operations import plan_rollout, resume_rollout, roll_out
from django_mirrors.operations.rollout import CANCEL, PAUSE, Journal, stop_rollout

_LISTED = 20


class Command(SelectionCommand):
    """Apply all migrations in each selected mirror; skip those in step."""

    help = "Bring the selected mirrors in step with this code, and provision new ones."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add how to go about it."""
        super().add_arguments(parser)
        add_jobs(parser, default=None)
        add_rollout(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Roll out, or print the plan, or what became of a rollout."""
        if options["list"]:
            self._list(as_json=options["json"])
        elif options["show"]:
            self._show(Journal.find(options["id"]), as_json=options["json"])
        elif options["pause"] or options["cancel"]:
            uid = stop_rollout(PAUSE if options["pause"] else CANCEL, options["id"])
            self.stdout.write(f"Rollout {uid} stops after the mirrors at hand.")
        elif options["plan"]:
            plan = plan_rollout(self.select(options), build_options(options))
            self.print_plan(plan, as_json=options["json"])
        else:
            self._roll_out(options)

    def _roll_out(self, options: dict[str, Any]) -> None:
        show = RolloutShow(self, options)
        given: dict[str, Any] = {
            "jobs": find_jobs(options),
            "max_failures": options["max_failures"],
            "on_step": show.take,
            "on_wave": show.begin_wave,
            "executor": find_executor(options["executor"]),
        }
        if options["resume"]:
            only = None
            if is_selecting(options):
                only = [mirror.name for mirror in self.select(options)]
            with show:
                report = resume_rollout(options["id"], only=only, **given)
        else:
            given["with_original"] = options["with_original"]
            given["options"] = build_options(options)
            chosen = self.select(options)
            with show:
                report = roll_out(chosen, **given)
        show.finish(report)

    def _show(self, journal: Journal, *, as_json: bool) -> None:
        report, summary = journal.read_report(), journal.summarise()
        if as_json:
            self.print_json({**summary.as_json(), **report.as_json()})
            return
        self.stdout.write(
            f"Rollout {summary.id} of release {summary.release}, by {summary.holder} "
            f"since {summary.started:%Y-%m-%d %H:%M:%S}: "
            f"{summary.outcome or 'under way'}."
        )
        self.print_results(report.results)

    def _list(self, *, as_json: bool) -> None:
        found = Journal.list(at_most=_LISTED)
        if as_json:
            self.print_json([summary.as_json() for summary in found])
            return
        self.print_table(
            ("ID", "STARTED", "RELEASE", "MIRRORS", "OUTCOME", "BY"),
            [
                (
                    summary.id,
                    f"{summary.started:%Y-%m-%d %H:%M:%S}",
                    summary.release,
                    summary.mirrors,
                    summary.outcome or "under way",
                    summary.holder,
                )
                for summary in found
            ],
        )
