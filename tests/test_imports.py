"""Imports are a ladder: commands on top, ``core`` at the bottom, no circles, and configs end at the commands."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import zsda

ROOT = Path(zsda.__file__).parent
RUNGS = [
    {"core", "__init__"},
    {"data"},
    {"models", "miniature"},
    {"evaluation", "training"},
    {"generation", "adaptation", "pseudo_labels", "prediction", "reporting"},
]
RUNG = {room: height for height, rooms in enumerate(RUNGS) for room in rooms}
COMMAND = len(RUNGS)
CONFIG = {
    f"core.{name}"
    for name in (
        "config",
        "command",
        "departures",
        "listing",
        "networks",
        "options",
        "own_configs",
        "own_data",
        "planning",
        "recording",
        "study_runs",
        "words",
    )
}
"""The modules that read configs; commands import them, and nothing below."""


def modules():
    return {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in ROOT.rglob("*.py")}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "zsda":
            inner = node.module.split(".")[1:]
            for alias in node.names:
                yield ".".join([*inner, alias.name]), ".".join(inner)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("zsda."):
                    yield alias.name.removeprefix("zsda."), alias.name.removeprefix("zsda.")


def edges():
    """Pairs of module and imported module; a package counts as its ``__init__``."""
    known = modules()
    for module, path in known.items():
        for full, parent in imported(path):
            candidates = (full, f"{full}.__init__", parent, f"{parent}.__init__", "__init__")
            yield module, next(name for name in candidates if name in known)


def rung(module):
    """Returns how high a module stands."""
    return RUNG.get(module.split(".")[0], COMMAND)


def test_no_module_imports_upwards():
    upward = [f"{one} -> {other}" for one, other in edges() if rung(other) > rung(one)]
    assert not upward


def test_commands_do_not_import_commands():
    between = [f"{one} -> {other}" for one, other in edges() if rung(other) == COMMAND]
    assert not between


def test_commands_alone_lie_beside_the_rooms():
    assert {path.stem for path in ROOT.glob("*.py")} == {
        "__init__", "__main__", "cache", "check", "demo", "eval", "export", "generate", "predict", "preview", "report", "study",
        "train",
    }  # fmt: skip


def test_below_the_commands_nothing_reads_a_config():
    below = {name: path for name, path in modules().items() if rung(name) < COMMAND and name not in CONFIG}
    reading = [f"{one} -> {other}" for one, other in edges() if one in below and other in CONFIG]
    users = [
        name
        for name, path in below.items()
        for node in ast.walk(ast.parse(path.read_text()))
        for module in ([a.name for a in node.names] if isinstance(node, ast.Import) else [getattr(node, "module", "")])
        if str(module).split(".")[0] in ("hydra", "omegaconf")
    ]
    assert modules().keys() >= CONFIG
    assert not reading
    assert not users


def test_the_package_imports_no_tool():
    assert not [name for name, path in modules().items() if "small_editor" in path.read_text()]


def test_there_is_no_circle():
    graph = {}
    for one, other in edges():
        if one != other:
            graph.setdefault(one, set()).add(other)
    assert len(list(TopologicalSorter(graph).static_order())) > 20


def test_only_transforms_imports_albumentations():
    users = [
        name
        for name, path in modules().items()
        if "albumentations" in path.read_text() and "import albumentations" in path.read_text()
    ]
    assert users == ["data.transforms"]


def test_importing_zsda_or_a_command_loads_nothing_heavy():
    heavy = {
        "torch",
        "lightning",
        "diffusers",
        "transformers",
        "cv2",
        "albumentations",
        "matplotlib",
        "segmentation_models_pytorch",
        "onnx",
        "onnxruntime",
        "onnxscript",
    }
    names = ("check", "generate", "train", "eval", "predict", "report", "preview", "export", "demo", "study")
    commands = ", ".join([*(f"zsda.{name}" for name in names), "tools.small_editor.train"])
    code = f"import sys, zsda, {commands}; print(sorted({heavy!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
