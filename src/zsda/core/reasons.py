"""What libraries say of a fault, as it is told on: in one short line, and without their advice."""

import re

from zsda.core.records import printable

_ADVICE = re.compile(
    r"decompression.?bomb|max_image_pixels|max_text_|load_truncated|opencv_io_|weights_only|weights.only load|trusted source|"
    r"safe_globals|can still be loaded|if you trust|custom code|allow_pickle|allow_patterns|trust_remote_code|safe_serialization|"
    r"use_safetensors|pip3? install|conda install|hf_\w*token|hf auth|huggingface-cli",
    re.IGNORECASE,
)
"""What would have a user switch a protection off, or run what a file asks for; it never is the way out for a damaged file."""

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def reason(error: BaseException, most: int = 200) -> str:
    """Returns what an error says, at most ``most`` characters; where it says nothing but advice, its kind."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)  # without the path
    sentences = re.split(r"(?<=[.!?;:])\s+|\n\s*\n", _COLOURS.sub("", text))
    told = " ".join(sentence for sentence in sentences if not _ADVICE.search(" ".join(sentence.split())))
    told = printable(" ".join(told.split()))
    if isinstance(error, KeyError):  # which says the key alone
        told = f"{type(error).__name__} {told}"
    return told[:most].rstrip(" .;:") or type(error).__name__
