// SPDX-License-Identifier: GPL-2.0-only
/*
 * A UCX program that checks every byte: two processes, tagged messages of many
 * sizes in both directions at once, and puts and gets of registered memory.
 * Which transports, UCX_TLS says. Prints how many bytes were right and what
 * the module held meanwhile; exits 1 when a byte was wrong.
 *
 * --flip: one side sends one wrong byte, to show that it is noticed.
 */
#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <ucp/api/ucp.h>
#include <unistd.h>

#include "bytes.h"

#define KIB 1024UL
#define MIB (1024 * KIB)
#define MAX (4 * MIB)
#define WINDOW MIB

/* Around what is sent at once, in pieces, and by rendezvous. */
static const size_t sizes[] = { 1,    7,     92,     101,     1000, 4096,
				8257, 65537, 200001, MIB + 3, MAX };
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

struct sums {
	uint64_t verified;
	uint64_t wrong;
};

static int side; /* 0 or 1 */
static bool flip;
static int peer; /* socket to the other side */
static struct sums sums;
static ucp_context_h context;
static ucp_worker_h worker;
static ucp_ep_h ep;
static unsigned char *out, *in;

static void die(const char *what, const char *why)
{
	fprintf(stderr, "ucp: side %d: %s: %s\n", side, what, why);
	exit(2);
}

static void need(ucs_status_t status, const char *what)
{
	if (status != UCS_OK)
		die(what, ucs_status_string(status));
}

static unsigned char *map(void *at, size_t size)
{
	unsigned char *mem = mmap(at, size, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS |
					  (at ? MAP_FIXED_NOREPLACE : 0),
				  -1, 0);

	if (mem == MAP_FAILED)
		die("mmap", strerror(errno));
	return mem;
}

static uint64_t seed_of(int from, size_t size, int round)
{
	return ((uint64_t)round << 48) ^ ((uint64_t)from << 40) ^ size;
}

static void check(const char *what, const void *got, size_t size, uint64_t seed)
{
	size_t bad = bytes_wrong(got, size, seed);

	sums.verified += size;
	if (!bad)
		return;
	printf("# side %d: %s: %zu bytes are wrong\n", side, what, bad);
	sums.wrong += bad;
}

static void progress(void)
{
	if (!ucp_worker_progress(worker))
		sched_yield();
}

/* Writes to the other side; what is written here is always small. */
static void tell(const void *what, size_t size)
{
	if (send(peer, what, size, 0) != (ssize_t)size)
		die("send", strerror(errno));
}

/* Reads from the other side, and meanwhile answers what it asks of UCX. */
static void hear(void *what, size_t size)
{
	for (size_t got = 0; got < size; progress()) {
		ssize_t n = recv(peer, (char *)what + got, size - got,
				 MSG_DONTWAIT);

		if (n > 0)
			got += n;
		else if (n == 0)
			die("the other side", "ended early");
		else if (errno != EAGAIN && errno != EINTR)
			die("recv", strerror(errno));
	}
}

static void meet(void)
{
	char word = 0;

	tell(&word, 1);
	hear(&word, 1);
}

static void wait_for(ucs_status_ptr_t request, const char *what)
{
	ucs_status_t status;

	if (!request)
		return;
	if (UCS_PTR_IS_ERR(request))
		need(UCS_PTR_STATUS(request), what);
	while ((status = ucp_request_check_status(request)) == UCS_INPROGRESS)
		progress();
	ucp_request_free(request);
	need(status, what);
}

/* Tells the other side a blob and hears its own; the caller frees it. */
static void *swap_blobs(const void *mine, size_t size, size_t *theirs_size)
{
	void *theirs;

	tell(&size, sizeof(size));
	tell(mine, size);
	hear(theirs_size, sizeof(*theirs_size));
	theirs = malloc(*theirs_size);
	if (!theirs)
		die("malloc", strerror(errno));
	hear(theirs, *theirs_size);
	return theirs;
}

static void connect_sides(void)
{
	ucp_params_t params = {
		.field_mask = UCP_PARAM_FIELD_FEATURES,
		.features = UCP_FEATURE_TAG | UCP_FEATURE_RMA,
	};
	ucp_worker_params_t worker_params = { .field_mask = 0 };
	ucp_ep_params_t ep_params = {
		.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS,
	};
	ucp_address_t *mine;
	size_t size;
	void *theirs;

	need(ucp_init(&params, NULL, &context), "ucp_init");
	need(ucp_worker_create(context, &worker_params, &worker),
	     "ucp_worker_create");
	need(ucp_worker_get_address(worker, &mine, &size),
	     "ucp_worker_get_address");
	theirs = swap_blobs(mine, size, &size);
	ucp_worker_release_address(worker, mine);
	ep_params.address = theirs;
	need(ucp_ep_create(worker, &ep_params, &ep), "ucp_ep_create");
	free(theirs);
}

static void disconnect_sides(void)
{
	ucp_request_param_t param = { .op_attr_mask = 0 };

	meet();
	wait_for(ucp_ep_close_nbx(ep, &param), "ucp_ep_close_nbx");
	meet();
	ucp_worker_destroy(worker);
	ucp_cleanup(context);
}

/* One message each way, both at once. */
static void exchange(unsigned char *from, size_t size, int round)
{
	ucp_request_param_t param = { .op_attr_mask = 0 };
	unsigned char *to = in + size % 13;
	ucs_status_ptr_t sending, receiving;

	bytes_fill(from, size, seed_of(side, size, round));
	if (flip && side == 1 && size == MAX)
		from[size / 2] ^= 1, flip = false;
	memset(to, 0, size);
	receiving = ucp_tag_recv_nbx(worker, to, size, round, -1, &param);
	sending = ucp_tag_send_nbx(ep, from, size, round, &param);
	wait_for(sending, "ucp_tag_send_nbx");
	wait_for(receiving, "ucp_tag_recv_nbx");
	check("exchange", to, size, seed_of(!side, size, round));
}

static void exchanges(void)
{
	for (size_t i = 0; i < SIZES; i++)
		exchange(out + sizes[i] % 11, sizes[i], i + 1);
}

/* Nobody tells a receiver that the sender's pages are others now. */
static void remapped(void)
{
	unsigned char *from = map(NULL, MIB);

	for (int round = 100; round < 106; round++) {
		exchange(from, MIB, round);
		meet();
		munmap(from, MIB);
		from = map(from, MIB);
	}
	munmap(from, MIB);
}

/* The first half of a window is put by the other side, the second is got. */
static void one_sided(void)
{
	ucp_request_param_t param = { .op_attr_mask = 0 };
	ucp_mem_map_params_t map_params = {
		.field_mask = UCP_MEM_MAP_PARAM_FIELD_ADDRESS |
			      UCP_MEM_MAP_PARAM_FIELD_LENGTH,
		.length = WINDOW,
	};
	unsigned char *window = map(NULL, WINDOW);
	uint64_t remote = (uintptr_t)window;
	size_t half = WINDOW / 2, size;
	void *mine, *theirs;
	ucp_mem_h memory;
	ucp_rkey_h rkey;

	map_params.address = window;
	need(ucp_mem_map(context, &map_params, &memory), "ucp_mem_map");
	need(ucp_rkey_pack(context, memory, &mine, &size), "ucp_rkey_pack");
	theirs = swap_blobs(mine, size, &size);
	ucp_rkey_buffer_release(mine);
	tell(&remote, sizeof(remote));
	hear(&remote, sizeof(remote));
	need(ucp_ep_rkey_unpack(ep, theirs, &rkey), "ucp_ep_rkey_unpack");
	free(theirs);

	bytes_fill(window + half, half, seed_of(side, half, 200));
	bytes_fill(out, half, seed_of(side, half, 201));
	meet();
	wait_for(ucp_put_nbx(ep, out, half, remote, rkey, &param), "put");
	wait_for(ucp_get_nbx(ep, in, half, remote + half, rkey, &param), "get");
	wait_for(ucp_ep_flush_nbx(ep, &param), "flush");
	meet();
	check("get", in, half, seed_of(!side, half, 200));
	check("put", window, half, seed_of(!side, half, 201));
	ucp_rkey_destroy(rkey);
	meet();
	need(ucp_mem_unmap(context, memory), "ucp_mem_unmap");
	munmap(window, WINDOW);
}

static void run(void)
{
	struct sums theirs;

	out = map(NULL, MAX + KIB);
	in = map(NULL, MAX + KIB);
	connect_sides();
	exchanges();
	meet();
	if (side == 0)
		module_print();
	remapped();
	one_sided();
	tell(&sums, sizeof(sums));
	hear(&theirs, sizeof(theirs));
	disconnect_sides();
	if (side == 0)
		printf("verified=%llu wrong=%llu\n",
		       (unsigned long long)(sums.verified + theirs.verified),
		       (unsigned long long)(sums.wrong + theirs.wrong));
}

int main(int argc, char **argv)
{
	int sockets[2], status;
	pid_t child;

	flip = argc > 1 && !strcmp(argv[1], "--flip");
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets))
		die("socketpair", strerror(errno));
	child = fork();
	if (child < 0)
		die("fork", strerror(errno));
	side = child == 0;
	peer = sockets[side];
	close(sockets[!side]);
	run();
	fflush(stdout);
	if (side)
		return sums.wrong ? 1 : 0;
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
		die("the other side", "was killed");
	return sums.wrong || WEXITSTATUS(status) ? 1 : 0;
}
