"""A fixed part of the Wireshark dissector: Lua code that finds packets and checks them.

Relies on the tables of `lua.py` and on `lua_body.py` for payloads. Says what the receiving end
would say of a bad packet, and raises no Lua error, whatever a frame holds.
"""

from typing import Final

_PACKET: Final = """\
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
"""

_STREAM: Final = """\
-- Undo COBS: the bytes of one packet, or nil.
local function unstuffed(frame)
  local parts, at = {}, 1
  while at <= #frame do
    local code = frame:byte(at)
    if at + code - 1 > #frame then return nil end
    parts[#parts + 1] = frame:sub(at + 1, at + code - 1)
    at = at + code
    if code < 255 and at <= #frame then parts[#parts + 1] = "\\0" end
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
    local zero = text:find("\\0", at + 1, true)
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
"""

LUA_PACKET: Final = f"{_PACKET}\n{_STREAM}"
