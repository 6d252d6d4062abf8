"""The gate of a generated set: tells edits that failed, or moved, from edits that are merely dark, foggy or subtle."""

from typing import Any, NamedTuple

from torch import Tensor

from zsda.core.values import FLAG, POSITIVE
from zsda.generation.drift import Drift, find_drift, move_back

BLACK_LEVEL = 4
"""Grey levels up to here count as black.

An editor that fails answers with zeros or a little noise around them. Night is well above: in photographs of a day (CamVid)
that are darkened to 15 %, `BLACK_SHARE` of the values is above 27 in every patch of 512 pixels, above 6 in every one of 128.
"""

BLACK_SHARE = 0.005
"""A patch is black if no larger share of its values is above `BLACK_LEVEL`: single specks do not make a picture."""

FLAT_STRUCTURE = 2.0
"""Structure (see `structure`), in grey levels, below which nothing is to be seen: about the noise of a decoder."""

KEPT_STRUCTURE = 0.05
"""The least share of the original's structure that an edit must keep, where that is less than `FLAT_STRUCTURE`.

A patch of little but sky has not much to lose, and fog may take nine tenths of that.
"""

UNCHANGED_DIFFERENCE = 1.0
"""Mean absolute difference to the original, in grey levels, below which nothing was edited.

That much is rounding; encoding and decoding a photograph alone changes it by more.
"""

UNCHANGED_SHARE = 0.02
"""The least difference as a share of the original's structure, where that is less than `UNCHANGED_DIFFERENCE`.

Fog makes little of a sky that is white already.
"""


DRIFTED = "drifted"
"""The flaw of an edit that moved too far for its labels."""


class Rejected(NamedTuple):
    """One edit that did not pass.

    Attributes:
        patch: number of the patch within its image.
        seed: the noise seed of the edit.
        flaw: what was wrong, as `Gate.judge` names it.
        drift: how it moved, where that was what was wrong.
    """

    patch: int
    seed: int
    flaw: str
    drift: Drift | None = None


class Verdict(NamedTuple):
    """What the gate says of an edit.

    Attributes:
        patch: the edit as it may enter a set, moved back where that was asked for, uint8 [3, h, w].
        flaw: why it may not; None where it may.
        drift: how it had moved; None where that was not measured, or cannot be told.
        remaining: how far it still lies from where it belongs, in pixels, at its corner that is farthest; None as of ``drift``.
        aligned: whether it was moved back.
    """

    patch: Tensor
    flaw: str | None
    drift: Drift | None = None
    remaining: float | None = None
    aligned: bool = False

    @property
    def moved(self) -> float | None:
        """How far it had moved, in pixels, at its corner that moved most; None as of ``drift``."""
        _, height, width = self.patch.shape
        return None if self.drift is None else self.drift.largest(width, height)


class Gate:
    """Decides what may enter a generated set.

    Args:
        max_drift: how many pixels an edit may have moved at most, by shift and zoom together, at the corner that moved most. None: what
            moves is not measured.
        align: move back what moved farther, and take it if it then lies right, in place of refusing it.

    Raises:
        ConfigError: a value is none of these.
    """

    def __init__(self, max_drift: float | None = None, align: bool = False) -> None:
        POSITIVE.or_none().check("gate.max_drift", max_drift)
        FLAG.check("gate.align", align)
        self.max_drift, self.align = max_drift, align

    def describe(self) -> dict[str, Any]:
        """Returns the values as they are recorded beside a generated set."""
        return {"max_drift": self.max_drift, "align": self.align}

    def judge(self, edited: Tensor, original: Tensor, finite: bool = True) -> Verdict:
        """Says whether an edit may enter a set; the arguments are those of `find_flaw`, whose flaws come before ``drifted``."""
        flaw = find_flaw(edited, original, finite)
        if flaw is not None or self.max_drift is None:
            return Verdict(edited, flaw)
        drift = find_drift(edited, original)
        if drift is None:
            return Verdict(edited, None)
        height, width = edited.shape[1:]
        far = drift.largest(width, height)
        if far <= self.max_drift:
            return Verdict(edited, None, drift, far)
        if self.align:
            moved = move_back(edited, drift)
            rest = find_drift(moved, original)
            if rest is not None and rest.largest(width, height) <= self.max_drift:
                return Verdict(moved, None, drift, rest.largest(width, height), aligned=True)
        return Verdict(edited, DRIFTED, drift, far)


def find_flaw(edited: Tensor, original: Tensor, finite: bool = True) -> str | None:
    """Names what makes an edit useless for training; None for one that may enter a set.

    What the original already was is no flaw of the edit: a black border stays black, an evenly white sky white.

    Args:
        edited: the edited patch, uint8 [3, h, w].
        original: the patch that was edited, uint8 [3, h, w].
        finite: whether the editor calculated finite values only, which a patch of bytes no longer tells.

    Returns:
        ``non-finite``, ``black`` (nothing but the darkest levels), ``flat`` (one colour), ``unchanged`` or None.
    """
    if not finite:
        return "non-finite"
    if _is_black(edited) and not _is_black(original):
        return "black"
    given = structure(original)
    if given >= FLAT_STRUCTURE and structure(edited) < min(FLAT_STRUCTURE, KEPT_STRUCTURE * given):
        return "flat"
    difference = (edited.float() - original.float()).abs().mean().item()
    return "unchanged" if difference < min(UNCHANGED_DIFFERENCE, UNCHANGED_SHARE * given) else None


def structure(patch: Tensor) -> float:
    """Returns how much there is to be seen in a patch: the largest standard deviation of its channels, in grey levels.

    Args:
        patch: uint8 [3, h, w].
    """
    return patch.flatten(1).float().std(dim=1, correction=0).max().item()


def _is_black(patch: Tensor) -> bool:
    return (patch > BLACK_LEVEL).float().mean().item() <= BLACK_SHARE
