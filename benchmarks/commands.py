"""Every command of zsda on a device, in the miniature world, and what it says and makes there."""

import csv
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
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


class Miniature:
    """The commands in a small city under a folder of its own.

    Args:
        folder: for data, runs and caches.
        device: of the commands, unless they say otherwise.
        tiny: as few scenes as will do.

    Attributes:
        here: the word that chooses the device.
        found: what each command took and, where it failed, said.
    """

    def __init__(self, folder: Path, device: torch.device, tiny: bool) -> None:
        self._folder = folder
        self.here = f"trainer={'gpu' if device.type == 'cuda' else 'cpu'}"
        counts = {"train": 4 if tiny else 16, "val": 4, "test": 4}
        self._scenes = [f"world.prepare.{split}={count}" for split, count in counts.items()]
        self.found: dict[str, Any] = {}

    def note(self, what: str, name: str, *words: str, data: str, **more: str) -> list[str]:
        """Runs a command and notes what became of it; returns what it said.

        Args:
            what: how it is called in the result.
            name: of the command.
            words: its arguments.
            data: the folder of its data.
            more: for `run`.
        """
        words = ("world=miniature", *self._scenes, *words, f"data_root={self._folder / data}")
        done = run(name, *words, XDG_CACHE_HOME=f"{self._folder}/cache", **more)
        output = done.pop("output")
        print(f"       {what}: {done['seconds']} s, exit code {done['exit_code']}", file=sys.stderr, flush=True)
        self.found[what] = done | ({"said": output[-3:]} if done["exit_code"] else {})
        return output

    @property
    def runs(self) -> str:
        """The word that says where runs lie."""
        return f"runs_root={self._folder}/runs"


_EDITS = ["domain=fog", "recipe=[target]", "limit=4", "layout.ckpt=null"]
_TRAINING = ["experiment=fog", "method.epochs={first: 1, second: 1, horizon: 1, single: 2}", "logger=[csv]"]


def agreement(device: torch.device, tiny: bool) -> dict[str, Any]:
    """Compares edits and losses in fp32 with those of the CPU; both commands of a kind run at once."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        city = Miniature(folder, device, tiny)

        def pair(kind: str, command_name: str, words: list[str], places: tuple[str, str], **named: str) -> None:
            cpu = [*words, "trainer=cpu"], {"data": places[0]}
            own = [*words, city.here], {"data": places[1], **_EXACT}
            started = []
            with ThreadPoolExecutor() as pool:
                for what, (given, more) in {f"{kind}_on_cpu": cpu, f"{kind}_fp32": own}.items():
                    call = [*given, *([f"{key}={value}_{what}" for key, value in named.items()])]
                    started.append(pool.submit(city.note, what, command_name, *call, **more))
            for one in started:
                one.result()

        pair("generate", "generate", [*_EDITS, "editor.precision=fp32"], ("cpu", "own"))
        city.found["edits_differ_by_grey_levels"] = _largest_gap(folder / "cpu", folder / "own")
        words = ["method=source_only", "method.epochs.single=2", "logger=[csv]", city.runs, *_UNCHANGED]
        exact = ["machine.log_every_n_steps=1", "trainer.precision=32-true"]
        pair("train", "train", [*words, *exact], ("cpu", "cpu"), name="run")
        if not any(city.found[f"train_{where}"]["exit_code"] for where in ("on_cpu", "fp32")):
            losses = [_losses(folder / "runs" / f"run_train_{where}") for where in ("on_cpu", "fp32")]
            city.found["losses_on_cpu_and_here"] = losses
        return city.found


def commands(device: torch.device, tiny: bool) -> dict[str, Any]:
    """Runs each once, with its defaults, and once out of memory."""
    with tempfile.TemporaryDirectory() as folder:
        city = Miniature(Path(folder), device, tiny)
        city.note("generate", "generate", "domain=fog", city.here, data="both")
        city.note("generate_fast", "generate", *_EDITS, city.here, "editor=fast", data="fast")
        city.note("train", "train", *_TRAINING, city.here, city.runs, "name=default", data="both")
        city.note("eval", "eval", "setting=[day,fog]", city.here, city.runs, data="both")
        if device.type == "cuda":
            share = 64e6 / torch.cuda.get_device_properties(device).total_memory
            little = f"torch.cuda.set_per_process_memory_fraction({share})"
            said = city.note(
                "out_of_memory", "generate", *_EDITS, city.here, "batch_size=64", data="full", before=little
            )
            city.found["out_of_memory"]["said"] = said[-1:]
        return city.found


def compiled_commands(device: torch.device, tiny: bool) -> dict[str, Any]:
    """Edits and trains once with compiled networks."""
    with tempfile.TemporaryDirectory() as folder:
        city = Miniature(Path(folder), device, tiny)
        city.note("generate", "generate", *_EDITS, city.here, "editor.compile=true", data="one")
        words = ["method=source_only", "method.epochs.single=2", "compile=true", "logger=[csv]"]
        city.note("train", "train", *words, city.here, city.runs, data="one")
        return city.found


def _largest_gap(one: Path, other: Path) -> int | None:
    pattern = "fog_target/leftImg8bit/*/*/*.png"
    pairs = zip(sorted(one.glob(pattern)), sorted(other.glob(pattern)), strict=True)
    gaps = [int(np.abs(np.subtract(*(np.asarray(Image.open(path), int) for path in pair))).max()) for pair in pairs]
    return max(gaps, default=None)


def _losses(run_folder: Path) -> list[float]:
    """Returns the losses of the first steps."""
    (path,) = run_folder.glob("source/csv/*/metrics.csv")
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
