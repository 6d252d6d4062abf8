"""``notebooks/tour.ipynb`` runs as it stands, and holds what it gave.

``python -m tests.test_notebook`` executes it, and writes its outputs into it.
"""

import ast
import base64
import io
import re
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from PIL import Image

from zsda.data.labels import CITYSCAPES

NOTEBOOK = Path(__file__).parents[1] / "notebooks/tour.ipynb"
LARGEST = 600_000  # bytes
POINTS = 5  # that an mIoU may differ by: roundings, which other machines do otherwise, add up; one thread or two differ by half a point
PATH = re.compile(
    r"(?<![\w.:/])/(?:home|root|tmp|work|Users|usr|opt|mnt|var|private)\b|\b[A-Z]:\\|\.venv|site-packages"
)
TIME = re.compile(r"\b\d+(?:\.\d+)? ?(?:s|ms|min|seconds?|minutes?)\b|\b\d\d?:\d\d\b")


class OwnKernel(AsyncKernelManager):
    """Starts the kernel of this interpreter, whatever is installed under the name that the notebook gives."""

    def _kernel_spec_manager_default(self):
        return KernelSpecManager(kernel_dirs=[])

    def _shutdown_wait_time_default(self):
        return 60.0  # seconds until it is killed, before which it removes its files


def execute(folder):
    """The notebook after all of its cells ran in a folder; one that raises is an error."""
    notebook, place = nbformat.read(NOTEBOOK, as_version=4), {"metadata": {"path": str(folder)}}
    settings = {"kernel_manager_class": OwnKernel, "timeout": 600, "record_timing": False, "resources": place}
    return NotebookClient(notebook, **settings).execute()


def code_cells(notebook):
    return {cell.id: cell for cell in notebook.cells if cell.cell_type == "code"}


def printed(notebook):
    """Cell -> what it printed."""
    return {name: "".join(o.get("text", "") for o in cell.outputs) for name, cell in code_cells(notebook).items()}


def shown(notebook, kind):
    """Cell -> the outputs of a type."""
    outputs = {name: [o.data for o in cell.outputs if "data" in o] for name, cell in code_cells(notebook).items()}
    return {name: [data[kind] for data in found if kind in data] for name, found in outputs.items()}


def class_table(notebook):
    """Names of the columns, and row -> its numbers."""
    (text,) = shown(notebook, "text/plain")["scores"]
    cells = [[cell.strip() for cell in re.split("[│┃]", line)[1:-1]] for line in text.splitlines()]
    head, *rows = filter(None, cells)
    return head[1:], {name: [float(number) for number in numbers] for name, *numbers in rows}


def picture_sizes(notebook):
    pictures = shown(notebook, "image/jpeg")
    return {n: [Image.open(io.BytesIO(base64.b64decode(p))).size for p in found] for n, found in pictures.items()}


@pytest.fixture(scope="module")
def stored():
    return nbformat.read(NOTEBOOK, as_version=4)


def test_the_kernel_is_that_of_this_interpreter():
    assert OwnKernel(kernel_name="python3").kernel_spec.argv[0] == sys.executable


def test_executed_anew_it_shows_the_same(stored, tmp_path, monkeypatch):
    """One test, so that no two processes execute it."""
    folders = {name: tmp_path / name for name in ("TMPDIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "work")}
    for name, folder in folders.items():
        folder.mkdir()
        monkeypatch.setenv(name, str(folder))
    executed = execute(folders["work"])
    assert printed(executed) == printed(stored)
    assert picture_sizes(executed) == picture_sizes(stored)

    (head, rows), (stored_head, stored_rows) = class_table(executed), class_table(stored)
    assert (
        head == stored_head == [f"{setting}, {name}" for setting in ("day", "fog") for name in ("source_2x", "sdgpa")]
    )
    assert list(rows) == list(stored_rows)
    assert list(rows)[:19] == list(CITYSCAPES.names)
    assert rows["mIoU"] == pytest.approx(stored_rows["mIoU"], abs=POINTS)

    (text,) = shown(executed, "text/plain")["comparison"]
    compared = re.findall(r"^ +(source_2x|sdgpa) +(\S.*?) *$", text, re.MULTILINE)
    assert [name for name, _ in compared] == ["source_2x", "sdgpa", "sdgpa", "sdgpa"], "scores, then differences"
    source, sdgpa, on_target, by_day = ([float(number) for number in numbers.split()] for _, numbers in compared)
    assert [*source, *sdgpa] == [rows["mIoU"][place] for place in (2, 0, 3, 1)]
    assert [*on_target, *by_day] == pytest.approx([sdgpa[0] - source[0], sdgpa[1] - source[1]], abs=0.11)
    assert "One seed cannot tell a difference from noise." in text

    assert not list(folders["work"].iterdir()), "it writes where it was told to"
    assert not list(folders["TMPDIR"].glob("zsda*")), "which is gone with the kernel"


def test_what_is_stored_was_run_from_top_to_bottom_in_silence(stored):
    cells = list(code_cells(stored).values())
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]


def test_what_is_stored_is_small_and_tells_nothing_of_the_machine(stored):
    assert NOTEBOOK.stat().st_size < LARGEST
    texts = list(printed(stored).values())
    texts += [text for kind in ("text/plain", "text/html") for found in shown(stored, kind).values() for text in found]
    assert [found for text in texts for found in (*PATH.findall(text), *TIME.findall(text))] == []
    assert stored.metadata.keys() <= {"kernelspec", "language_info"}
    assert stored.metadata.kernelspec == {"display_name": "Python 3", "language": "python", "name": "python3"}
    assert [cell.metadata for cell in stored.cells if cell.metadata] == []


def test_cells_are_plain_python(stored):
    for cell in code_cells(stored).values():
        ast.parse(cell.source)  # which knows no magics
        assert "noqa" not in cell.source
        assert not PATH.search(cell.source)


def test_what_the_text_points_to_is_there(stored):
    text = "\n".join(cell.source for cell in stored.cells if cell.cell_type == "markdown")
    links = re.findall(r"\]\(([^)#]+)", text)
    assert links
    assert [link for link in links if not (NOTEBOOK.parent / link).exists()] == []
    commands = re.findall(r"python -m zsda\.(\w+)", text)
    assert {"generate", "train", "eval", "report", "demo", "preview"} <= set(commands)
    assert [name for name in commands if not (NOTEBOOK.parents[1] / f"src/zsda/{name}.py").is_file()] == []


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as work:
        nbformat.write(execute(work), NOTEBOOK)
    print(f"{NOTEBOOK.name}: {NOTEBOOK.stat().st_size} bytes")
