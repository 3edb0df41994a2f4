"""Captures: reading, showing, counting and checking what the lines of a run carried.

The file is written by `emulator.transport.capture`; here it is only read. Start at `reader.py`.
"""
