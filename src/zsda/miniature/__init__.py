"""The miniature world: a rendered toy city with labels and depth, its weather, and an exporter into the real layouts."""
