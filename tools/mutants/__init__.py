"""Realistic mistakes, made one at a time, to see which of them the tests catch."""
