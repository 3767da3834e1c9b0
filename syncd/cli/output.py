"""Tables, progress bars and JSON lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence

import anyio
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.segment import Segment
from rich.table import Table
from typing_extensions import override

from syncd.cli.answers import InvocationAnswer, StagesAnswer
from syncd.cli.client import Client
from syncd.cli.words import duration_words, since, some
from syncd.quoting import harmless

POLL_S = 0.5
DOCUMENTS = ("indexed", "unchanged", "deleted", "skipped", "failed")
OVER = ("complete", "failed", "cancelled")

PIPE_WIDTH = 10_000
"""Width used when the output is a pipe, so that ids are never wrapped."""

MANY_ROWS = 1000
"""More of them are not fitted to the terminal's width, which takes a millisecond each."""


class HarmlessConsole(Console):
    """Texts are strangers'; what they hold never steers the terminal."""

    @override
    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield what to print, with control characters shown as such."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(harmless(segment.text), segment.style)

    @override
    def on_broken_pipe(self) -> None:
        """Raise BrokenPipeError, as `print` does: whoever reads has enough."""
        raise BrokenPipeError


out = HarmlessConsole(
    width=None if sys.stdout.isatty() else PIPE_WIDTH, soft_wrap=True, highlight=False, markup=False, emoji=False
)
"""Markup is off because a file may be called `[slug].tsx`; pass `markup=True` for styled text."""


def print_json(value: object) -> None:
    """Print one JSON value on one line."""
    print(json.dumps(value, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], empty: str = "") -> None:
    """Print a table, or without rows what to say of an `empty` one; the first column, often ids, is never wrapped.

    In a terminal that is too narrow for its columns each row is printed as a block of lines.
    """
    if empty and not rows:
        out.print(empty)
        return
    texts = [["" if value is None else str(value) for value in row] for row in rows]
    if len(rows) > MANY_ROWS or not out.is_terminal:
        _print_aligned([list(columns), *texts])
        return
    if _least_width(columns, texts) > out.width:
        for row in texts:
            lines = [f"  {column}: {text}" for column, text in zip(columns[1:], row[1:], strict=True) if text]
            out.print("\n".join([row[0], *lines]))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=number == 0)
    for row in texts:
        table.add_row(*row)
    out.print(table)


def _least_width(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Return how wide a terminal must be for a table whose texts can be read in their columns: the longer, the wider."""
    longest = [max(map(cell_len, column)) for column in zip(columns, *rows, strict=True)]
    return longest[0] + sum(2 + min(length, 6 + length // 8) for length in longest[1:])


def _print_aligned(rows: Sequence[Sequence[str]]) -> None:
    """Print rows one a line, whatever they hold, in columns."""
    lines = [[harmless(text).replace("\n", "\\n") for text in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = (text + " " * (width - cell_len(text)) for text, width in zip(line, widths, strict=True))
        print("  ".join(padded).rstrip())


def remark(text: str) -> None:
    """Print a remark on standard error."""
    print(f"note: {harmless(text)}", file=sys.stderr)


def state_of(invocation: InvocationAnswer) -> str:
    """Return an invocation's state as one word; its status may be a word or an object."""
    status = invocation["status"]
    return status if isinstance(status, str) else next(iter(status))


def summary(invocation: InvocationAnswer) -> str:
    """Return a one-line summary of an invocation."""
    counts = invocation["counts"]
    words = [f"{counts[name]} {name}" for name in DOCUMENTS if counts[name]]
    chunks = f"{some(counts['chunks_written'], 'chunk')} written, {counts['chunks_embedded']} embedded"
    held = (
        f"; {some(counts['held_deletes'], 'delete')} held, confirm with: syncd confirm-deletes {invocation['id']}"
        if counts["held_deletes"]
        else ""
    )
    warned = counts.get("warned", 0)
    said = f"; {warned} with warnings, list them with: syncd status --warnings" if warned else ""
    nothing = "nothing to do" if state_of(invocation) in OVER else "nothing yet"
    return f"{state_of(invocation)}: {', '.join(words) or nothing}; {chunks}{said}{held}{reason(invocation)}"


def reason(invocation: InvocationAnswer) -> str:
    """Return why an invocation failed or is incomplete; '' if neither applies."""
    status = invocation["status"]
    if not isinstance(status, str) and "failed" in status:
        return f" — {status['failed']['error']}"
    incomplete = invocation.get("incomplete")
    return f" — incomplete, so no missing documents were deleted: {incomplete}" if incomplete else ""


def waits_for(invocation: InvocationAnswer) -> str:
    """Return what an invocation that has not ended waits for, and until when; '' if it waits for nothing."""
    note, next_try_at = invocation["note"], invocation["next_try_at"]
    if not note:
        return ""
    return f"waiting: {note}{f' (tried again {next_try_at})' if next_try_at else ''}"


async def follow(client: Client, invocation_id: str, quiet: bool = False) -> InvocationAnswer:
    """Wait as `until_over` does; whoever interrupts it is told that the daemon goes on with the invocation."""
    try:
        return await until_over(client, invocation_id, quiet)
    except anyio.get_cancelled_exc_class():
        how = f"follow it with `syncd watch {invocation_id}`, end it with `syncd cancel {invocation_id}`"
        remark(f"the daemon goes on with it; {how}")
        raise


async def until_over(client: Client, invocation_id: str, quiet: bool = False) -> InvocationAnswer:
    """Wait until an invocation has ended, with a progress bar and what it waits for unless `quiet`, and return it."""
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[documents]}"),
        TextColumn("{task.fields[speed]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=out, disable=quiet) as bar:
        task = bar.add_task("waiting", total=None, documents="", speed="", left="")
        told = None
        while True:
            invocation: InvocationAnswer = await client.get(f"/api/v1/invocations/{invocation_id}")
            show_progress(bar, task, invocation)
            if (waits := invocation["note"]) and waits != told and not quiet:
                out.print(waits_for(invocation))
            told = waits
            if state_of(invocation) in OVER:
                return invocation
            await anyio.sleep(POLL_S)


def crawled(invocation: InvocationAnswer) -> str:
    """Return the progress of a crawl; '' for other sources."""
    pages = invocation.get("source_progress")
    if not pages:
        return ""
    return (
        f"; {pages['fetched']:.0f} of {pages['found']:.0f} pages ({pages['unchanged']:.0f} unchanged, "
        f"{pages['failed']:.0f} failed), {pages['pages_per_s']:.1f}/s"
    )


def on_their_way(invocation: InvocationAnswer) -> str:
    """Return how many documents are found by words already and wait for their vectors, '' when none do."""
    stages = invocation["stages"]
    waiting = stages["prepared"] + stages["embedded"] if stages else 0
    return f"; {waiting} more found by words" if waiting else ""


def moving(invocation: InvocationAnswer) -> str:
    """Return how far a running invocation is, stage by stage, and how long it will still take; '' for others."""
    stages = invocation["stages"]
    if not stages or state_of(invocation) in OVER:
        return ""
    said = [
        f"{some(stages['prepared'], 'document')} prepared, {stages['embedded']} embedded, {invocation['counts']['indexed']} written"
    ]
    if stages["tokens_left"]:
        said.append(f"{about(stages)}{stages['tokens_left']:,} tokens left")
    if speed := invocation.get("tokens_per_s"):
        said.append(f"{speed:,.0f} tokens/s")
    if left := time_left(invocation):
        said.append(left)
    return "; ".join(said)


def time_left(invocation: InvocationAnswer) -> str:
    """Return how long an invocation will still take, '' where that is not known yet."""
    eta_s, stages = invocation.get("eta_s"), invocation["stages"]
    return f"{about(stages) if stages else ''}{duration_words(eta_s)} left" if eta_s is not None else ""


def age(invocation: InvocationAnswer) -> str:
    """Return how long ago an invocation was asked for."""
    return since(invocation["created_at"])


def about(stages: StagesAnswer) -> str:
    """Return 'about ' where tokens are estimated: the model's tokenizer is not at hand, or has not got that far."""
    return "about " if stages["estimated"] else ""


def show_progress(bar: Progress, task: TaskID, invocation: InvocationAnswer) -> None:
    """Update a progress bar."""
    counts = invocation["counts"]
    done = counts["indexed"] + counts["unchanged"] + counts["skipped"] + counts["failed"]
    eta_s, speed = invocation.get("eta_s"), invocation.get("tokens_per_s")
    over = state_of(invocation) in OVER
    known = eta_s is not None and done
    elapsed_s = bar.tasks[0].elapsed or 0.0
    total = done if over else round(done * (1 + eta_s / max(elapsed_s, 0.1))) if known and eta_s is not None else None
    bar.update(
        task,
        description=state_of(invocation),
        completed=done,
        total=total,
        documents=f"{some(done, 'document')}, {some(counts['chunks_written'], 'chunk')}{on_their_way(invocation)}{crawled(invocation)}",
        speed=f"{speed:,.0f} tokens/s" if speed else "",
        left="" if over else time_left(invocation),
    )
