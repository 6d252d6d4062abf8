"""From meshes to pixels."""
