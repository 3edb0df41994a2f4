"""Negotiation: every option, well said and badly said, against `NbdSession`."""

import pytest

from emulator.frontend.nbd import OPTIONS_MAX, NbdSession
from emulator.frontend.nbd_options import OPTION_BYTES_MAX
from emulator.frontend.nbd_protocol import (
    CLIENT_FLAGS,
    EXPORT,
    OPTION,
    OPTION_MAGIC,
    Info,
    Option,
    OptionAnswer,
    Transmission,
)
from tests.frontend.memory_volume import MemoryVolume
from tests.frontend.nbd_host import (
    GREETING_BYTES,
    context_data,
    name_data,
    option,
    option_replies,
)

ACK = OptionAnswer.ACK


class Caller:
    """A client that is still negotiating."""

    def __init__(self, flags=3, volumes=None):
        if volumes is None:
            sizes = {"vol0": 1 << 20, "vol1": 12345}
            volumes = {name: MemoryVolume(name, size) for name, size in sizes.items()}
        self.session = NbdSession(volumes)
        self.greeting = self.take()
        self.session.receive(CLIENT_FLAGS.pack(flags))

    def take(self):
        return b"".join(b"".join(buffers) for buffers in iter(self.session.outgoing, []))

    def ask(self, number, data=b""):
        self.session.receive(option(number, data))
        return [
            (answer, text) for asked, answer, text in option_replies(self.take()) if asked == number
        ]


def test_greeting_offers_fixed_newstyle_and_no_zeroes():
    caller = Caller()
    assert caller.greeting == b"NBDMAGICIHAVEOPT\0\3"
    assert len(caller.greeting) == GREETING_BYTES


@pytest.mark.parametrize(("flags", "padding"), [(3, 0), (1, 124), (2, 0), (0, 124)])
def test_export_name_opens_and_pads_as_agreed(flags, padding):
    caller = Caller(flags)
    caller.session.receive(option(Option.EXPORT_NAME, b"vol1"))
    said = caller.take()
    size_bytes, transmission = EXPORT.unpack_from(said)
    assert size_bytes == 12345
    assert not transmission & Transmission.SEND_DF
    assert said[EXPORT.size :] == bytes(padding)
    assert caller.session.device == "vol1"


def test_export_name_that_is_unknown_hangs_up():
    caller = Caller()
    caller.session.receive(option(Option.EXPORT_NAME, b"nope"))
    assert caller.take() == b""
    assert caller.session.closed
    assert "nope" in caller.session.ended_because


def test_unknown_client_flags_hang_up():
    caller = Caller(flags=4)
    assert caller.session.closed
    assert caller.session.counters()["broken"] == 1


def test_list_names_every_export_with_a_description():
    answers = Caller().ask(Option.LIST)
    assert [answer for answer, _ in answers] == [OptionAnswer.SERVER, OptionAnswer.SERVER, ACK]
    assert answers[0][1] == b"\0\0\0\x04vol0device vol0, 1MiB"


def test_options_without_data_refuse_data():
    caller = Caller()
    for number in (Option.LIST, Option.STRUCTURED_REPLY):
        assert caller.ask(number, b"x")[0][0] == OptionAnswer.ERR_INVALID
    assert caller.session.counters()["refused_options"] == 2


def test_go_tells_what_was_asked_for():
    caller = Caller()
    wanted = (Info.NAME, Info.DESCRIPTION, Info.BLOCK_SIZE, 77)
    *answers, last = caller.ask(Option.GO, name_data("vol1", wanted))
    assert last == (ACK, b"")
    by_kind = {text[1]: text[2:] for answer, text in answers if answer == OptionAnswer.INFO}
    assert set(by_kind) == {Info.EXPORT, Info.NAME, Info.DESCRIPTION, Info.BLOCK_SIZE}
    assert by_kind[Info.NAME] == b"vol1"
    assert by_kind[Info.BLOCK_SIZE] == b"\0\0\0\x01\0\0\x10\0\x02\0\0\0"
    size_bytes, transmission = EXPORT.unpack(by_kind[Info.EXPORT])
    assert size_bytes == 12345
    assert transmission & Transmission.CAN_MULTI_CONN
    assert transmission & Transmission.SEND_FUA
    assert not transmission & Transmission.READ_ONLY


def test_info_does_not_open():
    caller = Caller()
    assert [answer for answer, _ in caller.ask(Option.INFO, name_data(""))] == [
        OptionAnswer.INFO,
        ACK,
    ]
    assert caller.session.device is None
    assert caller.ask(Option.LIST)[-1][0] == ACK


def test_no_name_means_the_first_export():
    caller = Caller()
    caller.ask(Option.GO, name_data(""))
    assert caller.session.device == "vol0"


def test_unknown_export_is_refused_with_the_names_there_are():
    ((answer, text),) = Caller().ask(Option.GO, name_data("vol9"))
    assert answer == OptionAnswer.ERR_UNKNOWN
    assert b"vol0, vol1" in text


def test_no_exports_at_all():
    assert Caller(volumes={}).ask(Option.GO, name_data(""))[0][0] == OptionAnswer.ERR_UNKNOWN


def test_secondary_is_told_as_read_only():
    volume = MemoryVolume()
    volume.primary = False
    answers = Caller(volumes={"vol0": volume}).ask(Option.GO, name_data("", (Info.DESCRIPTION,)))
    assert EXPORT.unpack(answers[0][1][2:])[1] & Transmission.READ_ONLY
    assert b"read-only" in answers[1][1]


def test_df_is_offered_with_structured_replies_only():
    caller = Caller()
    assert caller.ask(Option.STRUCTURED_REPLY) == [(ACK, b"")]
    answers = caller.ask(Option.INFO, name_data(""))
    assert EXPORT.unpack(answers[0][1][2:])[1] & Transmission.SEND_DF


def test_abort_is_acknowledged_and_ends():
    caller = Caller()
    assert caller.ask(Option.ABORT, b"whatever") == [(ACK, b"")]
    assert caller.session.closed
    assert caller.session.counters()["broken"] == 0


@pytest.mark.parametrize("number", [4, Option.STARTTLS, 11, 0, 4711, 0xFFFFFFFF])
def test_options_we_lack_are_unsupported_and_negotiation_goes_on(number):
    caller = Caller()
    assert caller.ask(number, b"abc")[0][0] == OptionAnswer.ERR_UNSUP
    assert caller.ask(Option.LIST)[-1][0] == ACK


def test_contexts_need_structured_replies():
    data = context_data("vol0", "base:allocation")
    for number in (Option.LIST_META_CONTEXT, Option.SET_META_CONTEXT):
        assert Caller().ask(number, data)[0][0] == OptionAnswer.ERR_INVALID


@pytest.mark.parametrize(
    ("number", "queries", "found"),
    [
        (Option.LIST_META_CONTEXT, (), True),
        (Option.LIST_META_CONTEXT, ("base:",), True),
        (Option.LIST_META_CONTEXT, ("base:allocation",), True),
        (Option.LIST_META_CONTEXT, ("qemu:", "base:else"), False),
        (Option.SET_META_CONTEXT, (), False),
        (Option.SET_META_CONTEXT, ("base:",), False),
        (Option.SET_META_CONTEXT, ("qemu:dirty", "base:allocation"), True),
    ],
)
def test_contexts(number, queries, found):
    caller = Caller()
    caller.ask(Option.STRUCTURED_REPLY)
    answers = caller.ask(number, context_data("vol1", *queries))
    assert answers[-1] == (ACK, b"")
    context_id = b"\0\0\0\0" if number == Option.LIST_META_CONTEXT else b"\0\0\0\1"
    expected = [(OptionAnswer.META_CONTEXT, context_id + b"base:allocation")] if found else []
    assert answers[:-1] == expected


def test_contexts_of_an_unknown_export():
    caller = Caller()
    caller.ask(Option.STRUCTURED_REPLY)
    answers = caller.ask(Option.SET_META_CONTEXT, context_data("vol9", "base:allocation"))
    assert answers[0][0] == OptionAnswer.ERR_UNKNOWN


@pytest.mark.parametrize("number", [Option.GO, Option.INFO, Option.SET_META_CONTEXT])
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"\0\0\0\xffvol0\0\0",
        b"\xff\xff\xff\xffvol0\0\0",
        b"\0\0\0\4vol0",
        b"\0\0\0\4vol0\0\1",
        b"\0\0\0\4vol0\0\0\0\0\0\0\0\0junk",
        b"\0\0\0\4vol0\xff\xff\xff\xff\0\0\0\0",
        b"\0\0\0\2\xff\xfe\0\0",
    ],
)
def test_senseless_data_is_invalid_and_negotiation_goes_on(number, data):
    caller = Caller()
    caller.ask(Option.STRUCTURED_REPLY)
    assert caller.ask(number, data)[0][0] == OptionAnswer.ERR_INVALID
    assert caller.ask(Option.LIST)[-1][0] == ACK


def test_overlong_option_is_passed_over_without_keeping_it():
    caller = Caller()
    length = 64 << 20
    caller.session.receive(OPTION.pack(OPTION_MAGIC, Option.INFO, length))
    assert caller.take() == b""
    chunk = bytes(1 << 20)
    for _ in range(64):
        caller.session.receive(chunk)
        assert len(caller.session._rest) <= OPTION_BYTES_MAX
    assert option_replies(caller.take())[0][:2] == (Option.INFO, OptionAnswer.ERR_TOO_BIG)
    assert caller.ask(Option.LIST)[-1][0] == ACK


def test_overlong_export_name_hangs_up():
    caller = Caller()
    caller.session.receive(OPTION.pack(OPTION_MAGIC, Option.EXPORT_NAME, 1 << 31))
    assert caller.session.closed


def test_bad_option_magic_hangs_up_and_is_counted():
    caller = Caller()
    caller.session.receive(b"GET / HTTP/1.1\r\n")
    assert caller.session.closed
    assert caller.session.counters()["broken"] == 1
    assert "IHAVEOPT" in caller.session.ended_because


def test_shutdown_refuses_options_but_not_the_farewell():
    caller = Caller()
    caller.session.closing()
    assert caller.ask(Option.LIST)[0][0] == OptionAnswer.ERR_SHUTDOWN
    assert caller.ask(Option.GO, name_data(""))[0][0] == OptionAnswer.ERR_SHUTDOWN
    assert caller.ask(Option.ABORT) == [(ACK, b"")]


def test_shutdown_hangs_up_on_export_name():
    caller = Caller()
    caller.session.closing()
    caller.session.receive(option(Option.EXPORT_NAME, b"vol0"))
    assert caller.session.closed


def test_flood_of_options_is_held_back_until_answers_have_left():
    caller = Caller()
    caller.session.receive(option(Option.LIST) * 1000)
    assert caller.session.wants_pause
    assert len(caller.session._answers) <= OPTIONS_MAX
    assert option_replies(caller.take()).count((Option.LIST, ACK, b"")) == 1000
    assert not caller.session.wants_pause


def test_everything_byte_by_byte():
    caller = Caller()
    stream = option(Option.STRUCTURED_REPLY) + option(Option.GO, name_data("vol1", (Info.NAME,)))
    for byte in stream:
        caller.session.receive(bytes([byte]))
    answers = option_replies(caller.take())
    assert [answer for _, answer, _ in answers] == [ACK, OptionAnswer.INFO, OptionAnswer.INFO, ACK]
    assert caller.session.device == "vol1"
