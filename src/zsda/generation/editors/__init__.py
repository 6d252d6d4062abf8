"""Instruction-driven image editors, one file for each family."""
