// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The library: opens the device once per process and turns each call into one
 * ioctl.  The step before is the program, the step after kernel/xpmem/dev.c.
 * Invariant: a descriptor is used only by the address space that opened it.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <unistd.h>

#include <xpmem.h>

/*
 * How often this process and its ancestors opened the device, and the
 * descriptor, which keeps its number from the first time on.  Written under
 * device_lock, the descriptor first, and read the other way round: who sees a
 * count sees its descriptor.
 */
static atomic_uint device_opens;
static atomic_int device_fd = -1;
static pthread_mutex_t device_lock = PTHREAD_MUTEX_INITIALIZER;

/*
 * A fork while another thread holds the lock would leave it locked in the
 * child for good.
 */
static void fork_prepare(void)
{
	pthread_mutex_lock(&device_lock);
}

static void fork_done(void)
{
	pthread_mutex_unlock(&device_lock);
}

__attribute__((constructor)) static void fork_watch(void)
{
	pthread_atfork(fork_prepare, fork_done, fork_done);
}

/*
 * device_open - open the device unless another thread did
 * @seen: device_opens when the caller found that it has to be opened
 *
 * A descriptor that a parent opened is replaced under its own number: another
 * thread may be about to use it, and must not find a stranger's file there.
 *
 * Returns 0, or -1 with errno from open(2).
 */
static int device_open(unsigned int seen)
{
	int opened, fd, ret = -1;

	pthread_mutex_lock(&device_lock);
	if (atomic_load(&device_opens) != seen) {
		ret = 0;
		goto unlock;
	}
	opened = open(XPMEM_DEV_PATH, O_RDWR | O_CLOEXEC);
	if (opened < 0)
		goto unlock;
	fd = atomic_load(&device_fd);
	if (fd < 0) {
		atomic_store(&device_fd, opened);
		ret = 0;
	} else {
		ret = dup3(opened, fd, O_CLOEXEC) < 0 ? -1 : 0;
		close(opened);
	}
	if (!ret)
		atomic_store(&device_opens, seen + 1);
unlock:
	pthread_mutex_unlock(&device_lock);
	return ret;
}

int xpmem_init(void)
{
	return atomic_load(&device_opens) ? 0 : device_open(0);
}

int xpmem_ioctl(int cmd, void *arg)
{
	unsigned int seen = atomic_load(&device_opens);
	int ret;

	if (!seen) {
		if (device_open(0))
			return -1;
		seen = atomic_load(&device_opens);
	}
	ret = ioctl(atomic_load(&device_fd), (unsigned int)cmd, arg);
	if (ret != -1 || errno != XPMEM_ERRNO_NOPROC)
		return ret;
	if (device_open(seen))
		return -1;
	return ioctl(atomic_load(&device_fd), (unsigned int)cmd, arg);
}

int xpmem_version(void)
{
	return xpmem_ioctl(XPMEM_CMD_VERSION, NULL);
}

xpmem_segid_t xpmem_make(void *vaddr, size_t size, int permit_type,
			 void *permit_value)
{
	struct xpmem_cmd_make cmd = {
		.vaddr = (uintptr_t)vaddr,
		.size = size,
		.permit_type = permit_type,
		.permit_value = (uintptr_t)permit_value,
	};

	return xpmem_ioctl(XPMEM_CMD_MAKE, &cmd) < 0 ? -1 : cmd.segid;
}

int xpmem_remove(xpmem_segid_t segid)
{
	struct xpmem_cmd_remove cmd = { .segid = segid };

	return xpmem_ioctl(XPMEM_CMD_REMOVE, &cmd);
}

xpmem_apid_t xpmem_get(xpmem_segid_t segid, int flags, int permit_type,
		       void *permit_value)
{
	struct xpmem_cmd_get cmd = {
		.segid = segid,
		.flags = flags,
		.permit_type = permit_type,
		.permit_value = (uintptr_t)permit_value,
	};

	return xpmem_ioctl(XPMEM_CMD_GET, &cmd) < 0 ? -1 : cmd.apid;
}

int xpmem_release(xpmem_apid_t apid)
{
	struct xpmem_cmd_release cmd = { .apid = apid };

	return xpmem_ioctl(XPMEM_CMD_RELEASE, &cmd);
}

void *xpmem_attach_flags(struct xpmem_addr addr, size_t size, void *vaddr,
			 int flags)
{
	struct xpmem_cmd_attach cmd = {
		.apid = addr.apid,
		.offset = addr.offset,
		.size = size,
		.vaddr = (uintptr_t)vaddr,
		.fd = -1,
		.flags = flags,
	};

	if (xpmem_ioctl(XPMEM_CMD_ATTACH, &cmd) < 0)
		return (void *)-1;
	return (void *)(uintptr_t)cmd.vaddr;
}

void *xpmem_attach(struct xpmem_addr addr, size_t size, void *vaddr)
{
	return xpmem_attach_flags(addr, size, vaddr, 0);
}

int xpmem_detach(void *vaddr)
{
	struct xpmem_cmd_detach cmd = { .vaddr = (uintptr_t)vaddr };

	return xpmem_ioctl(XPMEM_CMD_DETACH, &cmd);
}
