"""How predictions and labels are compared, and which number says it in one."""

from dataclasses import dataclass
from typing import Literal

from zsda.core.errors import ConfigError
from zsda.data.labels import LabelSize

Absent = Literal["left_out", "zero"]
"""What a class that is neither labelled nor predicted counts in the mean: nothing, or 0."""


@dataclass(frozen=True)
class Protocol:
    """One way to score, always named beside its numbers.

    Attributes:
        name: as it is chosen and written.
        size: height, width to which images are brought; None is what the network was trained at.
        labels: ``input`` brings the labels to the same size and compares there; ``native`` leaves them at their own and brings the
            logits to it.
        absent: what a class that is neither labelled nor predicted counts in the mean: ``left_out`` is the mean of the others,
            ``zero`` the mean of all with 0 for it.
        headline: the score that a training watches, that tables show and that a report compares.
    """

    name: str
    size: tuple[int, int] | None
    labels: LabelSize
    absent: Absent
    headline: str = "miou"


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (Protocol("sdgpa", None, "input", "left_out"), Protocol("full", None, "native", "left_out"))
}
"""``sdgpa`` is the paper's (Luo et al., IROS 2025, section IV-A): images and labels at 512x1024."""

SCORE_NAMES = {"miou": "mIoU", "miou_present": "mIoU of labelled classes", "accuracy": "pixel accuracy"}
"""How tables call the scores."""


def find_protocol(name: str) -> Protocol:
    """Returns the protocol of a name.

    Raises:
        ConfigError: there is none.
    """
    if name not in PROTOCOLS:
        raise ConfigError(f"unknown protocol {name!r}; expected one of {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
