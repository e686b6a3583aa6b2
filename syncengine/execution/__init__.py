"""Plan → events: a plan applied wave by wave, with a journal that knows what was sent and what became of it."""
