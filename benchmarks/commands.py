"""Every command of zsda on a device, in the miniature world, and what it says and makes there."""

import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from material import scenes
from PIL import Image

_EXACT = {"NVIDIA_TF32_OVERRIDE": "0"}
"""Lets a GPU calculate in fp32 in full, as a CPU does."""

_UNCHANGED = [f"data.transform.{part}=[1,1]" for part in ("brightness", "contrast", "saturation")] + [
    "data.transform.hue=[0,0]"
]
"""Colours, which are changed in 8 bits on a CPU, and in floats elsewhere."""


def run(name: str, *words: str, before: str = "", **environment: str) -> dict[str, Any]:
    """Runs a command in a process of its own.

    Args:
        name: of the command.
        words: its arguments.
        before: Python that comes first.
        environment: more of it.
    """
    start = ["-m", f"zsda.{name}"]
    if before:
        module = f"runpy.run_module('zsda.{name}', run_name='__main__', alter_sys=True)"
        start = ["-c", f"import runpy, sys, torch; {before}; {module}"]
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *start, *words], capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return {"seconds": round(time.perf_counter() - begin, 1), "exit_code": done.returncode, "output": lines}


def commands(device: torch.device, tiny: bool) -> dict[str, Any]:
    """Runs each once, and compares edits and losses in fp32 with those of the CPU."""
    with tempfile.TemporaryDirectory() as folder:
        return _commands(Path(folder), device, tiny)


def _commands(folder: Path, device: torch.device, tiny: bool) -> dict[str, Any]:
    os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
    here = f"trainer={'gpu' if device.type == 'cuda' else 'cpu'}"
    scenes_of = [
        f"world.prepare.{split}={count}" for split, count in {"train": 4 if tiny else 16, "val": 4, "test": 4}.items()
    ]
    found: dict[str, Any] = {}

    def at(place: str) -> str:
        return f"data_root={folder}/{place}"

    def note(what: str, name: str, *words: str, **more: str) -> list[str]:
        done = run(name, "world=miniature", *scenes_of, *words, **more)
        output = done.pop("output")
        print(f"       {what}: {done['seconds']} s, exit code {done['exit_code']}", file=sys.stderr, flush=True)
        found[what] = done | ({"said": output[-3:]} if done["exit_code"] else {})
        return output

    edits = ["domain=fog", "recipe=[target]", "limit=4", "layout.ckpt=null"]
    note("generate_on_cpu", "generate", *edits, at("cpu"), "trainer=cpu", "editor.precision=fp32")
    note("generate_fp32", "generate", *edits, at("fp32"), here, "editor.precision=fp32", **_EXACT)
    found["edits_differ_by_grey_levels"] = _largest_gap(folder / "cpu", folder / "fp32")
    note("generate", "generate", "domain=fog", at("both"), here)
    if not tiny:  # a CPU takes minutes to compile
        note("generate_compiled", "generate", *edits, at("compiled"), here, "editor.compile=true")
    note("generate_fast", "generate", *edits, at("fast"), here, "editor=fast")

    runs = f"runs_root={folder}/runs"
    train = [
        "experiment=fog",
        "method.epochs={first: 1, second: 1, horizon: 1, single: 2}",
        at("both"),
        runs,
        "logger=[csv]",
    ]
    alike = [*train, *_UNCHANGED, "machine.log_every_n_steps=1", "trainer.precision=32-true"]
    note("train_on_cpu", "train", *alike, "trainer=cpu", "name=on_cpu")
    note("train_fp32", "train", *alike, here, "name=fp32", **_EXACT)
    found["losses_on_cpu_and_here"] = [_losses(folder / "runs" / name) for name in ("on_cpu", "fp32")]
    note("train", "train", *train, here, "name=default")
    if not tiny:
        note("train_compiled", "train", *train, here, "name=compiled", "compile=true")
    note("eval", "eval", "setting=[day,fog]", "run=[fp32,default]", at("both"), runs, here)
    if device.type == "cuda":
        share = 64e6 / torch.cuda.get_device_properties(device).total_memory
        little = f"torch.cuda.set_per_process_memory_fraction({share})"
        said = note("out_of_memory", "generate", *edits, at("full"), here, "batch_size=64", before=little)
        found["out_of_memory"]["said"] = said[-1:]
    return found


def _largest_gap(one: Path, other: Path) -> int | None:
    pattern = "fog_target/leftImg8bit/*/*/*.png"
    pairs = zip(sorted(one.glob(pattern)), sorted(other.glob(pattern)), strict=True)
    gaps = [int(np.abs(np.subtract(*(np.asarray(Image.open(path), int) for path in pair))).max()) for pair in pairs]
    return max(gaps, default=None)


def _losses(run_folder: Path) -> list[float]:
    """Returns the losses of the first steps."""
    (path,) = run_folder.glob("intermediate/csv/*/metrics.csv")
    with path.open() as file:
        return [float(row["train/loss_step"]) for row in csv.DictReader(file) if row.get("train/loss_step")][:4]


def waiting(device: torch.device, tiny: bool) -> dict[str, Any]:
    """Trains on files of Cityscapes' size through cache and loaders, and says for how much of the time the device waits for them."""
    words = [
        "experiment=night",
        "~method.phases.target",
        "data.watch=[]",
        "data.validation.split=train",
        "model.pretrained=false",
    ]
    words += ["data.cache=true", "profile=true", "name=waiting", "logger=[csv]"]
    if tiny:
        words += [
            "model.backbone=resnet18",
            "world.size=[64,128]",
            "world.crop=[48,96]",
            "data.batch_size=2",
            "machine.num_workers=1",
        ]
    else:
        words += ["data.batch_size=8", "machine.num_workers=12", "trainer.precision=bf16-mixed"]
    words += ["method.epochs.first=4", "trainer=gpu" if device.type == "cuda" else "trainer=cpu"]
    with scenes() as root:
        _multiply(root, 1 if tiny else 40)
        done = run("train", *words, f"data_root={root}", f"runs_root={root}/runs")
    said = [line for line in done["output"] if " time: " in line or "waited for data" in line]
    return {**done, "output": said or done["output"][-3:]}


def _multiply(root: Path, times: int) -> None:
    """Gives every file so many names."""
    for path in [path for path in root.rglob("*.png") if path.is_file()]:
        for number in range(1, times):
            os.link(path, path.with_name(path.name.replace("city_00", f"city_{number:02d}", 1)))
