"""One script for each claim about speed: the published procedure and ours, in turn, on the same files and one thread."""
