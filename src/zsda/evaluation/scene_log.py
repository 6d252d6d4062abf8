"""Collects the scenes of an evaluation while it runs; `zsda.evaluation.scenes` says what becomes of them."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor, distributed

from zsda.data.labels import ClassSet
from zsda.evaluation.metrics import plain_number, scores
from zsda.evaluation.pictures import mask_png
from zsda.evaluation.scenes import LABELS, LONGEST, PREDICTION, SceneScores, picture_name, scene_files


class SceneLog:
    """Collects what becomes `SceneScores` and their pictures, in each process its own share.

    Args:
        classes: of predictions and labels.
        sets: names of the settings, in the order of their loaders.
    """

    def __init__(self, classes: ClassSet, sets: Sequence[str]) -> None:
        self._classes, self._sets = classes, list(sets)
        self._counts: list[tuple[str, str, Tensor]] = []
        self._pictures: list[Future[tuple[bytes, bytes]]] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="scenes")
        self._known: dict[str, dict[str, tuple[float | None, float | None, bytes, bytes]]] = {name: {} for name in sets}

    def add(self, index: int, key: str, counts: Tensor, prediction: Tensor, labels: Tensor) -> None:
        """Adds an image.

        Args:
            index: of its setting.
            key: its name within it.
            counts: its own confusion, int64 [C, C + 1], left where it is.
            prediction: ids, int [H, W].
            labels: what is labelled, uint8 [H, W].
        """
        self._counts.append((self._sets[index], key, counts))
        step = -(-max(labels.shape) // LONGEST)
        # Points, not means: between two classes lies none.
        small = [ids[step // 2 :: step, step // 2 :: step].to(torch.uint8) for ids in (prediction, labels)]
        # In its own thread, which waits for the device in place of this one.
        self._pictures.append(self._thread.submit(lambda: (self._png(small[0]), self._png(small[1]))))

    def _png(self, ids: Tensor) -> bytes:
        return mask_png(ids.contiguous().cpu().numpy(), self._classes, compress_level=6)

    def gather(self) -> None:
        """Lets every process know the scenes of all; to be called by all of them."""
        found = []
        for (setting, key, counts), pictures in zip(self._counts, self._pictures, strict=True):
            reached = scores(counts.cpu())
            miou, accuracy = (plain_number(float(reached[name])) for name in ("miou_present", "accuracy"))
            found.append((setting, key, (miou, accuracy, *pictures.result())))
        self._thread.shutdown()
        everyones = [found]
        if distributed.is_available() and distributed.is_initialized():
            everyones = [[] for _ in range(distributed.get_world_size())]
            distributed.all_gather_object(everyones, found)
        for setting, key, scene in (entry for entries in everyones for entry in entries):
            self._known[setting][key] = scene

    def files(self, images: Mapping[str, Mapping[str, str]]) -> dict[str, bytes]:
        """Returns name -> content of what is kept of the scenes, once all are gathered.

        Args:
            images: setting -> scene -> path of its image below the root of its set.
        """
        scenes: dict[str, list[SceneScores]] = {}
        pictures: dict[str, bytes] = {}
        for setting, known in self._known.items():
            scenes[setting] = []
            for number, (key, (miou, accuracy, prediction, labels)) in enumerate(sorted(known.items())):
                scenes[setting].append(SceneScores(number, key, images[setting][key], miou, accuracy))
                pictures[picture_name(setting, number, PREDICTION)] = prediction
                pictures[picture_name(setting, number, LABELS)] = labels
        return scene_files(scenes, pictures)
