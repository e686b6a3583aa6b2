"""The 4me (Xurrent) side of the sandbox: OAuth, imports, exports and REST reads of one service and its accounts.

What is documented, seen in public clients, or inferred is said where it is done; what is inferred or not found is a
setting whose name begins with `fourme.` (`settings.py`).
"""
