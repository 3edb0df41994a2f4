"""How far a copying got: what a secondary that comes back must still have."""

import pytest

from emulator.copy.copied import CopiedUpTo


@pytest.mark.parametrize(
    ("here", "told", "believed"),
    [
        (CopiedUpTo(), CopiedUpTo(), True),
        (CopiedUpTo(5, 3), CopiedUpTo(5, 3), True),
        (CopiedUpTo(5, 4), CopiedUpTo(5, 3), True),
        (CopiedUpTo(5, 2), CopiedUpTo(5, 3), False),
        (CopiedUpTo(5, 0), CopiedUpTo(5, 3), False),
        # Of another copying its numbers say nothing; ancestry decides.
        (CopiedUpTo(4, 2), CopiedUpTo(5, 3), True),
        (CopiedUpTo(6, 0), CopiedUpTo(5, 3), True),
    ],
)
def test_a_secondary_is_believed_unless_it_has_less_than_it_confirmed(here, told, believed):
    assert here.covers(told) is believed
