"""The cache processor of patent WO 94/00816: one folder for each box of its figures.

Start at `node/processor.py`, which joins the rooms; the walk of a write through them is
drawn in the README.
"""

# First of all, before any module of ours: which code is it to be?
from emulator import compiled as compiled
