"""A generated set as a Cityscapes root, for other code: a folder of links beside it.

    <root>_cityscapes/leftImg8bit/train       -> the edits of the set
    <root>_cityscapes/leftImg8bit/{val,test}  -> those of Cityscapes, as the published SDGPA code has them
    <root>_cityscapes/gtFine                  -> that of Cityscapes

It is a folder of its own, since edits of other splits lie in the set itself, where such a link would lead them to the originals.
"""

import os
from pathlib import Path

from zsda.errors import StoreError
from zsda.runs import describe_os_error

_IMAGES = "leftImg8bit"


def link_cityscapes_root(root: Path, source: Path) -> Path:
    """Makes, or completes, a Cityscapes root of relative links, so that it may be moved together with what it links to.

    Args:
        root: the folder of a generated set that holds edits of the train split.
        source: the Cityscapes root that was edited.

    Returns:
        The folder ``<root>_cityscapes``.

    Raises:
        StoreError: the set has no edits of the train split, something else lies where a link belongs, or the file system refuses.
    """
    edits = root / _IMAGES / "train"
    if not edits.is_dir():
        raise StoreError(
            f"{root}: no edits of the train split to link; make them with python -m zsda.generate split=train"
        )
    linked = root.with_name(f"{root.name}_cityscapes")
    wanted = {linked / _IMAGES / "train": edits, linked / "gtFine": source / "gtFine"}
    for split in ("val", "test"):
        if (source / _IMAGES / split).is_dir():
            wanted[linked / _IMAGES / split] = source / _IMAGES / split
    for link, target in wanted.items():
        _link(link, target)
    return linked


def _link(link: Path, target: Path) -> None:
    relative = os.path.relpath(target.absolute(), link.parent.absolute())
    if link.is_symlink() and link.readlink() == Path(relative):
        return
    if link.is_symlink() or link.exists():
        raise StoreError(f"{link}: expected nothing, or a link to {relative}; move it away")
    try:
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(relative)
    except OSError as error:
        raise StoreError(describe_os_error(error, link)) from error
