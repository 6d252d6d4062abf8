"""The miniature world: a rendered toy city with labels and depth, its looks, and a writer of the real layouts."""
