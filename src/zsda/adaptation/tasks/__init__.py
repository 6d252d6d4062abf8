"""The trainings that a phase can be."""
