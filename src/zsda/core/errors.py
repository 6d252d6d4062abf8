"""The exceptions that reach a user.

Each message is one line that names what was found, where, what was expected and what to do. Commands print it and exit with
``exit_code``, without a traceback; anything else that is raised is a bug of ours.
"""


class ZsdaError(Exception):
    """Base of every error that a user can mend."""

    exit_code = 2


class ConfigError(ZsdaError):
    """An option, a group or a combination of them is wrong."""


class DoesNotFitError(ConfigError):
    """A method asks for other data than were chosen; a sweep over methods leaves it out."""


class DataError(ZsdaError):
    """A folder, an image or a label on disk is not what its layout promises."""


class ModelError(ZsdaError):
    """A network, a checkpoint or an editor cannot be used as asked."""


class DivergedError(ZsdaError):
    """A training's loss, rate or weights are NaN or infinite."""


class StoreError(ZsdaError):
    """A generated set or a run folder cannot be continued or written."""


class IncompleteError(ZsdaError):
    """The work is done except for inputs that had to be left out; raised last, after everything else is written."""

    exit_code = 1


class StoppedError(ZsdaError):
    """A signal ended the work, which goes on from where it was when the command is started again.

    Args:
        number: of the signal; the exit code is that of a process which it ends.
        message: what was reached.
    """

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = 128 + number
