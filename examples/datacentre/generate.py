"""Generate a data centre of any size as CSV files.

    python generate.py --size 500 --seed 1 --out data

`--size` is the number of CIs, about. Every value is a function of the seed and a record's number, so the same call
writes the same bytes, a bigger data centre begins with the smaller one, and memory does not grow with the size.
Needs only Python.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

SITES = ("Paris", "Lyon", "Frankfurt", "Dublin", "Madrid")
LINUX = (
    ("Red Hat Enterprise Linux", "9.4"),
    ("Debian GNU/Linux", "12"),
    ("Ubuntu Server", "24.04"),
    ("SUSE Linux Enterprise", "15.6"),
)
WINDOWS = (("Windows Server 2022 Standard", "10.0.20348"), ("Windows Server 2019 Datacenter", "10.0.17763"))
STATES = ("live",) * 17 + ("repair", "spare", "live")
ENVIRONMENTS = ("Production", "Production", "Production", "Test", "Development")
SUBJECTS = (
    "Billing",
    "Orders",
    "Payroll",
    "Ledger",
    "Shop",
    "Claims",
    "Search",
    "Booking",
    "Stock",
    "Mail",
    "Portal",
    "Reports",
)
LAYERS = ("core", "web", "api", "batch", "archive", "gateway")
SHARED = "Corporate DNS"
"""A service that nobody here syncs: it exists on the instance (sandbox/seed.yaml puts it there)."""

CIS_PER_SERVER = 3.4
VMS_PER_DATACENTRE = 120
SERVERS_PER_CLUSTER = 25
SERVERS_PER_SERVICE = 12
SERVICES_PER_APPLICATION = 3

Row = Sequence[object]


def mixed(*numbers: int) -> int:
    """64 well-mixed bits of some numbers (splitmix64, one round per number)."""
    state = 0
    for number in numbers:
        state = (state + number + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return state


def scattered(number: int, salt: int) -> str:
    """Eight hexadecimal digits, different for every number below 2^32."""
    return f"{(number * 2_654_435_761 + salt * 40_503) & 0xFFFFFFFF:08X}"


@dataclass(frozen=True)
class Centre:
    """All tables of a data centre; each is an iterator of rows, and any record can be made alone."""

    servers_count: int
    seed: int

    def draw(self, kind: int, number: int) -> int:
        """The random bits of one record."""
        return mixed(self.seed, kind, number)

    # One server, and what hangs on it: everything else asks these.

    def is_virtual(self, number: int) -> bool:
        return self.draw(1, number) % 100 < 60

    def is_windows(self, number: int) -> bool:
        return self.draw(2, number) % 100 < 35

    def serial(self, number: int) -> str:
        head = "VMware-42" if self.is_virtual(number) else "CZJ"
        return head + scattered(number, self.seed)

    def site(self, number: int) -> str:
        return SITES[self.draw(3, number // VMS_PER_DATACENTRE) % len(SITES)]

    def server_name(self, number: int) -> str:
        return f"{self.site(number)[:3].lower()}-{'win' if self.is_windows(number) else 'lnx'}-{number:05d}"

    def vm_id(self, number: int) -> str:
        return f"vm-{number + 1000}" if self.is_virtual(number) else ""

    def databases_on(self, number: int) -> int:
        chance = self.draw(4, number) % 100
        return 2 if chance < 3 else 1 if chance < 17 else 0

    def database_id(self, number: int, place: int) -> str:
        return f"DB-{number:05d}-{place}"

    def service_name(self, number: int) -> str:
        bits = self.draw(5, number)
        return f"{SUBJECTS[bits % len(SUBJECTS)]} {LAYERS[(bits >> 8) % len(LAYERS)]} {number:04d}"

    def service_id(self, number: int) -> str:
        return f"SVC-{number:05d}"

    @property
    def services_count(self) -> int:
        return -(-self.servers_count // SERVERS_PER_SERVICE)

    @property
    def datacentres_count(self) -> int:
        return -(-self.servers_count // VMS_PER_DATACENTRE)

    # The tables.

    def accounts(self) -> Iterator[Row]:
        for number in range(-(-self.datacentres_count // 3)):
            yield f"acct-{number:04d}", f"vCenter account {number:04d}", f"{7_000_000 + number}"

    def datacentres(self) -> Iterator[Row]:
        for number in range(self.datacentres_count):
            site = self.site(number * VMS_PER_DATACENTRE)
            yield (
                f"datacenter-{number:04d}",
                f"{site} {number:04d}",
                f"{site.lower()}-{number:04d}",
                f"acct-{number // 3:04d}",
            )

    def servers(self) -> Iterator[Row]:
        for number in range(self.servers_count):
            bits = self.draw(6, number)
            system, version = (WINDOWS if self.is_windows(number) else LINUX)[
                bits % (2 if self.is_windows(number) else 4)
            ]
            installed = f"20{18 + (bits >> 8) % 7}-{1 + (bits >> 12) % 12:02d}-{1 + (bits >> 17) % 28:02d}"
            yield (
                self.serial(number),
                self.server_name(number),
                system,
                version,
                f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
                8 << (bits >> 23) % 6,
                2 << (bits >> 29) % 4,
                ENVIRONMENTS[(bits >> 33) % 5],
                STATES[(bits >> 37) % 20],
                f"{installed} {6 + (bits >> 43) % 12:02d}:{(bits >> 48) % 60:02d}",
                "yes" if self.is_virtual(number) else "no",
                self.vm_id(number),
            )

    def disks(self) -> Iterator[Row]:
        for number in range(self.servers_count):
            bits = self.draw(7, number)
            for place in range(1 if bits % 100 < 70 else 2):
                yield self.serial(number), f"sd{'ab'[place]}", 64 << (bits >> (8 + 4 * place)) % 6

    def vms(self) -> Iterator[Row]:
        for number in range(self.servers_count):
            if self.is_virtual(number):
                bits = self.draw(6, number)
                home = f"datacenter-{number // VMS_PER_DATACENTRE:04d}"
                yield (
                    self.vm_id(number),
                    self.server_name(number),
                    home,
                    2 << (bits >> 29) % 4,
                    8192 << (bits >> 23) % 6,
                    self.serial(number),
                )

    def clusters(self) -> Iterator[Row]:
        for number in range(self.servers_count // SERVERS_PER_CLUSTER):
            yield f"CL-{number:05d}", f"cluster-{number:05d}", "failover" if number % 2 else "load balancing"

    def nodes(self) -> Iterator[Row]:
        for number in range(self.servers_count // SERVERS_PER_CLUSTER):
            for place in range(2 + self.draw(8, number) % 2):
                yield (
                    f"cluster-{number:05d}-node{place + 1}",
                    f"CL-{number:05d}",
                    self.serial(number * SERVERS_PER_CLUSTER + place),
                )

    def databases(self) -> Iterator[Row]:
        for number in range(self.servers_count):
            for place in range(self.databases_on(number)):
                bits = self.draw(9, number * 2 + place)
                if self.is_windows(number):
                    product, version, letters = "SQL Server", "16.0.4125", "MS"
                elif bits % 3:
                    product, version, letters = "PostgreSQL", f"{14 + bits % 4}.{(bits >> 4) % 9}", "PG"
                else:
                    product, version, letters = "Oracle", "19.22", "OR"
                yield (
                    self.database_id(number, place),
                    f"{letters}{number:05d}{place}",
                    product,
                    version,
                    self.serial(number),
                )

    def applications(self) -> Iterator[Row]:
        for number in range(-(-self.services_count // SERVICES_PER_APPLICATION)):
            bits = self.draw(10, number)
            yield (
                f"APP-{number:05d}",
                f"{SUBJECTS[bits % len(SUBJECTS)]} application {number:04d}",
                f"{1 + bits % 9}.{(bits >> 8) % 20}",
            )

    def services(self) -> Iterator[Row]:
        for number in range(self.services_count):
            bits = self.draw(11, number)
            yield (
                self.service_id(number),
                self.service_name(number),
                ENVIRONMENTS[bits % 5],
                f"APP-{number // SERVICES_PER_APPLICATION:05d}",
                SHARED if bits >> 8 & 3 == 0 else "",
            )

    def links(self) -> Iterator[Row]:
        """What a service needs: servers and databases of its own block, and the service above it."""
        for number in range(self.services_count):
            mine = self.service_id(number)
            first = number * SERVERS_PER_SERVICE
            block = range(first, min(first + SERVERS_PER_SERVICE, self.servers_count))
            for server in block:
                if self.draw(12, server) % 100 < 60:
                    yield mine, "server", self.serial(server)
                for place in range(self.databases_on(server)):
                    yield mine, "database", self.database_id(server, place)
            if number:
                yield mine, "service", self.service_id(self.draw(13, number) % number)


HEADERS = {
    "accounts": "object_id name account_id",
    "datacentres": "object_id name region account",
    "servers": "serial name os os_version ip ram_gb cpus environment state installed virtual vm",
    "disks": "serial device gb",
    "vms": "vm name datacentre cpus memory_mb serial",
    "clusters": "cluster_id name type",
    "nodes": "name cluster_id serial",
    "databases": "db_id instance product version serial",
    "applications": "app_id name version",
    "services": "service_id name environment app_id shared_service",
    "links": "service_id needs id",
}


def write(path: Path, header: str, rows: Iterable[Row]) -> int:
    """Write one CSV file; returns how many rows it has."""
    count = 0

    def counted() -> Iterator[Row]:
        nonlocal count
        for row in rows:
            count += 1
            yield row

    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header.split())
        writer.writerows(counted())
    return count


def generate(size: int, seed: int, out: Path) -> dict[str, int]:
    """Write all files of a data centre of about `size` CIs; returns the number of rows of each."""
    centre = Centre(max(1, round(size / CIS_PER_SERVER)), seed)
    out.mkdir(parents=True, exist_ok=True)
    tables: dict[str, Callable[[], Iterator[Row]]] = {name: getattr(centre, name) for name in HEADERS}
    return {name: write(out / f"{name}.csv", HEADERS[name], table()) for name, table in tables.items()}


def cis(counts: dict[str, int]) -> int:
    """How many CIs these files describe."""
    return sum(count for name, count in counts.items() if name != "links")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Generate a data centre as CSV files.")
    parser.add_argument("--size", type=int, default=500, help="number of CIs, about (default: 500)")
    parser.add_argument("--seed", type=int, default=1, help="another seed, another data centre (default: 1)")
    parser.add_argument("--out", type=Path, default=Path("data"), help="folder for the CSV files (default: data)")
    options = parser.parse_args()
    counts = generate(options.size, options.seed, options.out)
    for name, count in counts.items():
        print(f"{name:13}{count:>9,}")
    print(f"{'CIs':13}{cis(counts):>9,}", file=sys.stdout)


if __name__ == "__main__":
    main()
