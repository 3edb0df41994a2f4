"""The pair's states: every pair that can happen has a row, and each says what it promises (V1)."""

import pytest

from emulator.copy.levels import AckLevel
from emulator.copy.states import PAIR_TABLE, PairState, Role, Signal, guarantee, next_state
from emulator.errors import MisuseError

CAUGHT_UP_FROM = (PairState.COPYING, PairState.CATCHING_UP, PairState.DUPLEX)


@pytest.mark.parametrize("state", PairState)
@pytest.mark.parametrize("signal", Signal)
def test_every_signal_has_a_row_but_catching_up_from_nowhere(state, signal):
    if signal is Signal.CAUGHT_UP and state not in CAUGHT_UP_FROM:
        with pytest.raises(MisuseError, match=f"{signal.name}.*{state.value}"):
            next_state(state, signal)
    else:
        assert isinstance(next_state(state, signal), PairState)


def test_every_state_can_be_reached_and_left():
    reached = {PairState.WAITING}
    while more := {new for (old, _), new in PAIR_TABLE.items() if old in reached} - reached:
        reached |= more
    assert reached == set(PairState)
    for state in PairState:
        assert {new for (old, _), new in PAIR_TABLE.items() if old is state} - {state}


def test_duplex_comes_only_from_catching_up():
    ways = {(old, signal) for (old, signal), new in PAIR_TABLE.items() if new is PairState.DUPLEX}
    assert ways == {(state, Signal.CAUGHT_UP) for state in CAUGHT_UP_FROM}


@pytest.mark.parametrize("signal", [s for s in Signal if s is not Signal.CAUGHT_UP])
def test_nothing_else_keeps_a_pair_in_duplex(signal):
    assert next_state(PairState.DUPLEX, signal) is not PairState.DUPLEX


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("state", PairState)
@pytest.mark.parametrize("ack", AckLevel)
@pytest.mark.parametrize("consistent", [True, False])
def test_every_state_says_what_it_promises(role, state, ack, consistent):
    text = guarantee(role, state, ack, consistent=consistent)
    assert ":" in text
    one_site = "loss of one site" in text
    remote = ack in (AckLevel.REMOTE_NVS, AckLevel.REMOTE_APPLIED)
    held = state is PairState.DUPLEX and remote and consistent and role is not Role.NONE
    assert one_site == held, "promised only while it holds"


def test_a_volatile_level_is_called_unsafe():
    text = guarantee(Role.PRIMARY, PairState.DUPLEX, AckLevel.VOLATILE, consistent=True)
    assert "UNSAFE" in text


def test_a_copy_under_way_is_never_called_usable():
    for state in PairState:
        text = guarantee(Role.SECONDARY, state, AckLevel.NVS, consistent=False)
        assert "not a usable copy" in text


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("state", PairState)
@pytest.mark.parametrize("consistent", [True, False])
def test_a_volatile_level_is_called_unsafe_whatever_else_holds(role, state, consistent):
    text = guarantee(role, state, AckLevel.VOLATILE, consistent=consistent)
    assert "UNSAFE" in text
    assert "no acknowledged write lost" not in text
