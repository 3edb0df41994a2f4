"""What stands around a cache processor on a bench: host driver, lines, captures, verdicts."""
