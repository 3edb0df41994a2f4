"""Before a start: which disk belongs to which store, and which is older than it may be (K13)."""

import pytest

from emulator.errors import CorruptError
from emulator.events import ChecksumsChanged, StoreStale
from emulator.node.standing import judge


class Kept:
    uri = "file:///a.sums"

    def __init__(self, identity="id", version=5, store_lost=None):
        self.header = {"identity": identity, "version": version, "store_lost": store_lost}
        self.begun = 0

    def begin(self):
        self.begun += 1
        self.header = {"identity": "new", "version": 0, "store_lost": None}

    def load(self, page):
        return b""

    def mark(self, body):
        self.header["store_lost"] = body


BODY = {"disks": {"vol0": ["id", 5]}}


def test_a_disk_that_fits_is_taken_as_it_is():
    file = Kept()
    said = judge("nvs", BODY, {"vol0": file})
    assert (said.sums[0].version, said.lost_body, said.events, file.begun) == (5, None, [], 0)


def test_a_disk_ahead_of_the_store_fits_and_an_older_one_is_refused():
    judge("nvs", BODY, {"vol0": Kept(version=6)})
    with pytest.raises(CorruptError, match="an older copy of its disk was put back"):
        judge("nvs", BODY, {"vol0": Kept(version=4)})


def test_a_new_store_begins_new_checksums():
    file = Kept()
    judge("nvs", None, {"vol0": file})
    assert file.begun == 1


@pytest.mark.parametrize(("body", "state"), [(BODY, "replaced"), ({"disks": {}}, "new")])
def test_checksums_of_another_disk_are_begun_anew_and_it_is_said(body, state):
    file = Kept(identity="another")
    said = judge("nvs", body, {"vol0": file})
    assert file.begun == 1
    assert [event.state for event in said.events] == [state]


def test_a_device_without_checksums_has_none():
    said = judge("nvs", BODY, {"vol0": None})
    assert said.sums == [None]
    assert isinstance(said.events[0], ChecksumsChanged)


def test_a_store_that_was_lost_counts_only_if_every_disk_says_so():
    lost = {"disks": {"vol0": ["id", 5]}, "trim_lsn": 9}
    said = judge("nvs", BODY, {"vol0": Kept(store_lost=lost), "vol1": Kept(store_lost=lost)})
    assert said.lost_body is lost
    assert isinstance(said.events[0], StoreStale)
    half = {"vol0": Kept(store_lost=lost), "vol1": Kept()}
    assert judge("nvs", BODY, half).lost_body is None
    assert half["vol0"].header["store_lost"] is None
