"""Images, labels and the loaders above them."""
