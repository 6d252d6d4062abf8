"""The page of a report, read as a browser would: what it shows, that it needs nothing else, and that no text acts in it."""

import base64
import hashlib
import io
import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from tests.conftest import one_line, run
from tests.reporting.made import add_scores, make_run
from tests.reporting.site import HOSTILE, SIZE, labels_of, make_site, make_sixty, predicted, write_told
from zsda.core.files import file_digest, to_json, write_atomic

VOID = {"meta", "link", "img", "input", "br", "path", "use"}


class Reader(HTMLParser):
    """Lists elements with their attributes, and the texts between them."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.texts, self._open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data):
        if not self._open or self._open[-1] not in ("style", "script"):
            self.texts.append(data)

    def named(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    runs = make_site(folder)
    result = run("report", "scenes=2", cwd=folder)
    assert result.returncode == 0, result.stderr
    assert "written: report.html, table.md" in result.stdout
    return runs, (runs / "report/report.html").read_text()


@pytest.fixture(scope="module")
def page(site):
    return Reader(site[1])


def pixels(uri):
    kind, content = uri.removeprefix("data:image/").split(";base64,")
    return Image.open(io.BytesIO(base64.b64decode(content)), formats=[kind])


def scenes(page, gallery):
    """The scenes of a gallery, name -> title -> picture."""
    found, current, number = {}, None, 0
    for tag, attrs in page.elements:
        if tag == "section" and attrs.get("class") == "gallery":
            number += 1
        elif tag == "article" and number == gallery:
            current = found.setdefault(attrs["data-name"], {})
        elif tag == "img" and number == gallery and "data-title" in attrs:
            current[attrs["data-title"]] = attrs
    return found


def test_it_needs_nothing_else(site, page):
    addresses = [
        (tag, attrs[key]) for tag, attrs in page.elements for key in ("src", "href", "xlink:href") if attrs.get(key)
    ]
    assert {address.split(":")[0] for tag, address in addresses if not address.startswith("#")} == {"data"}
    inner = {address[1:] for _, address in addresses if address.startswith("#")}
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert inner <= set(ids)
    assert len(ids) == len(set(ids)), "charts do not share ids"
    assert not re.search(r"url\((?!#)", site[1])
    (policy,) = (attrs["content"] for attrs in page.named("meta") if attrs.get("http-equiv"))
    assert policy.startswith("default-src 'none'; img-src data:;")
    script = site[1].partition("<script>")[2].partition("</script>")[0]
    assert f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in policy


def test_no_text_acts_in_it(site, page):
    assert len(page.named("script")) == 1
    assert not [attrs for _, attrs in page.elements if any(key.startswith("on") for key in attrs)]
    assert not [attrs for attrs in page.named("img") if not (attrs.get("src", "data:image/").startswith("data:image/"))]
    assert {tag for tag, _ in page.elements}.isdisjoint({"b", "iframe", "object", "form", "base"})
    shown = " ".join(HOSTILE.split())
    for where in (f"make it foggy {shown}", f"cityscapes {shown}", f"zsda {shown}", "city<b>/fog_0"):
        assert where in page.text
    assert HOSTILE not in site[1]
    assert "secret-host" not in site[1]


def test_every_picture_is_whole(page):
    images = [attrs for attrs in page.named("img") if "src" in attrs]
    assert len(images) == 4 * 8 + 6 * 6
    for attrs in images:
        picture = pixels(attrs["src"])
        picture.load()
        assert picture.size == (int(attrs["width"]), int(attrs["height"])) == SIZE[::-1]
        assert attrs["alt"]


def test_scenes_of_the_largest_gain_and_loss_come_first(page):
    shown = scenes(page, 2)
    assert list(shown)[:4] == ["city<b>/fog_0", "city<b>/fog_1", "city<b>/fog_7", "city<b>/fog_6"]
    assert len(shown) == 6
    notes = [attrs["data-note"] for attrs in page.named("article")][4:]
    assert notes[0] == "largest gain: source_2x 50.1, sdgpa 80.1, +30.0 points"
    assert notes[2] == "largest loss: source_2x 50.1, sdgpa 30.1, -20.0 points"
    assert "8 scenes were scored. The gain is that of sdgpa over source_2x." in page.text
    assert "means over 2 seeds; predictions are those of seed 0" in page.text


def test_the_views_are_those_of_their_scene(page):
    shown = scenes(page, 2)["city<b>/fog_1"]
    assert list(shown) == [
        "image", "ground truth", "source_2x predicts", "errors of source_2x", "sdgpa predicts", "errors of sdgpa",
    ]  # fmt: skip
    ids = {title: np.asarray(pixels(attrs["src"])) for title, attrs in shown.items()}
    labels, wrong = labels_of(1), 8
    assert np.array_equal(ids["ground truth"], labels)
    assert np.array_equal(ids["sdgpa predicts"], predicted(1, wrong))
    expected = np.where(labels == 255, 2, predicted(1, wrong) != labels)
    assert np.array_equal(ids["errors of sdgpa"], expected)
    edits = scenes(page, 1)["city<b>/1"]
    assert list(edits)[:4] == ["source", "intermediate", "target edit", "ground truth"]
    shade = {title: np.asarray(pixels(attrs["src"])).mean() for title, attrs in list(edits.items())[:3]}
    assert shade["source"] < shade["target edit"] - 40


def test_numbers_files_and_what_was_run(site, page):
    runs, _ = site
    for text in (
        "source_2x 30.5 ± 0.7 70.5 ± 0.7", "sdgpa 40.5 ± 0.7 60.5 ± 0.7", "IoU in % by class: fog", "road 30.5 40.5 50.5",
        "sdgpa for fog in fog: share of each class's pixels", "fog_target 7 val 1 1 black",
        "git revision 0123456789abcdef", "torch 2.15.0", "only/intermediate " + "a" * 64,
        file_digest(runs / "fog_sdgpa_seed0/only/weights.safetensors"), "started 2026-01-02T03:04:05+00:00",
        "only 30 60 1 s", "seed 0", "training loss", "python -m zsda.report scenes=2",
    ):  # fmt: skip
        assert text in page.text, text
    links = {attrs["download"]: attrs["href"] for attrs in page.named("a") if "download" in attrs}
    for path in (runs / "report").iterdir():
        if path.name != "report.html":
            assert base64.b64decode(links[path.name].partition("base64,")[2]) == path.read_bytes()


def test_a_chart_has_the_text_as_it_is(page):
    """No formula is made of a name, and no mark-up."""
    from zsda.reporting.charts import Bar, Curve, Panel, bars, curves

    for chart in (
        bars("c", [HOSTILE], {HOSTILE: [Bar(0.5, [0.4, 0.6])], "$\\frac$": [Bar(None)]}),
        curves("d", [Panel(HOSTILE, HOSTILE, [Curve(HOSTILE, [0, 1], [1, 2]), Curve("b", [], [])])]),
    ):
        read = Reader(chart)
        assert {tag for tag, _ in read.elements} <= {"svg", "defs", "g", "path", "clippath", "rect", "text", "use"}
        assert HOSTILE in read.text


def test_a_later_start_of_a_training_writes_over_what_it_went_through_again(site):
    from zsda.core.runs import RunFolder
    from zsda.reporting.logs import read_logs

    (log,) = read_logs(RunFolder(site[0] / "fog_sdgpa_seed0"))
    assert log.loss == pytest.approx(
        {step: 2 - step / 100 if step < 30 else 1 - step / 100 for step in range(0, 100, 10)}
    )
    assert log.watched == {"source": {49: 0.5, 99: 0.6}}


def test_pictures_can_be_chosen_and_left_out(site, zsda, tmp_path):
    runs, _ = site
    result = zsda("report", f"runs_root={runs}", f"out={tmp_path}/a", "pictures=[sdgpa,oracle]", "scenes=1")
    assert result.returncode == 0, result.stderr
    read = Reader((tmp_path / "a/report.html").read_text())
    assert "errors of oracle" in scenes(read, 2)["city<b>/fog_7"]
    assert "source_2x predicts" not in read.text
    result = zsda("report", f"runs_root={runs}", f"out={tmp_path}/b", "scenes=0")
    assert not Reader((tmp_path / "b/report.html").read_text()).named("img")
    assert "pictures=mine: there are no runs of it" in one_line(zsda("report", f"runs_root={runs}", "pictures=mine"))
    assert "scenes=-1; expected a whole number" in one_line(zsda("report", f"runs_root={runs}", "scenes=-1"))


def test_what_is_gone_or_from_an_earlier_version_is_named_and_left_out(zsda, tmp_path):
    runs = make_site(tmp_path / "work")
    (tmp_path / "work/data").rename(tmp_path / "work/moved")
    first = zsda("report", "scenes=1")
    assert first.returncode == 0, first.stderr
    assert "pictures are not shown, the first: " in first.stdout
    read = Reader((runs / "report/report.html").read_text())
    assert next(iter(scenes(read, 1)["city<b>/0"])) == "ground truth"
    for path in runs.glob("*/eval/*/scores.json"):
        (path.parent / "scenes.zip").write_bytes(b"")
        write_told(path.parent, json.loads(path.read_text()))
    spoilt = zsda("report", "scenes=1")
    assert re.search(r"\d pictures are not shown, the first: .*/scenes.zip cannot be read", spoilt.stdout)
    for path in runs.glob("*/eval/*/scenes.csv"):
        path.unlink()
    last = zsda("report", "scenes=1")
    assert last.returncode == 0, last.stderr
    assert "no pictures of day_source_2x_seed0, fog_sdgpa_seed0, day_source_2x_seed1, ...: scored by an" in last.stdout
    assert not Reader((runs / "report/report.html").read_text()).named("article")


def test_sets_that_lie_apart_from_the_data_are_shown_beside_their_source(zsda, tmp_path):
    runs = make_site(tmp_path / "work")
    before = zsda("report", "scenes=1")
    shown = len(Reader((runs / "report/report.html").read_text()).named("img"))
    apart = tmp_path / "apart"
    apart.mkdir()
    for place in (tmp_path / "work/data").glob("fog_*"):
        place.rename(apart / place.name)
    for path in runs.glob("*/run.json"):
        (start,) = json.loads(path.read_text())["starts"]
        spoil(path, starts=[{**start, "generated_root": str(apart)}])
    for path in runs.glob("*/eval/*/scores.json"):
        told = json.loads(path.read_text())
        told["roots"] = {name: root.replace("/work/data/fog_", "/apart/fog_") for name, root in told["roots"].items()}
        write_told(path.parent, told)
    after = zsda("report", "scenes=1")
    assert (before.returncode, after.returncode) == (0, 0), after.stderr
    assert "pictures are not shown" not in after.stdout
    assert len(Reader((runs / "report/report.html").read_text()).named("img")) == shown > 0


def spoil(path, **values):
    write_atomic(path, to_json({**json.loads(path.read_text()), **values}))


LONG = "a" * 5000


@pytest.mark.parametrize(
    "change",
    [
        lambda root: spoil(root / "runs/fog_sdgpa_seed0/run.json", starts=[{"data_root": "\0", "versions": 3}]),
        lambda root: spoil(root / "runs/fog_sdgpa_seed0/run.json", starts=[{"data_root": f"/{LONG}", "git": [1]}]),
        lambda root: spoil(root / "data/fog_target/generation.json", domain={"prompt": [1, {"a": None}]}, editor=7),
        lambda root: (root / "data/fog_target/manifest.jsonl").write_text(
            f'{{"retries": 5, "output": "a/{LONG}"}}\n[]\nx\n{{"retries": true, "output": "../../x", "layout_score": "a"}}\n'
        ),
        lambda root: (root / "runs/fog_sdgpa_seed0/only/csv/version_1/metrics.csv").write_text(
            f"step,train/loss_step\n1,1e308\n2,-1e308\n{'9' * 400},1\nx,1\n3,nan\n4,\n5,0.5,7\n"
        ),
        lambda root: (root / "runs/fog_sdgpa_seed0/only/csv/version_1/metrics.csv").write_bytes(b"\xff\0"),
    ],
)  # fmt: skip
def test_odd_values_in_files_do_not_end_a_report(zsda, tmp_path, change):
    runs = make_site(tmp_path / "work", scenes=4)
    change(tmp_path / "work")
    result = zsda("report", "scenes=1")
    assert result.returncode == 0, result.stderr
    assert "sdgpa 40.5 ± 0.7 60.5 ± 0.7" in Reader((runs / "report/report.html").read_text()).text


@pytest.mark.parametrize("confusion", [[[1, 2], [3]], [[-1] * 20] * 19, [[1] * 30] * 25])
def test_a_confusion_of_another_shape_is_refused(zsda, tmp_path, confusion):
    runs = make_site(tmp_path / "work", scenes=4)
    (path,) = runs.glob("fog_sdgpa_seed0/eval/*/scores.json")
    told = json.loads(path.read_text())
    told["settings"]["fog"]["confusion"] = confusion
    write_atomic(path, to_json(told))
    result = zsda("report")
    assert result.returncode == 0, result.stderr
    assert f"left out: {path.relative_to(tmp_path / 'work')}: " in result.stdout
    assert "fog_sdgpa_seed0" not in (runs / "report/table.csv").read_text()


def test_a_data_folder_that_cannot_be_looked_into_costs_its_pictures_alone(zsda, tmp_path, monkeypatch):
    """Root may look everywhere, so what the system would say is said here."""
    from pathlib import Path

    runs = make_site(tmp_path / "work", scenes=4)
    real = Path.is_file

    def is_file(path):
        if "/data/" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(Path, "is_file", is_file)
    result = zsda("report", "scenes=1")
    assert result.returncode == 0, result.stderr
    assert "Generated sets" not in Reader((runs / "report/report.html").read_text()).text


def test_the_charts_are_the_same_whatever_the_users_own_settings_are(monkeypatch):
    import matplotlib

    from zsda.reporting.charts import Bar, bars

    first = bars("c", ["road"], {"a_b$": [Bar(0.5, [0.4, 0.6])]})
    monkeypatch.setitem(matplotlib.rcParams, "text.usetex", True)
    monkeypatch.setitem(matplotlib.rcParams, "font.size", 30)
    assert bars("c", ["road"], {"a_b$": [Bar(0.5, [0.4, 0.6])]}) == first


def test_seeds_have_one_colour_in_all_panels_and_every_one_a_name():
    from zsda.reporting.charts import Curve, Panel, curves

    panels = [
        Panel(title, "loss", [Curve(f"seed {n}", range(20), range(n, n + 20)) for n in range(10)])
        for title in ("a", "b")
    ]
    chart = curves("c", panels)
    assert [text for text in Reader(chart).texts if text.startswith("seed")] == [f"seed {n}" for n in range(10)]
    assert chart.count("stroke: var(--series-3)") == 2 + 1, "a line in each panel, one in the legend"
    assert chart.count("stroke-dasharray") >= 2 * 2, "the ninth and tenth share colours"


def test_methods_are_shown_that_have_a_seed_in_common(zsda, tmp_path):
    runs = make_site(tmp_path / "work", scenes=4)
    for name in ("fog_sdgpa_seed1", "fog_oracle_seed0"):
        shutil.rmtree(runs / name)
    header = json.loads((runs / "fog_oracle_seed1/run.json").read_text())["header"]
    spoil(runs / "fog_oracle_seed1/run.json", header={**header, "method": "whole"})
    result = zsda("report", "scenes=1")
    assert result.returncode == 0, result.stderr
    shown = {
        attrs["data-title"]
        for attrs in Reader((runs / "report/report.html").read_text()).named("img")
        if "data-title" in attrs
    }
    assert {"source_2x predicts", "whole predicts"} <= shown
    assert "sdgpa predicts" not in shown, "of another seed"


def test_runs_without_details_have_a_page_as_well(zsda, tmp_path):
    root = tmp_path / "work/runs"
    make_run(root, "source_only", None, 0, {"day": 0.5, "fog": 0.2})
    add_scores(root / "day_source_only_seed0", {"fog": 0.3}, protocol="full")
    result = zsda("report")
    assert result.returncode == 0, result.stderr
    assert "source_only 20.0 50.0" in Reader((root / "report/report.html").read_text()).text


def test_sixty_runs_stay_under_twenty_megabytes(tmp_path):
    runs = make_sixty(tmp_path)
    assert len([*runs.iterdir()]) == 60
    result = run("report", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert 2e6 < (runs / "report/report.html").stat().st_size < 20e6
