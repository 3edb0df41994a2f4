"""The command `dualcopy`: one module for each noun; words and options only, the work is elsewhere.

Modules here import nothing slow at their top: `dualcopy --help` has to appear at once.
"""
