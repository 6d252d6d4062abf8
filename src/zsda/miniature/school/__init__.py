"""Where the small editor learns: instructions, lessons, the parts of the editor, and how they are trained."""
