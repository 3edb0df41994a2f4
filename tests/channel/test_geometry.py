"""The device table and the capacity formulas against the published figures."""

import pytest

from emulator.channel.geometry import (
    ALIASES,
    CYLINDERS_MAX,
    MODELS,
    geometry,
    is_kind,
    smallest_model,
)
from emulator.errors import BenchError

# Data length, then records per track of 3330, 3350, 3380, 3390 without and with an 8-byte key.
CAPACITY = [
    (80, (61, 72, 83, 78), (47, 54, 57, 54)),
    (512, (20, 27, 46, 49), (18, 24, 37, 38)),
    (1024, (11, 15, 31, 33), (10, 14, 26, 28)),
    (2048, (6, 8, 18, 21), (5, 8, 17, 19)),
    (4096, (3, 4, 10, 12), (3, 4, 9, 11)),
    (8192, (1, 2, 5, 6), (1, 2, 5, 6)),
    (27998, (0, 0, 1, 2), (0, 0, 1, 1)),
]


@pytest.mark.parametrize(("data_length", "plain", "keyed"), CAPACITY)
def test_records_per_track(data_length, plain, keyed):
    models = [geometry(kind) for kind in ("3330", "3350", "3380", "3390")]
    assert tuple(model.records_per_track(0, data_length) for model in models) == plain
    assert tuple(model.records_per_track(8, data_length) for model in models) == keyed


@pytest.mark.parametrize("kind", MODELS)
def test_one_record_of_the_longest_length_fits_and_no_longer_one(kind):
    model = geometry(kind)
    assert model.records_per_track(0, model.r1_bytes_max) == 1
    assert model.records_per_track(0, model.r1_bytes_max + 1) == 0


@pytest.mark.parametrize(
    ("kind", "image_bytes", "slot_bytes"),
    [
        ("3330-1", 13312, 16384),
        ("3340-70", 8704, 12288),
        ("3350", 19456, 20480),
        ("3375", 35840, 36864),
        ("3380-E", 47616, 49152),
        ("3390-3", 56832, 57344),
        ("9345-1", 46592, 49152),
    ],
)
def test_track_sizes_of_images_and_slots(kind, image_bytes, slot_bytes):
    assert geometry(kind).image_bytes == image_bytes
    assert geometry(kind).slot_bytes == slot_bytes


@pytest.mark.parametrize("kind", MODELS)
def test_addresses_and_tracks_are_each_others_inverse(kind):
    model = geometry(kind)
    for track in (0, 1, model.heads, model.tracks - 1):
        assert model.track(*model.address(track)) == track
    assert model.has(*model.address(model.tracks - 1))
    assert not model.has(*model.address(model.tracks))


def test_kinds():
    assert all(is_kind(kind) for kind in (*MODELS, *ALIASES))
    assert not is_kind("fba-512")
    assert all(target in MODELS for target in ALIASES.values())
    assert not set(ALIASES) & set(MODELS)


def test_an_unknown_kind_names_the_choice():
    with pytest.raises(BenchError, match=r"'3391' is no count-key-data device.*3390-1, 3390-2"):
        geometry("3391")


@pytest.mark.parametrize("cylinders", [0, -1, CYLINDERS_MAX + 1])
def test_an_impossible_number_of_cylinders(cylinders):
    with pytest.raises(BenchError, match=rf"3390-1: {cylinders} cylinders cannot be addressed"):
        geometry("3390-1", cylinders)


@pytest.mark.parametrize(
    ("device_type", "cylinders", "kind"),
    [
        (0x3390, 1, "3390-1"),
        (0x90, 1114, "3390-1"),
        (0x90, 1115, "3390-2"),
        (0x90, 10018, "3390-9"),
        (0x90, 65523, "3390-54"),
        (0x80, 885, "3380-A"),
        (0x80, 887, "3380-E"),
        (0x80, 3000, "3380-K"),
        (0x30, 500, "3330-11"),
        (0x3350, 600, "3350"),
    ],
)
def test_the_smallest_model_that_holds_a_volume(device_type, cylinders, kind):
    found = smallest_model(device_type, cylinders)
    assert (found.kind, found.cylinders) == (kind, cylinders)


def test_an_unknown_type_names_the_known_ones():
    with pytest.raises(BenchError, match=r"device type 2311 .*known are 3330, 3340"):
        smallest_model(0x2311, 10)
