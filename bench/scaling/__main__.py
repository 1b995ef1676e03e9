"""Run all measurements, or those that are named: `python -m scaling standby failover`."""

from __future__ import annotations

import asyncio
import sys

from scaling import failover, partitions, pooling, sizes, standby

PARTS = {
    "standby": standby.main,
    "failover": failover.main,
    "pooling": pooling.main,
    "partitions": partitions.main,
    "behaviour": partitions.behaviour,
    "sizes": sizes.main,
}


def main() -> None:
    for name in sys.argv[1:] or PARTS:
        asyncio.run(PARTS[name]())


main()
