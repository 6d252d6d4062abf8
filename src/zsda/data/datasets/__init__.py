"""One file for each data set: its layout on disk, and what is known of it."""
