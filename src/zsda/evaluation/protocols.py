"""How predictions and labels are compared, and which number says it in one."""

from dataclasses import dataclass

from zsda.core.errors import ConfigError


@dataclass(frozen=True)
class Protocol:
    """One way to score, always named beside its numbers.

    Attributes:
        name: as it is chosen and written.
        native_labels: compare with labels of their own size, the logits upsampled; else at the network's input size.
        headline: the score that a training watches, that tables show and that a report compares.
    """

    name: str
    native_labels: bool
    headline: str = "miou"


PROTOCOLS = {protocol.name: protocol for protocol in (Protocol("sdgpa", False), Protocol("full", True))}
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
