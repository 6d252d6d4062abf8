"""Edited images from a sentence: what is cut out, who edits it, and how a set grows on disk."""
