/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xpmem: use memory that another process exports, on this or on another
 * partition, with plain loads and stores.
 *
 *	exporter				importer
 *	segid = xpmem_make(start, size, ...);
 *	... tell the importer the segid,
 *	or xpmem_publish(name, segid) ...
 *						segid = xpmem_lookup(name);
 *						apid = xpmem_get(segid, ...);
 *						p = xpmem_attach(addr, ...);
 *						*p = 1;
 *						xpmem_detach(p);
 *						xpmem_release(apid);
 *	xpmem_remove(segid);
 *
 * Every function may be called from any thread.  A function that fails returns
 * -1 (xpmem_attach: (void *)-1) and sets errno; beside the values listed with
 * each, errno may be anything that open(2) sets for XPMEM_DEV_PATH: ENOENT or
 * ENODEV when the module is not loaded, EACCES when the device may not be
 * opened, EMFILE or ENFILE when there are too many open files.
 *
 * A child made by fork(2) has neither the segments nor the permits nor the
 * attachments of its parent, and may make its own.  execve(2) and exit end
 * everything that the process made, got or attached.
 */
#ifndef _XPMEM_H
#define _XPMEM_H

#include <linux/types.h>
#ifdef __KERNEL__
#include <linux/build_bug.h>
#include <linux/stddef.h>
#else
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/types.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

/**
 * xpmem_segid_t - the name of a segment
 *
 * Positive, unique among all partitions and not to be guessed; -1 is a
 * failure.  Any process of any partition may be told it: it is a name, not a
 * right.
 */
typedef __s64 xpmem_segid_t;

/**
 * xpmem_apid_t - the name of a permit
 *
 * Positive; -1 is a failure.  Means something only to the process that got it.
 */
typedef __s64 xpmem_apid_t;

/**
 * struct xpmem_addr - a place in a segment
 * @apid:   permit for the segment
 * @offset: bytes from the segment's first address, 0 or more
 */
struct xpmem_addr {
	xpmem_apid_t apid;
	off_t offset;
};

/* The device; the interface to the kernel is the XPMEM_CMD_* ioctls on it. */
#define XPMEM_DEV_PATH "/dev/xpmem"

/* As size of xpmem_make: everything from the start to the highest address. */
#define XPMEM_MAXADDR_SIZE ((size_t)(-1L))

/*
 * errno of an ioctl on a descriptor that another address space opened, as
 * after fork(2).  The library opens the device anew and tries again; only
 * callers of ioctl(2) see it.
 */
#define XPMEM_ERRNO_NOPROC 2004

/* flags of xpmem_get, exactly one of them: what attachments may do. */
#define XPMEM_RDONLY 0x1
#define XPMEM_RDWR 0x2

/* permit_type: the permit value is a mode like that of a file, 0 to 0777. */
#define XPMEM_PERMIT_MODE 0x1

/* flags of xpmem_attach_flags */
#define XPMEM_ATTACH_POPULATE 0x1

/* Room for the longest name of xpmem_publish and the zero behind it. */
#define XPMEM_NAME_SIZE 64

/* owner of struct xpmem_cmd_lookup: whoever */
#define XPMEM_ANYBODY 0xffffffffu

#ifndef __KERNEL__

/**
 * xpmem_version - which version of xpmem the kernel runs
 *
 * Return: major << 16 | minor << 8 | patch level, or -1.
 */
int xpmem_version(void);

/**
 * xpmem_make - export a range of the caller's address space
 * @vaddr:        first address, a multiple of the page size; NULL for the
 *                lowest there is
 * @size:         bytes, a multiple of the page size and more than 0; or
 *                XPMEM_MAXADDR_SIZE
 * @permit_type:  XPMEM_PERMIT_MODE
 * @permit_value: who may get a permit: a mode, cast to a pointer; its read and
 *                write bits for the caller's user, group and the others
 *
 * The range may have holes, now or later: what counts is what the exporter
 * has mapped when an importer touches an address, and of what kind: see
 * xpmem_attach.  Nothing is pinned or faulted in.  The segment lives until
 * xpmem_remove, execve or exit of the caller; or until it is not dumpable any
 * more, as after a change of its user.
 *
 * Errors: EINVAL an argument is outside what is said above; EDQUOT the user has
 * too many segments; ENOMEM.
 *
 * Return: the segment's name, or -1.
 */
xpmem_segid_t xpmem_make(void *vaddr, size_t size, int permit_type,
			 void *permit_value);

/**
 * xpmem_remove - end a segment
 * @segid: from xpmem_make of this process
 *
 * Takes its pages away from all importers, on all partitions, and returns when
 * they are gone or the importers that did not answer are evicted.  A later
 * touch of an attachment is SIGBUS; permits and attachments remain to be
 * released.
 *
 * Errors: EINVAL @segid is not positive; ENOENT this process has no such
 * segment.
 *
 * Return: 0 or -1.
 */
int xpmem_remove(xpmem_segid_t segid);

/**
 * xpmem_get - get a permit for a segment
 * @segid:        the segment, of this or of another partition
 * @flags:        XPMEM_RDONLY or XPMEM_RDWR
 * @permit_type:  XPMEM_PERMIT_MODE
 * @permit_value: ignored
 *
 * The first class of the segment's mode that fits the caller (user, group,
 * others) decides.  For a segment of another partition, waits for its answer.
 * The permit lives until xpmem_release, execve or exit of the caller.
 *
 * Errors: EINVAL an argument is outside what is said above; ENOENT there is no
 * such segment; EACCES the segment's mode does not allow it; EHOSTUNREACH
 * there is no session with the segment's partition, or it ended before the
 * answer came; EDQUOT the user has too many permits; EAGAIN too many gets of the
 * user failed within a second; ENOMEM.  Only a signal that kills the caller ends the wait.
 *
 * Return: the permit's name, or -1.
 */
xpmem_apid_t xpmem_get(xpmem_segid_t segid, int flags, int permit_type,
		       void *permit_value);

/**
 * xpmem_release - give a permit back
 * @apid: from xpmem_get of this process
 *
 * Detaches everything that was attached with it.
 *
 * Errors: EINVAL @apid is not positive; ENOENT this process has no such
 * permit.
 *
 * Return: 0 or -1.
 */
int xpmem_release(xpmem_apid_t apid);

/**
 * xpmem_attach - map a part of a segment
 * @addr:  where in the segment it starts
 * @size:  bytes, more than 0; @addr.offset + @size is at most the segment's
 *         size
 * @vaddr: where to map it, a multiple of the page size, free of mappings; NULL
 *         lets the kernel choose
 *
 * Costs the same whatever the size: pages come when they are touched.  A
 * touch of an address that the exporter has not mapped, or not with that
 * access, is SIGBUS, as is one of memory that cannot be exported: that of
 * devices, DAX, memfd_secret(2), pages that a userfaultfd would have to supply;
 * on another partition also huge pages of hugetlbfs, and files, except memory
 * files that the exporter's user owns.  What the exporter maps there
 * later shows in the attachment without further calls.
 *
 * The attachment is readable and, with a permit for XPMEM_RDWR, writable.  It
 * lives until xpmem_detach, munmap(2), xpmem_release, execve or exit of the
 * caller, and is not inherited by fork.  It can be neither moved nor grown with
 * mremap(2).  The segment's mode is applied again: to who the caller is now.
 *
 * Errors: EINVAL an argument is outside what is said above, or something is
 * mapped at @vaddr; ENOENT this process has no such permit, or the segment is
 * gone; EACCES who the caller is by now may not have it; ESTALE the session
 * with the segment's partition is over that the permit was got through: release
 * it, and get another; EAGAIN the caller has become another user, of whose gets too
 * many failed within a second; EPERM or EAGAIN as of mmap(2) with MAP_FIXED; ENOMEM.
 *
 * Return: the address that shows @addr, or (void *)-1.
 */
void *xpmem_attach(struct xpmem_addr addr, size_t size, void *vaddr);

/**
 * xpmem_attach_flags - map a part of a segment, in one of several ways
 * @addr:  as of xpmem_attach
 * @size:  as of xpmem_attach
 * @vaddr: as of xpmem_attach
 * @flags: 0, or XPMEM_ATTACH_POPULATE: map at once what the exporter has there,
 *         so that touches need no faults.  Pages that the exporter has swapped
 *         out are read; those of another partition are asked for.  Best effort:
 *         what cannot be had is no error here, but where it is touched.
 *
 * Errors: as of xpmem_attach, and EINVAL unknown @flags.
 *
 * Return: the address that shows @addr, or (void *)-1.
 */
void *xpmem_attach_flags(struct xpmem_addr addr, size_t size, void *vaddr,
			 int flags);

/**
 * xpmem_detach - unmap an attachment
 * @vaddr: any address inside it
 *
 * Succeeds also when nothing is mapped there, so that it may follow
 * xpmem_release or munmap.  Never touches the memory itself.
 *
 * Errors: EINVAL what is mapped at @vaddr is not an attachment.
 *
 * Return: 0 or -1.
 */
int xpmem_detach(void *vaddr);

/**
 * xpmem_publish - give a segment a name, for xpmem_lookup on any partition
 * @name:  1 to XPMEM_NAME_SIZE - 1 letters and digits of ASCII and the characters
 *         ".", "_", "-", "+", "/"
 * @segid: from xpmem_make of this process; it has no name yet
 *
 * The name is the segment's: it is there until xpmem_unpublish, xpmem_remove,
 * execve or exit of the caller, and at no moment longer than the segment.  It is
 * also the user's who made the segment: other users may have the same name, and
 * so may other partitions.  Nothing is asked of other partitions.
 *
 * Errors: EINVAL @name has another character or none, or @segid is not positive;
 * ENAMETOOLONG; ENOENT this process has no such segment; EBUSY the segment has a
 * name; EEXIST another segment of the same user on this partition has this name;
 * EDQUOT the user has 4096 names here; ENOMEM; ENOTTY the module is older than
 * this library.
 *
 * Return: 0 or -1.
 */
int xpmem_publish(const char *name, xpmem_segid_t segid);

/**
 * xpmem_unpublish - take a name back
 * @name: of a segment of this process
 *
 * The segment remains, and so does what was got and attached.
 *
 * Errors: EINVAL and ENAMETOOLONG as of xpmem_publish; ENOENT no segment of this
 * process has the name; ENOTTY.
 *
 * Return: 0 or -1.
 */
int xpmem_unpublish(const char *name);

/**
 * xpmem_lookup - find a segment by its name
 * @name: [UID:]NAME[@PARTID], both in decimal: as it was published, by anybody
 *        or by user UID, on any partition or on PARTID
 *
 * A segment is found by whoever could get a permit to read it.  Of several of
 * that name the caller's own comes before root's before those of others; then
 * that of this partition before that of the lowest partition id; then that of
 * the lowest user id.  Whoever must not be deceived by a segment of another user
 * gives UID.
 *
 * Asks all partitions with a session at once, unless the caller's own user has
 * the name on this one or PARTID says where to look.  Each has the deadline of
 * its session to answer in (see xpmemd.conf).  Only a signal that kills the
 * caller ends the wait.
 *
 * Errors: EINVAL, ENAMETOOLONG @name is outside what is said above; ENOENT no
 * segment has the name; EACCES some have, and the caller may read none of them;
 * EHOSTUNREACH there is no session with PARTID, or a partition did not answer
 * and no other has the name; ENOMEM; ENOTTY the module is older than this
 * library.
 *
 * Return: the segment's segid, or -1.
 */
xpmem_segid_t xpmem_lookup(const char *name);

/**
 * xpmem_init - open the device
 *
 * Not needed: every other function does it.  Useful to learn early whether
 * xpmem works here.  The library keeps the descriptor, close-on-exec.
 *
 * Return: 0 or -1.
 */
int xpmem_init(void);

/**
 * xpmem_ioctl - call the kernel
 * @cmd: an XPMEM_CMD_*
 * @arg: its structure; stays the caller's
 *
 * Opens the device when that was not done yet or was done by this process'
 * parent.
 *
 * Errors: those of the function that belongs to @cmd; ENOTTY @cmd is none;
 * EFAULT @arg does not point to memory of the caller.
 *
 * Return: what ioctl(2) returns.
 */
int xpmem_ioctl(int cmd, void *arg);

#endif /* __KERNEL__ */

/*
 * The ioctls.  All take a pointer to the structure of their name, except
 * VERSION, which takes nothing and returns the version; the others return 0.
 * Members that the kernel writes are marked "out", and are written only on
 * success.
 */
#define XPMEM_CMD_VERSION _IO('x', 0)
#define XPMEM_CMD_MAKE _IO('x', 1)
#define XPMEM_CMD_REMOVE _IO('x', 2)
#define XPMEM_CMD_GET _IO('x', 3)
#define XPMEM_CMD_RELEASE _IO('x', 4)
#define XPMEM_CMD_ATTACH _IO('x', 5)
#define XPMEM_CMD_DETACH _IO('x', 6)
/* Far from what other xpmem modules may have. */
#define XPMEM_CMD_PUBLISH _IO('x', 0x40)
#define XPMEM_CMD_UNPUBLISH _IO('x', 0x41)
#define XPMEM_CMD_LOOKUP _IO('x', 0x42)

/**
 * struct xpmem_cmd_make - see xpmem_make()
 * @vaddr:        first address
 * @size:         bytes
 * @permit_type:  XPMEM_PERMIT_MODE
 * @permit_value: mode
 * @segid:        out
 */
struct xpmem_cmd_make {
	__u64 vaddr;
	size_t size;
	int permit_type;
	__u64 permit_value;
	xpmem_segid_t segid;
};

/**
 * struct xpmem_cmd_remove - see xpmem_remove()
 * @segid: the segment
 */
struct xpmem_cmd_remove {
	xpmem_segid_t segid;
};

/**
 * struct xpmem_cmd_get - see xpmem_get()
 * @segid:        the segment
 * @flags:        XPMEM_RDONLY or XPMEM_RDWR
 * @permit_type:  XPMEM_PERMIT_MODE
 * @permit_value: ignored
 * @apid:         out
 */
struct xpmem_cmd_get {
	xpmem_segid_t segid;
	int flags;
	int permit_type;
	__u64 permit_value;
	xpmem_apid_t apid;
};

/**
 * struct xpmem_cmd_release - see xpmem_release()
 * @apid: the permit
 */
struct xpmem_cmd_release {
	xpmem_apid_t apid;
};

/**
 * struct xpmem_cmd_attach - see xpmem_attach()
 * @apid:   the permit
 * @offset: bytes from the segment's first address
 * @size:   bytes
 * @vaddr:  where to map, or 0; out: where it is mapped
 * @fd:     ignored
 * @flags:  XPMEM_ATTACH_*, or 0
 */
struct xpmem_cmd_attach {
	xpmem_apid_t apid;
	off_t offset;
	size_t size;
	__u64 vaddr;
	int fd;
	int flags;
};

/**
 * struct xpmem_cmd_detach - see xpmem_detach()
 * @vaddr: any address inside the attachment
 */
struct xpmem_cmd_detach {
	__u64 vaddr;
};

/**
 * struct xpmem_cmd_publish - see xpmem_publish()
 * @segid: the segment
 * @name:  zeros behind it up to the end
 */
struct xpmem_cmd_publish {
	xpmem_segid_t segid;
	char name[XPMEM_NAME_SIZE];
};

/**
 * struct xpmem_cmd_unpublish - see xpmem_unpublish()
 * @name: as of struct xpmem_cmd_publish
 */
struct xpmem_cmd_unpublish {
	char name[XPMEM_NAME_SIZE];
};

/**
 * struct xpmem_cmd_lookup - see xpmem_lookup()
 * @name:   as of struct xpmem_cmd_publish
 * @owner:  user id in the caller's user namespace, or XPMEM_ANYBODY
 * @partid: where to look; 0: everywhere
 * @segid:  out
 */
struct xpmem_cmd_lookup {
	char name[XPMEM_NAME_SIZE];
	__u32 owner;
	__u32 partid;
	xpmem_segid_t segid;
};

#if defined(__LP64__) && !defined(__cplusplus)
#define _XPMEM_ABI(type, member, offset)                                       \
	_Static_assert(offsetof(struct type, member) == (offset),              \
		       "struct " #type " is part of the ABI: " #member)
#define _XPMEM_ABI_SIZE(type, size)                                            \
	_Static_assert(sizeof(struct type) == (size),                          \
		       "struct " #type " is part of the ABI")
_XPMEM_ABI(xpmem_addr, offset, 8);
_XPMEM_ABI_SIZE(xpmem_addr, 16);
_XPMEM_ABI(xpmem_cmd_make, size, 8);
_XPMEM_ABI(xpmem_cmd_make, permit_type, 16);
_XPMEM_ABI(xpmem_cmd_make, permit_value, 24);
_XPMEM_ABI(xpmem_cmd_make, segid, 32);
_XPMEM_ABI_SIZE(xpmem_cmd_make, 40);
_XPMEM_ABI_SIZE(xpmem_cmd_remove, 8);
_XPMEM_ABI(xpmem_cmd_get, flags, 8);
_XPMEM_ABI(xpmem_cmd_get, permit_type, 12);
_XPMEM_ABI(xpmem_cmd_get, permit_value, 16);
_XPMEM_ABI(xpmem_cmd_get, apid, 24);
_XPMEM_ABI_SIZE(xpmem_cmd_get, 32);
_XPMEM_ABI_SIZE(xpmem_cmd_release, 8);
_XPMEM_ABI(xpmem_cmd_attach, offset, 8);
_XPMEM_ABI(xpmem_cmd_attach, size, 16);
_XPMEM_ABI(xpmem_cmd_attach, vaddr, 24);
_XPMEM_ABI(xpmem_cmd_attach, fd, 32);
_XPMEM_ABI(xpmem_cmd_attach, flags, 36);
_XPMEM_ABI_SIZE(xpmem_cmd_attach, 40);
_XPMEM_ABI_SIZE(xpmem_cmd_detach, 8);
_XPMEM_ABI(xpmem_cmd_publish, name, 8);
_XPMEM_ABI_SIZE(xpmem_cmd_publish, 72);
_XPMEM_ABI_SIZE(xpmem_cmd_unpublish, 64);
_XPMEM_ABI(xpmem_cmd_lookup, owner, 64);
_XPMEM_ABI(xpmem_cmd_lookup, partid, 68);
_XPMEM_ABI(xpmem_cmd_lookup, segid, 72);
_XPMEM_ABI_SIZE(xpmem_cmd_lookup, 80);
#undef _XPMEM_ABI
#undef _XPMEM_ABI_SIZE
#endif

#ifdef __cplusplus
}
#endif

#endif /* _XPMEM_H */
