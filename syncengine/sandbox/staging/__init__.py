"""Import sets: rows are stored in staging tables, and transform maps make target records of them.

load.py        rows into a staging table
sets.py        import sets: their states, their runs, who transforms when, the cleaner
jobs.py        the server's task that transforms when there is time
results.py     what maps made of rows: in the rows, in the run, and told again
transform.py   one map over some rows: found, written, or left, and why
targets.py     target records while a transform runs
"""
