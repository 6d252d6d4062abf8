"""Every random decision is a function of what it decides: hashes that are the same in every process and on every machine.

Decisions that must not depend on each other are hashed apart, each under a name of its own. A generator that several of them
draw from, or one seed that several generators share, would tie them together or to the order in which they are made.
"""

import hashlib
import json


def hash32(*parts: object) -> int:
    """Hashes plain values to a seed of 32 bits."""
    return int.from_bytes(_sha256(parts)[:4], "big")


def uniform(*parts: object) -> float:
    """Hashes plain values to a number, uniform in [0, 1): a random decision without a generator."""
    return (
        int.from_bytes(_sha256(parts)[:8], "big") >> 11
    ) / 2**53  # as many bits as a float holds, so that 1 is never reached


def phase_seed(seed: int, number: int) -> int:
    """Returns the seed of the phase with this number, from 0, so that no phase draws again what an earlier one drew."""
    return hash32(seed, number) if number else seed


def derive_seed(seed: int, source: str, domain: str, recipe: str, patch_index: int, purpose: str) -> int:
    """Hashes what an edit depends on into a seed of 63 bits.

    The result depends on nothing else, so an image gets the same patch position and the same noise whatever the order,
    the batch size, the number of workers or devices, and however often a run was interrupted.

    Args:
        seed: the seed of the run.
        source: path of the source image relative to its data set, in POSIX form.
        domain: name of the domain.
        recipe: name of the recipe.
        patch_index: number of the patch within the image.
        purpose: what the seed is for: ``position``, ``noise``, or ``noise1``, ``noise2`` and so on for further attempts at a
            patch whose edit was no good.
    """
    key = json.dumps([seed, source, domain, recipe, patch_index, purpose], separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") >> 1


def _sha256(parts: tuple[object, ...]) -> bytes:
    return hashlib.sha256(repr(parts).encode()).digest()
