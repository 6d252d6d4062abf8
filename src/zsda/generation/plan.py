"""What the making of a generated set would take: a real edit is timed, and nothing is kept of it."""

import math
import time
from pathlib import Path

from zsda.core.plan import Part
from zsda.data.faults import Fault
from zsda.generation.data import PatchDataModule, SourcePatches
from zsda.generation.editors.base import Editor, edit_in_turns
from zsda.generation.store import GeneratedStore, encode

_ONCE = 5.0  # seconds; an edit that takes less is timed a second time, when all is warm
_LOOKED_AT = 20  # files that the size of an image is told from


def plan_set(
    root: Path,
    patches: SourcePatches,
    steps: int,
    editor: Editor | None,
    store: GeneratedStore | None,
    together: int | None,
) -> Part:
    """Says what the making of a set would do.

    Args:
        root: its folder, which need not exist.
        patches: what would be edited.
        steps: of denoising, for each patch.
        editor: edits a batch to be timed; None where it is not there.
        store: the set; None without an editor, of which it is told apart by. Then every file that is there counts as made.
        together: patches that are edited together.
    """
    count, number = patches.recipe.patches_per_image, together or 1
    if store is None:
        groups = [range(i, i + 1) for i, path in enumerate(patches.paths) if not (root / path).is_file()]
    else:
        data = PatchDataModule(patches, store, number)
        data.setup("predict")
        groups = data.pending
    left = sum(map(len, groups))
    made = len(patches) - left
    reads = f"{len(patches)} images, {made} made" if made else f"{len(patches)} images"
    length = f"{left} images x {count} patch{'es' * (count > 1)} x {steps} steps"
    if not left:
        return Part(root.name, reads, done=True)
    seconds = None
    if editor is not None:
        batches = sum(math.ceil(len(group) * count / number) for group in groups)
        one = _seconds_of_edit(editor, patches, groups[0][0], min(number, len(groups[0]) * count))
        seconds = None if one is None else one * batches
    return Part(root.name, reads, length, together, _bytes_of_image(root, patches, left), seconds)


def _seconds_of_edit(editor: Editor, patches: SourcePatches, image: int, number: int) -> float | None:
    """Returns the seconds of one batch, reading and cutting of an image included; None if the image is damaged."""
    seconds = 0.0
    for _ in range(2):
        started = time.monotonic()
        first = patches[image]
        if isinstance(first, Fault):
            return None
        batch = first["patches"].repeat(math.ceil(number / len(first["patches"])), 1, 1, 1)[:number]
        edit_in_turns(editor, batch, patches.domain, range(len(batch)), number)
        seconds = time.monotonic() - started
        if seconds > _ONCE:
            break
    return seconds


def _bytes_of_image(root: Path, patches: SourcePatches, left: int) -> int | None:
    """Returns the bytes of the images that are left, by those that are there, or else by the source as it would be written."""
    there = [path for name in patches.paths if (path := root / name).is_file()][:_LOOKED_AT]
    sizes = [path.stat().st_size for path in there]
    if not sizes:
        drawn = [patches[index] for index in range(min(2, len(patches)))]
        sizes = [len(encode(one["canvas"])) for one in drawn if not isinstance(one, Fault)]
    return round(left * sum(sizes) / len(sizes)) if sizes else None
