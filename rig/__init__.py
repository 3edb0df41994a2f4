"""What stands around a cache processor on a bench: host driver, lines, captures, verdicts."""

# Decides which code runs, here too.
import emulator as emulator
