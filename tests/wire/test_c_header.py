"""The C header compiles as freestanding C99 and agrees with the golden vectors."""

import subprocess
import zlib

import pytest

from emulator.wire.c_header import c_header
from emulator.wire.checksum import crc32c
from emulator.wire.headers import ENUMS, HEADERS, members, rows
from emulator.wire.packet import HEADER_BYTES
from tests.wire.vectors import BAD_PACKETS, PACKETS, RECORDS, headers_in

pytestmark = pytest.mark.needs("gcc")

STRICT = [
    "-std=c99",
    "-O2",
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wconversion",
    "-Wshadow",
    "-Werror",
]
VERDICTS = ["good", "short", "magic", "version", "type", "length", "crc"]

# Reads orders, one a line: what to do, then bytes in hexadecimal ("-" for none). For a header it
# answers with every field, then with the bytes that pack makes of them.
PROGRAM = """\
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "dualcopy_wire.h"

static char line[200000];
static uint8_t data[100000];
static uint8_t made[100000];

static void show(const uint8_t *bytes, size_t size)
{
    for (size_t at = 0; at < size; at++) printf("%02x", bytes[at]);
}

int main(void)
{
    while (fgets(line, sizeof line, stdin)) {
        char order[40];
        int start = 0;
        size_t size = 0;
        unsigned byte;
        if (sscanf(line, "%39s %n", order, &start) != 1) return 2;
        while (sscanf(line + start + 2 * size, "%2x", &byte) == 1) data[size++] = (uint8_t)byte;
        if (!strcmp(order, "check")) {
            printf("%d\\n", (int)dualcopy_check(data, size));
        } else if (!strcmp(order, "crc")) {
            uint32_t half = dualcopy_crc32c(0, data, size / 2);
            printf("%" PRIu32 "\\n", dualcopy_crc32c(half, data + size / 2, size - size / 2));
        } else if (!strcmp(order, "seal")) {
            size = dualcopy_seal(data, size);
            show(data, size);
            printf("\\n");
        }
@HEADERS@        else return 3;
    }
    return 0;
}
"""


def c_fields(header):
    shown = []
    for row in rows(header):
        if row.code.endswith("s"):
            shown.append(f'show(header.{row.name}, sizeof header.{row.name}); printf(" ");')
        else:
            shown.append(f'printf("%" PRIu64 " ", (uint64_t)header.{row.name});')
    return "\n".join(f"            {line}" for line in shown)


def c_program():
    branches = [
        f"""\
        else if (!strcmp(order, "{header.name}")) {{
            struct dualcopy_{header.name} header;
            dualcopy_{header.name}_unpack(&header, data);
            dualcopy_{header.name}_pack(made, &header);
{c_fields(header)}
            show(made, DUALCOPY_{header.name.upper()}_BYTES);
            printf("\\n");
        }}
"""
        for header in HEADERS
    ]
    return PROGRAM.replace("@HEADERS@", "".join(branches))


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    """Return what the C program answers to a list of orders."""
    folder = tmp_path_factory.mktemp("c")
    (folder / "dualcopy_wire.h").write_text(c_header())
    (folder / "main.c").write_text(c_program())
    subprocess.run(["gcc", *STRICT, "-o", "main", "main.c"], cwd=folder, check=True, timeout=60)

    def ask(orders):
        text = "".join(f"{order} {data.hex() or '-'}\n" for order, data in orders)
        done = subprocess.run(
            [folder / "main"], input=text, capture_output=True, text=True, check=True, timeout=30
        )
        answers = done.stdout.splitlines()
        assert len(answers) == len(orders)
        return answers

    return ask


def test_header_alone_compiles_freestanding(tmp_path):
    (tmp_path / "dualcopy_wire.h").write_text(c_header())
    (tmp_path / "alone.c").write_text(
        '#include "dualcopy_wire.h"\n#include "dualcopy_wire.h"\nextern int unused;\n'
    )
    command = ["gcc", *STRICT, "-ffreestanding", "-c", "alone.c"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)


def test_every_header_unpacks_and_packs_as_the_vectors_say(ask):
    orders, expected = [], []
    for vector in [*PACKETS, *RECORDS]:
        for name, values, at in headers_in(vector):
            size = next(sum(row.size_bytes for row in rows(h)) for h in HEADERS if h.name == name)
            data = vector["raw"][at : at + size]
            orders.append((name, data))
            expected.append(" ".join([*(str(value) for value in values.values()), data.hex()]))
    assert ask(orders) == expected


def test_good_packets_are_good(ask):
    assert set(ask([("check", vector["raw"]) for vector in PACKETS])) == {"0"}


def test_bad_packets_get_the_word_of_the_vector(ask):
    answers = ask([("check", vector["raw"]) for vector in BAD_PACKETS])
    assert [VERDICTS[int(answer)] for answer in answers] == [v["word"] for v in BAD_PACKETS]


def test_sealing_gives_the_packet_of_the_vector(ask):
    ends = [HEADER_BYTES + vector["packet"]["payload_length"] for vector in PACKETS]
    pairs = list(zip(PACKETS, ends, strict=True))
    answers = ask([("seal", vector["raw"][:end]) for vector, end in pairs])
    assert answers == [vector["raw"][: end + 4].hex() for vector, end in pairs]


def test_crc_goes_on_from_where_it_was(ask):
    texts = [b"", b"1", b"123456789", bytes(range(256)), zlib.compress(bytes(5000))]
    assert ask([("crc", text) for text in texts]) == [str(crc32c(text)) for text in texts]


def test_named_values_are_those_of_the_layout():
    text = c_header()
    for name, values in ENUMS.items():
        field = name.rpartition(".")[2].upper()
        for member, number in members(values):
            assert f"DUALCOPY_{field}_{member} = {number}" in text
