"""The child process of `process.attach`."""

import sys

from syncengine.sandbox.server import main

main(sys.argv[1:])
