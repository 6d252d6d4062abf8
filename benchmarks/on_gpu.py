"""All that needs a GPU, in about ten minutes: every command on CUDA, and its speed against the published loops.

    python benchmarks/on_gpu.py --out gpu.json

Parts run one after the other, those worth most first, each is written down as soon as it is known, and one that fails does not end the
others. ``--device cpu --tiny`` tries the script itself where there is no GPU; its figures then mean nothing.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from commands import agreement, commands, compiled_commands, waiting
from PIL import Image
from published import edit_one_by_one
from real_size import pipeline
from steps import batch, network, ours, published
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from zsda.generation.editors.instruct_pix2pix import InstructPix2PixEditor

HERE = Path(__file__).parent
_PROMPT, _SCALES = "Make it foggy", (7.0, 2.0)
LIMIT = 420
"""Seconds after which no further part is begun."""


def wait(device: torch.device) -> None:
    """Waits for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(call: Callable[[], Any], device: torch.device, times: int, warm: int = 1) -> float:
    """Returns the median seconds of a call."""
    taken = []
    for number in range(warm + times):
        wait(device)
        begin = time.perf_counter()
        call()
        wait(device)
        if number >= warm:
            taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def ceilings(device: torch.device, tiny: bool) -> dict[str, Any]:
    """Measures what the device can do at most: products of matrices, and copies within its memory."""
    side, length = (512, 2**20) if tiny else (8192, 2**30)
    found: dict[str, Any] = {}
    for name, dtype in (("bf16", torch.bfloat16), ("fp16", torch.float16), ("fp32", torch.float32)):
        left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        found[f"{name}_tflop_s"] = 2e-12 * side**3 / seconds_of(lambda a=left, b=right: a @ b, device, 5, warm=2)
    memory = torch.empty(length, dtype=torch.uint8, device=device)
    other = torch.empty_like(memory)
    found["memory_tb_s"] = 2e-12 * length / seconds_of(lambda: other.copy_(memory), device, 5, warm=2)
    return found


def operations(call: Callable[[], Any]) -> float:
    """Returns the floating point operations of a call."""
    with FlopCounterMode(display=False) as counter:
        call()
    return float(counter.get_total_flops())


def editing(device: torch.device, tiny: bool, most: dict[str, Any]) -> dict[str, Any]:
    """Compares edits of 512x512 in a second, at the sizes of the published editor, with one picture a call."""
    precision, dtype = ("fp16", torch.float16) if device.type == "cuda" else ("fp32", torch.float32)
    side, steps, few = (64, 2, 2) if tiny else (512, 50, 3)
    parts = pipeline(device, dtype, tiny)
    pictures = [Image.effect_noise((side, side), 60).convert("RGB") for _ in range(few)]
    edit_one_by_one(parts, pictures[:1], _PROMPT, [0], 2, *_SCALES)
    taken = seconds_of(
        lambda: edit_one_by_one(parts, pictures, _PROMPT, range(few), steps, *_SCALES), device, 1, warm=0
    )
    published_rate = few / taken
    found: dict[str, Any] = {"published": {"edits_s": published_rate}}
    fast = {"scheduler": "DPMSolverMultistepScheduler", "steps": 2 if tiny else 20, "guidance_interval": (0.0, 0.6)}
    for name, options in {"parity": {"steps": steps}, "fast": fast}.items():
        found[name] = _edits(parts, precision, side, 2 if tiny else None, options)
        found[name]["of_published"] = found[name]["edits_s"] / published_rate
    inputs = torch.randn(3, 8, side // 8, side // 8, device=device, dtype=dtype)
    text = torch.randn(3, 77, 768, device=device, dtype=dtype)
    with torch.no_grad():
        work = steps * operations(lambda: parts.unet(inputs, torch.tensor(500), text)) / 1e12
    found["teraflop_of_an_edit"] = work
    if most:
        parity = found["parity"]
        weights = sum(one.numel() * one.element_size() for one in parts.unet.parameters()) / 1e12
        found["share_of_matrix_rate"] = parity["edits_s"] * work / most[f"{precision}_tflop_s"]
        calls = parity["edits_s"] * steps / parity["batch"]
        found["share_of_memory_rate_for_weights_alone"] = calls * weights / most["memory_tb_s"]
    return found


def _edits(
    parts: Any,
    precision: str,
    side: int,
    count: int | None,
    options: dict[str, Any],
) -> dict[str, Any]:
    """Counts the edits in a second of one editor, as many a call as it would take by itself unless a count is given."""
    editor = InstructPix2PixEditor(precision=precision, **options)
    editor._precision = precision
    editor._pipeline = editor._prepare(parts)
    count = count or editor.batch_size((side, side))
    patches = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8)

    def seconds(editor: InstructPix2PixEditor) -> float:
        return seconds_of(lambda: editor.edit(patches, _PROMPT, range(count), *_SCALES), parts.unet.device, 1, warm=0)

    return {"batch": count, "first_call_seconds": seconds(editor.with_steps(2)), "edits_s": count / seconds(editor)}


def training(device: torch.device, tiny: bool, most: dict[str, Any]) -> dict[str, Any]:
    """Compares crops of 384x768 in a second with the published loop in fp32 at its batch of four pairs."""
    crop, backbone, pairs = ((32, 64), "resnet18", 2) if tiny else ((384, 768), "resnet50", 8)
    times = 1 if tiny else 10
    torch.backends.cudnn.deterministic = True  # as published, and as zsda trains
    small = batch(2 if tiny else 4, crop, device)
    step = published(network(backbone, device))
    found: dict[str, Any] = {
        "published_crops_s": 2 * len(small["mask"]) / seconds_of(lambda: step(small), device, times, warm=3)
    }
    large = batch(pairs, crop, device)
    model = network(backbone, device)
    labels = large["mask"].long()
    work = (
        operations(lambda: cross_entropy(model(large["images"]["source"]), labels, ignore_index=255).backward()) / pairs
    )
    for name, dtype in {"fp32": torch.float32, "bf16": torch.bfloat16}.items():
        found[name] = _crops(large, backbone, dtype, times)
        rate = found[name]["crops_s"]
        found[name]["of_published"] = rate / found["published_crops_s"]
        if most:
            found[name]["share_of_matrix_rate"] = rate * work / 1e12 / most[f"{name}_tflop_s"]
    found["teraflop_of_a_crop"] = work / 1e12
    return found


def _crops(
    large: dict[str, Any], backbone: str, dtype: torch.dtype, times: int, compiled: bool = False
) -> dict[str, Any]:
    """Counts the crops in a second of zsda's step."""
    crops, device = 2 * len(large["mask"]), large["mask"].device
    step = ours(network(backbone, device), dtype, compiled)
    first = seconds_of(lambda: step(large), device, 1, warm=0)
    return {
        "crops": crops,
        "first_step_seconds": first,
        "crops_s": crops / seconds_of(lambda: step(large), device, times, warm=3),
    }


def compiled(device: torch.device, tiny: bool) -> dict[str, Any]:
    """Repeats steps, edits and both commands with compiled networks, which takes minutes."""
    if tiny:
        return {"left_out": "takes too long on a CPU"}
    steps_of = _crops(batch(8, (384, 768), device), "resnet50", torch.bfloat16, 10, compiled=True)
    edits = _edits(pipeline(device, torch.float16), "fp16", 512, None, {"steps": 50, "compile": True})
    return {"training_bf16": steps_of, "editing_parity": edits, "commands": compiled_commands(device, tiny)}


def tests(_device: torch.device, _tiny: bool) -> dict[str, Any]:
    """Runs the tests that are marked ``gpu``; the files of others may need what is not installed there."""
    holding = [
        str(path) for path in sorted((HERE.parent / "tests").rglob("test_*.py")) if "mark.gpu" in path.read_text()
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", *holding],
        capture_output=True,
        text=True,
        check=False,
        cwd=HERE.parent,
    )
    return {"exit_code": done.returncode, "said": done.stdout.splitlines()[-6:]}


PARTS: dict[str, Callable[..., dict[str, Any]]] = {
    "ceilings": ceilings,
    "tests": tests,
    "agreement": agreement,
    "editing": editing,
    "training": training,
    "commands": commands,
    "waiting": waiting,
    "compiled": compiled,
}


def main() -> None:
    """Runs the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="a file for the JSON")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small sizes, to try the script")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    asked = parser.parse_args()
    device = torch.device(asked.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("on_gpu: torch sees no GPU")
    begun = time.monotonic()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor()
    result: dict[str, Any] = {
        "device": name,
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    for part in asked.parts:
        began = time.monotonic()
        if began - begun > LIMIT:
            result[part] = {"left_out": "no time"}
            continue
        print(f"{began - begun:4.0f} s  {part}", file=sys.stderr, flush=True)
        more = {"most": result.get("ceilings", {})} if part in ("editing", "training") else {}
        try:
            result[part] = PARTS[part](device, asked.tiny, **more)
        except Exception as error:
            result[part] = {"failed": repr(error)[:500], "where": traceback.format_exc().splitlines()[-8:]}
        result[part]["seconds_in_all"] = round(time.monotonic() - began, 1)
        if asked.out:
            asked.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
