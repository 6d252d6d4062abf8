"""Edits of the miniature's editor: as the command makes them, against the published loop, which edits one picture a call.

python benchmarks/editing.py

On all cores, as the command uses them; two processes against one with a single thread each. Both are asked for the same patches,
steps and scales, in fp32.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from published import edit_one_by_one
from rounds import Claim, main, medians, ratio, seconds

from zsda.generation.editors.instruct_pix2pix import InstructPix2PixEditor
from zsda.miniature.render.scenes import render_scene

_EDITOR, _STEPS, _PROMPT, _SCALES = "pkg://zsda/miniature/weights/editor", 5, "Make it foggy", (1.1, 1.4)
_PATCHES, _SCENES = 8, 24


def _editor() -> InstructPix2PixEditor:
    return InstructPix2PixEditor(_EDITOR, precision="fp32", steps=_STEPS).to("cpu")


def _generate(root: Path, processes: int) -> float:
    """Returns the images that processes of one thread finish in a second, from the first that is written to the last."""
    shutil.rmtree(root / "fog_target", ignore_errors=True)
    words = ["world=miniature", "domain=fog", "recipe=[target]", "trainer=cpu", "batch_size=2", "machine.num_workers=1"]
    words += [f"data_root={root}", f"world.prepare.train={_SCENES}", "world.prepare.val=1", "world.prepare.test=1"]
    words += ["layout.ckpt=null", "editor.steps=2"]  # the share of each process, whatever an edit takes
    words += [f"machine.devices={processes}", "machine.strategy=ddp"] if processes > 1 else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "zsda.generate", *words]
    subprocess.run(command, check=True, capture_output=True, env=environment)
    times = sorted(path.stat().st_mtime_ns for path in root.glob("fog_target/leftImg8bit/train/*/*.png"))
    # The first image of each process begins its time.
    return 1e9 * (len(times) - processes) / (times[-1] - times[processes - 1])


def measure(rounds: int) -> tuple[list[Claim], dict[str, Any]]:
    """Compares edits of patches, and how they differ."""
    scenes = [render_scene(number, (128, 256)).image for number in range(_PATCHES // 2)]
    patches = [image[:, left : left + 128] for image in scenes for left in (0, 128)]
    batch = torch.from_numpy(np.stack(patches)).permute(0, 3, 1, 2)
    pictures, seeds, ours = [Image.fromarray(patch) for patch in patches], list(range(_PATCHES)), _editor()
    theirs = _editor()._pipeline.to(memory_format=torch.contiguous_format)
    made: dict[str, Any] = {}

    def batched() -> None:
        made["zsda"] = ours.edit(batch, _PROMPT, seeds, *_SCALES).images

    def one_by_one() -> None:
        made["published"] = edit_one_by_one(theirs, pictures, _PROMPT, seeds, _STEPS, *_SCALES)

    taken = seconds({"published": one_by_one, "zsda": batched}, rounds)
    gap = (made["published"].int() - made["zsda"].int()).abs()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "data"
        _generate(root, 1)  # which renders the scenes
        rates = {1: [], 2: []}
        for _ in range(rounds // 2):
            for processes, found in rates.items():
                found.append(_generate(root, processes))
    pairs = {"two": [1 / rate for rate in rates[2]], "one": [1 / rate for rate in rates[1]]}
    claims = [
        Claim("editing with the miniature's editor, against one patch a call", ratio(taken, "published", "zsda"), 1.5),
        Claim("two generation processes, against one", ratio(pairs, "one", "two"), 1.8),
    ]
    behind = {"milliseconds_of_8": medians(taken), "threads": torch.get_num_threads()}
    behind |= {"largest_difference_grey_levels": int(gap.max()), "images_a_second": rates}
    return claims, behind


if __name__ == "__main__":
    main(__doc__, measure, threads=None)
