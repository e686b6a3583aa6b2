"""Kinds of step: what each says beside the common keys, and the step that comes of it."""
