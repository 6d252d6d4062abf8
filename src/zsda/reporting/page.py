"""A report as one page: HTML that holds its pictures, charts, tables and files, and asks for nothing from elsewhere."""

import base64
import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from zsda.core.runs import RunFolder
from zsda.data.classes import find_classes
from zsda.evaluation.protocols import SCORE_NAMES, SUBSETS
from zsda.reporting import charts, formats
from zsda.reporting.cells import NONE, ORACLE_SELECTION, Grid
from zsda.reporting.charts import Bar, Curve, Panel
from zsda.reporting.comparison import Comparison
from zsda.reporting.edits import EditedSet, edited_sets
from zsda.reporting.facts import clock, run_facts
from zsda.reporting.gallery import Gallery, Pictures
from zsda.reporting.logs import read_logs
from zsda.reporting.run_scores import RunScores

_TYPES = {"csv": "text/csv", "md": "text/markdown", "tex": "application/x-tex"}


@dataclass(frozen=True)
class Chart:
    """A chart: what it shows, in a line, and its SVG."""

    title: str
    svg: Markup


@dataclass(frozen=True)
class ClassTable:
    """The IoU of every class in one setting: a chart, and per class a text for each method."""

    chart: Chart
    methods: Sequence[str]
    rows: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class PageTable:
    """A table with its own files, name -> ``data:`` address."""

    grid: Grid
    files: Mapping[str, str]


class Page:
    """Makes the page of a comparison.

    Args:
        comparison: what is compared.
        grids: its tables.
        runs: the folders of what is compared.
        command: that made the report.
        made: provenance of this start; see `zsda.core.provenance`.
    """

    def __init__(
        self,
        comparison: Comparison,
        grids: Sequence[Grid],
        runs: Sequence[RunFolder],
        command: str,
        made: Mapping[str, Any],
    ) -> None:
        self._comparison, self._grids, self._runs = comparison, grids, list(runs)
        self._command, self._made = command, made
        self._places = list(comparison.targets) or [comparison.source_setting]
        self._score = (SCORE_NAMES | SUBSETS)[comparison.score]
        self._numbers = itertools.count()
        self._classes = find_classes(self._runs[0].header().classes.model_dump())

    def html(self, written: Mapping[str, bytes], methods: Sequence[str] | None, scenes: int) -> bytes:
        """Returns the page.

        Args:
            written: file name -> content of the other files of the report, which the page holds as well.
            methods: see `Pictures`.
            scenes: the same.
        """
        pictures = Pictures(self._comparison, methods, scenes, self._classes)
        sets = edited_sets(self._runs)
        style, script = (files(__package__).joinpath(f"template/page.{kind}").read_text() for kind in ("css", "js"))
        environment = Environment(
            loader=PackageLoader("zsda.reporting", "template"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        text = environment.get_template("page.html").render(
            title=self._title(),
            about=self._about(),
            command=self._command,
            made=self._made,
            galleries=self._galleries(pictures, sets) if scenes else [],
            legend=[(one.name, "#{:02x}{:02x}{:02x}".format(*one.colour)) for one in self._classes.classes],
            overview=self._overview(),
            tables=[self._table(number, grid) for number, grid in enumerate(self._grids, 1)],
            chosen=self._comparison.oracle_selection,
            classes=self._class_tables(),
            curves=self._curves(),
            confusions=self._confusions(pictures),
            sets=sets,
            layout=self._layout_scores(sets),
            runs=[
                run_facts(run, [result for result in self._comparison.results if result.run == run.path.name])
                for run in self._runs
            ],
            downloads={name: _address(name, content) for name, content in written.items()},
            style=Markup(style),
            script=Markup(script),
            script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
        pictures.conclude()
        return text.encode(errors="backslashreplace")

    def _title(self) -> str:
        source = self._runs[0].header().source
        return f"{source} to {', '.join(self._comparison.targets)}" if self._comparison.targets else source

    def _about(self) -> dict[str, str]:
        comparison, first = self._comparison, self._comparison.results[0]
        reports = [
            run.phase(name).report() for run in self._runs for name in run.phase_names() if run.phase(name).finished
        ]
        chosen = f", {ORACLE_SELECTION}" if comparison.oracle_selection else ", last checkpoint"
        return {
            "runs": str(len(self._runs)),
            "methods": ", ".join(comparison.methods),
            "source": f"{self._runs[0].header().source}, shown by the setting {comparison.source_setting}",
            "targets": ", ".join(comparison.targets) or "none",
            "seeds": ", ".join(map(str, comparison.seeds)),
            "score": f"{self._score}, protocol {first.protocol}{chosen}",
            "training": f"{clock(sum(report.seconds for report in reports))} in all, of the last start of each phase",
        }

    def _scored(self) -> list[tuple[RunFolder, RunScores]]:
        scores = {result.run: result for result in reversed(self._comparison.results)}
        return [(run, scores[run.path.name]) for run in self._runs]

    def _galleries(self, pictures: Pictures, sets: Sequence[EditedSet]) -> list[Gallery]:
        domains = dict.fromkeys([*(place for place in self._places), *(one.domain for one in sets)])
        found = [
            gallery
            for place in domains
            for gallery in (
                pictures.of_edits(place, sets),
                pictures.of_target(place) if place in self._places else None,
            )
        ]
        return [gallery for gallery in found if gallery is not None]

    def _overview(self) -> Chart:
        comparison = self._comparison
        series: dict[str, list[Bar]] = {}
        for method in comparison.methods:
            of_targets = [[*comparison.target(method, target).values()] for target in comparison.targets]
            summary = comparison.mean_source(method)
            by_seed = [*comparison.source(method, self._places[0]).values()] if len(self._places) == 1 else []
            bars = [Bar(float(np.mean(values)) if values else None, values) for values in of_targets]
            series[method] = [*bars, Bar(summary.mean if summary else None, by_seed)]
        title = f"{self._score} in %, a dot for each seed on a target"
        return self._chart(title, charts.bars(self._name(), [*comparison.targets, comparison.source_setting], series))

    def _table(self, number: int, grid: Grid) -> PageTable:
        name = formats.file_name(f"table{number}", self._comparison)
        content = {
            f"{name}.csv": formats.table_csv([grid], self._comparison),
            f"{name}.tex": formats.latex([grid], self._command).encode(),
        }
        return PageTable(grid, {name: _address(name, found) for name, found in content.items()})

    def _runs_of(self, place: str, setting: str) -> dict[str, list[RunScores]]:
        """Returns method -> its runs for a target with details of a setting."""
        on_source = setting == self._comparison.source_setting
        found = {name: self._comparison.runs([name], [place], on_source) for name in self._comparison.methods}
        detailed = {
            name: [run for run in runs if setting in run.details and run.details[setting].iou]
            for name, runs in found.items()
        }
        return {name: runs for name, runs in detailed.items() if runs}

    def _settings(self) -> list[tuple[str, str, str]]:
        """Returns target, setting and a title, of all that classes are looked at in; the source without targets once."""
        source, several = self._comparison.source_setting, len(self._places) > 1
        pairs = [(place, setting) for place in self._places for setting in dict.fromkeys([place, source])]
        return [
            (place, setting, f"{setting}, networks for {place}" if several and setting == source != place else setting)
            for place, setting in pairs
        ]

    def _class_tables(self) -> list[ClassTable]:
        tables = []
        for place, setting, title in self._settings():
            runs = self._runs_of(place, setting)
            names = [one for one in self._classes.names if any(_ious(of, setting, one) for of in runs.values())]
            if not names:
                continue
            series = {
                method: [
                    Bar(float(np.mean(values)) if values else None, values)
                    for values in (_ious(of, setting, one) for one in names)
                ]
                for method, of in runs.items()
            }
            rows = {
                name: [NONE if bar.mean is None else f"{100 * bar.mean:.1f}" for bar in bars_of]
                for name, *bars_of in zip(names, *series.values(), strict=True)
            }
            chart = self._chart(f"IoU in % by class: {title}", charts.bars(self._name(), names, series))
            tables.append(ClassTable(chart, list(series), rows))
        return tables

    def _curves(self) -> list[Chart]:
        groups: dict[tuple[str, str | None], list[tuple[str, RunFolder]]] = {}
        for run, scores in self._scored():
            groups.setdefault((scores.method, run.header().target), []).append((f"seed {scores.seed}", run))
        return [
            self._chart(f"{method}{f' for {target}' if target else ''}", charts.curves(self._name(), panels))
            for (method, target), runs in groups.items()
            if (panels := _panels(runs))
        ]

    def _confusions(self, pictures: Pictures) -> list[Chart]:
        found: dict[tuple[str, str, tuple[str, ...]], Chart] = {}
        for place, setting, _title in self._settings():
            runs = self._runs_of(place, setting)
            for method in pictures.methods(place):
                of_method = [run for run in runs.get(method, []) if run.details[setting].confusion]
                key = (method, setting, tuple(run.label for run in of_method))
                counts = np.sum([run.details[setting].confusion for run in of_method], axis=0).tolist()
                if key in found or not np.any(counts):
                    continue
                target = f" for {of_method[0].target}" if of_method[0].target else ""
                title = f"{method}{target} in {setting}: share of each class's pixels by prediction, in %"
                found[key] = self._chart(title, charts.confusion(self._name(), counts, self._classes.names))
        return list(found.values())

    def _layout_scores(self, sets: Sequence[EditedSet]) -> Chart | None:
        scored = [one for one in sets if one.layout_scores]
        several = len({one.root.parent for one in scored}) > 1
        values = {f"{one.name} in {one.root.parent}" if several else one.name: one.layout_scores for one in scored}
        if not values:
            return None
        title = "Layout scores: how much of the labels a network that was trained on the source finds on an edit"
        return self._chart(title, charts.histogram(self._name(), values, "layout score"))

    def _name(self) -> str:
        return f"chart{next(self._numbers)}"

    def _chart(self, title: str, svg: str) -> Chart:
        return Chart(title, Markup(svg))  # matplotlib escapes the texts in it


def _ious(runs: Sequence[RunScores], setting: str, name: str) -> list[float]:
    return [iou for run in runs if (iou := run.details[setting].iou.get(name)) is not None]


def _panels(runs: Sequence[tuple[str, RunFolder]]) -> list[Panel]:
    """Returns a panel for the loss of each phase, and one for what it watched, with a curve for each run."""
    losses: dict[str, list[Curve]] = {}
    watched: dict[tuple[str, str], list[Curve]] = {}
    for label, run in runs:
        for log in read_logs(run):
            losses.setdefault(log.phase, []).append(Curve(label, [*log.loss], [*log.loss.values()]))
            for name, values in log.watched.items():
                curve = Curve(label, [*values], [100 * value for value in values.values()])
                watched.setdefault((log.phase, name), []).append(curve)
    panels = []
    for phase, of_phase in losses.items():
        panels.append(Panel(phase, "training loss", [curve for curve in of_phase if curve.steps]))
        panels += [
            Panel(f"{phase}, on {name}", "mIoU in %", found) for (of, name), found in watched.items() if of == phase
        ]
    return [panel for panel in panels if panel.curves]


def _address(name: str, content: bytes) -> str:
    kind = _TYPES[name.rpartition(".")[2]]
    return f"data:{kind};charset=utf-8;base64,{base64.b64encode(content).decode()}"
