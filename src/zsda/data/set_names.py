"""How generated sets, and files in them, are called."""

ORACLE = "oracle"
"""Stands in the place of the recipe where scenes are not edited, but shown as they really look."""

CONTACT_SHEET = "contact_sheet.jpg"
"""A picture of the newest edits, beside ``generation.json``; none of the images of the set."""


def set_name(domain: str, recipe: str) -> str:
    """Returns the name of the set that a recipe makes for a domain, which is that of its folder under ``generated_root``."""
    return f"{domain}_{recipe}"
