"""Count-key-data devices: one function and one row of `table.py` for each command."""
