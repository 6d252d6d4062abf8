"""How the small editor and the start weights of the miniature world were made."""
