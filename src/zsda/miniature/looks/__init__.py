"""How the same street looks under each condition."""
