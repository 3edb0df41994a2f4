"""Bytes on the line: one table of fields, and everything that is derived from it."""
