"""The figures as Markdown: aims, and every case."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from pathlib import Path

from aims import Results, aims

START, END = "<!-- figures: `make bench` writes them -->", "<!-- end of the figures -->"


def write(results: Results, document: Path) -> None:
    """Write the tables between the marks of a document. Raises ValueError if a mark is missing."""
    before, start, rest = document.read_text().partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise ValueError(f"{document} lacks the marks {START} and {END}")
    document.write_text(f"{before}{START}\n\n{tables(results)}\n{END}{after}")


def tables(results: Results) -> str:
    """Return everything as Markdown."""
    mode, machine = results["mode"], results["machine"]
    packages = ", ".join(
        f"{name} {machine[name]}"
        for name in ("python", "litestar", "uvicorn", "asyncpg", "tortoise-orm")
    )
    made_on = (
        f"{results['day']}, {machine['processor']}, {machine['cores']} cores, "
        f"{machine['system']}; {packages}, PostgreSQL {machine['postgresql']}, better-auth "
        f"{machine['better-auth']}, FastAPI {machine['fastapi']}. Medians of {mode['rounds']} "
        f"alternating runs of {mode['seconds']} s; in the median run other programs used "
        f"{_other_cores(results):.2f} of a core."
    )
    return "\n\n".join(
        [
            made_on,
            "### Aims and what was reached\n\n" + _table(("", "aim", "reached"), aims(results)),
            "### Every case\n\n" + cases(results),
            "### Two workers\n\n" + _workers(results["workers"]),
            "### SQLite beside PostgreSQL\n\n" + _embedded(results["embedded"]),
            "### Twice the load it can take\n\n" + _overload(results["overload"]),
            "### What PostgreSQL needs\n\n" + _durable(results["durable"]),
            "### On disk\n\n" + _disk(results["bytes"]),
        ]
    )


def cases(results: Results) -> str:
    """Return the figures of every case as a table."""
    head = (
        *("", "requests/s", "spread", "p50 ms", "p99 ms", "server CPU s/1,000"),
        *("PostgreSQL CPU s/1,000", "MB", "not 2xx"),
    )
    return _table(
        head,
        (
            (
                name,
                f"{_rate(runs):,.0f}",
                f"{min(_all(runs, 'rate')):,.0f} - {max(_all(runs, 'rate')):,.0f}",
                f"{_median(runs, 'p50'):.1f}",
                f"{_median(runs, 'p99'):.1f}",
                f"{_median(runs, 'server_cpu'):.2f}",
                f"{_median(runs, 'postgres_cpu'):.2f}",
                f"{max(_all(runs, 'megabytes')):.0f}",
                _failures(runs),
            )
            for group in results["cases"].values()
            for name, runs in group.items()
        ),
    )


def _workers(found: Results) -> str:
    head = (
        "",
        "one: requests/s",
        "two, sharing the cores: requests/s",
        "for the cores left to them",
        "MB each, at most",
    )
    return _table(
        head,
        (
            (
                name,
                f"{found[name]['one']['rate']:,.0f}",
                f"{found[name]['two']['rate']:,.0f}",
                f"{found[name]['scaling']:.2f} times",
                f"{found[name]['two']['megabytes']:.0f}",
            )
            for name in ("profile", "verify")
        ),
    )


def _embedded(found: Results) -> str:
    """Make a row for each operation and number of connections."""
    head = (
        *("", "connections", "SQLite: requests/s", "p99 ms", "two processes: requests/s"),
        *("p99 ms", "PostgreSQL: requests/s", "SQLite / PostgreSQL", "not 2xx"),
    )
    return _table(
        head,
        (
            (operation, connections, *_compare(runs))
            for operation, each in found.items()
            for connections, runs in each.items()
        ),
    )


def _compare(runs: Results) -> tuple[str, ...]:
    one, two, postgres = (runs[name] for name in ("SQLite", "SQLite, two processes", "PostgreSQL"))
    return (
        *(f"{_rate(one):,.0f}", f"{_median(one, 'p99'):.1f}"),
        *(f"{_rate(two):,.0f}", f"{_median(two, 'p99'):.1f}"),
        *(f"{_rate(postgres):,.0f}", f"{_rate(one) / _rate(postgres):.2f}"),
        _failures([*one, *two, *postgres]),
    )


def _durable(found: Results) -> str:
    head = (
        *("100 a second of", "answered", "WAL bytes each", "disk flushes a second"),
        *("PostgreSQL CPU, of a core", "service CPU, of a core"),
    )
    return _table(
        head,
        (
            (
                name,
                f"{each['answered']:,}",
                f"{each['wal_bytes'] / max(each['answered'], 1):,.0f}",
                f"{each['flushes'] / each['seconds']:.0f}",
                f"{each['postgres_cpu'] / each['seconds']:.3f}",
                f"{each['server_cpu'] / each['seconds']:.3f}",
            )
            for name, each in found.items()
        ),
    )


def _overload(found: Results) -> str:
    head = (
        *("", "offered/s", "accepted/s", "p99 ms", "unloaded p99 ms", "shed (503)/s"),
        *("p99 of 503 ms", "broken or unanswered"),
    )
    return _table(head, (_overload_row(name, each) for name, each in found.items()))


def _overload_row(name: str, found: Results) -> tuple[str, ...]:
    over, quiet = found["overloaded"], found["unloaded"]
    seconds = over["seconds"]
    return (
        name,
        f"{over['offered']:,.0f}",
        f"{over['accepted']['number'] / seconds:,.0f}",
        _milliseconds(over["accepted"]["p99"]),
        _milliseconds(quiet["accepted"]["p99"]),
        f"{over['shed']['number'] / seconds:,.0f}",
        _milliseconds(over["shed"]["p99"]),
        f"{over['broken'] + over['unanswered'] + over['other']:,}",
    )


def _disk(found: Results) -> str:
    rows = ((name.removesuffix("s"), f"{size:.0f} bytes") for name, size in found.items())
    return _table(("a row of", "with its indexes"), rows)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    columns = list(head)
    lines = [columns, ["---", *("---:" for _ in columns[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _failures(runs: list[Results]) -> str:
    """Count unsuccessful responses, broken connections, and runs that ran out of requests."""
    kinds: dict[str, Callable[[Results], int]] = {
        "": lambda run: run["refused"],
        " broken": lambda run: run["broken"],
        " runs ended early": lambda run: int(run["ran_out"]),
    }
    sums = {kind: sum(map(count, runs)) for kind, count in kinds.items()}
    return ", ".join(f"{number:,}{kind}" for kind, number in sums.items() if number) or "0"


def _other_cores(results: Results) -> float:
    """Return how much of a core other programs used in the median run."""
    groups = results["cases"].values()
    everything = [run for group in groups for runs in group.values() for run in runs]
    return _median(everything, "other_cores")


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}"


def _rate(runs: list[Results]) -> float:
    return _median(runs, "rate")


def _median(runs: list[Results], field: str) -> float:
    return statistics.median(_all(runs, field))


def _all(runs: list[Results], field: str) -> list[float]:
    return [run[field] for run in runs]
