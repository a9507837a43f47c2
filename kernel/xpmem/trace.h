/* SPDX-License-Identifier: GPL-2.0-only */
/* Trace events: one per step of a page's life. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM xpmem

#if !defined(XPMEM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define XPMEM_TRACE_H

#include <linux/tracepoint.h>

#include "compat.h"

/* clang-format off */

TRACE_EVENT(xpmem_segment_create,
	TP_PROTO(u64 segid, unsigned long start, unsigned long pages),
	TP_ARGS(segid, start, pages),
	TP_STRUCT__entry(__field(u64, segid) __field(unsigned long, start)
			 __field(unsigned long, pages)),
	TP_fast_assign(__entry->segid = segid; __entry->start = start;
		       __entry->pages = pages;),
	TP_printk("segid=%llx start=%lx pages=%lu", __entry->segid,
		  __entry->start, __entry->pages)
);

TRACE_EVENT(xpmem_segment_destroy,
	TP_PROTO(u64 segid, unsigned int exported),
	TP_ARGS(segid, exported),
	TP_STRUCT__entry(__field(u64, segid) __field(unsigned int, exported)),
	TP_fast_assign(__entry->segid = segid; __entry->exported = exported;),
	TP_printk("segid=%llx exported=%u", __entry->segid, __entry->exported)
);

TRACE_EVENT(xpmem_permit_create,
	TP_PROTO(u64 segid, u64 apid, bool write),
	TP_ARGS(segid, apid, write),
	TP_STRUCT__entry(__field(u64, segid) __field(u64, apid)
			 __field(bool, write)),
	TP_fast_assign(__entry->segid = segid; __entry->apid = apid;
		       __entry->write = write;),
	TP_printk("segid=%llx apid=%llx write=%d", __entry->segid,
		  __entry->apid, __entry->write)
);

TRACE_EVENT(xpmem_attach,
	TP_PROTO(u64 apid, unsigned long addr, unsigned long pages),
	TP_ARGS(apid, addr, pages),
	TP_STRUCT__entry(__field(u64, apid) __field(unsigned long, addr)
			 __field(unsigned long, pages)),
	TP_fast_assign(__entry->apid = apid; __entry->addr = addr;
		       __entry->pages = pages;),
	TP_printk("apid=%llx addr=%lx pages=%lu", __entry->apid, __entry->addr,
		  __entry->pages)
);

TRACE_EVENT(xpmem_detach,
	TP_PROTO(u64 apid, unsigned long addr),
	TP_ARGS(apid, addr),
	TP_STRUCT__entry(__field(u64, apid) __field(unsigned long, addr)),
	TP_fast_assign(__entry->apid = apid; __entry->addr = addr;),
	TP_printk("apid=%llx addr=%lx", __entry->apid, __entry->addr)
);

TRACE_EVENT(xpmem_fetch,
	TP_PROTO(u64 segid, unsigned long start, unsigned int count, bool write,
		 int error),
	TP_ARGS(segid, start, count, write, error),
	TP_STRUCT__entry(__field(u64, segid) __field(unsigned long, start)
			 __field(unsigned int, count) __field(bool, write)
			 __field(int, error)),
	TP_fast_assign(__entry->segid = segid; __entry->start = start;
		       __entry->count = count; __entry->write = write;
		       __entry->error = error;),
	TP_printk("segid=%llx start=%lu count=%u write=%d error=%d",
		  __entry->segid, __entry->start, __entry->count,
		  __entry->write, __entry->error)
);

TRACE_EVENT(xpmem_grant,
	TP_PROTO(u16 partid, u64 segid, unsigned long start, unsigned int pages,
		 unsigned int status),
	TP_ARGS(partid, segid, start, pages, status),
	TP_STRUCT__entry(__field(u16, partid) __field(u64, segid)
			 __field(unsigned long, start)
			 __field(unsigned int, pages)
			 __field(unsigned int, status)),
	TP_fast_assign(__entry->partid = partid; __entry->segid = segid;
		       __entry->start = start; __entry->pages = pages;
		       __entry->status = status;),
	TP_printk("partid=%u segid=%llx start=%lu pages=%u status=%u",
		  __entry->partid, __entry->segid, __entry->start,
		  __entry->pages, __entry->status)
);

DECLARE_EVENT_CLASS(xpmem_message,
	TP_PROTO(u16 partid, u64 seq, unsigned int pages),
	TP_ARGS(partid, seq, pages),
	TP_STRUCT__entry(__field(u16, partid) __field(u64, seq)
			 __field(unsigned int, pages)),
	TP_fast_assign(__entry->partid = partid; __entry->seq = seq;
		       __entry->pages = pages;),
	TP_printk("partid=%u seq=%llu pages=%u", __entry->partid, __entry->seq,
		  __entry->pages)
);

DEFINE_EVENT(xpmem_message, xpmem_revoke_send,
	TP_PROTO(u16 partid, u64 seq, unsigned int pages),
	TP_ARGS(partid, seq, pages));
DEFINE_EVENT(xpmem_message, xpmem_revoke_recv,
	TP_PROTO(u16 partid, u64 seq, unsigned int pages),
	TP_ARGS(partid, seq, pages));
DEFINE_EVENT(xpmem_message, xpmem_ack_send,
	TP_PROTO(u16 partid, u64 seq, unsigned int pages),
	TP_ARGS(partid, seq, pages));
DEFINE_EVENT(xpmem_message, xpmem_ack_recv,
	TP_PROTO(u16 partid, u64 seq, unsigned int pages),
	TP_ARGS(partid, seq, pages));

TRACE_EVENT(xpmem_session,
	TP_PROTO(u16 partid, u64 epoch, unsigned int phase, const char *reason),
	TP_ARGS(partid, epoch, phase, reason),
	TP_STRUCT__entry(__field(u16, partid) __field(u64, epoch)
			 __field(unsigned int, phase) __string(reason, reason)),
	TP_fast_assign(__entry->partid = partid; __entry->epoch = epoch;
		       __entry->phase = phase; xpmem_assign_str(reason, reason);),
	TP_printk("partid=%u epoch=%llx phase=%u reason=%s", __entry->partid,
		  __entry->epoch, __entry->phase, __get_str(reason))
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
