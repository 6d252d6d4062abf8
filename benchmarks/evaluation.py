"""Evaluation samples per second and core: an image of 2048x1024 with its label, brought to 512x1024 and collated.

python benchmarks/evaluation.py
"""

from typing import Any

import published
from material import scenes
from rounds import Claim, main, medians, ratio, seconds
from torch.utils.data import default_collate

from zsda.data.cache import Cache
from zsda.data.datasets.cityscapes import Cityscapes
from zsda.data.evaluation import EvaluationData

_SIZE = (512, 1024)


def measure(rounds: int) -> tuple[list[Claim], dict[str, Any]]:
    """Compares batches of four."""
    with scenes() as root:
        dataset = Cityscapes(root / "cityscapes", "train")

        def data(cache: Cache | None) -> EvaluationData:
            made = EvaluationData({"day": dataset}, _SIZE, _SIZE, batch_size=4, num_workers=0, cache=cache)
            made.prepare_data()
            made.setup("test")
            return made

        def theirs() -> object:
            return default_collate([published.evaluation_sample(s.image, s.label) for s in dataset.samples])

        def ours(made: EvaluationData) -> object:
            (loader,) = made.test_dataloader()
            (batch,) = loader
            return made.on_after_batch_transfer(batch, 0)

        plain, kept = data(None), data(Cache(1.0))
        taken = seconds(
            {"published": theirs, "zsda": lambda: ours(plain), "zsda_cached": lambda: ours(kept)},
            rounds,
        )
    claims = [
        Claim("evaluation samples, uncached, against the published", ratio(taken, "published", "zsda"), 1.4),
        Claim("evaluation samples, cached, against the published", ratio(taken, "published", "zsda_cached"), 8),
    ]
    return claims, {"milliseconds_of_4": medians(taken)}


if __name__ == "__main__":
    main(__doc__, measure)
