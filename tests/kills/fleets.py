"""Fleets in a folder of their own, worked on by processes that may be killed."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Fleet", "Zygote"]

Step = tuple[Any, ...]
Answer = dict[str, Any]

_ROOT = Path(__file__).parents[2]


class Zygote:
    """See tests.kills.zygote, which runs here."""

    def __init__(
        self,
        directory: Path,
        engine: str,
        server: str,
        token: str,
        *,
        release: str = "",
    ) -> None:
        self.server, self.token = server, token
        (directory / "tmp").mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            (sys.executable, "-m", "tests.kills.zygote"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_ROOT,
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "tests.kills.settings",
                "KILLS_DIRECTORY": str(directory),
                "KILLS_ENGINE": engine,
                "KILLS_RELEASE": release,
                "KILLS_SERVER": server,
                "KILLS_TOKEN": token,
                "PYTHONPATH": str(_ROOT),
                "TMPDIR": str(directory / "tmp"),
            },
        )

    def run(self, *requests: dict[str, Any]) -> list[Answer]:
        """Do all `requests` at once, each in a process of its own."""
        self._process.stdin.write(json.dumps(requests) + "\n")
        self._process.stdin.flush()
        answers = json.loads(self._process.stdout.readline())
        crashes = [answer["crash"] for answer in answers if "crash" in answer]
        assert not crashes, crashes[0]
        return answers

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@dataclass
class Fleet:
    """An original with two mirrors, `books` and `films`, and states to go back to."""

    directory: Path
    engine: str
    zygote: Zygote
    kept: Path  # where states are kept
    databases: list[str] = field(default_factory=list)  # on the server, in every state

    def do(self, *steps: Step, **options: Any) -> list[Any]:
        """Do `steps` in one process, and return what each one gives."""
        return self.run(*steps, **options)["results"]

    def succeed(self, *command: str) -> None:
        """Run a command that must not fail."""
        (result,) = self.do(("command", *command))
        assert result["code"] == 0, result["said"]

    def run(self, *steps: Step, **options: Any) -> Answer:
        """Do `steps` in one process that may be killed; return its answer."""
        (answer,) = self.zygote.run({"steps": steps, **options})
        return answer

    def fill_in(self, command: tuple[str, ...]) -> tuple[str, ...]:
        """Return `command` with the places of this fleet in it."""
        filled = []
        for part in command:
            if part == "{place}":
                filled += self.new_place
            else:
                filled.append(part.format(directory=self.directory))
        return tuple(filled)

    @property
    def new_place(self) -> tuple[str, ...]:
        """The options of a move that lead to a new place for everything."""
        url, token = self.zygote.server, self.zygote.token
        database = {
            "sqlite": (
                "--database",
                f"sqlite:///{self.directory}/databases/moved.sqlite3",
            ),
            "schema": ("--database", f"{url}/{token}", "--schema", f"{token}_moved"),
        }.get(self.engine, ("--database", f"{url}/{token}_moved"))
        return (*database, "--storage", f"file://{self.directory}/moved/")

    def keep(self, name: str) -> None:
        """Keep what is in the folder as the state `name`."""
        shutil.copytree(self.directory, self.kept / name, symlinks=True)

    def go_back(self, name: str) -> None:
        """Have the state `name` again."""
        if self.engine != "sqlite":
            self.do(("drop", [item for item in self.databases if _is_in(item, name)]))
        shutil.rmtree(self.directory)
        shutil.copytree(self.kept / name, self.directory, symlinks=True)
        if self.engine != "sqlite":
            self.do(("mark_again",))

    def remove(self) -> None:
        """Leave nothing on the server."""
        if self.engine != "sqlite":
            self.do(("remove_all",))
        self.zygote.close()


def _is_in(database: str, state: str) -> bool:
    return state != "without template" or "_template_" not in database
