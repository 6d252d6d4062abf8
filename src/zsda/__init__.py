"""Adapt a street-scene segmentation network to a condition of which no image exists."""

__version__ = "0.1.0"
