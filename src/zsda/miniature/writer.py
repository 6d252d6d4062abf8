"""Writes the miniature world to disk in the folder layouts of the real data sets.

<root>/cityscapes/leftImg8bit/{train,val}/<city>/<frame>_leftImg8bit.png    by day: the source and what watches it
<root>/cityscapes/gtFine/{train,val}/<city>/<frame>_gtFine_{labelIds,labelTrainIds}.png
<root>/ACDC/rgb_anon/{night,snow,rain,fog}/{train,val}/<sequence>/<frame>_rgb_anon.png
                         val is scored; train is written once it is asked for, as the training frames of the game are
<root>/ACDC/gt/{night,snow,rain,fog}/{train,val}/<sequence>/<frame>_gt_{labelIds,labelTrainIds}.png
<root>/GTA5/{images,labels}/<number>.png and GTA5/{train,val}_subset.txt
<root>/{night,snow,rain,fog,game}_oracle/leftImg8bit/{train,val}/<city>/<frame>_leftImg8bit.png
                         the day frames as they really look then: what a perfect editor would make of them
<root>/miniature.json    the settings, whether it is finished, and the looks that have training frames
"""

import io
import json
import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track

from zsda.core.errors import StoreError
from zsda.core.files import describe_os_error, digest, to_json, write_atomic
from zsda.core.limits import cores
from zsda.core.settings import differences
from zsda.core.signals import outlive_signals
from zsda.data.datasets.cityscapes import IMAGES, SUFFIX
from zsda.data.labels import TABLE, to_label_ids
from zsda.data.set_names import ORACLE, set_name
from zsda.miniature.looks.weather import LOOKS, Look, apply_look
from zsda.miniature.render.scenes import RENDERER_VERSION, SIZE, render_scene
from zsda.miniature.street.style import CITY, StreetStyle

_log = logging.getLogger(__name__)

MARKER = "miniature.json"
CITIES = ("bergen", "delft", "lindau", "murten")
SEQUENCES = {"night": "GOPR0351", "snow": "GOPR0122", "rain": "GOPR0402", "fog": "GOPR0475"}
PER_CITY = 60
_TRAINING = "training_looks"
_WORTH_A_PROCESS = 50  # frames, which take as long as starting it
_STATE = ("finished", _TRAINING)
_WAY_OUT = "delete that folder or point data_root to another one"


@dataclass(frozen=True)
class Frame:
    """One scene to write.

    Attributes:
        name: what its scene is drawn from, together with the seed of the world; no two frames share one.
        images: how it is shown -> where that image goes, relative to the root.
        labels: where the labels go, relative to the root, by encoding: ``labelIds``, ``labelTrainIds`` or ``palette``.
    """

    name: str
    images: dict[str, str]
    labels: dict[str, str]


def cityscapes_frames(split: str, number: int, oracle: bool) -> Iterator[Frame]:
    """Lists the day frames of a split, with the other looks of the same scenes where the oracle is wanted."""
    for i in range(number):
        city = CITIES[i // PER_CITY % len(CITIES)]
        frame = f"{split}/{city}/{city}_{i:06d}_000019"
        labels = {e: f"cityscapes/gtFine/{frame}_gtFine_{e}.png" for e in ("labelIds", "labelTrainIds")}
        image = f"{IMAGES}/{frame}{SUFFIX}"
        others = {look: f"{set_name(look, ORACLE)}/{image}" for look in (*SEQUENCES, "game")} if oracle else {}
        yield Frame(f"cityscapes/{frame}", {"day": f"cityscapes/{image}", **others}, labels)


def acdc_frames(condition: str, split: str, number: int) -> Iterator[Frame]:
    """Lists the frames of one condition and split."""
    sequence = SEQUENCES[condition]
    for i in range(number):
        frame = f"{condition}/{split}/{sequence}/{sequence}_frame_{i + 1:06d}"
        labels = {e: f"ACDC/gt/{frame}_gt_{e}.png" for e in ("labelIds", "labelTrainIds")}
        yield Frame(f"ACDC/{frame}", {condition: f"ACDC/rgb_anon/{frame}_rgb_anon.png"}, labels)


def gta5_frames(number: int, first: int = 0) -> Iterator[Frame]:
    """Lists frames of the game, from the one after the ``first`` on."""
    for i in range(first, first + number):
        name = f"{i + 1:05d}.png"
        yield Frame(f"GTA5/{name}", {"game": f"GTA5/images/{name}"}, {"palette": f"GTA5/labels/{name}"})


def write_miniature(
    root: str | Path,
    train: int = 240,
    val: int = 60,
    test: int = 80,
    seed: int = 0,
    trained_on: Sequence[str | None] = (),
    size: tuple[int, int] = SIZE,
    style: StreetStyle = CITY,
    looks: Mapping[str, Look] = LOOKS,
    oracle: bool = True,
    write: bool = True,
) -> bool:
    """Writes the miniature world, or what is still missing of it.

    Args:
        root: folder that receives it.
        train: labelled day frames for training.
        val: labelled day frames for watching the training.
        test: evaluation frames of every other setting.
        seed: another one gives another world.
        trained_on: settings that a training wants to see; those among them that are a condition, or the game, get as many training
            frames as the day has, of other streets than all others. They may be asked for later, too. Others need nothing.
        size: height and width of the images.
        style: how its streets look and from where they are seen; another one is another world.
        looks: what paints its conditions; its day, and every condition that is written, must be among them.
        oracle: write the day frames in the other looks as well.
        write: False only looks.

    Returns:
        Whether all of it was there before.

    Raises:
        StoreError: ``root`` holds a world of other settings, or cannot be written to.
        ConfigError: ``size`` cannot be rendered, or a look is missing.
    """
    settings = {
        "oracle": oracle,
        "place": style.name,
        "renderer": RENDERER_VERSION,
        "seed": seed,
        "size": list(size),
        "test": test,
        "train": train,
        "val": val,
    }
    root = Path(root)
    looks_asked = [look for look in (*SEQUENCES, "game") if look in trained_on]
    found = _look(root, settings)
    there = found["finished"] and {*looks_asked} <= {*found[_TRAINING]}
    if not write:
        return there

    def render(frames: Sequence[Frame], description: str) -> None:
        # For a log, in which no bar is seen.
        _log.info("%s: rendering %d frames into %s, once", description, len(frames), root)
        # As a dict, since a read-only view does not travel to another process.
        _write_all(frames, partial(_write_frame, root, seed, size, style, dict(looks)), description)

    if not _claim(root, settings)["finished"]:
        frames = [*cityscapes_frames("train", train, oracle), *cityscapes_frames("val", val, oracle)]
        frames += [frame for condition in SEQUENCES for frame in acdc_frames(condition, "val", test)]
        game = list(gta5_frames(test))
        render([*frames, *game], "miniature world")
        _write_list(root, "val", game)
        write_atomic(root / MARKER, to_json({**settings, "finished": True, _TRAINING: []}))
    for look in looks_asked:
        if look not in _claim(root, settings)[_TRAINING]:
            more = list(gta5_frames(train, test) if look == "game" else acdc_frames(look, "train", train))
            render(more, f"miniature world, {look}")
            if look == "game":
                _write_list(root, "train", more)
            # What another process has written since then stays in the list.
            looks_before = _claim(root, settings)[_TRAINING]
            write_atomic(
                root / MARKER, to_json({**settings, "finished": True, _TRAINING: sorted({*looks_before, look})})
            )
    return there


def _write_list(root: Path, split: str, frames: Sequence[Frame]) -> None:
    names = "".join(f"{Path(frame.images['game']).name}\n" for frame in frames)
    write_atomic(root / "GTA5" / f"{split}_subset.txt", names.encode())


def _claim(root: Path, settings: dict[str, object]) -> dict[str, Any]:
    """Marks ``root`` as a miniature world in the making; returns what `_look` does."""
    state = _look(root, settings)
    if not (root / MARKER).exists():
        write_atomic(root / MARKER, to_json({**settings, **state}))
    return state


def _look(root: Path, settings: dict[str, object]) -> dict[str, Any]:
    """Returns whether a world is finished, and the looks that have training frames."""
    marker = root / MARKER
    try:
        foreign = [name for name in ("cityscapes", "ACDC", "GTA5") if (root / name).exists()]
        found = json.loads(marker.read_bytes()) if marker.exists() else None
    except OSError as error:
        raise StoreError(describe_os_error(error, marker)) from error
    except ValueError:
        found = {}
    if found is None:
        if foreign:
            raise StoreError(
                f"{root}: holds {foreign[0]} but no {MARKER}; a miniature world is not mixed with other data: {_WAY_OUT}"
            )
        found = {**settings, "finished": False, _TRAINING: []}
    # Worlds of earlier versions say that they have no training frames of conditions.
    kept = {key: value for key, value in found.items() if key not in _STATE and (key, value) != ("target_train", 0)}
    differing = differences(kept, settings)
    if differing:
        raise StoreError(f"{root}: holds another miniature world ({'; '.join(differing.values())}); {_WAY_OUT}")
    return {"finished": bool(found["finished"]), _TRAINING: list(found.get(_TRAINING, []))}


def _write_all(frames: Sequence[Frame], write: Callable[[Frame], None], description: str) -> None:
    """Writes frames, many of them in a process on each core."""
    processes = min(cores(), len(frames) // _WORTH_A_PROCESS)
    if processes < 2:
        for frame in track(frames, description=description, transient=True):
            write(frame)
        return
    pool = ProcessPoolExecutor(processes, get_context("spawn"), initializer=outlive_signals)
    try:
        written = pool.map(write, frames, chunksize=4)
        deque(track(written, description=description, total=len(frames), transient=True), maxlen=0)
    finally:
        pool.shutdown(cancel_futures=True)


def _write_frame(
    root: Path, seed: int, size: tuple[int, int], style: StreetStyle, looks: Mapping[str, Look], frame: Frame
) -> None:
    paths = [root / path for path in (*frame.images.values(), *frame.labels.values())]
    try:
        missing = [path for path in paths if not path.exists()]
    except OSError as error:
        raise StoreError(describe_os_error(error, paths[0])) from error
    if not missing:
        return
    own_seed = style.first_seed + int(digest(f"{seed}/{frame.name}".encode())[:15], 16)
    scene = render_scene(own_seed, size, style)
    for look, image in frame.images.items():
        if root / image in missing:
            write_atomic(root / image, _png(Image.fromarray(apply_look(scene, look, own_seed, looks))))
    for encoding, label in frame.labels.items():
        if root / label in missing:
            write_atomic(root / label, _label_png(scene.train_ids, encoding))


def _label_png(train_ids: NDArray[np.uint8], encoding: str) -> bytes:
    image = Image.fromarray(train_ids if encoding == "labelTrainIds" else to_label_ids(train_ids))
    if encoding == "palette":
        # The labels of GTA5 are indices into the class colours.
        image.putpalette(_palette())
    return _png(image)


def _palette() -> bytes:
    colours = np.zeros((256, 3), np.uint8)
    for row in TABLE:
        if row.label_id >= 0:
            colours[row.label_id] = row.colour
    return colours.tobytes()


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=False, compress_level=1)
    return buffer.getvalue()
