"""Draw the figures: `python plot.py RESULTS.json PICTURE.svg`."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure, SubFigure

OURS, PEER, FLOOR = "#1f5fbf", "#c8641e", "#8a8f98"
ROW_INCHES, INCHES = 0.24, 11.0
MANY = 1_000_000
_MIN_CPU = 0.01


def main(source: Path, target: Path) -> None:
    # So that the same figures make the same file, and its text can be searched
    mpl.rcParams.update({"svg.hashsalt": "referral", "svg.fonttype": "none", "font.size": 8})
    results = json.loads(source.read_text())
    names = [name for group in results["cases"].values() for name in group]
    figure = Figure(figsize=(INCHES, ROW_INCHES * len(names) + 3.6), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(ROW_INCHES * len(names) + 0.6, 3.0))
    draw_cases(above, results)
    draw_growth(below, results)
    figure.savefig(target, metadata={"Date": None, "Creator": None})


def draw_cases(figure: SubFigure, results: dict[str, Any]) -> None:
    """Draw a row for each case: rate with its spread, p50 and p99, CPU, memory."""
    rows = [(name, runs) for group in results["cases"].values() for name, runs in group.items()]
    rows.reverse()
    rate, latency, cpu, memory = figure.subplots(1, 4, sharey=True, width_ratios=(3, 2, 2, 1.4))
    positions = range(len(rows))
    colours = [colour(name) for name, _ in rows]

    def medians(field: str) -> list[float]:
        return [statistics.median(run[field] for run in runs) for _, runs in rows]

    rates = medians("rate")
    rate.barh(positions, rates, color=colours, height=0.7)
    slowest, fastest = (
        [pick(run["rate"] for run in runs) for _, runs in rows] for pick in (min, max)
    )
    rate.hlines(positions, slowest, fastest, color="#333333")
    rate.set_yticks(positions, [name for name, _ in rows])
    rate.set_xlabel("requests/s and the spread of the runs")

    p50, p99 = medians("p50"), medians("p99")
    latency.hlines(positions, p50, p99, color="#cccccc", zorder=1)
    latency.scatter(p50, positions, c=colours, s=14, marker="|", label="p50")
    latency.scatter(p99, positions, c=colours, s=14, label="p99")
    latency.set_xscale("log")
    latency.set_xlabel("ms: | p50, ● p99")

    server, database = medians("server_cpu"), medians("postgres_cpu")
    cpu.scatter(server, positions, c=colours, s=14)
    cpu.scatter(database, positions, c=colours, s=14, marker="x", linewidths=0.8)
    cpu.set_xscale("log")
    # Cases that use almost nothing would stretch the scale
    cpu.set_xlim(left=_MIN_CPU)
    cpu.set_xlabel("CPU s/1,000: ● server, x PostgreSQL")

    memory.barh(
        positions, [max(run["megabytes"] for run in runs) for _, runs in rows], color=colours
    )
    memory.set_xlabel("MB under load")
    for axes in (rate, latency, cpu, memory):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", alpha=0.3)
        axes.set_axisbelow(True)


def draw_growth(figure: SubFigure, results: dict[str, Any]) -> None:
    """Draw how much of its rate each operation keeps as the data grows."""
    reading, sending, signing_in = (
        results["cases"][group] for group in ("reading", "sending", "signing_in")
    )
    users = results["mode"]["users"]
    curves = {
        "profile by invitees": {
            10: reading["profile, 10 invitees"],
            1000: reading["profile, 1,000 invitees"],
            MANY: reading["profile, 1,000,000 invitees"],
        },
        "a page of a million invitees by its depth": {
            1: reading["first page of 1,000,000"],
            900_000: reading["page 900,000 deep"],
        },
        "verify by users": {
            1000: signing_in["verify, 1,000 users"],
            users: signing_in[f"verify, {users:,} users"],
        },
        "send-code by live counters": {
            1: sending["send-code"],
            MANY: sending["send-code, 1,000,000 counters"],
        },
    }
    axes = figure.subplots()
    for name, curve in curves.items():
        rates = [statistics.median(run["rate"] for run in runs) for runs in curve.values()]
        axes.plot(list(curve), [rate / rates[0] for rate in rates], marker="o", label=name)
    axes.axhline(1, color="#999999", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_ylim(0, 1.5)
    axes.set_xlabel("rows behind it")
    axes.set_ylabel("rate against the first point")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower left", ncols=2, frameon=False)


def colour(name: str) -> str:
    if name.startswith("Litestar"):
        return FLOOR
    return PEER if name.startswith(("twin", "better-auth")) else OURS


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
