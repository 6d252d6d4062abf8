"""Mutants of the files that commands read back, and the commands that read them, all in this process."""

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any, NamedTuple

import yaml

from tests.fuzzing.outcomes import FAULT, READ, REFUSED, Outcomes, limited_memory
from tests.generation.conftest import draw_cityscapes
from tests.pipeline import make_pipeline
from tests.starting import call

_MEMORY = 12 * 2**30
_SECONDS = 40
_NETWORK = [
    "model=smp", "model.pretrained=false", "model.architecture=unet", "model.encoder=tu-resnet10t", "+model.encoder_depth=3",
    "+model.decoder_channels=[16,16,16]",
]  # fmt: skip
_WHERE = ["trainer=cpu", "machine.num_workers=0", "data_root=data"]
_LENGTH = ["~method.phases.source.epochs", "+method.phases.source.steps=2", "method.phases.source.horizon=2"]
_DATA = ["data.transform.size=[64,128]", "data.transform.crop=null", "data.batch_size=2", "data.watch=[]"]
_EXPERIMENT = {
    "defaults": [{"override /trainer": "cpu"}, {"override /model": "smp"}],
    "data": {"batch_size": 2, "watch": [], "transform": {"size": [64, 128], "crop": None}},
    "model": {"architecture": "unet", "encoder": "tu-resnet10t", "pretrained": False},
    "machine": {"num_workers": 0},
    "method": {"phases": {"source": {"epochs": 1, "horizon": 1}}},
}

TRAIN = ["method=source_only", "name=a", *_WHERE, *_NETWORK, *_LENGTH, *_DATA]
EVAL = ["run=a", "setting=day", *_WHERE]
GENERATE = [
    "domain=night", "recipe=[target]", "split=val", "canvas=[128,64]", "patch_size=64", "batch_size=4", "editor.steps=1",
    "editor.model=editor", *_WHERE,
]  # fmt: skip
OWN = ["--config-dir", "own", "experiment=mine", "method=source_only", "name=b", "data_root=data"]


class Target(NamedTuple):
    """A file that is spoilt, and the command that reads it.

    Attributes:
        file: below the folder of the commands.
        command: of zsda.
        words: of its command line.
        gone: what is removed before, so that the command has to read it.
    """

    file: str
    command: str
    words: list[str]
    gone: tuple[str, ...] = ()


_AGAIN = ("runs/a/source/phase.json", "runs/a/source/weights.safetensors")
TARGETS = [
    Target("runs/a/run.json", "eval", EVAL),
    Target("runs/a/run.json", "train", TRAIN),
    Target("runs/a/run.json", "report", ["runs=a"]),
    Target("runs/a/source/phase.json", "train", TRAIN),
    Target("runs/a/source/phase.json", "report", ["runs=a"]),
    Target("runs/a/source/phase.json", "eval", EVAL),
    Target("runs/a/source/weights.safetensors", "report", ["runs=a"]),
    Target(
        "runs/a/source/weights.safetensors",
        "eval",
        ["ckpt=runs/a/source/weights.safetensors", "setting=day", *_WHERE, *_NETWORK],
    ),
    Target("runs/a/source/last.ckpt", "train", TRAIN, _AGAIN),
    Target("runs/a/eval/day_sdgpa/scores.json", "report", ["runs=a"]),
    Target("runs/a/eval/day_sdgpa/scores.json", "eval", EVAL),
    Target("runs/a/eval/day_sdgpa/scenes.csv", "report", ["runs=a"]),
    Target("runs/a/eval/day_sdgpa/scenes.zip", "report", ["runs=a"]),
    Target("data/night_target/generation.json", "generate", GENERATE),
    Target("data/night_target/manifest.jsonl", "generate", GENERATE),
    Target("data/night_target/manifest.jsonl", "eval", ["run=a", "setting=edited", "edits_of=night", *_WHERE]),
    Target("editor/model_index.json", "generate", GENERATE, ("data/night_target",)),
    Target("editor/unet/config.json", "generate", GENERATE, ("data/night_target",)),
    Target("editor/vae/config.json", "generate", GENERATE, ("data/night_target",)),
    Target("editor/scheduler/scheduler_config.json", "generate", GENERATE, ("data/night_target",)),
    Target("editor/text_encoder/config.json", "generate", GENERATE, ("data/night_target",)),
    Target("editor/tokenizer/tokenizer_config.json", "generate", GENERATE, ("data/night_target",)),
    Target("editor/tokenizer/vocab.json", "generate", GENERATE, ("data/night_target",)),
    Target("editor/unet/diffusion_pytorch_model.safetensors", "generate", GENERATE, ("data/night_target",)),
    Target("frames.json", "eval", [*EVAL, "settings.day.subset=frames.json"]),
    Target("own/experiment/mine.yaml", "train", OWN),
]


_STRIDE = 7  # from one target to the next, so that a few are of all kinds


def made(folder: Path, environment: dict[str, str]) -> Path:
    """Makes a scored run, a generated set, an editor, a list of frames and a folder of configs; returns the folder."""
    draw_cityscapes(folder / "data/cityscapes", train=2, val=2)
    make_pipeline(folder / "editor")
    frames = [
        {
            "image_name": f"leftImg8bit/val/{name}_leftImg8bit.png",
            "mask_name": f"gtFine/val/{name}_gtFine_labelIds.png",
            "has_target": True,
        }
        for name in ("aachen/aachen_000000_000000", "bochum/bochum_000000_000001")
    ]
    (folder / "frames.json").write_text(json.dumps(frames))
    (folder / "own/experiment").mkdir(parents=True)
    (folder / "own/experiment/mine.yaml").write_text("# @package _global_\n" + yaml.safe_dump(_EXPERIMENT))
    for command, words in (("train", TRAIN), ("eval", EVAL), ("generate", GENERATE)):
        result = call(f"zsda.{command}", words, folder, environment)
        if result.returncode:
            raise RuntimeError(result.stdout + result.stderr)
    return folder


_VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 7.5, -0.0, 2**31, 2**63, -(2**63) - 1, 10**30, 10**400, 1e308, float("nan"), float("inf"), -float("inf"),
    "", "abc", "../../x", "/etc/passwd", "a\0b", "\x1b]0;evil\x07", "\ud800", "\u202e", "${oc.env:HOME}", "???", "x" * 5000, "1e3",
    [], {}, [[]], {"_target_": "os.abort"}, [1, "a", None], {"a": {"b": 1}},
]  # fmt: skip


def _places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*at, key)
        yield from _places(one, (*at, key))


def _holder(value: Any, place: tuple[Any, ...]) -> Any:
    for key in place[:-1]:
        value = value[key]
    return value


def _new_value(random: Random, value: Any) -> Any:
    place = random.choice(list(_places(value)) or [()])
    if not place:
        return random.choice(_VALUES)
    _holder(value, place)[place[-1]] = random.choice(_VALUES)
    return value


def _other_key(random: Random, value: Any) -> Any:
    places = list(_places(value))
    if not places:
        return value
    place = random.choice(places)
    holder, what = _holder(value, place), random.choice(("remove", "rename", "add", "repeat"))
    if what == "remove":
        del holder[place[-1]]
    elif isinstance(holder, list):
        holder.append(holder[place[-1]])
    elif what == "rename":
        holder[random.choice(("", "_target_", "x", "a.b", "a b", "${x}", "\x07"))] = holder.pop(place[-1])
    else:
        holder[random.choice(("", "more", "_args_", "0"))] = random.choice(_VALUES)
    return value


def _deeper(random: Random, value: Any) -> Any:
    """Nests a value; beyond what Python's own writer of JSON can do the text is made by hand."""
    inner: Any = random.choice(_VALUES)
    for _ in range(random.choice((3, 40, 300))):
        inner = [inner] if random.random() < 0.5 else {"a": inner}
    places = list(_places(value))
    if not places:
        return inner
    place = random.choice(places)
    _holder(value, place)[place[-1]] = inner
    return value


_CHANGES = {"another value": _new_value, "another key": _other_key, "deeper": _deeper}


def _changed(name: str, random: Random, content: bytes, file: str) -> bytes:
    """Changes the values of a JSON or YAML file; of another the bytes."""
    change, suffix = _CHANGES[name], Path(file).suffix
    if suffix == ".json":
        return json.dumps(change(random, json.loads(content)), ensure_ascii=random.random() < 0.5).encode(
            errors="surrogatepass"
        )
    if suffix == ".jsonl":
        first, *others = content.splitlines()
        return b"\n".join([json.dumps(change(random, json.loads(first))).encode(), *others, b""])
    if suffix == ".yaml":
        return (
            b"# @package _global_\n"
            + yaml.safe_dump(change(random, yaml.safe_load(content)), allow_unicode=False).encode()
        )
    return _flipped(random, content, file)


def _flipped(random: Random, content: bytes, _: str) -> bytes:
    flipped = bytearray(content)
    for _ in range(random.choice((1, 5, 50))):
        flipped[random.randrange(min(len(flipped), 4000))] ^= 1 << random.randrange(8)
    return bytes(flipped)


def _foreign(random: Random, content: bytes, _: str) -> bytes:
    return random.choice(
        (b"", b"hello", b"{}", b"[]", b"null", b"[1]", b"\0" * 100, random.randbytes(200), b'{"a": 1}', b"[" * 100_000, b'{"a":' * 5000,
         b"\x89PNG\r\n\x1a\n", b"- a: [", b"a: &a [*a]", b'"text"', b"1", b"\xff\xfe")
    )  # fmt: skip


def _encoded(random: Random, content: bytes, _: str) -> bytes:
    how = random.choice(("utf-16", "utf-32", "utf-8-sig", "latin-1", "cp500"))
    text = content.decode("utf-8", errors="replace").replace("aachen", "aächen")
    return text.encode(how, errors="replace")


MUTATIONS: dict[str, Callable[[Random, bytes, str], bytes]] = {
    **{name: lambda random, content, file, name=name: _changed(name, random, content, file) for name in _CHANGES},
    "bits flipped": _flipped,
    "cut off": lambda random, content, _: content[: random.randrange(len(content))],
    "another content": _foreign,
    "another encoding": _encoded,
}


def _in_its_place(random: Random, path: Path) -> None:
    path.unlink()
    what = random.choice(("folder", "pipe", "dangling", "loop", "nothing"))
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    elif what in ("dangling", "loop"):
        path.symlink_to("nowhere" if what == "dangling" else path.name)


_PLACE = "a folder, a pipe or a link"
KINDS = (*MUTATIONS, _PLACE)


class _TooLongError(BaseException):
    """A command goes on for longer than any of these should."""


@contextmanager
def _limited_time() -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise _TooLongError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def take(target: Target, folder: Path, environment: dict[str, str]) -> tuple[str, str]:
    """Runs the command that reads the file; returns how it was taken, and what was said where that is a fault."""
    try:
        with _limited_time():
            result = call(f"zsda.{target.command}", target.words, folder, environment)
    except _TooLongError:
        # A training that a config made longer does what it is told.
        return (READ, "") if target.file.endswith(".yaml") else (FAULT, f"still running after {_SECONDS} s")
    said = result.stdout + result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("zsda.")]
    if result.returncode not in (0, 1, 2) or "Traceback" in said or (result.returncode and not lines):
        return FAULT, f"rc {result.returncode}: {said[-1500:]}"
    if "\x1b]" in said or "could be decompression bomb" in said or "weights_only" in said:
        return FAULT, f"passed on: {said[-1500:]}"
    return (REFUSED if result.returncode else READ), ""


def fuzz_files(count: int, seed: int, folder: Path, environment: dict[str, str]) -> Outcomes:
    """Spoils one file at a time of a copy of what `made` makes, each in turn, and has it read."""
    whole, work, random, outcomes = made(folder / "whole", environment), folder / "work", Random(seed), Outcomes()
    with limited_memory(_MEMORY):
        for number in range(count):
            shutil.copytree(whole, work, symlinks=True)
            target, kind = TARGETS[_STRIDE * number % len(TARGETS)], KINDS[random.randrange(len(KINDS))]
            path = work / target.file
            if kind == _PLACE:
                _in_its_place(random, path)
            else:
                path.write_bytes(MUTATIONS[kind](random, path.read_bytes(), target.file))
            for name in target.gone:
                gone = work / name
                shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
            outcome, said = take(target, work, environment)
            outcomes.add(f"{kind}", outcome, f"{target.command}, {target.file}, number {number}: {said}")
            if outcome == FAULT:
                shutil.copytree(path.parent, folder / f"fault{number}", symlinks=True, copy_function=_copy)
            shutil.rmtree(work)
    return outcomes


def _copy(source: str, to: str) -> None:
    if Path(source).is_file():
        shutil.copy2(source, to)
