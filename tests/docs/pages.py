"""What tests read of the documentation's pages."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

_FENCE = re.compile(r"(?P<indent> *)```(?P<info>.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block: ```LANGUAGE word key=value ..."""

    line: int
    language: str
    words: frozenset[str]
    values: Mapping[str, str]
    text: str


def iter_blocks(path: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page, in order."""
    return iter_blocks_of(path.read_text(encoding="utf-8"))


def iter_blocks_of(text: str) -> Iterator[Block]:
    """Yield the fenced blocks of a text, in order."""
    lines = iter(enumerate(text.splitlines(), start=1))
    for number, line in lines:
        opening = _FENCE.fullmatch(line)
        if opening is None:
            continue
        body = []
        for _, inner in lines:
            if inner.strip() == "```":
                break
            body.append(inner.removeprefix(opening["indent"]))
        language, *rest = opening["info"].split() or [""]
        yield Block(
            line=number,
            language=language,
            words=frozenset(word for word in rest if "=" not in word),
            values=dict(word.split("=", 1) for word in rest if "=" in word),
            text="".join(f"{item}\n" for item in body),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading of a page, and what follows it up to the next heading of its level."""

    title: str  # without the marks of code
    text: str

    def get(self, title: str) -> "Section":
        """Return the section of this title inside this one."""
        found = [item for item in self.iter_sections() if item.title == title]
        assert len(found) == 1, f"{self.title!r} has {len(found)} headings {title!r}."
        return found[0]

    @property
    def titles(self) -> list[str]:
        """The headings of the next level inside this section."""
        return [item.title for item in self.iter_sections()]

    @property
    def first_codes(self) -> list[str]:
        """What is marked as code in the first cells of the rows of tables."""
        return [code for row in self.rows for code in _CODE.findall(row[0])[:1]]

    @property
    def rows(self) -> list[list[str]]:
        """The cells of the rows of tables, without their heads."""
        rows = [
            [cell.strip().replace(r"\|", "|") for cell in _CELL_END.split(line)[1:-1]]
            for line in self.text.splitlines()
            if line.startswith("|")
        ]
        rules = [at for at, row in enumerate(rows) if set("".join(row)) == {"-"}]
        heads = {at - 1 for at in rules}
        return [row for at, row in enumerate(rows) if at not in {*rules, *heads}]

    def iter_sections(self) -> Iterator["Section"]:
        """Yield the sections of the next level."""
        headings = list(_iter_headings(self.text))
        if not headings:
            return
        level = min(level for level, _, _, _ in headings)
        own = [item for item in headings if item[0] == level]
        ends = [*(start for _, _, start, _ in own[1:]), len(self.text)]
        for (_, title, _, start), end in zip(own, ends, strict=True):
            yield Section(title=title, text=self.text[start:end])


_CODE = re.compile(r"`([^`]+)`")
_CELL_END = re.compile(r"(?<!\\)\|")
_HEADING = re.compile(r"^(#+) (.+)$")


def read_page(name: str) -> Section:
    """Return a page below docs/ as the section of its title."""
    text = (DOCS / name).read_text(encoding="utf-8")
    whole = Section(title=name, text=text)
    (section,) = whole.iter_sections()
    return section


def find_codes(text: str) -> list[str]:
    """Return what is marked as code within the lines of a text."""
    return _CODE.findall(text)


def _iter_headings(text: str) -> Iterator[tuple[int, str, int, int]]:
    """Yield level, title, begin and end of the line of each heading."""
    position, is_fenced = 0, False
    for line in text.splitlines(keepends=True):
        is_fenced ^= line.lstrip().startswith("```")
        heading = None if is_fenced else _HEADING.match(line.rstrip())
        if heading is not None:
            title = heading[2].replace("`", "")
            yield len(heading[1]), title, position, position + len(line)
        position += len(line)
