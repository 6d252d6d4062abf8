"""Commands as a user starts them, without the seconds that a new process takes to import everything.

`call` runs a command in this process: its words, its folder, its environment and its streams are its own, and whatever it leaves
in the process is put back. `spawn` starts a real process, for those tests whose matter the process itself is.
"""

import contextlib
import importlib
import io
import logging
import os
import random
import subprocess
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig


def call(module: str, words: Sequence[str], cwd: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Runs what ``python -m module words`` does."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    main = importlib.import_module(module)
    with _put_back(), contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        os.environ.clear()
        os.environ.update(env)
        sys.argv = [str(main.__file__), *words]
        try:
            main.main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        except Exception:
            traceback.print_exc()
            code = 1
    return subprocess.CompletedProcess([module, *words], code, out.getvalue(), err.getvalue())


def spawn(
    module: str, words: Sequence[str], cwd: Path, env: Mapping[str, str], timeout: float = 600
) -> subprocess.CompletedProcess[str]:
    """Runs ``python -m module words`` in a process of its own."""
    command = [sys.executable, "-m", module, *words]
    return subprocess.run(command, cwd=cwd, env=dict(env), capture_output=True, text=True, timeout=timeout, check=False)


@contextlib.contextmanager
def _put_back() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("zsda")
    handlers, levels, disabled = list(root.handlers), (root.level, ours.level), logging.root.manager.disable
    environment, argv, generators = dict(os.environ), list(sys.argv), (random.getstate(), np.random.get_state())
    deterministic = torch.backends.cudnn.deterministic
    hydra, config = GlobalHydra.instance().hydra, HydraConfig.instance().cfg  # those of a command that calls another
    GlobalHydra.instance().clear()
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            root.handlers[:] = handlers
            root.setLevel(levels[0])
            ours.setLevel(levels[1])
            logging.disable(disabled)
            os.environ.clear()
            os.environ.update(environment)
            sys.argv[:] = argv
            random.setstate(generators[0])
            np.random.set_state(generators[1])
            torch.backends.cudnn.deterministic = deterministic
            GlobalHydra.instance().hydra, HydraConfig.instance().cfg = hydra, config
