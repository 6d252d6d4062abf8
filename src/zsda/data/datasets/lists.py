"""Lists of the frames of a set, in JSON as HIAST (Zhu et al., TPAMI 2025, arXiv 2302.06992) publishes them.

    [{"image_name": "images/00001.png", "mask_name": "labels/00001.png", "has_target": true}, ...]

Paths count from the root of the set. An empty ``mask_name`` stands for no label; ``has_target`` and other keys are not looked at.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from zsda.core.errors import DataError
from zsda.core.files import read_regular
from zsda.core.records import first_fault, is_below, printable, validate_json
from zsda.data.samples import WAY_OUT, Sample, is_there, with_labels

_MOST_BYTES = 64 * 2**20
_EXPECTED = "expected a JSON array of objects with image_name and mask_name, paths from the root of the set"


def _named(name: str) -> str:
    # Not min_length, for which pydantic takes UTF-8 alone.
    if not name:
        raise PydanticCustomError("string_too_short", "String should have at least 1 character")
    return name


class Listed(BaseModel):
    """One frame of a list.

    Attributes:
        image_name: path of the image, relative to the root of the set.
        mask_name: path of its label; empty where it has none.
    """

    model_config = ConfigDict(frozen=True, strict=True)

    image_name: Annotated[str, AfterValidator(_named)]
    mask_name: str


_List = TypeAdapter(list[Listed])


def read_list(path: Path) -> list[Listed]:
    """Reads a list.

    Raises:
        DataError: the file is missing, larger than 64 MiB, or no such list; or a path is absolute or leaves the root by ``..``.
    """
    try:
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise DataError(f"{path}: {size} bytes; expected at most {_MOST_BYTES}, {_EXPECTED}")
        listed = validate_json(_List, read_regular(path).removeprefix(b"\xef\xbb\xbf"))  # a mark of editors on Windows
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); {_EXPECTED}") from error
    except ValidationError as error:
        raise DataError(f"{path}: {first_fault(error)}; {_EXPECTED}") from error
    if not listed:
        raise DataError(f"{path}: the list is empty; {_EXPECTED}")
    names = (name for frame in listed for name in (frame.image_name, frame.mask_name))
    leaving = next((name for name in names if not is_below(name)), None)
    if leaving is not None:
        raise DataError(f"{path}: {printable(leaving)} lies outside the set; expected paths from its root, without ..")
    return listed


def listed_samples(
    what: str,
    root: Path,
    path: Path,
    listed: Sequence[Listed],
    name: Callable[[Path], str],
    encoding: str | Callable[[Path], str],
    needs_labels: bool | None = True,
) -> list[Sample]:
    """Finds the frames of a list, in its order.

    Args:
        what: how messages call the set.
        root: the folder of the set.
        path: the list.
        listed: what it holds.
        name: key of a frame, by its image.
        encoding: of all labels, or of each by its file.
        needs_labels: see `zsda.data.samples.with_labels`.

    Raises:
        DataError: an image is missing or would be there twice, or one has no label, and needs one.
    """
    samples: dict[str, Sample] = {}
    for frame in listed:
        image, label = root / frame.image_name, root / frame.mask_name if frame.mask_name else None
        key = name(image)
        if key in samples:
            raise DataError(
                f"{path}: {printable(str(samples[key].image.relative_to(root)))} and {printable(frame.image_name)} would both be "
                f"{printable(key)}; expected each frame once"
            )
        if label is None:
            samples[key] = Sample(key, image)
        else:
            samples[key] = Sample(key, image, label, encoding if isinstance(encoding, str) else encoding(label))
    missing = [sample.image for sample in samples.values() if not is_there(sample.image)]
    if missing:
        raise DataError(
            f"{what}: {len(missing)} of the {len(listed)} images that {path} lists are not under {root}, the first is "
            f"{printable(str(missing[0].relative_to(root)))}; {WAY_OUT}"
        )
    bare = [frame.image_name for frame in listed if not frame.mask_name]
    if bare and needs_labels is not False:
        raise DataError(
            f"{path}: {len(bare)} of {len(listed)} images have no mask_name, the first is {printable(bare[0])}; expected a label for "
            f"each, as {what} is read here"
        )
    return with_labels(what, list(samples.values()), needs_labels)
