"""Pieces of a disk: what a write puts where, and the tracks that it lies in."""

from emulator.channel.blocks import TRACK_BYTES
from emulator.node.requests import DiskWrite
from rig.faults.storage import Piece
from rig.sim.image import Image


def pieces_of(operation: DiskWrite) -> list[Piece]:
    """Return what a write puts where."""
    pieces = [(offset, bytes(length)) for offset, length in operation.zeros]
    pieces.extend((offset, b"".join(buffers)) for offset, buffers in operation.runs)
    return pieces


def apply(image: Image, pieces: list[Piece]) -> None:
    """Put pieces where they go."""
    for offset, data in pieces:
        image.put(offset, data)


def tracks_of(pieces: list[Piece]) -> set[int]:
    """Return the tracks that pieces lie in."""
    return {
        track
        for offset, data in pieces
        for track in range(offset // TRACK_BYTES, -(-(offset + len(data)) // TRACK_BYTES))
    }
