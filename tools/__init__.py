"""What made parts of the package; no part of it."""
