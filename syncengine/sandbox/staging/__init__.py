"""Import sets: rows are stored in staging tables, and transform maps make target records of them.

load.py        rows into a staging table
sets.py        import sets: their states, their runs, who transforms when, the cleaner
transform.py   one map over some rows: found, written, or left, and why
targets.py     target records while a transform runs
"""
