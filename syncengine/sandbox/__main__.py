"""The child process of `process.attach`."""

import csv
import sys

from syncengine.sandbox.server import main

csv.field_size_limit(1 << 24)  # of this process only: an upload may hold long texts
main(sys.argv[1:])
