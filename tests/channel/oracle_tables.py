"""The oracle's tables: what each command is, and what may come where."""

# What each command is, which have a multitrack form, and what may come where.
NAMES = {
    0x03: "nothing",
    0x07: "seek",
    0x0B: "seek",
    0x1B: "seek",
    0x1F: "file_mask",
    0x23: "sector",
    0x63: "extent",
    0x47: "locate",
    0x31: "search_id",
    0x51: "search_id",
    0x71: "search_id",
    0x29: "search_key",
    0x49: "search_key",
    0x69: "search_key",
    0x39: "search_home",
    0x06: "read_data",
    0x0E: "read_key_data",
    0x12: "read_count",
    0x1E: "read_record",
    0x16: "read_r0",
    0x1A: "read_home",
    0x5E: "read_rest",
    0xDE: "read_track",
    0x05: "write_data",
    0x0D: "write_key_data",
    0x85: "update_data",
    0x8D: "update_key_data",
    0x1D: "write_record",
    0x9D: "write_next",
    0x15: "write_r0",
    0x19: "write_home",
    0x11: "erase",
}
MULTI = (0x31, 0x51, 0x71, 0x29, 0x49, 0x69, 0x39, 0x06, 0x0E, 0x12, 0x1E, 0x16, 0x1A)
READ_COMMANDS = ("read_data", "read_key_data", "read_count", "read_record", "read_r0", "read_home")
DOMAINS = {
    0x01: ("update_data", "update_key_data", "write_data", "write_key_data", "read_count"),
    0x03: ("write_record", "write_r0", "write_next", "write_home"),
    0x06: READ_COMMANDS,
    0x0B: ("write_record", "write_data", "erase"),
    0x0C: ("read_track",),
    0x16: READ_COMMANDS,
}
ORIENTATIONS = {
    0x00: (0, 0x40, 0x80),
    0x01: (0, 0x80),
    0x03: (0, 0x40, 0xC0),
    0x06: (0, 0x40, 0x80),
    0x0B: (0,),
    0x0C: (0, 0x40),
    0x16: (0, 0x40, 0x80, 0xC0),
}
EARNED = {
    "write_data": ("id", "key"),
    "write_key_data": ("id",),
    "write_record": ("id", "key", "written"),
    "erase": ("id", "key", "written"),
    "write_r0": ("home",),
    "update_data": (),
    "update_key_data": (),
    "write_next": (),
    "read_track": (),
}
KEEPING = {
    "home": ("search_home", "write_home"),
    "id": ("search_id", "read_key_data", "write_key_data", "read_data", "write_data"),
    "key": ("search_key", "read_data", "write_data"),
    "written": ("write_record", "write_r0"),
}
WRITABLE = {
    "write_data": (0, 0x80, 0xC0),
    "write_key_data": (0, 0x80, 0xC0),
    "update_data": (0, 0x80, 0xC0),
    "update_key_data": (0, 0x80, 0xC0),
    "write_record": (0, 0xC0),
    "write_next": (0, 0xC0),
    "erase": (0, 0xC0),
    "write_r0": (0xC0,),
    "write_home": (0xC0,),
}
NEED_SEEK = (
    *READ_COMMANDS,
    "read_rest",
    "search_id",
    "search_key",
    "search_home",
    "sector",
    "write_home",
)
