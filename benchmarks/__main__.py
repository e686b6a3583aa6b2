"""`python -m benchmarks`: measure, print a table of ratios beside their targets. Nothing is asserted.

python -m benchmarks                          everything; some minutes
python -m benchmarks startup records          only these
python -m benchmarks sizes --sizes 10000
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Callable

from benchmarks import network, records, sizes, startup
from benchmarks.measure import Row, table


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure syncengine.")
    parser.add_argument("only", nargs="*", metavar="PART", help="startup, records, sizes, network (default: all)")
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 200_000], help="CIs of the data centres")
    parser.add_argument("--rows", type=int, nargs="*", default=[2_000, 200_000], help="rows sent over the network")
    options = parser.parse_args()
    parts: dict[str, Callable[[], list[Row]]] = {
        "startup": startup.measured,
        "records": records.measured,
        "sizes": lambda: [row for size in options.sizes for row in sizes.measured(size)],
        "network": lambda: [row for rows in options.rows for row in network.measured(rows)],
    }
    unknown = set(options.only) - set(parts)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are: {', '.join(parts)}")
    print(f"Python {platform.python_version()}, {platform.machine()}\n", flush=True)
    for name in options.only or parts:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        print(table(parts[name]()), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
