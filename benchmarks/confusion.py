"""The confusion matrix of a label map of 512x1024 and its prediction.

python benchmarks/confusion.py
"""

from typing import Any

import numpy as np
import torch
from published import VOID, ConfusionMatrix
from rounds import Claim, main, medians, ratio, seconds

from zsda.data.labels import IGNORE
from zsda.evaluation.metrics import SegmentationScores

_CLASSES, _SIZE = 19, (512, 1024)


def measure(rounds: int) -> tuple[list[Claim], dict[str, Any]]:
    """Compares four maps, as an evaluation counts them, of blocks of 16 pixels of which four in five are right."""
    random = torch.Generator().manual_seed(0)
    blocks = torch.randint(0, VOID + 1, (4, _SIZE[0] // 16, _SIZE[1] // 16), generator=random)
    labels = blocks.repeat_interleave(16, 1).repeat_interleave(16, 2)
    wrong = torch.rand(labels.shape, generator=random) < 0.2
    predictions = torch.where(wrong, torch.randint(0, _CLASSES, labels.shape, generator=random), labels % _CLASSES)
    stored = torch.where(labels == VOID, IGNORE, labels).to(torch.uint8)
    theirs, ours = ConfusionMatrix(), SegmentationScores(_CLASSES)
    taken = seconds(
        {
            "published": lambda: theirs.update(predictions, labels),
            "zsda": lambda: [ours.update(*pair) for pair in zip(predictions, stored, strict=True)],
        },
        rounds,
        warm=2,
    )
    alike = bool((theirs.counts[:_CLASSES, :_CLASSES] == np.asarray(ours.confusion[:, :_CLASSES])).all())
    claims = [Claim("confusion matrix of 512x1024, against the published", ratio(taken, "published", "zsda"), 3)]
    return claims, {"milliseconds_of_4": medians(taken), "equal": alike}


if __name__ == "__main__":
    main(__doc__, measure)
