"""How predictions and labels are compared, and which number says it in one."""

import re
from dataclasses import dataclass, replace
from typing import Any, Literal

from zsda.core.errors import ConfigError
from zsda.core.values import SIZE, SIZES
from zsda.data.labels import LabelSize

Absent = Literal["left_out", "zero"]
"""What a class that is neither labelled nor predicted counts in the mean: nothing, or 0."""


@dataclass(frozen=True)
class Protocol:
    """One way to score, always named beside its numbers.

    Attributes:
        name: as it is written and compared; that of a variant tells its ``scales`` and whether it is mirrored.
        size: height, width to which images are brought, of several the largest; None is what the network was trained at.
        labels: ``input`` brings the labels to the same size and compares there; ``native`` leaves them at their own and brings the
            predictions to it.
        absent: what a class that is neither labelled nor predicted counts in the mean: ``left_out`` is the mean of the others,
            ``zero`` the mean of all with 0 for it.
        headline: the score that a training watches, that tables show and that a report compares.
        summed: whether probabilities are brought to the labels' size and summed (`zsda.evaluation.inference.SummedInference`), in
            place of logits.
        scales: heights, widths to sum over; empty is ``size`` alone.
        mirror: sum over the mirrored image, too.
    """

    name: str
    size: tuple[int, int] | None
    labels: LabelSize
    absent: Absent
    headline: str = "miou"
    summed: bool = False
    scales: tuple[tuple[int, int], ...] = ()
    mirror: bool = False

    @property
    def words(self) -> str:
        """What asks ``zsda.eval`` for it."""
        scales = ",".join(f"[{height},{width}]" for height, width in self.scales)
        summed = [*([f"'scales=[{scales}]'"] if scales else []), *(["mirror=true"] if self.mirror else [])]
        return " ".join([f"protocol={self.name.split('_')[0]}", *summed])


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("sdgpa", None, "input", "left_out"),
        Protocol("full", None, "native", "left_out"),
        Protocol("hiast", (768, 1536), "native", "zero", summed=True),
    )
}
"""``sdgpa`` is the paper's (Luo et al., IROS 2025, section IV-A): images and labels at 512x1024. ``hiast`` is that of the published
code of HIAST (Zhu et al., TPAMI 2025)."""

SCORE_NAMES = {"miou": "mIoU", "miou_present": "mIoU of labelled classes", "accuracy": "pixel accuracy"}
"""How tables call the scores."""

SUBSETS = {
    "miou_16": "mIoU of 16 classes",
    "miou_13": "mIoU of 13 classes",
    "miou_16_published": "mIoU of 16 classes by the published rule",
    "miou_13_published": "mIoU of 13 classes by the published rule",
}
"""Further scores that runs can be compared by, means of a part of the 19 classes; see `zsda.evaluation.metrics.subset_means`."""

_VARIANT = re.compile(
    r"(?P<plain>[a-z]+)(_(?P<scales>\d{1,5}x\d{1,5}(\+\d{1,5}x\d{1,5})*))?(?P<mirror>_mirror)?", re.ASCII
)


def find_protocol(name: str) -> Protocol:
    """Returns the protocol of a name as results carry it, such as ``hiast_512x1024+768x1536_mirror``.

    Raises:
        ConfigError: there is none.
    """
    found = _VARIANT.fullmatch(name)
    if found is None:
        raise _unknown(name)
    sizes = [[int(length) for length in size.split("x")] for size in (found["scales"] or "").split("+") if size]
    return chosen_protocol(found["plain"], scales=sizes or None, mirror=found["mirror"] is not None)


def chosen_protocol(name: str, size: Any = None, scales: Any = None, mirror: bool = False) -> Protocol:  # noqa: ANN401 - of a user
    """Returns a protocol of `PROTOCOLS`, or a variant of it.

    Args:
        name: of the protocol.
        size: height, width in place of its own; None leaves that.
        scales: a list of heights, widths to sum over in place of one size; in any order, each counts once.
        mirror: sum over the mirrored image, too.

    Raises:
        ConfigError: there is no such protocol, it does not sum, or a size is no height and width.
    """
    if name not in PROTOCOLS:
        raise _unknown(name)
    protocol = PROTOCOLS[name]
    if not protocol.summed and (scales is not None or mirror):
        able = ", ".join(one.name for one in PROTOCOLS.values() if one.summed)
        found = "mirror=true" if scales is None else f"scales={scales}"
        raise ConfigError(f"{found} sums probabilities, which protocol={name} does not; expected protocol={able}")
    SIZE.or_none().check("size", size)
    SIZES.or_none().check("scales", scales)
    sizes = tuple(sorted({(height, width) for height, width in scales or ()}, key=lambda one: (one[0] * one[1], one)))
    if len(sizes) == 1:
        size, sizes = sizes[0], ()
    written = "+".join(f"{height}x{width}" for height, width in sizes)
    full = "_".join([name, *([written] if sizes else []), *(["mirror"] if mirror else [])])
    seen = sizes[-1] if sizes else size or protocol.size
    return replace(protocol, name=full, size=seen and (seen[0], seen[1]), scales=sizes, mirror=mirror)


def _unknown(name: str) -> ConfigError:
    plain = str(name).split("_")[0]
    if plain != name and PROTOCOLS.get(plain, PROTOCOLS["full"]).summed and _VARIANT.fullmatch(name):
        return ConfigError(f"protocol={name} is the name of a result; give {find_protocol(name).words}")
    return ConfigError(f"unknown protocol {name!r}; expected one of {', '.join(PROTOCOLS)}")
