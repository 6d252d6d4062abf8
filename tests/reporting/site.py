"""A comparison with pictures, sets and logs, small, and with hostile texts wherever a file or a user may bring one."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from tests.reporting.made import add_details, make_run
from zsda.core.files import file_digest, to_json, write_atomic

HOSTILE = """<script>alert(1)</script>"><img src=x onerror=alert(2)>'&amp;$x_1$"""
SIZE = (32, 64)


def labels_of(number, times=1):
    """Labels of a scene: road below, sky above, a car that moves, a strip that is not labelled; so many times as large."""
    ids = np.zeros(SIZE, np.uint8)
    ids[:14] = 10
    ids[16:24, 4 + number : 20 + number] = 13
    ids[:, -3:] = 255
    return ids.repeat(times, axis=0).repeat(times, axis=1)


def predicted(number, wrong, times=1):
    """The same with so many wrong columns on the left; of large ones a part of the points is wrong everywhere."""
    ids = labels_of(number, times)
    ids[:, : wrong * times] = 8
    if times > 1:
        ids[np.random.default_rng(number).random(ids.shape) < 0.02] = 2
    return ids


def write_image(path: Path, number: int, shade: int, times: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(number)
    pixels = rng.integers(0, 256, (SIZE[0] * times, SIZE[1] * times, 3)) // 4 + shade
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def make_site(root: Path, scenes: int = 8, hostile: str = HOSTILE, times: int = 1) -> Path:
    """Writes ``root/runs`` and ``root/data``; returns the former.

    Of the fog scenes, 0 and 1 are gained most by sdgpa, and 6 and 7 lost.
    """
    data, runs = root / "data", root / "runs"
    city = "city<b>"
    for number in range(scenes):
        write_image(data / f"ACDC/rgb/{city}/fog_{number}.png", number, 100, times)
        frame = f"leftImg8bit/val/{city}/{number}_leftImg8bit.png"
        write_image(data / "cityscapes" / frame, number, 60, times)
        for recipe in ("intermediate", "target"):
            write_image(data / f"fog_{recipe}" / frame, number, 120, times)
    for recipe in ("intermediate", "target"):
        make_set(data / f"fog_{recipe}", city, scenes, hostile)
    for seed in (0, 1):
        for method, target in (("source_2x", None), ("sdgpa", "fog"), ("oracle", "fog")):
            files = (
                {"only/intermediate": "a" * 64, "only/target": "b" * 64}
                if method == "sdgpa"
                else {"only/source": "c" * 64}
            )
            path = make_run(runs, method, target, seed, settings={"note": hostile})
            record = json.loads((path / "run.json").read_text())
            record["files"] = files
            record["header"]["source"] = f"cityscapes {hostile}"
            record["starts"] = [
                {
                    "command": ["python", "-m", "zsda.train", f"note={hostile}"],
                    "data_root": str(data),
                    "git": "0123456789abcdef",
                    "started": "2026-01-02T03:04:05+00:00",
                    "versions": {"torch": "2.15.0", "zsda": hostile},
                    "host": "secret-host",
                }
            ]
            write_atomic(path / "run.json", to_json(record))
            write_log(path / "only", seed)
            add_details(path, details(data, city, scenes, method, seed, times), generated_sets={"edited": "fog_target"})
    return runs


def details(data: Path, city: str, scenes: int, method: str, seed: int, times: int):
    """What the settings day, fog and edited are scored with."""
    better = {"source_2x": 0, "sdgpa": 1, "oracle": 2}[method]

    def scored(number):
        gain = {0: 0.3, 1: 0.2, scenes - 2: -0.1, scenes - 1: -0.2}.get(number, 0.01)
        return round(0.5 + (gain if method == "sdgpa" else 0) + seed / 500, 4)

    def wrong(number):
        return max(1, round(12 - 20 * (scored(number) - 0.5)))

    fog = {
        f"{city}/fog_{n}": (scored(n), f"rgb/{city}/fog_{n}.png", labels_of(n, times), predicted(n, wrong(n), times))
        for n in range(scenes)
    }
    frames = {
        f"{city}/{n}": (0.5, f"leftImg8bit/val/{city}/{n}_leftImg8bit.png", labels_of(n, times), predicted(n, 4, times))
        for n in range(scenes)
    }
    return {
        "day": {"miou": 0.7 - 0.1 * better + seed / 100, "root": data / "cityscapes", "scenes": frames},
        "fog": {"miou": 0.3 + 0.1 * better + seed / 100, "root": data / "ACDC", "scenes": fog},
        "edited": {"miou": 0.4, "root": data / "fog_target", "scenes": dict(list(frames.items())[:4])},
    }


def make_set(root: Path, city: str, scenes: int, hostile: str) -> None:
    """The files that tell of a generated set; one of its images is left out."""
    about = {"domain": {"name": "fog", "prompt": f"make it foggy {hostile}"}, "editor": {"model": hostile}, "seed": 0}
    write_atomic(root / "generation.json", to_json(about))
    lines = []
    for number in range(scenes):
        path = f"leftImg8bit/val/{city}/{number}_leftImg8bit.png"
        retries = [{"patch": 0, "seed": 1, "flaw": "black"}] if number == 3 else []
        output = None if number == 3 else path
        lines.append(
            {"source": path, "output": output, "split": "val", "retries": retries, "layout_score": number / 10}
        )
    write_atomic(root / "manifest.jsonl", "".join(json.dumps(line) + "\n" for line in lines).encode())


def write_log(phase: Path, seed: int) -> None:
    """Two starts of a training: the second went through steps 30 to 40 again."""
    head = "epoch,step,train/loss_step,val/source/miou\n"
    first = "".join(f"0,{step},{2 - step / 100 + seed},\n" for step in range(0, 50, 10))
    second = "".join(f"0,{step},{1 - step / 100 + seed},\n" for step in range(30, 100, 10))
    for version, rows in enumerate((first, second)):
        path = phase / f"csv/version_{version}/metrics.csv"
        write_atomic(path, f"{head}{rows}0,{99 - 50 * (1 - version)},,0.{5 + version}\n".encode())


def write_told(folder: Path, told: dict) -> None:
    """Writes ``scores.json`` over scenes that were changed."""
    told["scenes"] = {name: file_digest(folder / name) for name in ("scenes.csv", "scenes.zip")}
    write_atomic(folder / "scores.json", to_json(told))


def make_sixty(root: Path) -> Path:
    """The runs of a study: four targets, six seeds of three methods each but for fog, pictures as large as they are ever kept."""
    runs = make_site(root, scenes=9, hostile="", times=8)
    for target in ("night", "snow", "rain"):
        for method, like in (("sdgpa", "sdgpa"), ("oracle", "oracle"), ("whole", "sdgpa")):
            for seed in range(6):
                path = runs / f"{target}_{method}_seed{seed}"
                shutil.copytree(runs / f"fog_{like}_seed{seed % 2}", path)
                record = json.loads((path / "run.json").read_text())
                record["header"] |= {"target": target, "method": method, "seed": seed}
                write_atomic(path / "run.json", to_json(record))
                (folder,) = path.glob("eval/*")
                rows = (folder / "scenes.csv").read_text()
                (folder / "scenes.csv").write_text(rows.replace("\nfog,", f"\n{target},"))
                with zipfile.ZipFile(folder / "scenes.zip") as archive:
                    found = {name.replace("fog/", f"{target}/"): archive.read(name) for name in archive.namelist()}
                with zipfile.ZipFile(folder / "scenes.zip", "w") as archive:
                    for name, content in found.items():
                        archive.writestr(name, content)
                told = json.loads((folder / "scores.json").read_text())
                for key in ("settings", "files", "images", "roots"):
                    told[key][target] = told[key].pop("fog")
                write_told(folder, told)
    for path in runs.glob("day_source_2x_seed*"):
        (scores,) = path.glob("eval/*/scores.json")
        told = json.loads(scores.read_text())
        for target in ("night", "snow", "rain"):
            for key in ("settings", "files", "images", "roots"):
                told[key][target] = told[key]["fog"]
        rows = (scores.parent / "scenes.csv").read_text().splitlines()
        with zipfile.ZipFile(scores.parent / "scenes.zip", "a") as archive:
            for target in ("night", "snow", "rain"):
                rows += [row.replace("fog,", f"{target},", 1) for row in rows if row.startswith("fog,")]
                for name in [name for name in archive.namelist() if name.startswith("fog/")]:
                    archive.writestr(name.replace("fog/", f"{target}/"), archive.read(name))
        (scores.parent / "scenes.csv").write_text("\n".join(rows) + "\n")
        write_told(scores.parent, told)
    return runs
