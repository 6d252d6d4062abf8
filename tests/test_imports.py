"""Imports are a ladder: commands on top, data at the bottom, no circles."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import zsda

ROOT = Path(zsda.__file__).parent
RUNGS = [
    {"errors", "__init__"},
    {"hardware", "shipped", "seeds", "records"},
    {"files", "provenance", "runs", "locks", "config", "command"},
    {"data"},
    {"models", "pseudo_labels", "miniature"},
    {"evaluation"},
    {"generation", "adaptation", "reporting"},
    {"miniature.school", "choosing", "departures", "recording"},
]
RUNG = {room: height for height, rooms in enumerate(RUNGS) for room in rooms}
COMMAND = len(RUNGS)
COMMANDS_IN_PACKAGES = {"miniature.editor", "miniature.ship"}


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
    """Returns how high a module stands; a room may stand elsewhere than the package that it is in."""
    if module in COMMANDS_IN_PACKAGES:
        return COMMAND
    parts = module.split(".")
    return next((RUNG[room] for room in (".".join(parts[:2]), parts[0]) if room in RUNG), COMMAND)


def test_no_module_imports_upwards():
    upward = [f"{one} -> {other}" for one, other in edges() if rung(other) > rung(one)]
    assert not upward


def test_commands_do_not_import_commands():
    between = [f"{one} -> {other}" for one, other in edges() if rung(other) == COMMAND]
    assert not between


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
    commands = (
        "zsda.generate, zsda.train, zsda.eval, zsda.report, zsda.preview, zsda.export, zsda.demo, zsda.miniature.editor"
    )
    code = f"import sys, zsda, {commands}; print(sorted({heavy!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
