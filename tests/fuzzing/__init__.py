"""Damages images and files at random, and looks how they are taken: read, refused in one line, or with a traceback.

python -m tests.fuzzing --images 1500 --files 300 --seed 0
"""
