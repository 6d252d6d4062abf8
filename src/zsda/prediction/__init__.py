"""Label maps of any photographs and videos: what is predicted, how it is written, and what was written already."""
