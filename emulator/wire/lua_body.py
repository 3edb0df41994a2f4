"""A fixed part of the Wireshark dissector: Lua code that shows payloads.

Relies on the tables that `lua.py` puts in front of it. Never reads past the bytes it is given,
whatever they hold: what does not fit is said in an expert item and shown as bytes. Leaves the
packet around the payload to `lua_packet.py`.
"""

from typing import Final

_TABLES: Final = """\
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
"""

_READING: Final = """\
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
"""

_CHANGES: Final = """\
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
"""

_PAYLOADS: Final = """\
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
"""

LUA_BODY: Final = f"{_TABLES}\n{_READING}\n{_CHANGES}\n{_PAYLOADS}"
