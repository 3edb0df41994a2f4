"""Would these tests notice? Each row breaks the link on purpose and names the test that must fail.

A row with two changes is hidden by a second defence if only one of them is made.
"""

from collections.abc import Callable

import pytest

from emulator.errors import MisuseError
from emulator.link import handshake, hello, link, session
from emulator.link.acknowledgements import ReceivedNumbers
from emulator.link.assembler import Assembler
from emulator.link.congestion import Congestion
from emulator.link.handshake import Handshake, Heard, Peer
from emulator.link.loss import Flight
from emulator.link.packetizer import Packetizer
from emulator.link.receiver import Receiver
from emulator.link.rtt import RoundTrip
from emulator.link.sender import Sender
from emulator.link.session import Session
from emulator.wire import packet as codec
from emulator.wire.checksum import crc32c
from tests.link import test_assembler as of_assembler
from tests.link import test_bad_lines as of_lines
from tests.link import test_handshake as of_handshake
from tests.link import test_hostile as of_hostile
from tests.link import test_lifecycle as of_lifecycle
from tests.link import test_window as of_window

pytestmark = pytest.mark.sources


def decode_without_crc(data):
    spoilt = codec.decode_packet(data)
    if spoilt != "crc":
        return spoilt
    end = codec.HEADER_BYTES + int.from_bytes(data[40:42], "big")
    return codec.decode_packet(data[:end] + crc32c(data[:end]).to_bytes(4, "big"))


def up_at_the_first_hello(self, hello, now_ns):
    self.peer = Peer(hello.nonce, hello.mtu_bytes, hello.window_bytes)
    self._due = (self.nonce, hello.nonce)
    if self.state is not handshake.LinkState.UP:
        self._confirm(self.nonce, self.peer)
        return Heard.CONFIRMED
    return Heard.NOTHING


def believe_any_new_nonce(self, hello):
    if hello.nonce == self.peer.nonce:
        return Heard.ALIVE
    self._due = (self._fresh, hello.nonce)
    self._confirm(self._fresh, Peer(hello.nonce, hello.mtu_bytes, hello.window_bytes))
    return Heard.CONFIRMED


def answer_stale_echoes(self, hello):
    if hello.echo == self._fresh or hello.nonce == self.peer.nonce:
        return receive_up(self, hello)
    return receive_up(self, hello._replace(echo=0))


receive_up = Handshake._receive_up


def acknowledge_what_is_not_held(self, packet, size_bytes, now_ns):
    if not receive_data(self, packet, size_bytes, now_ns):
        self.note(packet.number, now_ns)
        self.ack_now = True
    return True


receive_data = Receiver.data


def hand_on_at_once(self, packet):
    answer = receive_fragment(self, packet)
    for number, partial in list(self._partials.items()):
        if partial.have == partial.meta[3]:
            del self._partials[number]
            self._hand_on(*partial.meta[:3], partial.whole())
    return answer


receive_fragment = Assembler.receive


def take_repeats(self, packet):
    if packet.record <= self.kept:
        packet = packet._replace(record=self.kept + 1)
    return receive_fragment(self, packet)


def ignore_the_window(self):
    self._limit = 2**40
    return next_size(self)


next_size = Packetizer.next_size


def acknowledge_acks(self, packet, size_bytes, now_ns):
    self.receiver.ack_now = True
    return receive_ack(self, packet, size_bytes, now_ns)


receive_ack = Session._receive_ack


def no_limit(self, packet_bytes, rate, ceiling):
    congestion_init(self, packet_bytes, rate, ceiling)
    self.limit_bytes = self._floor = 10**9


congestion_init = Congestion.__init__


def deny_half(self, record, size):
    """Refuse some fragments, as a receiver short of memory may: they must come again."""
    self._denied = not getattr(self, "_denied", False)
    return not self._denied and fits(self, record, size)


fits = Assembler._fits


def short_of_memory():
    world = of_lines.both("short", {}, mtu_bytes=150)
    records = of_lines.payloads(10, 500, "short")
    for csn, record in enumerate(records, 1):
        world.a.link.send(1, 2, csn, [record])
    world.run(lambda: world.a.kept == 10, 60)
    assert of_lines.arrived(world) == records
    assert world.a.of(of_lines.LinkDown) == []


class ForgetfulAssembler(Assembler):
    """With room for an attribute of the mutant."""


MUTANTS: dict[str, tuple[list[tuple[object, str, object]], Callable[[], object]]] = {
    "no CRC": (
        [(link, "decode_packet", decode_without_crc)],
        lambda: of_lines.test_everything_at_once_in_both_directions(0),
    ),
    "up without echo": (
        [(Handshake, "receive", up_at_the_first_hello)],
        lambda: of_handshake.test_a_line_that_works_one_way_is_never_up("ba"),
    ),
    "any new nonce ends the session": (
        [(Handshake, "_receive_up", believe_any_new_nonce)],
        of_handshake.test_replayed_hellos_of_all_earlier_sessions_part_nobody,
    ),
    "two live ends challenge each other": (
        [(Handshake, "_receive_up", answer_stale_echoes)],
        of_handshake.test_replayed_hellos_of_all_earlier_sessions_part_nobody,
    ),
    "nothing is sent again": (
        [(Flight, "_lose", lambda self, numbers, now_ns: 0)],
        lambda: of_lines.test_everything_at_once_in_both_directions(0),
    ),
    "acknowledged but not held": (
        [
            (Assembler, "_fits", deny_half),
            (session, "Assembler", ForgetfulAssembler),
            (Receiver, "data", acknowledge_what_is_not_held),
        ],
        short_of_memory,
    ),
    "records out of order": (
        [(Assembler, "receive", hand_on_at_once)],
        of_assembler.test_records_1_2_4_wait_for_3,
    ),
    "records out of order on a line": (
        [(Assembler, "receive", hand_on_at_once)],
        lambda: of_lines.test_everything_at_once_in_both_directions(0),
    ),
    "repeats handed on": (
        [
            (Assembler, "receive", take_repeats),
            (ReceivedNumbers, "why_not_new", lambda self, number: ""),
        ],
        lambda: of_lines.test_everything_at_once_in_both_directions(0),
    ),
    "window ignored by both ends": (
        [
            (Packetizer, "next_size", ignore_the_window),
            (Assembler, "_fits", lambda self, record, size: True),
        ],
        of_window.test_nothing_moves_beyond_the_window_until_it_is_released_and_nothing_is_lost,
    ),
    "window ignored by the sender": (
        [(Packetizer, "next_size", ignore_the_window)],
        of_window.test_nothing_moves_beyond_the_window_until_it_is_released_and_nothing_is_lost,
    ),
    "no news of an open window": (
        [
            (
                Receiver,
                "release",
                lambda self, size: self.assembler.__setattr__(
                    "unreleased_bytes", self.assembler.unreleased_bytes - size
                ),
            )
        ],
        of_window.test_an_open_window_is_announced_without_being_asked,
    ),
    "ACKs cause ACKs": (
        [(Session, "_receive_ack", acknowledge_acks)],
        of_hostile.test_acks_never_cause_acks,
    ),
    "directions not told apart": (
        [
            (
                session,
                "session_field",
                hello.session_id,
            ),
            (
                handshake,
                "session_field",
                hello.session_id,
            ),
        ],
        of_hostile.test_our_own_packets_come_back_and_are_not_taken_for_the_others,
    ),
    "every session the same": (
        [
            (session, "session_field", lambda sender, receiver: 2 + (sender > receiver)),
            (handshake, "session_field", lambda sender, receiver: 2 + (sender > receiver)),
        ],
        of_hostile.test_a_recording_of_an_earlier_session_changes_nothing,
    ),
    "no limit on what is in flight": (
        [(Congestion, "__init__", no_limit), (Congestion, "round_over", lambda *_: None)],
        lambda: of_lines.test_a_slow_line_with_tiny_packets_converges(
            96, False, {"queue_bytes": 1024}
        ),
    ),
    "impatient": (
        [(RoundTrip, "timeout_ns", lambda self: 10**8)],
        lambda: of_lines.test_a_slow_line_with_tiny_packets_converges(256, True, {}),
    ),
    "stuck for ever": (
        [(Sender, "stuck", property(lambda self: False))],
        of_hostile.test_a_fragment_acknowledged_in_error_does_not_hang_the_link_for_ever,
    ),
    "a recording counts as life": (
        [(ReceivedNumbers, "why_not_new", lambda self, number: "")],
        of_hostile.test_a_recording_is_no_sign_of_life,
    ),
    "no death": (
        [(Session, "_dead_at_ns", lambda self: 2**62)],
        of_lifecycle.test_silence_ends_the_session_within_its_time_and_not_before,
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_link_is_noticed(name, monkeypatch):
    changes, check = MUTANTS[name]
    check()
    for place, attribute, broken in changes:
        monkeypatch.setattr(place, attribute, broken)
    with pytest.raises((AssertionError, MisuseError)):
        check()


def test_a_receiver_short_of_memory_gets_everything_all_the_same(monkeypatch):
    monkeypatch.setattr(Assembler, "_fits", deny_half)
    monkeypatch.setattr(session, "Assembler", ForgetfulAssembler)
    short_of_memory()
