"""Which images a process loads, in which order."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler, Sampler

from zsda.core.seeds import hash32
from zsda.core.values import COUNT, whole


class _Resumable:
    """Lets a sampler start in the middle of an epoch, once."""

    _resumed = (-1, 0)

    def resume(self, epoch: int, done: int) -> None:
        """Leaves out the first ``done`` samples of an epoch, which this process has seen."""
        self._resumed = (epoch, done)

    def done(self, epoch: int) -> int:
        """Returns how many samples of an epoch are left out."""
        return self._resumed[1] if self._resumed[0] == epoch else 0


class EpochSampler(_Resumable, DistributedSampler[tuple[int, int]]):
    """Yields (epoch, index), so that a sample's augmentation is a function of the seed, the epoch and the sample alone."""

    def __iter__(self) -> Iterator[tuple[int, int]]:
        indices = islice(super().__iter__(), self.done(self.epoch), None)
        return ((self.epoch, index) for index in indices)  # type: ignore[misc]  # typed for itself


class CyclingSampler(_Resumable, Sampler[tuple[int, int]]):
    """Yields (pass, index), passing over a set as often as it takes to fill epochs of any length, each pass in an order of its own.

    The passes go on from one epoch to the next, so that every image is seen equally often, and processes share each of them.

    Args:
        count: size of the set.
        length: samples that each process takes in an epoch.
        rank: number of this process.
        world_size: number of processes.
        seed: of the orders.
    """

    def __init__(self, count: int, length: int, rank: int, world_size: int, seed: int) -> None:
        self._count, self._length, self._rank, self._world_size, self._seed = count, length, rank, world_size, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Tells which epoch the next iteration is of; Lightning calls it."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[tuple[int, int]]:
        orders: dict[int, list[int]] = {}
        for number in range(self.done(self.epoch), self._length):
            place = (self.epoch * self._length + number) * self._world_size + self._rank
            turn, index = divmod(place, self._count)
            if turn not in orders:
                shuffled = torch.Generator().manual_seed(hash32(self._seed, turn))
                orders = {turn: torch.randperm(self._count, generator=shuffled).tolist()}
            yield turn, orders[turn][index]


class UnpaddedSampler(Sampler[int]):
    """Gives each process its share of the indices, each index to exactly one, without repeating any to fill up."""

    def __init__(self, count: int, rank: int, world_size: int) -> None:
        self._indices = range(rank, count, world_size)

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[int]:
        return iter(self._indices)


class _GroupSampler(Sampler[list[int]]):
    """Yields groups of indices as they are."""

    def __init__(self, groups: Sequence[Sequence[int]]) -> None:
        self.groups = groups

    def __iter__(self) -> Iterator[list[int]]:
        return (list(group) for group in self.groups)

    def __len__(self) -> int:
        return len(self.groups)


def group_loader(
    dataset: Dataset[Any],
    groups: Sequence[Sequence[int]],
    num_workers: int,
    collate_fn: Callable[[Any], Any],
) -> DataLoader[Any]:
    """Returns a loader for a prediction whose batches are given.

    Args:
        dataset: what is loaded.
        groups: the indices of each batch; one may be empty.
        num_workers: loader processes.
        collate_fn: makes a batch of the samples of a group.
    """
    # Lightning remarks that it cannot check our sampler, that few workers may be slow, though a network is slower, and
    # that nothing may be left to do, which is how a finished set is meant to be.
    remarks = "custom batch sampler|does not have many workers|across ranks is zero"
    warnings.filterwarnings("ignore", message=f".*({remarks}).*")
    return DataLoader(dataset, batch_sampler=_GroupSampler(groups), num_workers=num_workers, collate_fn=collate_fn)


def check_loading(batch_size: int, num_workers: int) -> None:
    """Refuses numbers that no loader takes.

    Raises:
        ConfigError: a batch size under 1, a negative number of workers, or no whole numbers.
    """
    COUNT.check("batch_size", batch_size)
    whole(0).check("num_workers", num_workers)
