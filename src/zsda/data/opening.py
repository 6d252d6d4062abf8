"""Opens PNG and JPEG with Pillow, once the header says that they are small enough to be decoded."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from PIL import ImageFile, JpegImagePlugin, PngImagePlugin

from zsda.core.limits import check_pixels

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"


@contextmanager
def opened(path: Path, png_only: bool = False) -> Iterator[tuple[BinaryIO, ImageFile.ImageFile]]:
    """Opens an image; nothing of it is decoded yet.

    Yields:
        The file, and the image that is read from it.

    Raises:
        OSError: there is no such file, or no regular one.
        TooLargeError: it has more pixels than `zsda.core.limits.most_pixels`.
        Exception: whatever a damaged file makes Pillow stumble over.
    """
    with regular(path).open("rb") as file:
        begin = file.read(len(_PNG))
        file.seek(0)
        # Not by Image.open, whose limit is one for the whole process, and warns before it refuses.
        if begin == _PNG:
            image: ImageFile.ImageFile = PngImagePlugin.PngImageFile(file, str(path))
        elif begin.startswith(_JPEG) and not png_only:
            image = cast(ImageFile.ImageFile, JpegImagePlugin.jpeg_factory(file, str(path)))
        else:
            raise OSError(f"no PNG{'' if png_only else ' and no JPEG'}, by its first bytes")
        with image:
            check_pixels(*image.size)
            yield file, image


def regular(path: Path) -> Path:
    """Returns the path of a file.

    Raises:
        OSError: it is something else: a pipe would be waited for.
    """
    if path.exists() and not path.is_file():
        raise OSError("no regular file")
    return path
