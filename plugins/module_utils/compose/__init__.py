"""Reads compose files, and translates their services to entries of the option apps."""
