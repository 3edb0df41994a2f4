-- Wireshark dissector for dualcopy, made from emulator/wire/layout.py: do not edit.
--
-- Finds packets on EtherType 0x88B5, on link type 147 (USER0)
-- and, by magic and version, on any UDP port that nobody else claims. Name other places yourself:
--   tshark -X lua_script:dualcopy.lua -d udp.port==7001,dualcopy -r run.pcapng
--   tshark -X lua_script:dualcopy.lua -d tcp.port==7001,dualcopy_stream -r run.pcapng
-- Follow one record through all its packets:
--   tshark -X lua_script:dualcopy.lua -Y "dualcopy.csn == 42" -r run.pcapng
--
-- Records of several packets are not put together: the first packet shows the record's header,
-- the others their bytes. The CRC is checked only on request (-o dualcopy.crc:TRUE): slow in Lua.

local dualcopy = Proto("dualcopy", "Remote Dual Copy")
local stream = Proto("dualcopy_stream", "Remote Dual Copy on a byte stream")

local MAGIC = 0xDC94
local VERSION = 1
local ETHERTYPE = 0x88B5
local USER = 0
local CRC_POLYNOMIAL = 0x82F63B78 -- reflected
local BODY_KINDS = { [1] = true, [5] = true, [9] = true } -- records of changes; others but CHANNEL are text

-- Named values, by filter name.
local NAMES = {
  ["dualcopy.type"] = {
    [1] = "HELLO",
    [2] = "DATA",
    [3] = "ACK",
    [4] = "CLOSE",
  },
  ["dualcopy.flags"] = {
    [1] = "FIRST",
    [2] = "LAST",
    [4] = "AGAIN",
    [8] = "UNSEALED",
  },
  ["dualcopy.kind"] = {
    [0] = "NONE",
    [1] = "CHANGES",
    [2] = "POSITION",
    [3] = "DURABLE",
    [4] = "RESYNC_BEGIN",
    [5] = "RESYNC_TRACKS",
    [6] = "RESYNC_END",
    [7] = "ROLE",
    [8] = "FETCH",
    [9] = "FETCHED",
    [32] = "CHANNEL",
  },
  ["dualcopy.change.form"] = {
    [1] = "FULL",
    [2] = "DELTA",
    [3] = "ZERO",
    [4] = "RUN",
  },
}

local TYPE = { HELLO = 1, DATA = 2, ACK = 3, CLOSE = 4 }
local KIND = { NONE = 0, CHANGES = 1, POSITION = 2, DURABLE = 3, RESYNC_BEGIN = 4, RESYNC_TRACKS = 5, RESYNC_END = 6, ROLE = 7, FETCH = 8, FETCHED = 9, CHANNEL = 32 }
local FORM = { FULL = 1, DELTA = 2, ZERO = 3, RUN = 4 }

-- The rows of each header: where a field lies and what shows it.
local HEADERS = {
  packet = {
    size = 42,
    { name = "magic", at = 0, size = 2,
      field = ProtoField.uint16("dualcopy.magic", "Magic", base.HEX, nil, nil,
        "0xDC94") },
    { name = "version", at = 2, size = 1,
      field = ProtoField.uint8("dualcopy.version", "Version", base.DEC, nil, nil,
        "layout version, 1") },
    { name = "type", at = 3, size = 1,
      field = ProtoField.uint8("dualcopy.type", "Type", base.DEC, NAMES["dualcopy.type"], nil,
        "1 hello, 2 data, 3 acknowledgement, 4 close") },
    { name = "flags", at = 4, size = 1,
      field = ProtoField.uint8("dualcopy.flags", "Flags", base.HEX, nil, nil,
        "1 first and 2 last fragment, 4 sent again, 8 not sealed (lab)"),
      bits = {
        ProtoField.bool("dualcopy.flags.first", "First", 8, nil, 0x01),
        ProtoField.bool("dualcopy.flags.last", "Last", 8, nil, 0x02),
        ProtoField.bool("dualcopy.flags.again", "Again", 8, nil, 0x04),
        ProtoField.bool("dualcopy.flags.unsealed", "Unsealed", 8, nil, 0x08),
      } },
    { name = "kind", at = 5, size = 1,
      field = ProtoField.uint8("dualcopy.kind", "Kind", base.DEC, NAMES["dualcopy.kind"], nil,
        "what the record is for: changes, position, durable, ...") },
    { name = "group", at = 6, size = 2,
      field = ProtoField.uint16("dualcopy.group", "Group", base.DEC, nil, nil,
        "consistency group on this link") },
    { name = "session", at = 8, size = 4,
      field = ProtoField.uint32("dualcopy.session", "Session", base.HEX, nil, nil,
        "link session from both nonces; lowest bit: which end; 0 in hello") },
    { name = "number", at = 12, size = 8,
      field = ProtoField.uint64("dualcopy.number", "Number", base.DEC, nil, nil,
        "counts packets of this end and session from 1, never reused") },
    { name = "record", at = 20, size = 4,
      field = ProtoField.uint32("dualcopy.record", "Record", base.DEC, nil, nil,
        "counts records of this end and session from 1") },
    { name = "csn", at = 24, size = 8,
      field = ProtoField.uint64("dualcopy.csn", "CSN", base.DEC, nil, nil,
        "last consistency sequence number of the record; 0 if none") },
    { name = "record_length", at = 32, size = 4,
      field = ProtoField.uint32("dualcopy.record_length", "Record length", base.DEC, nil, nil,
        "bytes of the whole record") },
    { name = "fragment_offset", at = 36, size = 4,
      field = ProtoField.uint32("dualcopy.fragment_offset", "Fragment offset", base.DEC, nil, nil,
        "where this packet's payload lies in the record") },
    { name = "payload_length", at = 40, size = 2,
      field = ProtoField.uint16("dualcopy.payload_length", "Payload length", base.DEC, nil, nil,
        "bytes of payload that follow this header") },
  },
  packet_trailer = {
    size = 4,
    { name = "crc", at = 0, size = 4,
      field = ProtoField.uint32("dualcopy.crc", "CRC", base.HEX, nil, nil,
        "CRC-32C of everything before it") },
  },
  hello = {
    size = 27,
    { name = "nonce", at = 0, size = 8,
      field = ProtoField.uint64("dualcopy.hello.nonce", "Nonce", base.HEX, nil, nil,
        "this end's nonce, drawn anew for each session") },
    { name = "echo", at = 8, size = 8,
      field = ProtoField.uint64("dualcopy.hello.echo", "Echo", base.HEX, nil, nil,
        "the nonce last heard from the other end; 0 if none") },
    { name = "mtu", at = 16, size = 4,
      field = ProtoField.uint32("dualcopy.hello.mtu", "MTU", base.DEC, nil, nil,
        "largest packet this end takes, in bytes") },
    { name = "window", at = 20, size = 4,
      field = ProtoField.uint32("dualcopy.hello.window", "Window", base.DEC, nil, nil,
        "bytes of unacknowledged payload this end takes") },
    { name = "plaintext", at = 24, size = 1,
      field = ProtoField.uint8("dualcopy.hello.plaintext", "Plaintext", base.DEC, nil, nil,
        "1: this end allows an unsealed link (lab_plaintext)") },
    { name = "link_length", at = 25, size = 1,
      field = ProtoField.uint8("dualcopy.hello.link_length", "Link length", base.DEC, nil, nil,
        "bytes of the link's name, which follows this header") },
    { name = "site_length", at = 26, size = 1,
      field = ProtoField.uint8("dualcopy.hello.site_length", "Site length", base.DEC, nil, nil,
        "bytes of this end's site name, which follows the link's name") },
  },
  ack = {
    size = 21,
    { name = "kept", at = 0, size = 4,
      field = ProtoField.uint32("dualcopy.ack.kept", "Kept", base.DEC, nil, nil,
        "all records up to this one were handed on whole, in order") },
    { name = "window", at = 4, size = 4,
      field = ProtoField.uint32("dualcopy.ack.window", "Window", base.DEC, nil, nil,
        "bytes of unacknowledged payload this end takes now") },
    { name = "largest", at = 8, size = 8,
      field = ProtoField.uint64("dualcopy.ack.largest", "Largest", base.DEC, nil, nil,
        "largest packet number received") },
    { name = "delay", at = 16, size = 4,
      field = ProtoField.uint32("dualcopy.ack.delay", "Delay", base.DEC, nil, nil,
        "microseconds between receipt of that packet and this packet") },
    { name = "ranges", at = 20, size = 1,
      field = ProtoField.uint8("dualcopy.ack.ranges", "Ranges", base.DEC, nil, nil,
        "how many ranges of received packet numbers follow") },
  },
  ack_range = {
    size = 16,
    { name = "first", at = 0, size = 8,
      field = ProtoField.uint64("dualcopy.ack.range.first", "First", base.DEC, nil, nil,
        "first packet number of a run received without gap") },
    { name = "last", at = 8, size = 8,
      field = ProtoField.uint64("dualcopy.ack.range.last", "Last", base.DEC, nil, nil,
        "last packet number of the run") },
  },
  record = {
    size = 61,
    { name = "lineage", at = 0, size = 8,
      field = ProtoField.uint64("dualcopy.record.lineage", "Lineage", base.DEC, nil, nil,
        "generation in which the record was made") },
    { name = "csn_first", at = 8, size = 8,
      field = ProtoField.uint64("dualcopy.record.csn_first", "CSN first", base.DEC, nil, nil,
        "first consistency sequence number inside") },
    { name = "csn_last", at = 16, size = 8,
      field = ProtoField.uint64("dualcopy.record.csn_last", "CSN last", base.DEC, nil, nil,
        "last one; the csns between are inside or coalesced (C4)") },
    { name = "chain_before", at = 24, size = 16,
      field = ProtoField.bytes("dualcopy.record.chain_before", "Chain before", base.NONE,
        "chain hash of the history before this record") },
    { name = "chain_after", at = 40, size = 16,
      field = ProtoField.bytes("dualcopy.record.chain_after", "Chain after", base.NONE,
        "chain hash with this record: its own checksum") },
    { name = "final", at = 56, size = 1,
      field = ProtoField.uint8("dualcopy.record.final", "Final", base.DEC, nil, nil,
        "1: the epoch ends with this record, and is then applied as one") },
    { name = "changes", at = 57, size = 4,
      field = ProtoField.uint32("dualcopy.record.changes", "Changes", base.DEC, nil, nil,
        "how many changes follow") },
  },
  change = {
    size = 10,
    { name = "volume", at = 0, size = 1,
      field = ProtoField.uint8("dualcopy.change.volume", "Volume", base.DEC, nil, nil,
        "index of the volume in the group") },
    { name = "form", at = 1, size = 1,
      field = ProtoField.uint8("dualcopy.change.form", "Form", base.DEC, NAMES["dualcopy.change.form"], nil,
        "1 full, 2 delta against the old contents, 3 zeros, 4 run of whole tracks") },
    { name = "track", at = 2, size = 4,
      field = ProtoField.uint32("dualcopy.change.track", "Track", base.DEC, nil, nil,
        "track number on the volume") },
    { name = "offset", at = 6, size = 2,
      field = ProtoField.uint16("dualcopy.change.offset", "Offset", base.DEC, nil, nil,
        "first byte inside the track") },
    { name = "length", at = 8, size = 2,
      field = ProtoField.uint16("dualcopy.change.length", "Length", base.DEC, nil, nil,
        "bytes changed") },
  },
  change_delta = {
    size = 9,
    { name = "base", at = 0, size = 8,
      field = ProtoField.uint64("dualcopy.change.delta.base", "Base", base.HEX, nil, nil,
        "content hash of the whole old track (C5)") },
    { name = "pieces", at = 8, size = 1,
      field = ProtoField.uint8("dualcopy.change.delta.pieces", "Pieces", base.DEC, nil, nil,
        "how many pieces follow; all other bytes are as before") },
  },
  change_piece = {
    size = 4,
    { name = "offset", at = 0, size = 2,
      field = ProtoField.uint16("dualcopy.change.piece.offset", "Offset", base.DEC, nil, nil,
        "first byte of the piece inside the track") },
    { name = "length", at = 2, size = 2,
      field = ProtoField.uint16("dualcopy.change.piece.length", "Length", base.DEC, nil, nil,
        "bytes of the piece, which follow") },
  },
  change_zero = {
    size = 4,
    { name = "tracks", at = 0, size = 4,
      field = ProtoField.uint32("dualcopy.change.zero.tracks", "Tracks", base.DEC, nil, nil,
        "how many whole tracks from this one are zero; 0: only this extent") },
  },
  change_run = {
    size = 8,
    { name = "tracks", at = 0, size = 4,
      field = ProtoField.uint32("dualcopy.change.run.tracks", "Tracks", base.DEC, nil, nil,
        "how many whole tracks from this one follow") },
    { name = "size", at = 4, size = 4,
      field = ProtoField.uint32("dualcopy.change.run.size", "Size", base.DEC, nil, nil,
        "bytes of them all, which follow") },
  },
}

local STRINGS = {
  link = ProtoField.string("dualcopy.hello.link", "Link"),
  site = ProtoField.string("dualcopy.hello.site", "Site"),
  text = ProtoField.string("dualcopy.text", "Text"),
}
local BYTES = {
  payload = ProtoField.bytes("dualcopy.payload", "Payload"),
  data = ProtoField.bytes("dualcopy.change.data", "Data"),
  piece = ProtoField.bytes("dualcopy.change.piece.data", "Data"),
  padding = ProtoField.bytes("dualcopy.padding", "Padding"),
}

-- What is wrong with a packet, in the words that the receiving end uses.
local REJECTED = {}
local function rejected(word, text, group)
  REJECTED[word] = ProtoExpert.new(
    "dualcopy.rejected." .. word, text, group, expert.severity.ERROR)
end
rejected("short", "Shorter than header and CRC", expert.group.PROTOCOL)
rejected("version", "Unknown layout version", expert.group.PROTOCOL)
rejected("type", "Unknown packet type", expert.group.PROTOCOL)
rejected("length", "Payload length reaches past the packet", expert.group.PROTOCOL)
rejected("crc", "CRC-32C does not match", expert.group.CHECKSUM)
local INCONSISTENT = ProtoExpert.new("dualcopy.inconsistent",
  "Payload is not what its header says", expert.group.PROTOCOL, expert.severity.WARN)
local CUT = ProtoExpert.new("dualcopy.cut",
  "The capture holds only a part of this packet", expert.group.PROTOCOL, expert.severity.NOTE)
local DAMAGED = ProtoExpert.new("dualcopy_stream.damaged",
  "Not a packet in COBS", expert.group.PROTOCOL, expert.severity.WARN)

do
  local fields, experts = {}, { INCONSISTENT, CUT }
  for _, header in pairs(HEADERS) do
    header.by_name = {}
    for _, row in ipairs(header) do
      header.by_name[row.name] = row
      fields[#fields + 1] = row.field
      for _, bit_field in ipairs(row.bits or {}) do fields[#fields + 1] = bit_field end
    end
  end
  for _, field in pairs(STRINGS) do fields[#fields + 1] = field end
  for _, field in pairs(BYTES) do fields[#fields + 1] = field end
  for _, item in pairs(REJECTED) do experts[#experts + 1] = item end
  dualcopy.fields = fields
  dualcopy.experts = experts
  stream.experts = { DAMAGED }
end

dualcopy.prefs.crc = Pref.bool("Check the CRC-32C of every packet", false,
  "Slow: Lua takes some hundred microseconds for each packet")

-- The value of one field; eight bytes come as UInt64. The caller has checked that it is there.
local function read(tvb, at, header, name)
  local row = header.by_name[name]
  local range = tvb(at + row.at, row.size)
  if row.size == 8 then return range:uint64() end
  return range:uint()
end

-- Show the fields of a header that lie before `stop`.
local function add(tree, tvb, at, header, stop)
  for _, row in ipairs(header) do
    if at + row.at + row.size > stop then return end
    local range = tvb(at + row.at, row.size)
    local item = tree:add(row.field, range)
    for _, bit_field in ipairs(row.bits or {}) do item:add(bit_field, range) end
  end
end

-- Show `size` bytes if there are any and return where they end, or nil if they reach past `stop`.
local function add_bytes(tree, tvb, at, size, stop, field)
  if at + size > stop then return nil end
  if size > 0 then tree:add(field, tvb(at, size)) end
  return at + size
end

local function add_text(tree, tvb, at, size, stop, field)
  if at + size > stop then return nil end
  if size > 0 then tree:add_packet_field(field, tvb(at, size), ENC_UTF_8) end
  return at + size
end

-- Wireshark brings BitOp along as `bit` in all its versions; its answers have a sign.
local crc_table

local function crc32c(text)
  if not crc_table then
    crc_table = {}
    for index = 0, 255 do
      local word = index
      for _ = 1, 8 do
        local low = word % 2
        word = bit.rshift(word, 1)
        if low == 1 then word = bit.bxor(word, CRC_POLYNOMIAL) end
      end
      crc_table[index] = word
    end
  end
  local crc = 0xFFFFFFFF
  for index = 1, #text do
    local place = bit.band(bit.bxor(crc, text:byte(index)), 0xFF)
    crc = bit.bxor(bit.rshift(crc, 8), crc_table[place])
  end
  return bit.bnot(crc) % 0x100000000
end

-- What follows the header of a change, by form. Each shows what is there and returns where the
-- change ends, or nil if it reaches past `stop`.
local CHANGE_BODIES = {
  [FORM.FULL] = function(tree, tvb, at, stop, length)
    return add_bytes(tree, tvb, at, length, stop, BYTES.data)
  end,

  [FORM.DELTA] = function(tree, tvb, at, stop)
    local delta, piece = HEADERS.change_delta, HEADERS.change_piece
    if at + delta.size > stop then return nil end
    add(tree, tvb, at, delta, stop)
    local count = read(tvb, at, delta, "pieces")
    at = at + delta.size
    for _ = 1, count do
      if at + piece.size > stop then return nil end
      local length = read(tvb, at, piece, "length")
      local shown = math.min(piece.size + length, stop - at)
      local item = tree:add(tvb(at, shown), string.format("Piece: offset %d length %d",
        read(tvb, at, piece, "offset"), length))
      add(item, tvb, at, piece, stop)
      at = add_bytes(item, tvb, at + piece.size, length, stop, BYTES.piece)
      if not at then return nil end
    end
    return at
  end,

  [FORM.ZERO] = function(tree, tvb, at, stop)
    local zero = HEADERS.change_zero
    if at + zero.size > stop then return nil end
    add(tree, tvb, at, zero, stop)
    return at + zero.size
  end,

  [FORM.RUN] = function(tree, tvb, at, stop)
    local run = HEADERS.change_run
    if at + run.size > stop then return nil end
    add(tree, tvb, at, run, stop)
    local size = read(tvb, at, run, "size")
    return add_bytes(tree, tvb, at + run.size, size, stop, BYTES.data)
  end,
}

local function add_change(tree, tvb, at, stop)
  local change = HEADERS.change
  if at + change.size > stop then return nil end
  local form, length = read(tvb, at, change, "form"), read(tvb, at, change, "length")
  local item = tree:add(tvb(at, change.size), string.format("Change: %s volume %d track %d",
    NAMES["dualcopy.change.form"][form] or "unknown form",
    read(tvb, at, change, "volume"), read(tvb, at, change, "track")))
  add(item, tvb, at, change, stop)
  local body = CHANGE_BODIES[form]
  local ends = body and body(item, tvb, at + change.size, stop, length)
  item:set_len((ends or stop) - at)
  return ends
end

-- A record of changes: its header always, its changes if the whole record lies in this packet.
local function add_record(tree, tvb, at, stop, whole)
  local record = HEADERS.record
  if at + record.size > stop then
    if whole then tree:add_proto_expert_info(INCONSISTENT) end
    add_bytes(tree, tvb, at, stop - at, stop, BYTES.payload)
    return
  end
  add(tree, tvb, at, record, stop)
  local position = at + record.size
  if whole then
    for _ = 1, read(tvb, at, record, "changes") do
      local ends = add_change(tree, tvb, position, stop)
      if not ends then
        tree:add_proto_expert_info(INCONSISTENT)
        return
      end
      position = ends
    end
    if position < stop then tree:add_proto_expert_info(INCONSISTENT) end
  end
  add_bytes(tree, tvb, position, stop - position, stop, BYTES.payload)
end

-- Payloads by packet type. Each returns what the Info column says about it.
local PAYLOADS = {
  [TYPE.HELLO] = function(tree, tvb, at, stop)
    local hello = HEADERS.hello
    add(tree, tvb, at, hello, stop)
    local names = at + hello.size
    local ends
    if names <= stop then
      local link = read(tvb, at, hello, "link_length")
      local site = read(tvb, at, hello, "site_length")
      local site_at = add_text(tree, tvb, names, link, stop, STRINGS.link)
      ends = site_at and add_text(tree, tvb, site_at, site, stop, STRINGS.site)
      if ends and site > 0 then
        -- Only ASCII: Wireshark cuts longer characters in labels, and bad ones in strings.
        local name = tvb:raw(site_at, site)
        if not name:find("[^ -~]") then return "site " .. name, ends == stop end
      end
    end
    return "", ends == stop
  end,

  [TYPE.ACK] = function(tree, tvb, at, stop)
    local ack, range = HEADERS.ack, HEADERS.ack_range
    add(tree, tvb, at, ack, stop)
    if at + ack.size > stop then return "", false end
    local info = string.format("kept %d largest %s", read(tvb, at, ack, "kept"),
      tostring(read(tvb, at, ack, "largest")))
    local position = at + ack.size
    for _ = 1, read(tvb, at, ack, "ranges") do
      if position + range.size > stop then return info, false end
      local item = tree:add(tvb(position, range.size), string.format("Range: %s to %s",
        tostring(read(tvb, position, range, "first")),
        tostring(read(tvb, position, range, "last"))))
      add(item, tvb, position, range, stop)
      position = position + range.size
    end
    return info, position == stop
  end,

  [TYPE.DATA] = function(tree, tvb, at, stop, header_at)
    local packet = HEADERS.packet
    local kind = read(tvb, header_at, packet, "kind")
    local offset = read(tvb, header_at, packet, "fragment_offset")
    local length = read(tvb, header_at, packet, "record_length")
    local size = stop - at
    if BODY_KINDS[kind] and offset == 0 then
      add_record(tree, tvb, at, stop, size == length)
    elseif BODY_KINDS[kind] or kind == KIND.CHANNEL then
      add_bytes(tree, tvb, at, size, stop, BYTES.payload)
    else
      add_text(tree, tvb, at, size, stop, STRINGS.text)
    end
    return string.format("csn %s bytes %d+%d of %d",
      tostring(read(tvb, header_at, packet, "csn")), offset, size, length), true
  end,

  [TYPE.CLOSE] = function(tree, tvb, at, stop)
    add_text(tree, tvb, at, stop - at, stop, STRINGS.text)
    return "", true
  end,
}

local function describe(tvb, at)
  local packet = HEADERS.packet
  local type_ = read(tvb, at, packet, "type")
  local words = { NAMES["dualcopy.type"][type_] or string.format("type %d", type_) }
  local kind = read(tvb, at, packet, "kind")
  if kind ~= KIND.NONE then
    words[#words + 1] = NAMES["dualcopy.kind"][kind] or string.format("kind %d", kind)
  end
  words[#words + 1] = "#" .. tostring(read(tvb, at, packet, "number"))
  return words
end

local function marks(tvb, at)
  local flags, found = read(tvb, at, HEADERS.packet, "flags"), {}
  for value, name in pairs(NAMES["dualcopy.flags"]) do
    if bit.band(flags, value) ~= 0 then found[#found + 1] = name:lower() end
  end
  table.sort(found)
  return #found > 0 and "[" .. table.concat(found, " ") .. "]" or ""
end

-- End a packet's tree and Info with what is wrong with it.
local function reject(tree, word, info)
  tree:add_proto_expert_info(REJECTED[word])
  info = info .. " [rejected: " .. word .. "]"
  tree:append_text(", " .. info)
  return info
end

local function is_packet(tvb)
  return tvb:len() >= 2 and tvb(0, 2):uint() == MAGIC
end

-- Show one packet that opens with the magic; return what the Info column says. The order of the
-- checks is that of the receiving end, which names the first thing that is wrong.
local function show_packet(tvb, pinfo, root)
  local packet, trailer = HEADERS.packet, HEADERS.packet_trailer
  local have, sent = tvb:len(), tvb:reported_len()
  local tree = root:add(dualcopy, tvb())
  pinfo.cols.protocol = "dualcopy"
  if sent < packet.size + trailer.size then
    add(tree, tvb, 0, packet, have)
    return reject(tree, "short", "packet")
  end
  if have < packet.size then
    add(tree, tvb, 0, packet, have)
    tree:add_proto_expert_info(CUT)
    return "packet [cut]"
  end
  if read(tvb, 0, packet, "version") ~= VERSION then
    add(tree, tvb, 0, packet, packet.by_name.version.at + 1)
    return reject(tree, "version", "packet")
  end
  add(tree, tvb, 0, packet, have)
  local words = describe(tvb, 0)
  local body = PAYLOADS[read(tvb, 0, packet, "type")]
  if not body then
    add_bytes(tree, tvb, packet.size, have - packet.size, have, BYTES.payload)
    return reject(tree, "type", table.concat(words, " "))
  end
  local stop = packet.size + read(tvb, 0, packet, "payload_length")
  if stop + trailer.size > sent then
    add_bytes(tree, tvb, packet.size, have - packet.size, have, BYTES.payload)
    return reject(tree, "length", table.concat(words, " "))
  end
  if stop + trailer.size > have then
    add_bytes(tree, tvb, packet.size, have - packet.size, have, BYTES.payload)
    tree:add_proto_expert_info(CUT)
    return table.concat(words, " ") .. " [cut]"
  end
  local info, consistent = body(tree, tvb, packet.size, stop, 0)
  if not consistent then tree:add_proto_expert_info(INCONSISTENT) end
  add(tree, tvb, stop, trailer, have)
  local padding = stop + trailer.size
  add_bytes(tree, tvb, padding, have - padding, have, BYTES.padding)
  words[#words + 1] = info
  words[#words + 1] = marks(tvb, 0)
  info = table.concat(words, " "):gsub(" +", " ")
  if dualcopy.prefs.crc and crc32c(tvb:raw(0, stop)) ~= read(tvb, stop, trailer, "crc") then
    return reject(tree, "crc", info)
  end
  tree:append_text(", " .. info)
  return info
end

function dualcopy.dissector(tvb, pinfo, root)
  if not is_packet(tvb) then return 0 end
  local info = show_packet(tvb, pinfo, root)
  pinfo.cols.info = info
  return tvb:len()
end

dualcopy:register_heuristic("udp", function(tvb, pinfo, root)
  if tvb:len() < HEADERS.packet.size or not is_packet(tvb) then return false end
  if read(tvb, 0, HEADERS.packet, "version") ~= VERSION then return false end
  dualcopy.dissector(tvb, pinfo, root)
  return true
end)

-- Undo COBS: the bytes of one packet, or nil.
local function unstuffed(frame)
  local parts, at = {}, 1
  while at <= #frame do
    local code = frame:byte(at)
    if at + code - 1 > #frame then return nil end
    parts[#parts + 1] = frame:sub(at + 1, at + code - 1)
    at = at + code
    if code < 255 and at <= #frame then parts[#parts + 1] = "\0" end
  end
  return table.concat(parts)
end

local FRAME_BYTES_MAX = 67000 -- the largest packet in COBS, rounded up; longer is no frame

local function show_frame(range, pinfo, tree)
  local text = unstuffed(range:tvb():raw())
  if text and #text > 0 then
    local packet = ByteArray.new(text, true):tvb("Packet")
    if is_packet(packet) then return show_packet(packet, pinfo, tree) end
  end
  tree:add(stream, range):add_proto_expert_info(DAMAGED)
  return "damaged frame"
end

function stream.dissector(tvb, pinfo, root)
  local text, at, infos = tvb:raw(), 0, {}
  while at < #text do
    local zero = text:find("\0", at + 1, true)
    if not zero and #text - at <= FRAME_BYTES_MAX then
      pinfo.desegment_offset = at
      pinfo.desegment_len = DESEGMENT_ONE_MORE_SEGMENT
      break
    end
    local stop = zero and zero - 1 or #text
    if stop > at then infos[#infos + 1] = show_frame(tvb(at, stop - at), pinfo, root) end
    at = stop + 1
  end
  if #infos > 0 then
    pinfo.cols.protocol = "dualcopy"
    pinfo.cols.info = table.concat(infos, "; ")
  end
  return #text
end

DissectorTable.get("ethertype"):add(ETHERTYPE, dualcopy)
DissectorTable.get("wtap_encap"):add((wtap_encaps or wtap)["USER" .. USER], dualcopy)
DissectorTable.get("udp.port"):add_for_decode_as(dualcopy)
DissectorTable.get("tcp.port"):add_for_decode_as(stream)
