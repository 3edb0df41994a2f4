"""Track images: what is built is read back; what cannot be a track is refused with its place."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.channel import track_image
from emulator.channel.geometry import geometry
from emulator.channel.track_image import END_MARKER, BadTrackError, NewRecord

MODEL = geometry("3390-1", cylinders=20)
TRACK = MODEL.track(2, 3)
new_records = st.lists(
    st.builds(
        NewRecord,
        st.integers(0, 255),
        st.binary(max_size=60),
        st.binary(max_size=9),
    ),
    max_size=8,
)


def test_an_empty_track_has_29_bytes():
    image = track_image.build(2, 3)
    assert image.hex() == "000002000300020003000000080000000000000000ffffffffffffffff"
    assert track_image.check(image, MODEL, TRACK) == 29


@settings(deadline=None)
@given(new_records, st.binary(max_size=40))
def test_what_is_built_is_read_back(contents, leftover):
    image = track_image.build(2, 3, contents)
    found = list(track_image.records(image + leftover))
    assert [r.number for r in found] == [0, *(new.number for new in contents)]
    for record, new in zip(found[1:], contents, strict=True):
        assert image[record.key_offset : record.data_offset] == new.key
        assert image[record.data_offset : record.end] == new.data
    assert track_image.cut(image + leftover) == image
    assert track_image.end_offset(image + leftover) == len(image)
    size = len(image) + 50
    assert track_image.canonical(image + leftover, size) == image + bytes(size - len(image))
    assert track_image.check(image + leftover, MODEL, TRACK) == len(image)


def test_a_record_shorter_than_eight_bytes_of_ones_is_no_end_marker():
    image = track_image.build(2, 3, [NewRecord(1, b"\xff" * 8, b"\xff" * 8), NewRecord(2, b"x")])
    assert [r.number for r in track_image.records(image)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("image", "offset", "cause"),
    [
        (b"", 0, "0 bytes cannot hold a home address"),
        (bytes(4), 0, "4 bytes cannot hold a home address"),
        (bytes.fromhex("0100020003") + END_MARKER, 0, "begins with 01"),
        (track_image.build(2, 4), 1, "the home address names cylinder 2 head 4"),
        (track_image.build(2, 3)[:-1], 21, "no end marker within 28 bytes"),
        (track_image.build(2, 3)[:-8], 21, "no end marker within 21 bytes"),
        (bytes.fromhex("0000020003") + END_MARKER, 5, "where R0 must be"),
        (
            track_image.build(2, 3, [NewRecord(7, bytes(90))])[:100],
            21,
            "record 7 with key length 0 and data length 90 reaches past the 100 bytes",
        ),
        (track_image.build(2, 3, [NewRecord(1, bytes(57000))]), 57037, "longer than 56832"),
    ],
)
def test_what_cannot_be_a_track_is_refused_with_its_place(image, offset, cause):
    with pytest.raises(BadTrackError, match=rf"track 33, offset {offset}: .*{cause}") as caught:
        track_image.check(image, MODEL, TRACK)
    assert (caught.value.track, caught.value.offset) == (TRACK, offset)


@pytest.mark.parametrize("track", [-1, 300])
def test_a_track_that_the_volume_does_not_have(track):
    with pytest.raises(BadTrackError, match="the volume has tracks 0 to 299"):
        track_image.check(track_image.build(0, 0), MODEL, track)


def test_canonical_refuses_a_track_longer_than_the_room():
    with pytest.raises(BadTrackError, match="29 bytes in use do not fit in 28"):
        track_image.canonical(track_image.build(0, 0), 28)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_track_or_refused(image):
    try:
        end = track_image.check(image, MODEL, TRACK)
    except BadTrackError:
        return
    assert image[end - 8 : end] == END_MARKER


def test_overlay_writes_in_place():
    image = track_image.canonical(track_image.build(2, 3, [NewRecord(1, b"old")]), 4096)
    record = list(track_image.records(image))[1]
    changed = track_image.overlay(image, record.data_offset, b"new", ends=False)
    assert changed == image.replace(b"old", b"new")


def test_overlay_clears_what_lay_behind_the_end_marker():
    image = track_image.canonical(track_image.build(2, 3, [NewRecord(1, b"old" * 9)]), 4096)
    assert track_image.overlay(image, 21, END_MARKER, ends=True) == track_image.canonical(
        track_image.build(2, 3), 4096
    )


def test_space_on_the_device_by_the_formula():
    image = track_image.build(0, 0, [NewRecord(n, bytes(4096)) for n in range(1, 13)])
    taken = track_image.user_space_bytes(image, MODEL)
    assert taken <= MODEL.track_bytes < taken + MODEL.record_bytes(0, 4096)
