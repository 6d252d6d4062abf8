"""What each room promises, tested in a folder of its name."""

import os

# Tiny networks: a second thread costs more than it brings, the more so on a busy machine. It must be said before torch is imported,
# so that a command computes the same in this process and in one of its own.
os.environ.setdefault("OMP_NUM_THREADS", "1")
