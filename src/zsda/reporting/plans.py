"""What a command would do, on the screen."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from zsda.core.errors import IncompleteError
from zsda.core.plan import Part, Plan, in_bytes, in_time
from zsda.core.records import printable
from zsda.reporting.checks import counted

_UNKNOWN = "?"


def show_plan(console: Console, plan: Plan, ways_out: str) -> None:
    """Prints a plan, and ends with an error where it cannot be run.

    Args:
        console: where to print.
        plan: what is planned.
        ways_out: what the last line advises where there are faults.

    Raises:
        IncompleteError: there are.
    """
    tell_plan(console, plan)
    faults = faults_of(plan)
    if faults:
        console.print(Text(f"\n{counted(len(faults), 'fault')}", style="bold red"))
        for fault in faults:
            console.print(Text(f"  {printable(fault)}"), soft_wrap=True)
        raise IncompleteError(f"{counted(len(faults), 'fault')} of {plan.what}, each named above; {ways_out}")
    console.print("nothing was started or written", style="bold green")


def faults_of(plan: Plan) -> list[str]:
    """Returns why a plan cannot be run: what is wrong with it, and too little room."""
    lacking = plan.lacking()
    return [*plan.faults, *([] if lacking is None else [lacking])]


def tell_plan(console: Console, plan: Plan) -> None:
    """Prints the parts of a plan, what they take together, and what else is to be known."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False, header_style="dim")
    table.add_column(plan.kind, overflow="fold")
    table.add_column("reads", overflow="fold")
    table.add_column("length", no_wrap=True)
    for title in ("batch", "disk", "time"):
        table.add_column(title, justify="right", no_wrap=True)
    for part in plan.parts:
        table.add_row(*map(printable, _cells(part)), style="dim" if part.done else None)
    console.print(Text(printable(plan.what), style="bold"), soft_wrap=True)
    console.print(table)
    for part in plan.parts:
        if part.note:
            console.print(Text(f"  {part.name}: {printable(part.note)}"), soft_wrap=True)
    needed, seconds = plan.disk, plan.seconds
    disk = "cannot be told" if needed is None else f"about {in_bytes(needed)}"
    console.print(f"disk: {disk}, {in_bytes(plan.free)} free at {plan.place}", soft_wrap=True, markup=False)
    if not plan.left:
        time = "nothing is left to do"
    elif seconds is None:
        time = "cannot be told for all of it"
    else:
        time = f"about {in_time(seconds)}, an estimate"
    measured = f"; measured: {plan.measured}" if plan.measured else ""
    console.print(f"time: {time}{measured}", soft_wrap=True, markup=False)
    for remark in plan.remarks:
        console.print(Text(f"  {printable(remark)}"), soft_wrap=True)


def _cells(part: Part) -> list[str]:
    if part.done:
        return [part.name, part.reads, "finished before", "", "", ""]
    batch = _UNKNOWN if part.batch is None else str(part.batch)
    disk = _UNKNOWN if part.disk is None else in_bytes(part.disk)
    seconds = _UNKNOWN if part.seconds is None else in_time(part.seconds)
    return [part.name, part.reads, part.length, batch, disk, seconds]
