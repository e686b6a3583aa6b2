"""An offline twin of the services: their HTTP APIs on 127.0.0.1, their records in SQLite.

It imports nothing of the rest of the product. A witness that shared our paging or our error decoding could be wrong
together with us, and every test would pass.

    process.py      start it, attach to it, end it
    server.py       sockets, TLS, lifetime
    app.py          routes, login, marker header
    world.py        the records and everything that is derived from them
    engine/         identification and reconciliation: one decision, asked for or carried out
    maps/           staging tables and transform maps: as a seed writes them, as records, as they are used
    staging/        import sets: rows stored, transformed, followed, cleaned away
    attachments.py  files on records
    faults/         answers that go wrong on request
"""
