"""Tests of the room `extract`."""
