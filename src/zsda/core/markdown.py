"""Texts from elsewhere in Markdown."""

import re


def code(value: object) -> str:
    """Returns a text as it stands, as code of one line in which nothing acts; it may hold anything that a table and a line can."""
    text = " ".join(str(value).split()).replace("|", "\\|")
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{text}{fence}" if fence == "`" else f"{fence} {text} {fence}"
