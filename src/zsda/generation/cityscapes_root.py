"""A generated set as a Cityscapes root, for other code: a folder of links beside it.

    <root>_cityscapes/leftImg8bit/train       -> the edits of the set
    <root>_cityscapes/leftImg8bit/{val,test}  -> those of Cityscapes, as the published SDGPA code has them
    <root>_cityscapes/gtFine                  -> that of Cityscapes

It is a folder of its own, since edits of other splits lie in the set itself, where such a link would lead them to the originals.
"""

import os
from pathlib import Path

from zsda.core.errors import ConfigError, StoreError
from zsda.core.files import describe_os_error
from zsda.data.datasets.cityscapes import Cityscapes
from zsda.data.samples import SegmentationDataset

_IMAGES = "leftImg8bit"


def check_source(source: SegmentationDataset) -> None:
    """Refuses a source that has no folders of Cityscapes to link to.

    Raises:
        ConfigError: it is of other data.
    """
    if not isinstance(source, Cityscapes):
        raise ConfigError(
            f"cityscapes_root=true links edits beside the labels of Cityscapes, and these are of {source.name}; expected "
            "data=cityscapes, or cityscapes_root=false"
        )


class CityscapesRoot:
    """The folder of links of one generated set. Nothing is written before `link`.

    The links are relative, so that it may be moved together with what it links to. They hold where ``root`` and ``source`` lie apart, and
    behind links of the file system.

    Args:
        root: the folder of the generated set.
        source: the Cityscapes root that is edited.

    Raises:
        StoreError: something else lies where a link belongs.
    """

    def __init__(self, root: Path, source: Path) -> None:
        self.root = root.with_name(f"{root.name}_cityscapes")
        self._edits = root / _IMAGES / "train"
        # A relative link is followed from where its folder really lies.
        self._there, edits, source = (path.parent.resolve() / path.name for path in (self.root, root, source))
        splits = {split: source / _IMAGES / split for split in ("val", "test")}
        targets = {f"{_IMAGES}/{split}": images for split, images in splits.items() if images.is_dir()}
        self._targets = {f"{_IMAGES}/train": edits / _IMAGES / "train", "gtFine": source / "gtFine", **targets}
        for folder in (self.root, self.root / _IMAGES):
            if folder.is_symlink():
                raise StoreError(
                    f"{folder} is a link to {folder.resolve()}; expected nothing, or a folder of links: move it away"
                )
        for name in self._targets:
            link, relative = self.root / name, self._relative(name)
            if (link.is_symlink() or link.exists()) and not self._is_made(name):
                raise StoreError(f"{link}: expected nothing, or a link to {relative}; move it away")

    def check_edits(self, split: str) -> None:
        """Refuses a set that has nothing to be linked as ``train``.

        Args:
            split: the one that is about to be edited.

        Raises:
            StoreError: it is another split, and there are no edits of the train split.
        """
        if split != "train" and not self._edits.is_dir():
            raise StoreError(f"{self._edits}: no edits for cityscapes_root=true; make them first, with split=train")

    def link(self) -> None:
        """Makes the links that are not there.

        Raises:
            StoreError: the file system refuses.
        """
        for name in self._targets:
            if not self._is_made(name):
                link = self.root / name
                try:
                    link.parent.mkdir(parents=True, exist_ok=True)
                    link.symlink_to(self._relative(name))
                except OSError as error:
                    raise StoreError(describe_os_error(error, link)) from error

    def _relative(self, name: str) -> str:
        return os.path.relpath(self._targets[name], (self._there / name).parent)

    def _is_made(self, name: str) -> bool:
        link = self.root / name
        return link.is_symlink() and link.readlink() == Path(self._relative(name))
