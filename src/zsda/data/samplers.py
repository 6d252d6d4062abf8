"""Which images a process loads, in which order."""

from collections.abc import Iterator

from torch.utils.data import DistributedSampler, Sampler

from zsda.core.errors import ConfigError


class EpochSampler(DistributedSampler[tuple[int, int]]):
    """Yields (epoch, index), so that a sample's augmentation is a function of the seed, the epoch and the sample alone."""

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return ((self.epoch, index) for index in super().__iter__())  # type: ignore[misc]  # typed for itself


class UnpaddedSampler(Sampler[int]):
    """Gives each process its share of the indices, each index to exactly one, without repeating any to fill up."""

    def __init__(self, count: int, rank: int, world_size: int) -> None:
        self._indices = range(rank, count, world_size)

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[int]:
        return iter(self._indices)


def check_loading(batch_size: int, num_workers: int) -> None:
    """Refuses numbers that no loader takes.

    Raises:
        ConfigError: a batch size under 1, a negative number of workers, or no whole numbers.
    """
    for name, value, least in (("batch_size", batch_size, 1), ("num_workers", num_workers, 0)):
        if not isinstance(value, int) or value < least:
            raise ConfigError(f"{name}={value}; expected a whole number of at least {least}")
