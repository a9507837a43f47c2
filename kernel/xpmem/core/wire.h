/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Messages of a session between two partitions: little-endian, fixed width, a
 * header with type and length before each payload; zero is never valid.
 *
 * A session is one ordered byte stream.  Every message carries the session's
 * epoch, so that nothing of an older session can count in a newer one.
 */
#ifndef XPMEM_CORE_WIRE_H
#define XPMEM_CORE_WIRE_H

#include "shim.h"

#define XPMEM_WIRE_VERSION 3

/*
 * A grant gives at most this many pages.  A revoke names at most as many runs,
 * each no longer than that: it covers whole folios.
 */
#define XPMEM_WIRE_PAGES 512
#define XPMEM_WIRE_GROUPS 16
/* Bytes of a segment's published name, with the zeros that fill them up. */
#define XPMEM_WIRE_NAME 64
/* As owner of a lookup: whoever. */
#define XPMEM_WIRE_ANYBODY 0xffffffffu
/* Bits of an acknowledgement that say what was used. */
#define XPMEM_WIRE_YOUNG 512

/**
 * enum xpmem_wire_type - what a message says
 * @XPMEM_WIRE_GET:       importer: may this user have a permit?
 * @XPMEM_WIRE_GET_REPLY: home: yes, and the segment's size; or why not
 * @XPMEM_WIRE_PUT:       importer: nothing of this segment is held here any more
 * @XPMEM_WIRE_FETCH:     importer: grant these pages, one of them at least
 * @XPMEM_WIRE_GRANT:     home: you may map these pages; or why not
 * @XPMEM_WIRE_REVOKE:    home: unmap these pages
 * @XPMEM_WIRE_ACK:       importer: done, and nobody here can reach them
 * @XPMEM_WIRE_PING:      either: I am alive; are you?
 * @XPMEM_WIRE_BYE:       either: I hold nothing of yours; this session ends
 * @XPMEM_WIRE_LOOKUP:    either: which segment of yours has this name?
 * @XPMEM_WIRE_LOOKUP_REPLY: either: this one; or why not
 * @XPMEM_WIRE_TERMS:     either, first of all and once: what I keep to
 * @XPMEM_WIRE_PONG:      either: the answer to a PING
 */
enum xpmem_wire_type {
	XPMEM_WIRE_GET = 1,
	XPMEM_WIRE_GET_REPLY = 2,
	XPMEM_WIRE_PUT = 3,
	XPMEM_WIRE_FETCH = 4,
	XPMEM_WIRE_GRANT = 5,
	XPMEM_WIRE_REVOKE = 6,
	XPMEM_WIRE_ACK = 7,
	XPMEM_WIRE_PING = 8,
	XPMEM_WIRE_BYE = 9,
	XPMEM_WIRE_LOOKUP = 10,
	XPMEM_WIRE_LOOKUP_REPLY = 11,
	XPMEM_WIRE_TERMS = 12,
	XPMEM_WIRE_PONG = 13,
};

/**
 * enum xpmem_wire_status - why something was refused; 0 would be no answer
 * @XPMEM_WIRE_OK:      not refused
 * @XPMEM_WIRE_NOENT:   no such segment, or none of that name, here (any more)
 * @XPMEM_WIRE_ACCES:   the segment's mode does not allow it
 * @XPMEM_WIRE_FAULT:   the exporter has nothing there, or not writable
 * @XPMEM_WIRE_NOTSUP:  this kind of memory cannot be exported
 * @XPMEM_WIRE_BUSY:    try again after the time given
 * @XPMEM_WIRE_NOMEM:   the home is short of memory
 */
enum xpmem_wire_status {
	XPMEM_WIRE_OK = 1,
	XPMEM_WIRE_NOENT = 2,
	XPMEM_WIRE_ACCES = 3,
	XPMEM_WIRE_FAULT = 4,
	XPMEM_WIRE_NOTSUP = 5,
	XPMEM_WIRE_BUSY = 6,
	XPMEM_WIRE_NOMEM = 7,
};

#define XPMEM_WIRE_READ 0x1u
#define XPMEM_WIRE_WRITE 0x2u

/**
 * struct xpmem_wire_header - before every payload
 * @type:   enum xpmem_wire_type
 * @flags:  none defined; 0
 * @length: bytes of payload that follow
 * @epoch:  the session's
 * @seq:    REVOKE: the home's revoke number; otherwise 0
 */
struct xpmem_wire_header {
	__le16 type;
	__le16 flags;
	__le32 length;
	__le64 epoch;
	__le64 seq;
};

/**
 * struct xpmem_wire_get - XPMEM_WIRE_GET
 * @req:     chosen by the importer, repeated in the reply; not 0
 * @segid:   the segment
 * @uid:     the caller's effective user id, in the initial user namespace
 * @gid:     likewise the group id
 * @access:  XPMEM_WIRE_READ, or XPMEM_WIRE_READ | XPMEM_WIRE_WRITE
 * @ngroups: valid members of @groups; 0 to XPMEM_WIRE_GROUPS
 * @groups:  supplementary groups; unused ones are 0
 */
struct xpmem_wire_get {
	__le64 req;
	__le64 segid;
	__le32 uid;
	__le32 gid;
	__le32 access;
	__le32 ngroups;
	__le32 groups[XPMEM_WIRE_GROUPS];
};

/**
 * struct xpmem_wire_get_reply - XPMEM_WIRE_GET_REPLY
 * @req:    from the request
 * @pages:  length of the segment in pages; 0 when refused
 * @status: enum xpmem_wire_status
 * @access: what was given; 0 when refused
 */
struct xpmem_wire_get_reply {
	__le64 req;
	__le64 pages;
	__le32 status;
	__le32 access;
};

/**
 * struct xpmem_wire_put - XPMEM_WIRE_PUT
 * @segid: the segment
 */
struct xpmem_wire_put {
	__le64 segid;
};

/**
 * struct xpmem_wire_fetch - XPMEM_WIRE_FETCH
 * @req:    chosen by the importer, repeated in the grant; not 0
 * @segid:  the segment
 * @start:  first page wanted, counted from the segment's start
 * @target: the page that was touched; granted or the fetch is refused
 * @count:  pages wanted, 1 to XPMEM_WIRE_PAGES
 * @access: XPMEM_WIRE_READ, or XPMEM_WIRE_READ | XPMEM_WIRE_WRITE: for @target
 */
struct xpmem_wire_fetch {
	__le64 req;
	__le64 segid;
	__le64 start;
	__le64 target;
	__le32 count;
	__le32 access;
};

/**
 * struct xpmem_wire_grant_run - pages with consecutive frames
 * @index:  first page, counted from the segment's start
 * @frame:  its frame number at the home
 * @count:  pages, not 0
 * @access: XPMEM_WIRE_READ, or XPMEM_WIRE_READ | XPMEM_WIRE_WRITE
 */
struct xpmem_wire_grant_run {
	__le64 index;
	__le64 frame;
	__le32 count;
	__le32 access;
};

/**
 * struct xpmem_wire_grant - XPMEM_WIRE_GRANT
 * @req:      from the fetch
 * @segid:    from the fetch
 * @status:   enum xpmem_wire_status
 * @retry_ms: XPMEM_WIRE_BUSY: ask again after so many milliseconds; otherwise 0
 * @nruns:    0 to XPMEM_WIRE_PAGES; 0 exactly when refused
 * @reserved: 0
 * @runs:     in ascending order of index, without overlap
 */
struct xpmem_wire_grant {
	__le64 req;
	__le64 segid;
	__le32 status;
	__le32 retry_ms;
	__le32 nruns;
	__le32 reserved;
	struct xpmem_wire_grant_run runs[];
};

/**
 * struct xpmem_wire_revoke_run - consecutive pages of a segment
 * @segid:    the segment
 * @index:    first page, counted from the segment's start
 * @count:    pages, not 0
 * @reserved: 0
 */
struct xpmem_wire_revoke_run {
	__le64 segid;
	__le64 index;
	__le32 count;
	__le32 reserved;
};

/**
 * struct xpmem_wire_revoke - XPMEM_WIRE_REVOKE
 * @nruns:    1 to XPMEM_WIRE_PAGES
 * @reserved: 0
 * @runs:     what to unmap
 */
struct xpmem_wire_revoke {
	__le32 nruns;
	__le32 reserved;
	struct xpmem_wire_revoke_run runs[];
};

/**
 * struct xpmem_wire_ack - XPMEM_WIRE_ACK
 * @seq:   the revoke number of the message that was carried out
 * @young: a bit for each page of that message, in its order, or for each
 *         xpmem_wire_young_shift() of them: the importer used one since it
 *         was granted.  A hint.
 */
struct xpmem_wire_ack {
	__le64 seq;
	__le64 young[XPMEM_WIRE_YOUNG / 64];
};

/**
 * xpmem_wire_young_shift - how many pages share a bit of an acknowledgement
 * @pages: of all runs of the revoke together
 *
 * Return: the binary logarithm; 0 where no folio is large.
 */
static inline unsigned int xpmem_wire_young_shift(u32 pages)
{
	unsigned int shift = 0;

	while (pages && (pages - 1) >> shift >= XPMEM_WIRE_YOUNG)
		shift++;
	return shift;
}

/**
 * struct xpmem_wire_ping - XPMEM_WIRE_PING, and XPMEM_WIRE_PONG as a copy of it
 * @count: of pings sent in this session, from 1
 * @sent:  when, by the sender's clock, for the sender alone; not 0
 */
struct xpmem_wire_ping {
	__le64 count;
	__le64 sent;
};

/**
 * struct xpmem_wire_terms - XPMEM_WIRE_TERMS; of both sides' the stricter counts
 * @heartbeat_ms: between PINGs
 * @deadline_ms:  for a sign of life, or an acknowledgement
 * @lease_ms:     for using grants without a PONG
 * @reserved:     0
 */
struct xpmem_wire_terms {
	__le32 heartbeat_ms;
	__le32 deadline_ms;
	__le32 lease_ms;
	__le32 reserved;
};

/**
 * struct xpmem_wire_lookup - XPMEM_WIRE_LOOKUP
 * @req:     chosen by who asks, repeated in the reply; not 0
 * @uid:     the caller's effective user id, in the initial user namespace
 * @gid:     likewise the group id
 * @owner:   whose segment, a user id, or XPMEM_WIRE_ANYBODY
 * @ngroups: valid members of @groups; 0 to XPMEM_WIRE_GROUPS
 * @groups:  supplementary groups; unused ones are 0
 * @name:    as xpmem_wire_name_valid() has it
 */
struct xpmem_wire_lookup {
	__le64 req;
	__le32 uid;
	__le32 gid;
	__le32 owner;
	__le32 ngroups;
	__le32 groups[XPMEM_WIRE_GROUPS];
	char name[XPMEM_WIRE_NAME];
};

/**
 * struct xpmem_wire_lookup_reply - XPMEM_WIRE_LOOKUP_REPLY
 * @req:    from the request
 * @segid:  the segment; 0 when there is none for the caller
 * @uid:    its owner; 0 when there is none
 * @status: XPMEM_WIRE_OK, _NOENT, or _ACCES: there are, but none for the caller
 */
struct xpmem_wire_lookup_reply {
	__le64 req;
	__le64 segid;
	__le32 uid;
	__le32 status;
};

/* The largest payload, and what a receiver must have room for. */
#define XPMEM_WIRE_MAX                     \
	(sizeof(struct xpmem_wire_grant) + \
	 XPMEM_WIRE_PAGES * sizeof(struct xpmem_wire_grant_run))

static_assert(sizeof(struct xpmem_wire_header) == 24, "wire header");
static_assert(sizeof(struct xpmem_wire_get) == 96, "wire get");
static_assert(sizeof(struct xpmem_wire_get_reply) == 24, "wire get reply");
static_assert(sizeof(struct xpmem_wire_put) == 8, "wire put");
static_assert(sizeof(struct xpmem_wire_fetch) == 40, "wire fetch");
static_assert(sizeof(struct xpmem_wire_grant_run) == 24, "wire grant run");
static_assert(sizeof(struct xpmem_wire_grant) == 32, "wire grant");
static_assert(sizeof(struct xpmem_wire_revoke_run) == 24, "wire revoke run");
static_assert(sizeof(struct xpmem_wire_revoke) == 8, "wire revoke");
static_assert(sizeof(struct xpmem_wire_ack) == 72, "wire ack");
static_assert(sizeof(struct xpmem_wire_ping) == 16, "wire ping");
static_assert(sizeof(struct xpmem_wire_terms) == 16, "wire terms");
static_assert(sizeof(struct xpmem_wire_lookup) == 152, "wire lookup");
static_assert(sizeof(struct xpmem_wire_lookup_reply) == 24,
	      "wire lookup reply");

/**
 * xpmem_wire_name_valid - may a segment be published under this name?
 * @name: XPMEM_WIRE_NAME bytes
 *
 * 1 to XPMEM_WIRE_NAME - 1 letters and digits of ASCII and ".", "_", "-", "+",
 * "/"; then zeros up to the end.
 */
bool xpmem_wire_name_valid(const char *name);

/**
 * xpmem_wire_check_header - may this header start a message of this session?
 * @h:     the header as received
 * @epoch: the session's epoch
 *
 * Return: NULL if it may, else what is wrong with it, a constant string.
 */
const char *xpmem_wire_check_header(const struct xpmem_wire_header *h,
				    u64 epoch);

/**
 * xpmem_wire_check_payload - is the payload what its header promises?
 * @h:       a header that xpmem_wire_check_header() accepted
 * @payload: @h->length bytes
 *
 * Every field that the receiver acts upon is in range afterwards; whether the
 * named segment exists is for the receiver to find out.
 *
 * Return: NULL if it is, else what is wrong with it, a constant string.
 */
const char *xpmem_wire_check_payload(const struct xpmem_wire_header *h,
				     const void *payload);

#endif
