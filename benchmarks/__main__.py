"""`python -m benchmarks`: measure, print a table of ratios beside their targets. Nothing is asserted.

python -m benchmarks                          everything; some minutes
python -m benchmarks startup records          only these
python -m benchmarks sizes --sizes 10000
"""

from __future__ import annotations

import argparse
import importlib
import platform
import sys
from collections.abc import Callable, Sequence

from benchmarks.measure import Row, table


def measured(part: str, size: int | None) -> list[Row]:
    """Measure a part; imported only now, so that this process is small when it starts the children of another part."""
    work: Callable[..., list[Row]] = importlib.import_module(f"benchmarks.{part}").measured
    return work() if size is None else work(size)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure syncengine.")
    parser.add_argument(
        "only",
        nargs="*",
        metavar="PART",
        help="startup, sandbox, sizes, network, others, extract, compare, records (default: all)",
    )
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 200_000], help="CIs of the data centres")
    parser.add_argument(
        "--rows",
        type=int,
        nargs="*",
        default=[2_000, 200_000, 0],
        help="rows sent over the network (0: the slow server)",
    )
    parser.add_argument("--incidents", type=int, nargs="*", default=[200_000], help="rows that are extracted")
    options = parser.parse_args()
    parts: dict[str, Sequence[int | None]] = {
        "startup": (None,),
        "sandbox": (None,),
        "sizes": options.sizes,
        "network": options.rows,
        "others": [rows for rows in options.rows if rows >= 100_000],
        "extract": options.incidents,
        "compare": [rows for rows in options.rows if rows >= 100_000],
        "records": (None,),
    }
    unknown = set(options.only) - set(parts)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are: {', '.join(parts)}")
    print(f"Python {platform.python_version()}, {platform.machine()}\n", flush=True)
    for name in [part for part in parts if part in options.only or not options.only]:  # records last: it makes us big
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        for size in parts[name]:
            print(table(measured(name, size)), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
