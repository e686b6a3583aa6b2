"""Identification and reconciliation: what becomes of a payload.

payload.py     the request, read
identify.py    which record an item means
decide.py      what would be written: the one decision behind the query and the commit calls
commit.py      the decision, carried out
answer.py      the decision, told
"""
