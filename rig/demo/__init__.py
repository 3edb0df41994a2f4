"""The demo: two sites, a real line, a real disk image, everything that may break, and a verdict.

`story.py` is the play, `run.py` puts it on and judges it; `plan.py` has the figures. The play is
made of what a user has: bench file, `dualcopy site`, NBD, the operator socket.
"""
