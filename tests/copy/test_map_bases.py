"""Where the other site may stand when the map's bits say all that it lacks (F4)."""

from emulator.copy.map_bases import POSITIONS_MAX, MapBases


def chain(csn: int) -> bytes:
    return csn.to_bytes(16, "big")


def noted(*rows: tuple[int, int]) -> MapBases:
    bases = MapBases()
    for copy_number, csn in rows:
        bases.note(copy_number, {csn: chain(csn)})
    return bases


def test_a_position_that_was_noted_is_covered_and_no_other():
    bases = noted((0, 50))
    assert bases
    assert bases.cover(0, 50, chain(50))
    assert not bases.cover(0, 51, chain(51))
    assert not bases.cover(0, 50, chain(49))
    assert not MapBases().cover(0, 50, chain(50))
    assert not MapBases()


def test_a_site_in_the_middle_of_a_copying_must_be_in_the_same_one():
    bases = noted((7, 50), (0, 40))
    assert bases.cover(7, 50, chain(50))
    assert bases.cover(0, 50, chain(50)), "it has ended that copying"
    assert not bases.cover(8, 50, chain(50))
    assert not bases.cover(7, 40, chain(40)), "it had not begun it there"


def test_they_survive_a_restart():
    bases = noted((7, 50), (0, 40))
    again = MapBases(bases.text())
    assert again.cover(7, 50, chain(50))
    assert again.cover(0, 40, chain(40))
    assert not again.cover(0, 41, chain(41))
    assert MapBases(MapBases().text()).text() == ""


def test_what_was_noted_first_stays():
    bases = noted((0, 10))
    for number in range(1, 30):
        bases.note(number, {1000 * number: chain(1000 * number)})
    assert bases.cover(0, 10, chain(10))


def test_of_many_the_confirmed_and_those_sent_next_are_kept():
    known = {csn: chain(csn) for csn in range(100, 200)}
    bases = MapBases()
    bases.note(0, known)
    covered = [csn for csn in known if bases.cover(0, csn, chain(csn))]
    assert covered == list(range(100, 100 + POSITIONS_MAX))


def test_a_copy_beyond_all_noted_has_a_history_of_its_own():
    assert not MapBases().rules_out(7)
    bases = noted((0, 10), (0, 20))
    assert not bases.rules_out(9)
    assert bases.rules_out(10)
    assert bases.rules_out(21)


def test_they_never_outgrow_the_superblock():
    bases = MapBases()
    for number in range(100):
        bases.note(number, {csn: chain(csn) for csn in range(50)})
    assert len(bases.text()) < 3000
