"""A second count-key-data device, written from the reference alone, to judge the first by.

Tracks are lists of records and a position is an index into them, so that it shares no arithmetic
with the engine, only the device table. Slow and plain: it is read beside the reference.
"""

from tests.channel.oracle_tables import (
    DOMAINS,
    EARNED,
    KEEPING,
    MULTI,
    NAMES,
    NEED_SEEK,
    ORIENTATIONS,
    WRITABLE,
)
from tests.channel.oracle_words import (
    CC,
    COMMAND,
    CYLINDER,
    INCOMPLETE,
    NOT_FOUND,
    PARAMETER,
    PCI,
    PROTECTED,
    SEQUENCE,
    SHORT,
    SKIP,
    SLI,
    Outcome,
    Refused,
    Wrong,
    two,
)


class Oracle:
    """One volume behind a 3990-6. The arm's place is kept from chain to chain."""

    def __init__(self, geometry, tracks):
        self.g = geometry
        self.tracks = tracks
        self.at = (0, 0)

    # ------------------------------------------------------------------ the channel

    def run(self, program):
        self.fresh_chain()
        outcome = Outcome()
        try:
            self.chain(program, outcome)
        except Wrong:
            outcome.unit, outcome.channel = 0, 0x20
        return outcome

    def fresh_chain(self):
        self.n, self.part = -1, "top"
        self.passed = False
        self.moved = False
        self.shown = None
        self.mask = 0
        self.mask_given = self.extent_given = False
        self.attributes = self.block = 0
        self.low, self.high = (0, 0), (self.g.cylinders - 1, self.g.heads - 1)
        self.left = 0
        self.operation = self.orientation = self.length = 0
        self.suffix = False
        self.before = None

    def chain(self, program, outcome):
        place, first = 0, True
        while True:
            if not 0 <= place < len(program):
                raise Wrong
            ccw = program[place]
            if ccw.command & 15 == 8:
                if first or not 0 <= ccw.target < len(program):
                    raise Wrong
                place = ccw.target
                ccw = program[place]
                if ccw.command & 15 == 8:
                    raise Wrong
            first = False
            self.end_of_file = self.match = False
            try:
                brought, length = self.command(ccw)
            except Refused as refused:
                outcome.unit, outcome.bits = 0x0E, refused.bits
                outcome.channel = PCI if ccw.flags & 0x08 else 0
                left = ccw.byte_count
                outcome.steps.append((place, ccw.command, 0x0E, outcome.channel, left, b""))
                return
            unit = 0x0C | (0x40 if self.match else 0) | (1 if self.end_of_file else 0)
            wrong_length = length != ccw.byte_count and not ccw.flags & SLI
            outcome.channel = (0x40 if wrong_length else 0) | (PCI if ccw.flags & 0x08 else 0)
            data = b"" if ccw.flags & SKIP else (brought or b"")[: ccw.byte_count]
            residual = max(0, ccw.byte_count - length)
            outcome.steps.append((place, ccw.command, unit, outcome.channel, residual, data))
            outcome.unit = unit & ~0x40
            if not ccw.flags & CC or wrong_length or self.end_of_file:
                return
            place += 2 if self.match else 1

    def command(self, ccw):
        code = ccw.command
        name = NAMES.get(code) or (NAMES.get(code & 0x7F) if code & 0x7F in MULTI else None)
        if name is None:
            raise Refused(COMMAND)
        self.code, self.multi = code, code & 0x80 != 0
        reading = code & 3 == 2 or code & 15 == 4
        counts_only = name in ("search_id", "search_key") or code in (0x12, 0x22)
        if not counts_only:
            self.passed = False
        self.check_place(name)
        sent = b""
        if not reading and name != "nothing":
            if len(ccw.data) < ccw.byte_count:
                raise Wrong
            sent = ccw.data[: ccw.byte_count]
        answer = getattr(self, name)(sent)
        self.afterwards(name, ccw)
        if name == "nothing":
            return b"", ccw.byte_count
        return (answer, len(answer)) if reading else (b"", answer)

    def check_place(self, name):
        """In a domain, only what belongs there; elsewhere, what the chain has earned."""
        if self.left:
            if name not in DOMAINS.get(self.operation, ()):
                raise Refused(SEQUENCE)
            at_home = self.orientation in (0x40, 0xC0)
            reads_r0 = name in ("read_r0", "read_home") and self.operation == 0x16
            if (reads_r0 or name == "write_r0") and not at_home:
                raise Refused(SEQUENCE)
            if name == "write_home" and self.orientation != 0x40:
                raise Refused(SEQUENCE)
        elif name in EARNED and self.shown not in EARNED[name]:
            raise Refused(SEQUENCE)
        if self.mask & 0xC0 not in WRITABLE.get(name, (0, 0x40, 0x80, 0xC0)):
            raise Refused(SEQUENCE)
        if (name in NEED_SEEK or self.code == 0x1B) and not self.moved:
            raise Refused(SEQUENCE)

    def afterwards(self, name, ccw):
        if self.shown and name not in KEEPING[self.shown]:
            self.shown = None
        self.before = name
        if self.left and name != "locate":
            self.left -= 1
            if self.left and not ccw.flags & CC:
                raise Refused(INCOMPLETE)

    # ------------------------------------------------------------------ moving

    @property
    def track(self):
        return self.tracks[self.at]

    @property
    def here(self):
        return self.track[self.n]

    def go(self, cylinder, head):
        self.at = (cylinder, head)
        self.n, self.part = -1, "top"

    def next_head(self):
        cylinder, head = self.at
        if not self.left:
            if self.mask & 0x18 == 0x18:
                raise Refused(PROTECTED)
            if head == self.g.heads - 1:
                raise Refused(CYLINDER)
        following = (cylinder, head + 1) if head < self.g.heads - 1 else (cylinder + 1, 0)
        if not self.low <= following <= self.high:
            raise Refused(PROTECTED)
        self.go(*following)

    def next_record(self, r0=False):
        """Stand at the next count field, or say no record found."""
        while not self.step(r0):
            exempt = not self.left and self.multi
            exempt = exempt and (self.code & 3 == 2 or self.code & 0x7F in (0x29, 0x49, 0x69))
            if self.passed and not exempt:
                raise Refused(NOT_FOUND)
            if self.multi:
                self.next_head()
                if self.code & 0x7F not in (0x29, 0x49, 0x69, 0x31, 0x51, 0x71):
                    self.passed = True
            else:
                self.go(*self.at)
                self.passed = True

    def step(self, r0):
        if self.part == "bottom":
            return False
        for n in range(self.n + 1, len(self.track)):
            if r0 or self.track[n].number != 0:
                self.n, self.part = n, "count"
                return True
        self.part = "bottom"
        return False

    def record_at_hand(self, parts):
        if self.part not in parts:
            self.next_record()

    # ------------------------------------------------------------------ control

    def nothing(self, sent):
        return 0

    def seek(self, sent):
        allowed = {0x07: (0,), 0x0B: (0, 8), 0x1B: (0, 8, 16)}[self.code]
        if self.mask & 0x18 not in allowed:
            raise Refused(PROTECTED)
        if len(sent) < 6:
            raise Refused(SHORT)
        cylinder = self.at[0] if self.code == 0x1B else two(sent, 2)
        head = two(sent, 4)
        if two(sent, 0) or cylinder >= self.g.cylinders or head >= self.g.heads:
            raise Refused(PARAMETER)
        if not self.low <= (cylinder, head) <= self.high:
            raise Refused(PROTECTED)
        self.go(cylinder, head)
        self.moved = True
        return 6

    def file_mask(self, sent):
        if self.mask_given or self.extent_given:
            raise Refused(SEQUENCE)
        if not sent:
            raise Refused(SHORT)
        if sent[0] & 0x20:
            raise Refused(PARAMETER)
        self.mask, self.mask_given = sent[0], True
        return 1

    def sector(self, sent):
        if not sent:
            raise Refused(SHORT)
        if self.g.sectors <= sent[0] != 255:
            raise Refused(PARAMETER)
        return 1

    def extent(self, sent):
        if len(sent) < 16:
            raise Refused(SHORT)
        if self.mask_given:
            raise Refused(SEQUENCE)
        again = self.extent_given
        if again and (sent[0], sent[1]) != (self.mask, self.attributes):
            raise Refused(SEQUENCE)
        if sent[1] & 0xC0 != 0xC0 or sent[0] & 0x20:
            raise Refused(PARAMETER)
        block = two(sent, 2) or self.g.r0_bytes_max + 8
        if again and block != self.block:
            raise Refused(SEQUENCE)
        if block > self.g.r0_bytes_max + 8 or sent[4:7] != bytes(3):
            raise Refused(PARAMETER)
        low, high = (two(sent, 8), two(sent, 10)), (two(sent, 12), two(sent, 14))
        there = all(self.g.has(*end) and self.low <= end <= self.high for end in (low, high))
        if not there or low > high:
            raise Refused(SEQUENCE if again else PARAMETER)
        self.mask, self.attributes, self.block = sent[0], sent[1], block
        self.low, self.high, self.extent_given = low, high, True
        return 16

    def locate(self, sent):
        if len(sent) < 16:
            raise Refused(SHORT)
        if not self.extent_given:
            raise Refused(SEQUENCE)
        operation, orientation = sent[0] & 0x3F, sent[0] & 0xC0
        if orientation not in ORIENTATIONS.get(operation, ()):
            raise Refused(PARAMETER)
        suffix = sent[1] & 1
        if sent[1] & 0x7E or sent[2] or (suffix and operation not in (0x01, 0x16)):
            raise Refused(PARAMETER)
        if (sent[3] == 0) != (operation == 0) or (suffix and sent[3] < 2):
            raise Refused(PARAMETER)
        self.go_to_operation(sent, orientation)
        length = two(sent, 14)
        self.operation, self.orientation, self.left = operation, orientation, sent[3]
        self.length, self.suffix = length or self.block, bool(suffix)
        return 16

    def go_to_operation(self, sent, orientation):
        target = two(sent, 4), two(sent, 6)
        if not self.g.has(*target):
            raise Refused(PARAMETER)
        if not self.low <= target <= self.high:
            raise Refused(PROTECTED)
        if self.g.sectors <= sent[13] != 255:
            raise Refused(PARAMETER)
        length = two(sent, 14)
        if (length != 0) != (sent[1] & 0x80 != 0) or length > self.block:
            raise Refused(PARAMETER)
        self.go(*target)
        self.moved = True
        if orientation == 0x40:
            if self.home_address()[1:] != sent[8:12]:
                raise Refused(NOT_FOUND)
        elif orientation != 0xC0:
            while True:
                if not self.step(r0=True):
                    raise Refused(NOT_FOUND)
                if self.here.id == sent[8:13]:
                    break
            if orientation == 0x80:
                self.part = "data"

    # ------------------------------------------------------------------ searches

    def search_id(self, sent):
        self.next_record(r0=True)
        self.compare(self.here.id, sent, "id")
        return 5

    def search_key(self, sent):
        self.record_at_hand(("count",))
        self.part = "key"
        if self.here.key:
            self.compare(self.here.key, sent, "key")
        else:
            self.shown = None
        return len(self.here.key)

    def compare(self, found, sent, what):
        length = min(len(found), len(sent))
        equal, high = found[:length] == sent[:length], found[:length] > sent[:length]
        kind = self.code & 0x60
        self.match = (equal and kind & 0x20 != 0) or (high and kind & 0x40 != 0)
        self.shown = what if equal and length == len(found) and kind == 0x20 else None

    def search_home(self, sent):
        if self.multi:
            self.next_head()
        else:
            self.go(*self.at)
        length = min(4, len(sent))
        self.match = self.home_address()[1 : 1 + length] == sent[:length]
        self.shown = "home" if self.match and length == 4 else None
        return 4

    # ------------------------------------------------------------------ reads

    def home_address(self):
        return b"\0" + b"".join(part.to_bytes(2, "big") for part in self.at)

    def whole(self):
        self.part = "data"
        self.end_of_file = not self.here.data
        return self.here.count + self.here.key + self.here.data

    def read_data(self, sent):
        self.record_at_hand(("count", "key"))
        return self.whole()[8 + len(self.here.key) :]

    def read_key_data(self, sent):
        self.record_at_hand(("count",))
        return self.whole()[8:]

    def read_count(self, sent):
        if self.left > 1 and self.operation == 0x01:
            raise Refused(SEQUENCE)
        self.next_record()
        return self.here.count

    def read_record(self, sent):
        self.next_record()
        return self.whole()

    def read_r0(self, sent):
        self.read_home(sent)
        self.next_record(r0=True)
        return self.whole()

    def read_home(self, sent):
        if self.multi and not self.left:
            self.next_head()
        else:
            self.go(*self.at)
        return self.home_address()

    def read_rest(self, sent):
        brought = b""
        while self.step(r0=False):
            brought += self.whole()
        self.end_of_file = False
        return brought

    def read_track(self, sent):
        if self.before not in ("locate", "read_track"):
            raise Refused(SEQUENCE)
        if self.before == "read_track":
            self.next_head()
        self.n, self.part = len(self.track) - 1, "bottom"
        return b"".join(rec.count + rec.key + rec.data for rec in self.track) + b"\xff" * 8
