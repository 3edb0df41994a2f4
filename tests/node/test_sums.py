"""Checksums of tracks: contents, address and version, each of which may be wrong alone."""

from emulator.node.sums import ENTRY, PAGE_BYTES, PAGE_ENTRIES, TrackSums

IMAGE, OTHER = b"a" * 4096, b"b" * 4096


def sums(stored: bytes = b"", version: int = 0) -> TrackSums:
    def load(page: int) -> bytes:
        return stored[page * PAGE_BYTES : (page + 1) * PAGE_BYTES]

    return TrackSums(load, "id", version)


def test_what_nobody_has_looked_at_is_not_known_and_not_wrong():
    found = sums()
    assert not found.known(3)
    assert found.good(3, IMAGE)
    assert found.learn(3, IMAGE) is not None
    assert found.learn(3, OTHER) is None, "it is known now"
    assert found.good(3, IMAGE)
    assert not found.good(3, OTHER)
    assert found.learned_tracks == 1


def test_contents_at_another_place_or_of_another_version_do_not_fit():
    found = sums()
    found.write(7, [IMAGE, IMAGE])
    assert found.good(7, IMAGE)
    assert found.good(8, IMAGE)
    assert not found.good(8, OTHER)
    first = found.write(7, [IMAGE])
    found.version = 5
    assert found.write(7, [IMAGE]) != first
    assert found.write(8, [IMAGE]) != found.write(9, [IMAGE])


def test_the_pieces_make_the_table_that_a_restart_reads():
    table = bytearray(2 * PAGE_BYTES)
    found = sums()
    first = PAGE_ENTRIES - 2  # over the border of two pages
    piece = found.write(first, [IMAGE, OTHER, IMAGE, OTHER])
    table[first * ENTRY.size : first * ENTRY.size + len(piece)] = piece
    again = sums(bytes(table), 1)
    for number, image in enumerate([IMAGE, OTHER, IMAGE, OTHER]):
        assert again.good(first + number, image)
        assert not again.good(first + number, b"c" * 4096)


def test_a_version_is_never_the_one_that_says_unknown():
    assert sums(version=0xFFFFFFFF).next_version() == 1


def test_near_pieces_are_joined_with_what_the_table_has_between_them():
    found = sums()
    table = bytearray(4 * PAGE_BYTES)
    pieces = []
    for track in (1, 3, PAGE_ENTRIES - 1, PAGE_ENTRIES, 3 * PAGE_ENTRIES):
        pieces.append((track * ENTRY.size, found.write(track, [bytes([track % 251]) * 4096])))
        table[pieces[-1][0] : pieces[-1][0] + ENTRY.size] = pieces[-1][1]
    joined = found.joined(pieces)
    assert [offset for offset, _piece in joined] == [ENTRY.size, 3 * PAGE_BYTES]
    for offset, piece in joined:
        assert table[offset : offset + len(piece)] == piece
    assert sum(len(piece) for _offset, piece in joined) == (PAGE_ENTRIES + 1) * ENTRY.size
