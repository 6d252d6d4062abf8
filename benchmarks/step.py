"""One training step of DeepLabV3+ on ResNet-50 with two pairs of crops of 384x768 on the CPU: the best settings against fp32 as published.

python benchmarks/step.py
"""

from typing import Any

import torch
from rounds import Claim, main, medians, ratio, seconds
from steps import batch, network, ours, published

from zsda.core.precision import is_fast_in_bf16

_BF16_GAIN = 1.5
"""What bf16 must give where the processor has units for it; elsewhere fp32 is best, and must lose nothing."""


def measure(rounds: int) -> tuple[list[Claim], dict[str, Any]]:
    """Compares steps on the same batch."""
    cpu = torch.device("cpu")
    fast = is_fast_in_bf16(cpu)
    given = batch(2, (384, 768), cpu)
    theirs = published(network("resnet50", cpu))
    best = ours(network("resnet50", cpu), torch.bfloat16 if fast else torch.float32)
    taken = seconds({"published": lambda: theirs(given), "zsda": lambda: best(given)}, rounds)
    how = "bf16" if fast else "fp32, as there are no bf16 units"
    claim = Claim(
        f"a training step in {how}, against fp32 as published",
        ratio(taken, "published", "zsda"),
        _BF16_GAIN if fast else 0.95,
    )
    return [claim], {"milliseconds_of_2_pairs": medians(taken), "bf16_units": fast}


if __name__ == "__main__":
    main(__doc__, measure, threads=None)
