"""The exceptions that reach a user.

Each message is one line that names what was found, where, what was expected and what to do. Commands print it and exit with
``exit_code``, without a traceback; anything else that is raised is a bug of ours.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any


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


class RecordError(StoreError):
    """A file of a run or a set is gone, cannot be read, or is none that zsda wrote: of one folder, beside which others may be whole."""


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
        self.number = number
        self.exit_code = 128 + number

    def __reduce__(self) -> tuple[Any, ...]:
        """Lets another process hand it over."""
        return type(self), (self.number, *self.args)


class SeveralErrors(ZsdaError):  # noqa: N818 - it is no error of its own
    """Errors that were found together; each is told in a line of its own.

    Args:
        errors: at least one.
    """

    def __init__(self, errors: Sequence[ZsdaError]) -> None:
        super().__init__("; ".join(map(str, errors)))
        self.errors = list(errors)
        self.exit_code = max(error.exit_code for error in errors)

    def __reduce__(self) -> tuple[Any, ...]:
        """Lets another process hand it over."""
        return type(self), (self.errors,)


class Gathered:
    """Gathers what is wrong with several things, so that all of it is told at once.

    Attributes:
        errors: those that were met, each message once.
    """

    def __init__(self) -> None:
        self.errors: list[ZsdaError] = []

    @contextmanager
    def gather(self) -> Iterator[None]:
        """Keeps the error that is raised within."""
        try:
            yield
        except ZsdaError as error:
            known = {str(known) for known in self.errors}
            self.errors += [one for one in lines_of(error) if str(one) not in known]

    def conclude(self) -> None:
        """Raises what was met.

        Raises:
            ZsdaError: the one error, or `SeveralErrors`.
        """
        if len(self.errors) == 1:
            raise self.errors[0]
        if self.errors:
            raise SeveralErrors(self.errors)


def lines_of(error: ZsdaError) -> list[ZsdaError]:
    """Returns the errors that an error stands for, each with a message of one line."""
    return error.errors if isinstance(error, SeveralErrors) else [error]
