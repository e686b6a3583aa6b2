"""Tables of an instance into DuckDB or any destination that dlt knows: read by our reader, loaded by dlt.

    Wanted ──▶ pages by sys_id ──▶ typed columns (Arrow) ──▶ dlt: schema, state, destination

dlt's own REST source is not taken: it pages by offset, follows links and keeps its own login, limits and retries. What
it is good at is: schemas that grow, state that lies beside the data, packages that are loaded whole, destinations.
"""
