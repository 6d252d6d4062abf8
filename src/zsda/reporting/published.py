"""What the paper says it reaches, to stand beside runs that compare with it.

Luo, Zhao, Liu: Zero Shot Domain Adaptive Semantic Segmentation by Synthetic Data Generation and Progressive Adaptation, IROS 2025,
arXiv 2508.03300; both rows as the table in the README of the published code (github.com/ROUJINN/SDGPA) has them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from zsda.reporting.results import RunScores
from zsda.reporting.seeds import Summary

SCORE = "miou"
"""The paper averages over all 19 classes."""

_SIZE, _PROTOCOL = (512, 1024), "sdgpa"


@dataclass(frozen=True)
class Quoted:
    """A row that others measured.

    Attributes:
        name: how tables call it.
        values: domain -> mIoU, a share of 1, and its standard deviation where it is published.
    """

    name: str
    values: Mapping[str, Summary]

    def mean(self, domains: Sequence[str]) -> Summary | None:
        """Returns the mean over domains, None where it lacks one; of one domain, what is published."""
        if not all(domain in self.values for domain in domains):
            return None
        if len(domains) == 1:
            return self.values[domains[0]]
        return Summary(fmean(self.values[domain].mean for domain in domains), None, 0)


def _quoted(name: str, **per_cent: tuple[float, float | None]) -> Quoted:
    shares = {
        domain: Summary(mean / 100, None if deviation is None else deviation / 100, 0)
        for domain, (mean, deviation) in per_cent.items()
    }
    return Quoted(name, shares)


QUOTED = (
    _quoted("sdgpa (paper)", night=(26.9, 0.8), snow=(47.4, 0.7), rain=(48.6, 0.8), fog=(58.8, 0.7), game=(43.4, 0.4)),
    _quoted(
        "sdgpa (released checkpoints)",
        night=(27.6, None),
        snow=(46.8, None),
        rain=(49.0, None),
        fog=(59.8, None),
        game=(43.1, None),
    ),
)
NOTE = "Quoted from Luo et al. (IROS 2025, arXiv 2508.03300) and their code, not measured here, the mean taken of what is quoted"


def compares(results: Sequence[RunScores]) -> bool:
    """Tells whether runs are measured as the paper's: its method trained for its domains, its protocol and its input size."""
    return any(
        result.as_published and result.protocol == _PROTOCOL and tuple(result.size) == _SIZE for result in results
    )
