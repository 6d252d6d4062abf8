"""Documents whose tables, figures and numbers are written from raw scores: what `zsda.reporting.marks` asks for, and its filling."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from zsda.core.errors import ConfigError, Gathered, RecordError, ZsdaError
from zsda.core.files import read_regular
from zsda.core.reasons import reason
from zsda.evaluation.protocols import find_protocol
from zsda.reporting.cells import Cell, Grid
from zsda.reporting.charts import Gain, gains
from zsda.reporting.comparison import UPPER_BOUND, Comparison, known_targets
from zsda.reporting.formats import markdown_table
from zsda.reporting.grids import caption, differences_table, scores_table, shares_table
from zsda.reporting.marks import EXAMPLE, Mark, split_marks
from zsda.reporting.run_scores import RunScores
from zsda.reporting.scores_file import read_scores_csv
from zsda.reporting.seeds import is_noise

_Said = Mapping[str, str | list[str]]

_LISTS = ("methods", "targets")
_CHOICE = ("scores", "score", "protocol", "source", *_LISTS)
"""What any mark may say of the scores that it shows."""
_NEEDS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "table": {"scores": (), "gains": ("against",), "source_gains": ("against",), "shares": ()},
    "figure": {"gains": ("against", "file", "alt")},
    "value": {
        "score": ("of", "on"),
        "gain": ("of", "over", "on"),
        "share": ("of", "on"),
        "verdict": ("of", "over", "on"),
        **dict.fromkeys(("runs", "seeds", "caption"), ()),
    },
}
"""Kind of a mark -> what it can show -> what it says of that."""
_FLAGS = {"table": ("caption", "mean"), "figure": ("mean",), "value": ()}
_REFERENCES = ("of", "over", "against")
_KINDS_OF_RUNS: Mapping[str, Callable[[RunScores], str]] = {
    "protocol": lambda run: run.protocol,
    "source": lambda run: run.source_setting,
}


def fill_documents(paths: Sequence[Path]) -> dict[Path, bytes]:
    """Returns what documents and their figures are to hold; nothing is written.

    Args:
        paths: of Markdown files.

    Raises:
        ZsdaError: a document or its scores cannot be read, or a mark cannot be filled; all that is wrong is told at once.
    """
    files: dict[Path, bytes] = {}
    wrong = Gathered()
    for path in dict.fromkeys(paths):
        with wrong.gather():
            files[path] = _Document(path, files, wrong).filled().encode()
    wrong.conclude()
    return files


class _Document:
    """One document.

    Args:
        path: of it.
        files: takes the figures.
        wrong: takes what is wrong with marks.
    """

    def __init__(self, path: Path, files: dict[Path, bytes], wrong: Gathered) -> None:
        self._path, self._files, self._wrong = path, files, wrong
        self._results: dict[Path, list[RunScores]] = {}

    def filled(self) -> str:
        try:
            text = read_regular(self._path).decode()
        except (OSError, ValueError) as error:
            raise ConfigError(f"documents={self._path}: cannot be read ({reason(error)}); expected Markdown") from error
        known = len(self._wrong.errors)
        pieces = split_marks(text, self._path, self._wrong)
        if len(self._wrong.errors) == known and all(isinstance(piece, str) for piece in pieces):
            raise ConfigError(f"documents={self._path}: holds no mark; expected some, {EXAMPLE}")
        written: list[str] = []
        common: _Said = {}
        for piece in pieces:
            if isinstance(piece, str):
                written.append(piece)
                continue
            with self._wrong.gather(), _told_at(piece.place):
                if piece.sets:
                    _check_keys(piece.said, _CHOICE)
                    common = piece.said
                written.append(piece.filled([] if piece.sets else self._shown(piece, common)))
        return "".join(written)

    def _shown(self, mark: Mark, common: _Said) -> list[str]:
        kind, shown = _kind(mark)
        said = {**common, **mark.said}
        results = self._read(said)
        if shown == "runs":
            return [_count(mark.said, results)]
        chosen = _Chosen(said, results, with_ends=shown in ("shares", "share"))
        if kind == "value":
            return [chosen.value(shown)]
        if kind == "table":
            grid = chosen.table(shown)
            words = ["", " ".join(grid.caption)] if said.get("caption") == "true" else []
            return [*markdown_table(grid), *words]
        self._draw(str(said["file"]), chosen)
        return [f"![{said['alt']}]({said['file']})"]

    def _read(self, said: _Said) -> list[RunScores]:
        if "scores" not in said:
            raise ConfigError("no scores: for it; expected <!-- report-of {scores: FILE.csv} --> before it")
        path = self._path.parent / str(said["scores"])
        if path not in self._results:
            self._results[path] = read_scores_csv(path)
        return self._results[path]

    def _draw(self, name: str, chosen: "_Chosen") -> None:
        file = Path(name)
        if file.is_absolute() or ".." in file.parts or file.suffix != ".svg":
            raise ConfigError(f"file: {name}; expected the name of an SVG beside the document or below it, NAME.svg")
        path = self._path.parent / file
        content = chosen.figure(file.stem)
        if self._files.setdefault(path, content) != content:
            raise ConfigError(f"file: {name} is already that of another figure; expected a name of its own")


class _Chosen:
    """What a mark says, applied to the scores of its file.

    Args:
        said: by the mark, and before it for all.
        results: of the file.
        with_ends: whether both ends of the way to the oracle are compared, too.
    """

    def __init__(self, said: _Said, results: Sequence[RunScores], with_ends: bool) -> None:
        self._said = said
        results = _alike(said, results)
        score = str(said.get("score") or find_protocol(results[0].protocol).headline)
        known = dict.fromkeys(key for run in results for scores in run.settings.values() for key in scores)
        _check_known("score", [score], list(known))
        asked = said.get("targets")
        targets = None if asked is None else known_targets(results, list(asked), "targets: ")
        everything = Comparison(results, targets, score)
        named = {key: str(said[key]) for key in _REFERENCES if key in said}
        for key, name in named.items():
            _check_known(key, [name], everything.methods)
        rows = list(said.get("methods", everything.methods))
        _check_known("methods", rows, everything.methods)
        ends = {str(everything.baseline), UPPER_BOUND} if with_ends else set()
        held = {*rows, *named.values(), *ends}
        # Of these alone, so that it tells their seeds and no others; for all targets, so that means are over the same.
        some = [run for run in results if run.method in held]
        self._comparison = Comparison(some, everything.targets, score)
        self._targets = list(targets or everything.targets)
        self._rows = [name for name in rows if name not in {named.get("against"), *ends}]

    def table(self, shown: str) -> Grid:
        """Returns a table with its rows and columns as they are asked for."""
        grid = self._grid(shown, self._rows, str(self._said.get("against")))
        lacking = {*self._rows} - {name for name, _ in grid.body} if "methods" in self._said else set()
        if lacking or not grid.body:
            raise ConfigError(f"table: {shown}: no numbers of {', '.join(sorted(lacking)) or 'any method'}")
        places = [1 + self._comparison.targets.index(target) for target in self._targets]
        further = list(range(1 + len(places), len(grid.head)))
        if len(places) > 1 and not self._mean:
            further = further[1:]
        places += further
        body = [(name, [cells[place - 1] for place in places]) for name, cells in grid.body]
        return replace(grid, head=[grid.head[place] for place in (0, *places)], body=body)

    def figure(self, name: str) -> bytes:
        """Draws the differences."""
        against = str(self._said["against"])
        columns = {target: [target] for target in self._targets}
        if len(columns) > 1 and self._mean:
            columns["mean"] = self._targets
        rows = {row: [self._gain(row, against, of) for of in columns.values()] for row in self._rows}
        lacking = [row for row, found in rows.items() if not any(found)]
        shown = {row: found for row, found in rows.items() if row not in lacking}
        if not shown or (lacking and "methods" in self._said):
            raise ConfigError(f"figure: gains: no numbers of {', '.join(lacking) or 'any method'}")
        return gains(name, f"points more than {against}", [*columns], shown)

    def value(self, shown: str) -> str:
        """Returns one number, or what is known of all of them."""
        plain: Mapping[str, Callable[[], str]] = {
            "seeds": lambda: ", ".join(map(str, self._comparison.seeds)),
            "caption": lambda: caption(self._comparison),
        }
        if shown in plain:
            return plain[shown]()
        cell = self._cell(shown)
        if shown != "verdict":
            return cell.text
        if cell.noise is None:
            return "unknown"
        return "noise" if cell.noise else "less" if cell.number.startswith("-") else "more"

    @property
    def _mean(self) -> bool:
        return self._said.get("mean") != "false"

    def _grid(self, shown: str, rows: Sequence[str], reference: str) -> Grid:
        if shown == "scores":
            return scores_table(self._comparison, rows)
        if shown == "shares":
            return shares_table(self._comparison, rows)
        return differences_table(self._comparison, rows, reference, shown == "source_gains")

    def _cell(self, shown: str) -> Cell:
        of, on, over = (str(self._said.get(key)) for key in ("of", "on", "over"))
        places = [*self._comparison.targets, *(["mean"] if len(self._comparison.targets) > 1 else [])]
        _check_known("on", [on], [*places, *(["source"] if shown != "share" else [])])
        on_source = "source_gains" if on == "source" else "gains"
        table = {"score": "scores", "share": "shares"}.get(shown, on_source)
        body = self._grid(table, [of], over).body
        # The source, or all targets on it, is the last column of each table.
        cell = body[0][1][-1 if on == "source" else places.index(on)] if body else Cell()
        if not cell.number:
            raise ConfigError(f"value: {shown}: {of} has none on {on}{f' over {over}' if 'over' in self._said else ''}")
        return cell

    def _gain(self, method: str, against: str, targets: Sequence[str]) -> Gain | None:
        summary = self._comparison.gain(method, against, targets)
        if summary is None:
            return None
        seeds = list(self._comparison.gain_by_seed(method, against, targets).values())
        return Gain(summary.mean, summary.error, seeds, is_noise(summary) is False)


def _kind(mark: Mark) -> tuple[str, str]:
    """Returns what kind a mark is and what it shows, once it says what that needs, and nothing else."""
    said = mark.said
    kinds = [kind for kind in _NEEDS if kind in said]
    if len(kinds) != 1:
        raise ConfigError(
            f"a mark says {', '.join(kinds) or 'nothing'} of what it shows; expected one of {_or(_NEEDS)}"
        )
    (kind,) = kinds
    _check_known(kind, [str(said[kind])], [*_NEEDS[kind]])
    shown = str(said[kind])
    needs, flags = _NEEDS[kind][shown], _FLAGS[kind]
    _check_keys(said, [kind, *needs, *flags, *_CHOICE])
    missing = [key for key in needs if key not in said]
    if missing:
        raise ConfigError(f"{kind}: {shown} says no {missing[0]}:; expected {', '.join(f'{key}:' for key in needs)}")
    for key in flags:
        _check_known(key, [str(said.get(key, "true"))], ["true", "false"])
    if mark.whole_lines == (kind == "value"):
        raise ConfigError(
            f"{kind}: {shown}; expected {'it within a line' if mark.whole_lines else 'a line of its own'}"
        )
    return kind, shown


def _check_keys(said: _Said, allowed: Sequence[str]) -> None:
    _check_known("a mark", list(said), allowed)
    for key, value in said.items():
        if isinstance(value, list) != (key in _LISTS):
            raise ConfigError(f"{key}: expected {'a list, [NAME, ...]' if key in _LISTS else 'one name'}")


def _count(said: _Said, results: Sequence[RunScores]) -> str:
    """Returns the number of all runs, or of those that the mark itself says: they need not compare."""
    found = list(results)
    for key, of in {**_KINDS_OF_RUNS, "methods": lambda run: run.method, "targets": lambda run: run.target}.items():
        if key in said:
            asked = [*said[key]] if key in _LISTS else [str(said[key])]
            _check_known(key, asked, sorted({name for run in found if (name := of(run)) is not None}))
            found = [run for run in found if of(run) in asked]
    return str(len({run.run for run in found}))


def _alike(said: _Said, results: Sequence[RunScores]) -> list[RunScores]:
    """Returns the results of the protocol and the source that a mark says, or of the only ones there are."""
    found = list(results)
    for key, of in _KINDS_OF_RUNS.items():
        there = sorted({of(run) for run in found})
        if key not in said and len(there) > 1:
            raise ConfigError(f"the scores have more than one {key}; give {key}: {_or(there)}")
        asked = str(said.get(key, there[0]))
        _check_known(key, [asked], there)
        found = [run for run in found if of(run) == asked]
    sizes = {"x".join(map(str, run.size)): run.run for run in found}
    if len(sizes) > 1:
        shown = ", ".join(f"{size} ({run})" for size, run in sizes.items())
        raise ConfigError(f"scores at different input sizes do not compare: {shown}")
    return found


@contextmanager
def _told_at(place: str) -> Iterator[None]:
    """Begins errors with the place of a mark; of a file that cannot be read there is one, whatever marks want of it."""
    try:
        yield
    except RecordError:
        raise
    except ZsdaError as error:
        raise ConfigError(f"{place}: {error}") from error


def _or(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def _check_known(what: str, asked: Iterable[str], known: Iterable[str]) -> None:
    known = list(known)
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise ConfigError(f"{what}: {', '.join(unknown)}; expected {_or(known)}")
