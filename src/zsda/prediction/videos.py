"""Videos, frame by frame."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from zsda.core.digests import content_digest
from zsda.core.errors import DataError, IncompleteError, StoreError
from zsda.core.files import write_atomic
from zsda.prediction.containers import is_cut_short
from zsda.prediction.outputs import PAINTED, Painter
from zsda.prediction.predictor import Predictor
from zsda.prediction.store import PredictionStore, Work, replaced

_log = logging.getLogger(__name__)

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # it speaks of its own insides, and the error names the file

_SUFFIX = ".mp4"
_PATIENCE = 1.0  # seconds that sound may last longer than the pictures


class Video:
    """A video that OpenCV reads.

    Args:
        path: of the file.

    Attributes:
        rate: frames in a second.
        size: height, width of the frames, upright.
        count: how many frames the file says that it has, often an estimate; 0 or less if it says nothing.
        cut_short: whether the end of the file is missing.
        reached: seconds from the start to the end of the last frame that was read.

    Raises:
        DataError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path, self.reached = path, 0.0
        capture = self._open()
        try:
            good, frame = capture.read()
            self.rate, self.count = capture.get(cv2.CAP_PROP_FPS), int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        finally:
            capture.release()
        if not good or not 0 < self.rate < np.inf:
            raise self._unreadable()
        try:
            self.cut_short = is_cut_short(path)
        except OSError as error:
            raise self._unreadable() from error
        self.size: tuple[int, int] = frame.shape[:2]

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """Yields the frames, RGB, uint8 [H, W, 3]."""
        capture = self._open()
        try:
            while True:
                good, frame = capture.read()
                if not good:
                    return
                self.reached = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 + 1 / self.rate
                yield np.ascontiguousarray(frame[..., ::-1])
        finally:
            capture.release()

    def _open(self) -> Any:  # noqa: ANN401 - OpenCV has no types
        return cv2.VideoCapture(str(self._path))

    def _unreadable(self) -> DataError:
        return DataError(f"{self._path}: cannot be read as a video; expected a complete one that OpenCV can decode")


def video_places(name: str, kinds: Sequence[str], size: tuple[int, int]) -> dict[str, str]:
    """Returns output -> path of the video, or of the folder of its frames."""
    even = all(length % 2 == 0 for length in size)  # FFmpeg cuts off the last row or column of an odd number of them
    return {kind: f"{kind}/{name}{_SUFFIX}" if kind in PAINTED and even else f"{kind}/{name}" for kind in kinds}


def predict_video(
    path: Path,
    kinds: Sequence[str],
    predictor: Predictor,
    painter: Painter,
    store: PredictionStore,
    progress: Progress,
) -> int | None:
    """Predicts a video: what is painted becomes one of the same size, rate and number of frames, unless a side is odd; the rest PNGs.

    Args:
        path: the video.
        kinds: what is written of it, see `zsda.prediction.outputs.Painter.png`.
        predictor: predicts.
        painter: makes the outputs.
        store: where they go.
        progress: shows how far it is.

    Returns:
        The number of frames; None if all was finished already.

    Raises:
        DataError: the video cannot be read.
        IncompleteError: its end is missing; what is there was predicted, and is not noted as finished.
        StoreError: an output cannot be written to its place, see `PredictionStore.begin`, or the file system refuses.
        ModelError: outputs of the network are not finite.
    """
    video = Video(path)
    places = video_places(path.stem, kinds, video.size)
    work = Work(path, None if video.cut_short else content_digest(path), list(places.values()))
    if not store.begin([work]):
        return None
    count = 0
    with ExitStack() as stack:
        writers = {
            kind: stack.enter_context(_writer(store.root / place, video))
            for kind, place in places.items()
            if place == f"{kind}/{path.stem}{_SUFFIX}"  # a folder of frames may end in it, too
        }
        for number, pixels in enumerate(
            progress.track(video.frames(), max(0, video.count) or None, description="predicting")
        ):
            prediction = predictor.predict(pixels)
            for kind, place in places.items():
                if kind in writers:
                    writers[kind].write(np.ascontiguousarray(painter.paint(kind, prediction, pixels)[..., ::-1]))
                else:
                    write_atomic(store.root / place / f"{number:06}.png", painter.png(kind, prediction, pixels))
            count = number + 1
    if video.cut_short:
        raise IncompleteError(
            f"{path}: the end of the file is missing; its first {count} frames were predicted, the results are in {store.root}; expected a "
            "complete video"
        )
    told = video.count / video.rate
    # The count alone is no measure where the rate varies; and the time is no proof: a trimmed video tells of what it does not show.
    if count < video.count and video.reached < told - _PATIENCE:
        _log.warning(
            "%s: its frames end after %.1f of about %.1f seconds; the rest is damaged, was trimmed, or is sound alone",
            path,
            video.reached,
            told,
        )
    store.note(work)
    return count


@contextmanager
def _writer(path: Path, video: Video) -> Iterator[Any]:
    with replaced(path) as part:
        height, width = video.size
        writer = cv2.VideoWriter(str(part), cv2.VideoWriter.fourcc(*"mp4v"), video.rate, (width, height))
        if not writer.isOpened():
            raise StoreError(
                f"{path}: OpenCV cannot write a video of {width}x{height} at {video.rate:g} frames a second there"
            )
        try:
            yield writer
        finally:
            writer.release()
