"""The writing half of the oracle, and its tables of what may come where."""

from tests.channel.oracle import Oracle
from tests.channel.oracle_words import FORMAT, NOT_FOUND, SEQUENCE, Rec, Refused


class WritingOracle(Oracle):
    """The oracle with its write commands."""

    def update(self, sent, key):
        here = self.here
        if not here.data:
            self.end_of_file = True
            return 0
        length = len(here.data) + (len(here.key) if key else 0)
        fresh = sent[:length] + bytes(length - len(sent[:length]))
        if key:
            here.key, here.data = fresh[: len(here.key)], fresh[len(here.key) :]
        else:
            here.data = fresh
        self.part = "data"
        return length

    def announced(self, length, wanted=None):
        if self.left and not self.attributes & 0x20 and length != (wanted or self.length):
            raise Refused(FORMAT)

    def last_place(self):
        if self.left and self.operation == 0x01 and self.left != (2 if self.suffix else 1):
            raise Refused(SEQUENCE)

    def write_data(self, sent):
        self.last_place()
        if self.part not in ("count", "key"):
            raise Refused(SEQUENCE)
        whole_track = self.left and self.operation == 0x0B and self.here.number == 0
        self.announced(len(self.here.data), 8 if whole_track else None)
        length = self.update(sent, key=False)
        if whole_track and self.left == 1 and self.part == "data":
            del self.track[self.n + 1 :]
        return length

    def write_key_data(self, sent):
        self.last_place()
        if self.part != "count":
            raise Refused(SEQUENCE)
        self.announced(len(self.here.key) + len(self.here.data))
        return self.update(sent, key=True)

    def to_update(self):
        if self.part != "count" or self.here.number == 0:
            self.next_record()

    def update_data(self, sent):
        self.to_update()
        self.announced(len(self.here.data))
        return self.update(sent, key=False)

    def update_key_data(self, sent):
        self.to_update()
        self.announced(len(self.here.key) + len(self.here.data))
        return self.update(sent, key=True)

    def room(self, n, count):
        """Refuse a record at place `n` that the image or the device has no room for."""
        key_length, data_length = count[5], count[6] << 8 | count[7]
        before = self.track[:n]
        used = 5 + sum(8 + len(rec.key) + len(rec.data) for rec in before)
        if used + 8 + key_length + data_length + 8 >= self.g.image_bytes:
            raise Refused(FORMAT)
        lengths = [(len(rec.key), len(rec.data)) for rec in before] + [(key_length, data_length)]
        space = sum(self.g.record_bytes(*pair) for pair in lengths) - self.g.record_bytes(0, 8)
        if space > self.g.track_bytes:
            raise Refused(FORMAT)
        return key_length, data_length

    def put(self, n, sent):
        count = sent[:8].ljust(8, b"\0")
        key_length, data_length = self.room(n, count)
        body = sent[8 : 8 + key_length + data_length].ljust(key_length + data_length, b"\0")
        del self.track[n:]
        self.track.append(Rec(count[:5], body[:key_length], body[key_length:]))
        self.n, self.part = n, "data"
        return 8 + len(body)

    def write_record(self, sent):
        if self.part not in ("count", "key", "data"):
            raise Refused(SEQUENCE)
        length = self.put(self.n + 1, sent)
        self.shown = None if self.left else "written"
        return length

    def write_next(self, sent):
        if self.before not in ("write_record", "write_next"):
            raise Refused(SEQUENCE)
        self.next_head()
        if not self.step(r0=True):
            raise Refused(NOT_FOUND)
        return self.put(self.n + 1, sent)

    def write_r0(self, sent):
        if self.part != "top":
            raise Refused(SEQUENCE)
        length = self.put(0, sent)
        self.shown = None if self.left else "written"
        return length

    def write_home(self, sent):
        self.go(*self.at)
        self.shown = "home"
        return 5

    def erase(self, sent):
        if self.part not in ("count", "key", "data"):
            raise Refused(SEQUENCE)
        count = sent[:8].ljust(8, b"\0")
        length = 8 + sum(self.room(self.n + 1, count))
        del self.track[self.n + 1 :]
        self.part = "data"
        return max(8, min(len(sent), length))
