"""How fast, at which size. `python -m benchmarks` prints a table; nothing here is a test."""
