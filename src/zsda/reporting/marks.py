"""Marked places of a Markdown text: found, and filled anew, while all else stays as it is.

A mark is a comment that holds a YAML mapping, ``<!-- report {table: scores} -->``. What it shows stands between it and
``<!-- end -->``: whole lines after a mark that has its line for itself, or a text within a line. ``<!-- report-of {...} -->`` shows
nothing. Code, in fences or between backticks, is left alone.
"""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from zsda.core.errors import ConfigError, Gathered
from zsda.core.reasons import reason

END = "<!-- end -->"
_MARK = re.compile(r"<!-- report(?P<sets>-of)?(?![\w-])(?P<said>(?:(?!-->).)*)(?P<closed>-->|$)")
_FENCE = re.compile(r"\s*(`{3,}(?=[^`]*$)|~{3,})")
EXAMPLE = "<!-- report {table: scores} -->"


@dataclass(frozen=True)
class Mark:
    """One mark.

    Attributes:
        place: its document and line, as a message begins.
        said: what it asks for, name -> text or list of texts.
        sets: whether it shows nothing, and says what holds for those after it.
        whole_lines: whether it shows lines, and no text within one.
        before: the text up to what it shows.
        after: the text from there to its end.
    """

    place: str
    said: Mapping[str, str | list[str]]
    sets: bool
    whole_lines: bool
    before: str
    after: str

    def filled(self, lines: Sequence[str]) -> str:
        """Returns its text with the lines in it; those of a mark within a line are one."""
        if not self.whole_lines:
            return "".join([self.before, *lines, self.after])
        indent = self.before[: len(self.before) - len(self.before.lstrip())]
        ending = self.before[len(self.before.rstrip()) :]
        # Without empty lines around it some readers of Markdown see no table there.
        return "".join(
            [self.before, *(f"{indent if line else ''}{line}{ending}" for line in ["", *lines, ""]), self.after]
        )


def split_marks(text: str, path: Path, wrong: Gathered) -> list[str | Mark]:
    """Splits a document into its marks, each with what it shows, and the texts between them.

    Args:
        text: the document.
        path: of it, for messages.
        wrong: takes what is wrong with marks, which stay texts then.
    """
    lines = list(io.StringIO(text, newline="\n"))
    pieces: list[str | Mark] = []
    fence, number = "", 0
    while number < len(lines):
        line = lines[number]
        number += 1
        bare = line.strip()
        if fence:
            closes = set(bare) == {fence[0]} and len(bare) >= len(fence)
            fence = "" if closes else fence
            pieces.append(line)
        elif opened := _FENCE.match(line):
            fence = opened[1]
            pieces.append(line)
        elif (found := _MARK.fullmatch(bare)) and not found["sets"]:
            place, filled = f"{path}, line {number}", number
            with wrong.gather():
                said = _said(found, place)
                filled = _end(lines, number, place)
                pieces.append(Mark(place, said, sets=False, whole_lines=True, before=line, after=lines[filled - 1]))
            if filled == number:
                pieces.append(line)
            number = filled
        else:
            pieces += _within(line, f"{path}, line {number}", wrong)
    return pieces


def _end(lines: Sequence[str], start: int, place: str) -> int:
    """Returns the number of the line after the end of a mark."""
    for number in range(start, len(lines)):
        if lines[number].strip() == END:
            return number + 1
        if _MARK.search(lines[number]):
            break
    raise ConfigError(f"{place}: no {END} follows in a line of its own; a table and a figure stand before it")


def _within(line: str, place: str, wrong: Gathered) -> list[str | Mark]:
    """Splits a line into its marks and the texts between them."""
    pieces: list[str | Mark] = []
    done = 0
    shown = [found for found in _MARK.finditer(line) if line.count("`", 0, found.start()) % 2 == 0]
    starts = [*(found.start() for found in shown), len(line)]
    for found, until in zip(shown, starts[1:], strict=True):
        with wrong.gather():
            said = _said(found, place)
            stop = end = found.end()
            if not found["sets"]:
                end = line.find(END, stop, until)
                if end < 0:
                    raise ConfigError(f"{place}: no {END} follows in this line; a value stands before it")
                stop = end + len(END)
            pieces.append(line[done : found.start()])
            pieces.append(Mark(place, said, bool(found["sets"]), False, found[0], line[end:stop]))
            done = stop
    return [*pieces, line[done:]]


def _said(found: re.Match[str], place: str) -> dict[str, str | list[str]]:
    if not found["closed"]:
        raise ConfigError(f"{place}: a mark has no --> in its line; expected as in {EXAMPLE}")
    try:
        # Texts alone: to YAML, on: is otherwise a truth.
        said = yaml.load(found["said"], yaml.BaseLoader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{place}: a mark cannot be read ({reason(error)}); expected as in {EXAMPLE}") from error
    if not isinstance(said, dict) or not all(isinstance(key, str) for key in said):
        raise ConfigError(f"{place}: a mark holds no names and values; expected as in {EXAMPLE}")
    for key, value in said.items():
        parts = value if isinstance(value, list) else [value]
        if not parts or not all(isinstance(part, str) and part for part in parts):
            raise ConfigError(f"{place}: {key}: expected a name, or a list of them")
    return said
