"""The inter-cache link: whole records, once and in order, over a line that may spoil packets.

`link.py` is the machine that a shell drives; read it first, then `handshake.py` for how two ends
find each other and `sender.py` and `receiver.py` for what one session does. All of it is pure.
"""
