"""Labels that a network gives: which of its predictions are kept, and the folders that hold them."""
