/* The wire format of dualcopy, made from emulator/wire/layout.py: do not edit.
 *
 * Freestanding C99; needs only <stddef.h> and <stdint.h>. All integers on the wire are
 * big-endian; pack and unpack do not care how the processor stores or aligns them.
 */
#ifndef DUALCOPY_WIRE_H
#define DUALCOPY_WIRE_H

#include <stddef.h>
#include <stdint.h>

#define DUALCOPY_MAGIC 0xDC94u
#define DUALCOPY_VERSION 1u
#define DUALCOPY_ETHERTYPE_DEFAULT 0x88B5u
#define DUALCOPY_OVERHEAD_BYTES (DUALCOPY_PACKET_BYTES + DUALCOPY_PACKET_TRAILER_BYTES)

enum dualcopy_packet_type {
    DUALCOPY_TYPE_HELLO = 1,
    DUALCOPY_TYPE_DATA = 2,
    DUALCOPY_TYPE_ACK = 3,
    DUALCOPY_TYPE_CLOSE = 4
};

enum dualcopy_packet_flag {
    DUALCOPY_FLAGS_FIRST = 1,
    DUALCOPY_FLAGS_LAST = 2,
    DUALCOPY_FLAGS_AGAIN = 4,
    DUALCOPY_FLAGS_UNSEALED = 8
};

enum dualcopy_record_kind {
    DUALCOPY_KIND_NONE = 0,
    DUALCOPY_KIND_CHANGES = 1,
    DUALCOPY_KIND_POSITION = 2,
    DUALCOPY_KIND_DURABLE = 3,
    DUALCOPY_KIND_RESYNC_BEGIN = 4,
    DUALCOPY_KIND_RESYNC_TRACKS = 5,
    DUALCOPY_KIND_RESYNC_END = 6,
    DUALCOPY_KIND_ROLE = 7,
    DUALCOPY_KIND_FETCH = 8,
    DUALCOPY_KIND_FETCHED = 9,
    DUALCOPY_KIND_CHANNEL = 32
};

enum dualcopy_change_form {
    DUALCOPY_FORM_FULL = 1,
    DUALCOPY_FORM_DELTA = 2,
    DUALCOPY_FORM_ZERO = 3,
    DUALCOPY_FORM_RUN = 4
};

static inline void dualcopy_put(uint8_t *to, size_t size, uint64_t value)
{
    while (size > 0) {
        to[--size] = (uint8_t)(value & 0xFFu);
        value >>= 8;
    }
}

static inline uint64_t dualcopy_get(const uint8_t *from, size_t size)
{
    uint64_t value = 0;
    for (size_t at = 0; at < size; at++) {
        value = (value << 8) | from[at];
    }
    return value;
}

static inline void dualcopy_copy(uint8_t *to, const uint8_t *from, size_t size)
{
    for (size_t at = 0; at < size; at++) {
        to[at] = from[at];
    }
}

/* Opens every packet; the payload follows. */
#define DUALCOPY_PACKET_BYTES 42u
#define DUALCOPY_PACKET_MAGIC_AT 0u
#define DUALCOPY_PACKET_VERSION_AT 2u
#define DUALCOPY_PACKET_TYPE_AT 3u
#define DUALCOPY_PACKET_FLAGS_AT 4u
#define DUALCOPY_PACKET_KIND_AT 5u
#define DUALCOPY_PACKET_GROUP_AT 6u
#define DUALCOPY_PACKET_SESSION_AT 8u
#define DUALCOPY_PACKET_NUMBER_AT 12u
#define DUALCOPY_PACKET_RECORD_AT 20u
#define DUALCOPY_PACKET_CSN_AT 24u
#define DUALCOPY_PACKET_RECORD_LENGTH_AT 32u
#define DUALCOPY_PACKET_FRAGMENT_OFFSET_AT 36u
#define DUALCOPY_PACKET_PAYLOAD_LENGTH_AT 40u

struct dualcopy_packet {
    /* 0xDC94 */
    uint16_t magic;
    /* layout version, 1 */
    uint8_t version;
    /* 1 hello, 2 data, 3 acknowledgement, 4 close */
    uint8_t type;
    /* 1 first and 2 last fragment, 4 sent again, 8 not sealed (lab) */
    uint8_t flags;
    /* what the record is for: changes, position, durable, ... */
    uint8_t kind;
    /* consistency group on this link */
    uint16_t group;
    /* link session from both nonces; lowest bit: which end; 0 in hello */
    uint32_t session;
    /* counts packets of this end and session from 1, never reused */
    uint64_t number;
    /* counts records of this end and session from 1 */
    uint32_t record;
    /* last consistency sequence number of the record; 0 if none */
    uint64_t csn;
    /* bytes of the whole record */
    uint32_t record_length;
    /* where this packet's payload lies in the record */
    uint32_t fragment_offset;
    /* bytes of payload that follow this header */
    uint16_t payload_length;
};

static inline void dualcopy_packet_pack(uint8_t *to, const struct dualcopy_packet *from)
{
    dualcopy_put(to + DUALCOPY_PACKET_MAGIC_AT, 2u, from->magic);
    dualcopy_put(to + DUALCOPY_PACKET_VERSION_AT, 1u, from->version);
    dualcopy_put(to + DUALCOPY_PACKET_TYPE_AT, 1u, from->type);
    dualcopy_put(to + DUALCOPY_PACKET_FLAGS_AT, 1u, from->flags);
    dualcopy_put(to + DUALCOPY_PACKET_KIND_AT, 1u, from->kind);
    dualcopy_put(to + DUALCOPY_PACKET_GROUP_AT, 2u, from->group);
    dualcopy_put(to + DUALCOPY_PACKET_SESSION_AT, 4u, from->session);
    dualcopy_put(to + DUALCOPY_PACKET_NUMBER_AT, 8u, from->number);
    dualcopy_put(to + DUALCOPY_PACKET_RECORD_AT, 4u, from->record);
    dualcopy_put(to + DUALCOPY_PACKET_CSN_AT, 8u, from->csn);
    dualcopy_put(to + DUALCOPY_PACKET_RECORD_LENGTH_AT, 4u, from->record_length);
    dualcopy_put(to + DUALCOPY_PACKET_FRAGMENT_OFFSET_AT, 4u, from->fragment_offset);
    dualcopy_put(to + DUALCOPY_PACKET_PAYLOAD_LENGTH_AT, 2u, from->payload_length);
}

static inline void dualcopy_packet_unpack(struct dualcopy_packet *to, const uint8_t *from)
{
    to->magic = (uint16_t)dualcopy_get(from + DUALCOPY_PACKET_MAGIC_AT, 2u);
    to->version = (uint8_t)dualcopy_get(from + DUALCOPY_PACKET_VERSION_AT, 1u);
    to->type = (uint8_t)dualcopy_get(from + DUALCOPY_PACKET_TYPE_AT, 1u);
    to->flags = (uint8_t)dualcopy_get(from + DUALCOPY_PACKET_FLAGS_AT, 1u);
    to->kind = (uint8_t)dualcopy_get(from + DUALCOPY_PACKET_KIND_AT, 1u);
    to->group = (uint16_t)dualcopy_get(from + DUALCOPY_PACKET_GROUP_AT, 2u);
    to->session = (uint32_t)dualcopy_get(from + DUALCOPY_PACKET_SESSION_AT, 4u);
    to->number = (uint64_t)dualcopy_get(from + DUALCOPY_PACKET_NUMBER_AT, 8u);
    to->record = (uint32_t)dualcopy_get(from + DUALCOPY_PACKET_RECORD_AT, 4u);
    to->csn = (uint64_t)dualcopy_get(from + DUALCOPY_PACKET_CSN_AT, 8u);
    to->record_length = (uint32_t)dualcopy_get(from + DUALCOPY_PACKET_RECORD_LENGTH_AT, 4u);
    to->fragment_offset = (uint32_t)dualcopy_get(from + DUALCOPY_PACKET_FRAGMENT_OFFSET_AT, 4u);
    to->payload_length = (uint16_t)dualcopy_get(from + DUALCOPY_PACKET_PAYLOAD_LENGTH_AT, 2u);
}

/* Ends every packet. */
#define DUALCOPY_PACKET_TRAILER_BYTES 4u
#define DUALCOPY_PACKET_TRAILER_CRC_AT 0u

struct dualcopy_packet_trailer {
    /* CRC-32C of everything before it */
    uint32_t crc;
};

static inline void dualcopy_packet_trailer_pack(uint8_t *to, const struct dualcopy_packet_trailer *from)
{
    dualcopy_put(to + DUALCOPY_PACKET_TRAILER_CRC_AT, 4u, from->crc);
}

static inline void dualcopy_packet_trailer_unpack(struct dualcopy_packet_trailer *to, const uint8_t *from)
{
    to->crc = (uint32_t)dualcopy_get(from + DUALCOPY_PACKET_TRAILER_CRC_AT, 4u);
}

/* Payload of a HELLO; the link's name and the site's name follow, in UTF-8. */
#define DUALCOPY_HELLO_BYTES 27u
#define DUALCOPY_HELLO_NONCE_AT 0u
#define DUALCOPY_HELLO_ECHO_AT 8u
#define DUALCOPY_HELLO_MTU_AT 16u
#define DUALCOPY_HELLO_WINDOW_AT 20u
#define DUALCOPY_HELLO_PLAINTEXT_AT 24u
#define DUALCOPY_HELLO_LINK_LENGTH_AT 25u
#define DUALCOPY_HELLO_SITE_LENGTH_AT 26u

struct dualcopy_hello {
    /* this end's nonce, drawn anew for each session */
    uint64_t nonce;
    /* the nonce last heard from the other end; 0 if none */
    uint64_t echo;
    /* largest packet this end takes, in bytes */
    uint32_t mtu;
    /* bytes of unacknowledged payload this end takes */
    uint32_t window;
    /* 1: this end allows an unsealed link (lab_plaintext) */
    uint8_t plaintext;
    /* bytes of the link's name, which follows this header */
    uint8_t link_length;
    /* bytes of this end's site name, which follows the link's name */
    uint8_t site_length;
};

static inline void dualcopy_hello_pack(uint8_t *to, const struct dualcopy_hello *from)
{
    dualcopy_put(to + DUALCOPY_HELLO_NONCE_AT, 8u, from->nonce);
    dualcopy_put(to + DUALCOPY_HELLO_ECHO_AT, 8u, from->echo);
    dualcopy_put(to + DUALCOPY_HELLO_MTU_AT, 4u, from->mtu);
    dualcopy_put(to + DUALCOPY_HELLO_WINDOW_AT, 4u, from->window);
    dualcopy_put(to + DUALCOPY_HELLO_PLAINTEXT_AT, 1u, from->plaintext);
    dualcopy_put(to + DUALCOPY_HELLO_LINK_LENGTH_AT, 1u, from->link_length);
    dualcopy_put(to + DUALCOPY_HELLO_SITE_LENGTH_AT, 1u, from->site_length);
}

static inline void dualcopy_hello_unpack(struct dualcopy_hello *to, const uint8_t *from)
{
    to->nonce = (uint64_t)dualcopy_get(from + DUALCOPY_HELLO_NONCE_AT, 8u);
    to->echo = (uint64_t)dualcopy_get(from + DUALCOPY_HELLO_ECHO_AT, 8u);
    to->mtu = (uint32_t)dualcopy_get(from + DUALCOPY_HELLO_MTU_AT, 4u);
    to->window = (uint32_t)dualcopy_get(from + DUALCOPY_HELLO_WINDOW_AT, 4u);
    to->plaintext = (uint8_t)dualcopy_get(from + DUALCOPY_HELLO_PLAINTEXT_AT, 1u);
    to->link_length = (uint8_t)dualcopy_get(from + DUALCOPY_HELLO_LINK_LENGTH_AT, 1u);
    to->site_length = (uint8_t)dualcopy_get(from + DUALCOPY_HELLO_SITE_LENGTH_AT, 1u);
}

/* Payload of an ACK; as many ranges follow as it says. */
#define DUALCOPY_ACK_BYTES 21u
#define DUALCOPY_ACK_KEPT_AT 0u
#define DUALCOPY_ACK_WINDOW_AT 4u
#define DUALCOPY_ACK_LARGEST_AT 8u
#define DUALCOPY_ACK_DELAY_AT 16u
#define DUALCOPY_ACK_RANGES_AT 20u

struct dualcopy_ack {
    /* all records up to this one were handed on whole, in order */
    uint32_t kept;
    /* bytes of unacknowledged payload this end takes now */
    uint32_t window;
    /* largest packet number received */
    uint64_t largest;
    /* microseconds between receipt of that packet and this packet */
    uint32_t delay;
    /* how many ranges of received packet numbers follow */
    uint8_t ranges;
};

static inline void dualcopy_ack_pack(uint8_t *to, const struct dualcopy_ack *from)
{
    dualcopy_put(to + DUALCOPY_ACK_KEPT_AT, 4u, from->kept);
    dualcopy_put(to + DUALCOPY_ACK_WINDOW_AT, 4u, from->window);
    dualcopy_put(to + DUALCOPY_ACK_LARGEST_AT, 8u, from->largest);
    dualcopy_put(to + DUALCOPY_ACK_DELAY_AT, 4u, from->delay);
    dualcopy_put(to + DUALCOPY_ACK_RANGES_AT, 1u, from->ranges);
}

static inline void dualcopy_ack_unpack(struct dualcopy_ack *to, const uint8_t *from)
{
    to->kept = (uint32_t)dualcopy_get(from + DUALCOPY_ACK_KEPT_AT, 4u);
    to->window = (uint32_t)dualcopy_get(from + DUALCOPY_ACK_WINDOW_AT, 4u);
    to->largest = (uint64_t)dualcopy_get(from + DUALCOPY_ACK_LARGEST_AT, 8u);
    to->delay = (uint32_t)dualcopy_get(from + DUALCOPY_ACK_DELAY_AT, 4u);
    to->ranges = (uint8_t)dualcopy_get(from + DUALCOPY_ACK_RANGES_AT, 1u);
}

/* One range of an ACK. */
#define DUALCOPY_ACK_RANGE_BYTES 16u
#define DUALCOPY_ACK_RANGE_FIRST_AT 0u
#define DUALCOPY_ACK_RANGE_LAST_AT 8u

struct dualcopy_ack_range {
    /* first packet number of a run received without gap */
    uint64_t first;
    /* last packet number of the run */
    uint64_t last;
};

static inline void dualcopy_ack_range_pack(uint8_t *to, const struct dualcopy_ack_range *from)
{
    dualcopy_put(to + DUALCOPY_ACK_RANGE_FIRST_AT, 8u, from->first);
    dualcopy_put(to + DUALCOPY_ACK_RANGE_LAST_AT, 8u, from->last);
}

static inline void dualcopy_ack_range_unpack(struct dualcopy_ack_range *to, const uint8_t *from)
{
    to->first = (uint64_t)dualcopy_get(from + DUALCOPY_ACK_RANGE_FIRST_AT, 8u);
    to->last = (uint64_t)dualcopy_get(from + DUALCOPY_ACK_RANGE_LAST_AT, 8u);
}

/* Opens a record of kind CHANGES or RESYNC_TRACKS; its changes follow. */
#define DUALCOPY_RECORD_BYTES 61u
#define DUALCOPY_RECORD_LINEAGE_AT 0u
#define DUALCOPY_RECORD_CSN_FIRST_AT 8u
#define DUALCOPY_RECORD_CSN_LAST_AT 16u
#define DUALCOPY_RECORD_CHAIN_BEFORE_AT 24u
#define DUALCOPY_RECORD_CHAIN_AFTER_AT 40u
#define DUALCOPY_RECORD_FINAL_AT 56u
#define DUALCOPY_RECORD_CHANGES_AT 57u

struct dualcopy_record {
    /* generation in which the record was made */
    uint64_t lineage;
    /* first consistency sequence number inside */
    uint64_t csn_first;
    /* last one; the csns between are inside or coalesced (C4) */
    uint64_t csn_last;
    /* chain hash of the history before this record */
    uint8_t chain_before[16];
    /* chain hash with this record: its own checksum */
    uint8_t chain_after[16];
    /* 1: the epoch ends with this record, and is then applied as one */
    uint8_t final;
    /* how many changes follow */
    uint32_t changes;
};

static inline void dualcopy_record_pack(uint8_t *to, const struct dualcopy_record *from)
{
    dualcopy_put(to + DUALCOPY_RECORD_LINEAGE_AT, 8u, from->lineage);
    dualcopy_put(to + DUALCOPY_RECORD_CSN_FIRST_AT, 8u, from->csn_first);
    dualcopy_put(to + DUALCOPY_RECORD_CSN_LAST_AT, 8u, from->csn_last);
    dualcopy_copy(to + DUALCOPY_RECORD_CHAIN_BEFORE_AT, from->chain_before, 16u);
    dualcopy_copy(to + DUALCOPY_RECORD_CHAIN_AFTER_AT, from->chain_after, 16u);
    dualcopy_put(to + DUALCOPY_RECORD_FINAL_AT, 1u, from->final);
    dualcopy_put(to + DUALCOPY_RECORD_CHANGES_AT, 4u, from->changes);
}

static inline void dualcopy_record_unpack(struct dualcopy_record *to, const uint8_t *from)
{
    to->lineage = (uint64_t)dualcopy_get(from + DUALCOPY_RECORD_LINEAGE_AT, 8u);
    to->csn_first = (uint64_t)dualcopy_get(from + DUALCOPY_RECORD_CSN_FIRST_AT, 8u);
    to->csn_last = (uint64_t)dualcopy_get(from + DUALCOPY_RECORD_CSN_LAST_AT, 8u);
    dualcopy_copy(to->chain_before, from + DUALCOPY_RECORD_CHAIN_BEFORE_AT, 16u);
    dualcopy_copy(to->chain_after, from + DUALCOPY_RECORD_CHAIN_AFTER_AT, 16u);
    to->final = (uint8_t)dualcopy_get(from + DUALCOPY_RECORD_FINAL_AT, 1u);
    to->changes = (uint32_t)dualcopy_get(from + DUALCOPY_RECORD_CHANGES_AT, 4u);
}

/* Opens every change. FULL: the changed bytes follow at once. */
#define DUALCOPY_CHANGE_BYTES 10u
#define DUALCOPY_CHANGE_VOLUME_AT 0u
#define DUALCOPY_CHANGE_FORM_AT 1u
#define DUALCOPY_CHANGE_TRACK_AT 2u
#define DUALCOPY_CHANGE_OFFSET_AT 6u
#define DUALCOPY_CHANGE_LENGTH_AT 8u

struct dualcopy_change {
    /* index of the volume in the group */
    uint8_t volume;
    /* 1 full, 2 delta against the old contents, 3 zeros, 4 run of whole tracks */
    uint8_t form;
    /* track number on the volume */
    uint32_t track;
    /* first byte inside the track */
    uint16_t offset;
    /* bytes changed */
    uint16_t length;
};

static inline void dualcopy_change_pack(uint8_t *to, const struct dualcopy_change *from)
{
    dualcopy_put(to + DUALCOPY_CHANGE_VOLUME_AT, 1u, from->volume);
    dualcopy_put(to + DUALCOPY_CHANGE_FORM_AT, 1u, from->form);
    dualcopy_put(to + DUALCOPY_CHANGE_TRACK_AT, 4u, from->track);
    dualcopy_put(to + DUALCOPY_CHANGE_OFFSET_AT, 2u, from->offset);
    dualcopy_put(to + DUALCOPY_CHANGE_LENGTH_AT, 2u, from->length);
}

static inline void dualcopy_change_unpack(struct dualcopy_change *to, const uint8_t *from)
{
    to->volume = (uint8_t)dualcopy_get(from + DUALCOPY_CHANGE_VOLUME_AT, 1u);
    to->form = (uint8_t)dualcopy_get(from + DUALCOPY_CHANGE_FORM_AT, 1u);
    to->track = (uint32_t)dualcopy_get(from + DUALCOPY_CHANGE_TRACK_AT, 4u);
    to->offset = (uint16_t)dualcopy_get(from + DUALCOPY_CHANGE_OFFSET_AT, 2u);
    to->length = (uint16_t)dualcopy_get(from + DUALCOPY_CHANGE_LENGTH_AT, 2u);
}

/* Follows the change header of a DELTA; its pieces follow. */
#define DUALCOPY_CHANGE_DELTA_BYTES 9u
#define DUALCOPY_CHANGE_DELTA_BASE_AT 0u
#define DUALCOPY_CHANGE_DELTA_PIECES_AT 8u

struct dualcopy_change_delta {
    /* content hash of the whole old track (C5) */
    uint64_t base;
    /* how many pieces follow; all other bytes are as before */
    uint8_t pieces;
};

static inline void dualcopy_change_delta_pack(uint8_t *to, const struct dualcopy_change_delta *from)
{
    dualcopy_put(to + DUALCOPY_CHANGE_DELTA_BASE_AT, 8u, from->base);
    dualcopy_put(to + DUALCOPY_CHANGE_DELTA_PIECES_AT, 1u, from->pieces);
}

static inline void dualcopy_change_delta_unpack(struct dualcopy_change_delta *to, const uint8_t *from)
{
    to->base = (uint64_t)dualcopy_get(from + DUALCOPY_CHANGE_DELTA_BASE_AT, 8u);
    to->pieces = (uint8_t)dualcopy_get(from + DUALCOPY_CHANGE_DELTA_PIECES_AT, 1u);
}

/* Opens one piece of a DELTA; its bytes follow. */
#define DUALCOPY_CHANGE_PIECE_BYTES 4u
#define DUALCOPY_CHANGE_PIECE_OFFSET_AT 0u
#define DUALCOPY_CHANGE_PIECE_LENGTH_AT 2u

struct dualcopy_change_piece {
    /* first byte of the piece inside the track */
    uint16_t offset;
    /* bytes of the piece, which follow */
    uint16_t length;
};

static inline void dualcopy_change_piece_pack(uint8_t *to, const struct dualcopy_change_piece *from)
{
    dualcopy_put(to + DUALCOPY_CHANGE_PIECE_OFFSET_AT, 2u, from->offset);
    dualcopy_put(to + DUALCOPY_CHANGE_PIECE_LENGTH_AT, 2u, from->length);
}

static inline void dualcopy_change_piece_unpack(struct dualcopy_change_piece *to, const uint8_t *from)
{
    to->offset = (uint16_t)dualcopy_get(from + DUALCOPY_CHANGE_PIECE_OFFSET_AT, 2u);
    to->length = (uint16_t)dualcopy_get(from + DUALCOPY_CHANGE_PIECE_LENGTH_AT, 2u);
}

/* Follows the change header of a ZERO; no bytes follow. */
#define DUALCOPY_CHANGE_ZERO_BYTES 4u
#define DUALCOPY_CHANGE_ZERO_TRACKS_AT 0u

struct dualcopy_change_zero {
    /* how many whole tracks from this one are zero; 0: only this extent */
    uint32_t tracks;
};

static inline void dualcopy_change_zero_pack(uint8_t *to, const struct dualcopy_change_zero *from)
{
    dualcopy_put(to + DUALCOPY_CHANGE_ZERO_TRACKS_AT, 4u, from->tracks);
}

static inline void dualcopy_change_zero_unpack(struct dualcopy_change_zero *to, const uint8_t *from)
{
    to->tracks = (uint32_t)dualcopy_get(from + DUALCOPY_CHANGE_ZERO_TRACKS_AT, 4u);
}

/* Follows the change header of a RUN; the bytes of its tracks follow. */
#define DUALCOPY_CHANGE_RUN_BYTES 8u
#define DUALCOPY_CHANGE_RUN_TRACKS_AT 0u
#define DUALCOPY_CHANGE_RUN_SIZE_AT 4u

struct dualcopy_change_run {
    /* how many whole tracks from this one follow */
    uint32_t tracks;
    /* bytes of them all, which follow */
    uint32_t size;
};

static inline void dualcopy_change_run_pack(uint8_t *to, const struct dualcopy_change_run *from)
{
    dualcopy_put(to + DUALCOPY_CHANGE_RUN_TRACKS_AT, 4u, from->tracks);
    dualcopy_put(to + DUALCOPY_CHANGE_RUN_SIZE_AT, 4u, from->size);
}

static inline void dualcopy_change_run_unpack(struct dualcopy_change_run *to, const uint8_t *from)
{
    to->tracks = (uint32_t)dualcopy_get(from + DUALCOPY_CHANGE_RUN_TRACKS_AT, 4u);
    to->size = (uint32_t)dualcopy_get(from + DUALCOPY_CHANGE_RUN_SIZE_AT, 4u);
}

/* CRC-32C (Castagnoli), reflected, as crcmod defines it. */
static const uint32_t dualcopy_crc32c_table[256] = {
    0x00000000u, 0xF26B8303u, 0xE13B70F7u, 0x1350F3F4u, 0xC79A971Fu, 0x35F1141Cu,
    0x26A1E7E8u, 0xD4CA64EBu, 0x8AD958CFu, 0x78B2DBCCu, 0x6BE22838u, 0x9989AB3Bu,
    0x4D43CFD0u, 0xBF284CD3u, 0xAC78BF27u, 0x5E133C24u, 0x105EC76Fu, 0xE235446Cu,
    0xF165B798u, 0x030E349Bu, 0xD7C45070u, 0x25AFD373u, 0x36FF2087u, 0xC494A384u,
    0x9A879FA0u, 0x68EC1CA3u, 0x7BBCEF57u, 0x89D76C54u, 0x5D1D08BFu, 0xAF768BBCu,
    0xBC267848u, 0x4E4DFB4Bu, 0x20BD8EDEu, 0xD2D60DDDu, 0xC186FE29u, 0x33ED7D2Au,
    0xE72719C1u, 0x154C9AC2u, 0x061C6936u, 0xF477EA35u, 0xAA64D611u, 0x580F5512u,
    0x4B5FA6E6u, 0xB93425E5u, 0x6DFE410Eu, 0x9F95C20Du, 0x8CC531F9u, 0x7EAEB2FAu,
    0x30E349B1u, 0xC288CAB2u, 0xD1D83946u, 0x23B3BA45u, 0xF779DEAEu, 0x05125DADu,
    0x1642AE59u, 0xE4292D5Au, 0xBA3A117Eu, 0x4851927Du, 0x5B016189u, 0xA96AE28Au,
    0x7DA08661u, 0x8FCB0562u, 0x9C9BF696u, 0x6EF07595u, 0x417B1DBCu, 0xB3109EBFu,
    0xA0406D4Bu, 0x522BEE48u, 0x86E18AA3u, 0x748A09A0u, 0x67DAFA54u, 0x95B17957u,
    0xCBA24573u, 0x39C9C670u, 0x2A993584u, 0xD8F2B687u, 0x0C38D26Cu, 0xFE53516Fu,
    0xED03A29Bu, 0x1F682198u, 0x5125DAD3u, 0xA34E59D0u, 0xB01EAA24u, 0x42752927u,
    0x96BF4DCCu, 0x64D4CECFu, 0x77843D3Bu, 0x85EFBE38u, 0xDBFC821Cu, 0x2997011Fu,
    0x3AC7F2EBu, 0xC8AC71E8u, 0x1C661503u, 0xEE0D9600u, 0xFD5D65F4u, 0x0F36E6F7u,
    0x61C69362u, 0x93AD1061u, 0x80FDE395u, 0x72966096u, 0xA65C047Du, 0x5437877Eu,
    0x4767748Au, 0xB50CF789u, 0xEB1FCBADu, 0x197448AEu, 0x0A24BB5Au, 0xF84F3859u,
    0x2C855CB2u, 0xDEEEDFB1u, 0xCDBE2C45u, 0x3FD5AF46u, 0x7198540Du, 0x83F3D70Eu,
    0x90A324FAu, 0x62C8A7F9u, 0xB602C312u, 0x44694011u, 0x5739B3E5u, 0xA55230E6u,
    0xFB410CC2u, 0x092A8FC1u, 0x1A7A7C35u, 0xE811FF36u, 0x3CDB9BDDu, 0xCEB018DEu,
    0xDDE0EB2Au, 0x2F8B6829u, 0x82F63B78u, 0x709DB87Bu, 0x63CD4B8Fu, 0x91A6C88Cu,
    0x456CAC67u, 0xB7072F64u, 0xA457DC90u, 0x563C5F93u, 0x082F63B7u, 0xFA44E0B4u,
    0xE9141340u, 0x1B7F9043u, 0xCFB5F4A8u, 0x3DDE77ABu, 0x2E8E845Fu, 0xDCE5075Cu,
    0x92A8FC17u, 0x60C37F14u, 0x73938CE0u, 0x81F80FE3u, 0x55326B08u, 0xA759E80Bu,
    0xB4091BFFu, 0x466298FCu, 0x1871A4D8u, 0xEA1A27DBu, 0xF94AD42Fu, 0x0B21572Cu,
    0xDFEB33C7u, 0x2D80B0C4u, 0x3ED04330u, 0xCCBBC033u, 0xA24BB5A6u, 0x502036A5u,
    0x4370C551u, 0xB11B4652u, 0x65D122B9u, 0x97BAA1BAu, 0x84EA524Eu, 0x7681D14Du,
    0x2892ED69u, 0xDAF96E6Au, 0xC9A99D9Eu, 0x3BC21E9Du, 0xEF087A76u, 0x1D63F975u,
    0x0E330A81u, 0xFC588982u, 0xB21572C9u, 0x407EF1CAu, 0x532E023Eu, 0xA145813Du,
    0x758FE5D6u, 0x87E466D5u, 0x94B49521u, 0x66DF1622u, 0x38CC2A06u, 0xCAA7A905u,
    0xD9F75AF1u, 0x2B9CD9F2u, 0xFF56BD19u, 0x0D3D3E1Au, 0x1E6DCDEEu, 0xEC064EEDu,
    0xC38D26C4u, 0x31E6A5C7u, 0x22B65633u, 0xD0DDD530u, 0x0417B1DBu, 0xF67C32D8u,
    0xE52CC12Cu, 0x1747422Fu, 0x49547E0Bu, 0xBB3FFD08u, 0xA86F0EFCu, 0x5A048DFFu,
    0x8ECEE914u, 0x7CA56A17u, 0x6FF599E3u, 0x9D9E1AE0u, 0xD3D3E1ABu, 0x21B862A8u,
    0x32E8915Cu, 0xC083125Fu, 0x144976B4u, 0xE622F5B7u, 0xF5720643u, 0x07198540u,
    0x590AB964u, 0xAB613A67u, 0xB831C993u, 0x4A5A4A90u, 0x9E902E7Bu, 0x6CFBAD78u,
    0x7FAB5E8Cu, 0x8DC0DD8Fu, 0xE330A81Au, 0x115B2B19u, 0x020BD8EDu, 0xF0605BEEu,
    0x24AA3F05u, 0xD6C1BC06u, 0xC5914FF2u, 0x37FACCF1u, 0x69E9F0D5u, 0x9B8273D6u,
    0x88D28022u, 0x7AB90321u, 0xAE7367CAu, 0x5C18E4C9u, 0x4F48173Du, 0xBD23943Eu,
    0xF36E6F75u, 0x0105EC76u, 0x12551F82u, 0xE03E9C81u, 0x34F4F86Au, 0xC69F7B69u,
    0xD5CF889Du, 0x27A40B9Eu, 0x79B737BAu, 0x8BDCB4B9u, 0x988C474Du, 0x6AE7C44Eu,
    0xBE2DA0A5u, 0x4C4623A6u, 0x5F16D052u, 0xAD7D5351u
};

/* CRC-32C of `size` bytes, going on from `crc`; 0 begins. */
static inline uint32_t dualcopy_crc32c(uint32_t crc, const uint8_t *from, size_t size)
{
    crc = ~crc;
    for (size_t at = 0; at < size; at++) {
        crc = (crc >> 8) ^ dualcopy_crc32c_table[(crc ^ from[at]) & 0xFFu];
    }
    return ~crc;
}

/* What is wrong with a received packet; the order is that of the checks. */
enum dualcopy_verdict {
    DUALCOPY_GOOD = 0,
    DUALCOPY_BAD_SHORT,
    DUALCOPY_BAD_MAGIC,
    DUALCOPY_BAD_VERSION,
    DUALCOPY_BAD_TYPE,
    DUALCOPY_BAD_LENGTH,
    DUALCOPY_BAD_CRC
};

/* Check `size` received bytes. The packet's length field is trusted, not `size`: short Ethernet
 * frames are padded. */
static inline enum dualcopy_verdict dualcopy_check(const uint8_t *from, size_t size)
{
    struct dualcopy_packet packet;
    size_t end;

    if (size < DUALCOPY_OVERHEAD_BYTES) {
        return DUALCOPY_BAD_SHORT;
    }
    dualcopy_packet_unpack(&packet, from);
    if (packet.magic != DUALCOPY_MAGIC) {
        return DUALCOPY_BAD_MAGIC;
    }
    if (packet.version != DUALCOPY_VERSION) {
        return DUALCOPY_BAD_VERSION;
    }
    switch (packet.type) {
    case DUALCOPY_TYPE_HELLO:
    case DUALCOPY_TYPE_DATA:
    case DUALCOPY_TYPE_ACK:
    case DUALCOPY_TYPE_CLOSE:
        break;
    default:
        return DUALCOPY_BAD_TYPE;
    }
    end = DUALCOPY_PACKET_BYTES + (size_t)packet.payload_length;
    if (end + DUALCOPY_PACKET_TRAILER_BYTES > size) {
        return DUALCOPY_BAD_LENGTH;
    }
    if (dualcopy_get(from + end, DUALCOPY_PACKET_TRAILER_BYTES) !=
        dualcopy_crc32c(0, from, end)) {
        return DUALCOPY_BAD_CRC;
    }
    return DUALCOPY_GOOD;
}

/* Append the CRC to the `end` bytes of header and payload at `packet`; return the packet's size. */
static inline size_t dualcopy_seal(uint8_t *packet, size_t end)
{
    dualcopy_put(packet + end, DUALCOPY_PACKET_TRAILER_BYTES, dualcopy_crc32c(0, packet, end));
    return end + DUALCOPY_PACKET_TRAILER_BYTES;
}

#endif
