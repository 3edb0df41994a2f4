"""The quick looks at a track in a slot agree with each other and with the thorough one."""

from hypothesis import assume, given
from hypothesis import strategies as st

from emulator.channel import track_image
from emulator.channel.blocks import TRACK_BYTES
from emulator.channel.geometry import geometry
from emulator.channel.track_image import BadTrackError, NewRecord
from emulator.channel.track_walk import image_in_pages, used_bytes

MODEL = geometry("3390-1", cylinders=20)
TRACK = MODEL.track(2, 3)
# Long enough that counts of records lie anywhere in a page, and across two.
lengths = st.lists(st.integers(0, 3 * TRACK_BYTES), max_size=8)


def pages_of(image: bytes) -> list[bytes]:
    slot = image.ljust(MODEL.slot_bytes, b"\0")
    return [slot[at : at + TRACK_BYTES] for at in range(0, len(slot), TRACK_BYTES)]


@given(lengths)
def test_a_good_track_is_as_long_in_pages_as_in_one_piece(sizes):
    records = [NewRecord(at, bytes([at + 1]) * size) for at, size in enumerate(sizes, 1)]
    image = track_image.build(2, 3, records)
    assume(len(image) <= MODEL.image_bytes)
    pages = pages_of(image)
    assert image_in_pages(pages, MODEL, TRACK) == image
    assert used_bytes(b"".join(pages), MODEL, TRACK) == len(image)


def test_a_count_that_lies_across_two_pages():
    head = len(track_image.build(2, 3)) - len(track_image.END_MARKER)
    for missing in range(1, 8):
        # The end marker begins so many bytes before the page's end.
        record = NewRecord(1, bytes(TRACK_BYTES - missing - head - 8))
        image = track_image.build(2, 3, [record])
        assert len(image) == TRACK_BYTES - missing + 8
        assert image_in_pages(pages_of(image), MODEL, TRACK) == image


@given(st.integers(0, 40), st.integers(1, 255))
def test_what_is_no_good_track_is_left_to_the_thorough_look(place, flip):
    image = bytearray(track_image.build(2, 3, [NewRecord(1, b"abc")]))
    image[place % len(image)] ^= flip
    slot = bytes(image).ljust(MODEL.slot_bytes, b"\0")
    try:
        good = slot[: used_bytes(slot, MODEL, TRACK)]
    except BadTrackError:
        good = b""
    assert image_in_pages(pages_of(slot), MODEL, TRACK) == good


def test_a_blank_track_and_one_of_another_address():
    assert image_in_pages(pages_of(b""), MODEL, TRACK) == b""
    assert image_in_pages(pages_of(track_image.build(2, 4)), MODEL, TRACK) == b""
    assert image_in_pages(pages_of(bytes.fromhex("0000020003") + b"\xff" * 8), MODEL, TRACK) == b""
