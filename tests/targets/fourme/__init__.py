"""Tests of the 4me target."""
