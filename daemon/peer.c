// SPDX-License-Identifier: GPL-2.0-only
/*
 * The other partitions: who connects, when to try again, and what the kernel says of
 * their sessions.  The step before is handshake.c, the step after kernel.c.
 * Invariant: a peer is PEER_UP exactly while the kernel, as far as it told us, has a
 * session with it that goes on; ending the daemon ends none, and starting it only
 * those that are not as configured.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel.h"
#include "peer.h"
#include "settings.h"

#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 5000
/* Until the kernel's sessions are listed again when that failed. */
#define RELEARN_MS 1000

static const struct config *config;
static const struct handshake_local *local;
static void (*peers_changed)(void);
static struct peer *peers;
static struct loop_timer relearn;

static void connect_later(struct peer *peer);

/**
 * peer_first - the peer with the lowest id
 *
 * Return: the peer, whose @next leads to the others; or NULL.
 */
const struct peer *peer_first(void)
{
	return peers;
}

static struct peer *find(uint16_t partid)
{
	struct peer *peer = peers;

	while (peer && peer->config.partid != partid)
		peer = peer->next;
	return peer;
}

/**
 * peer_find - look a peer up
 * @partid: its id
 *
 * Return: the peer, valid until the next callback of the loop; or NULL.
 */
const struct peer *peer_find(uint16_t partid)
{
	return find(partid);
}

/**
 * peer_state_name - a peer's state in words
 * @peer: the peer
 *
 * Return: a constant string.
 */
const char *peer_state_name(const struct peer *peer)
{
	switch (peer->state) {
	case PEER_DOWN:
		return "down";
	case PEER_CONNECTING:
		return "connecting";
	case PEER_UP:
		return "up";
	}
	return "unknown";
}

/* Logs a reason once, however often it comes. */
static void set_reason(struct peer *peer, const char *reason)
{
	if (!strcmp(peer->reason, reason))
		return;
	reason_set(peer->reason, "%s", reason);
	log_warning("partition %u: %s", peer->config.partid, reason);
}

static void set_up(struct peer *peer, uint64_t epoch)
{
	if (peer->state == PEER_UP && peer->epoch == epoch)
		return;
	loop_timer_cancel(&peer->retry);
	if (peer->handshake)
		handshake_destroy(peer->handshake);
	peer->handshake = NULL;
	peer->state = PEER_UP;
	peer->epoch = epoch;
	peer->since = loop_now();
	peer->reason[0] = '\0';
	log_info("partition %u: session up", peer->config.partid);
	peers_changed();
}

static void set_down(struct peer *peer, const char *reason)
{
	bool was_up = peer->state == PEER_UP;

	if (peer->handshake)
		handshake_destroy(peer->handshake);
	peer->handshake = NULL;
	/* A session that is always lost at once must not come back at once. */
	if (was_up && loop_now() - peer->since >= BACKOFF_MAX_MS)
		peer->backoff_ms = BACKOFF_MIN_MS;
	peer->state = PEER_DOWN;
	peer->boot_known = false;
	set_reason(peer, reason);
	connect_later(peer);
	if (was_up)
		peers_changed();
}

/**
 * peer_session_start - hand a finished handshake to the kernel
 * @result: what was agreed; its descriptor is closed here
 *
 * Blocks while the module takes the session over.
 */
void peer_session_start(const struct handshake_result *result)
{
	struct peer *peer = find(result->partid);
	char reason[REASON_SIZE], all[REASON_SIZE];
	struct kernel_session_params params;
	int err;

	if (!peer) {
		close(result->fd);
		return;
	}
	/* The configuration may have been read again meanwhile. */
	if (result->security != peer->config.security) {
		log_warning(
			"partition %u: \"security\" has changed since the connection began; wait, it is tried again",
			result->partid);
		close(result->fd);
		if (peer->state != PEER_UP)
			connect_later(peer);
		return;
	}
	params = (struct kernel_session_params){
		.partid = result->partid,
		.fd = result->fd,
		.epoch = result->epoch,
		.version = result->version,
		.page_size = result->page_size,
		.fabric = peer->config.fabric,
		.window = peer->config.window,
		.boot_id = result->boot_id,
		.heartbeat_ms = config->heartbeat_ms,
		.deadline_ms = config->deadline_ms,
		.security = result->security,
		.uid_min = peer->config.uid_min,
		.uid_max = peer->config.uid_max,
		.root_squash = peer->config.root_squash,
	};
	err = kernel_session_add(&params, reason);
	close(result->fd);
	if (!err) {
		peer->boot_known = true;
		memcpy(peer->boot_id, result->boot_id, sizeof(peer->boot_id));
		set_up(peer, result->epoch);
	} else if (err == -EEXIST) {
		log_warning(
			"partition %u: a new session was dropped, the one of before is up; nothing is to be done",
			result->partid);
		if (peer->state != PEER_UP)
			connect_later(peer);
	} else {
		reason_set(
			all,
			"the kernel refuses the session: %s; see \"What to do when\" in docs/guide.md",
			reason);
		if (peer->state != PEER_UP)
			set_down(peer, all);
	}
}

static void connect_done(void *owner, uint16_t partid,
			 const struct handshake_result *result,
			 const char *reason)
{
	struct peer *peer = owner;

	(void)partid;
	peer->handshake = NULL;
	if (result) {
		peer->state = PEER_DOWN;
		peer_session_start(result);
	} else {
		set_down(peer, reason);
	}
}

static struct handshake_terms terms_of(const struct peer *peer)
{
	return (struct handshake_terms){
		.fabric = (uint16_t)peer->config.fabric,
		.security = peer->config.security,
	};
}

static const struct handshake_ops connect_ops = { .done = connect_done };

static int connect_socket(const struct peer *peer)
{
	const struct config_address *to = &peer->config.address;
	int one = 1, fd;

	fd = socket(to->addr.ss_family,
		    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) ||
	    (connect(fd, (const struct sockaddr *)&to->addr, to->length) &&
	     errno != EINPROGRESS)) {
		int err = errno;

		close(fd);
		errno = err;
		return -1;
	}
	return fd;
}

static void connect_now(struct loop_timer *timer)
{
	struct peer *peer = container_of(timer, struct peer, retry);
	struct handshake_terms terms = terms_of(peer);
	char reason[REASON_SIZE];
	int fd;

	peer->backoff_ms *= 2;
	if (peer->backoff_ms > BACKOFF_MAX_MS)
		peer->backoff_ms = BACKOFF_MAX_MS;
	fd = connect_socket(peer);
	if (fd < 0) {
		reason_set(
			reason,
			"connect: %s; correct its address, or the route to it",
			strerror(errno));
		set_down(peer, reason);
		return;
	}
	peer->handshake = handshake_connect(local, fd, peer->config.partid,
					    &terms, &connect_ops, peer);
	if (!peer->handshake) {
		close(fd);
		connect_later(peer);
		return;
	}
	peer->state = PEER_CONNECTING;
}

static void connect_later(struct peer *peer)
{
	if (settings_connects(config->partid, &peer->config))
		loop_timer_set(&peer->retry, peer->backoff_ms);
}

/**
 * peer_expect - may a session with this partition begin?
 * @owner:  unused
 * @hello:  what a connector says
 * @terms:  filled in: what to agree on with it
 * @reason: REASON_SIZE bytes, filled in when not
 *
 * Return: 0 or -1.
 */
int peer_expect(void *owner, const struct message_hello *hello,
		struct handshake_terms *terms, char *reason)
{
	const struct peer *peer = find(hello->partid);

	(void)owner;
	if (!peer)
		return reason_set(
			reason,
			"partition %u is no peer of partition %u; add it to the configuration there",
			hello->partid, config->partid);
	if (hello->partid > config->partid)
		return reason_set(
			reason,
			"partition %u must not connect to partition %u: the lower id does; correct its partid",
			hello->partid, config->partid);
	if (peer->state == PEER_UP &&
	    (!peer->boot_known ||
	     !memcmp(peer->boot_id, hello->boot_id, sizeof(peer->boot_id))))
		return reason_set(
			reason,
			"partition %u still has a session with partition %u; wait until its deadline has passed",
			config->partid, hello->partid);
	*terms = terms_of(peer);
	return 0;
}

static void session_event(const struct kernel_session *session)
{
	struct peer *peer = find(session->partid);
	char reason[REASON_SIZE];

	if (session->state == XPMEM_SESSION_STATE_UP) {
		if (peer)
			set_up(peer, session->epoch);
	} else if (peer && peer->state == PEER_UP &&
		   peer->epoch == session->epoch) {
		/* Closing counts as well: a new one may follow at once. */
		reason_set(reason, "session lost: %s; see xpmemctl quarantine",
			   session->reason);
		set_down(peer, reason);
	} else {
		/* An old one: its pages may be in quarantine since now. */
		peers_changed();
	}
}

/*
 * The session of a peer that is gone from the configuration, or changed.  Returns
 * whether one is being closed now.
 */
static bool end_session(uint16_t partid)
{
	char reason[REASON_SIZE];
	int err = kernel_session_del(partid, reason);

	if (!err || err == -ENOENT)
		return !err;
	log_error(
		"partition %u: cannot close its session: %s; wait, it is tried again",
		partid, reason);
	loop_timer_set(&relearn, RELEARN_MS);
	return false;
}

/* Partitions with which there is a session, and which are no peers: bits by id. */
struct strangers {
	uint8_t bits[(UINT16_MAX + 1) / 8];
};

static void learn_session(const struct kernel_session *session, void *arg)
{
	struct peer *peer = find(session->partid);
	struct strangers *strangers = arg;

	if (session->state != XPMEM_SESSION_STATE_UP)
		return;
	if (!peer) {
		strangers->bits[session->partid / 8] |=
			(uint8_t)(1u << session->partid % 8);
		return;
	}
	peer->kept = true;
	peer->outdated =
		!settings_match(config->partid, &peer->config, session);
	if (!peer->outdated)
		set_up(peer, session->epoch);
}

/* They were peers, and the configuration changed while nobody read it. */
static void end_strangers(const struct strangers *strangers)
{
	unsigned int id;

	for (id = 0; id <= UINT16_MAX; id++) {
		if (!(strangers->bits[id / 8] & 1u << id % 8) ||
		    !end_session((uint16_t)id))
			continue;
		log_warning(
			"partition %u: is no peer, its session is closed; add it to the configuration if it should have one",
			id);
	}
}

/*
 * Makes every peer's state what the kernel says.  A session that began with other
 * settings than there are now is closed, and does not count any more: the kernel takes
 * a new one once it has ended.  That of a partition that is no peer is closed, too.
 * So a daemon that starts comes to what peer_reload() comes to.  Returns 0 or -1.
 */
static int learn_sessions(void)
{
	struct strangers strangers = {};
	char reason[REASON_SIZE];
	struct peer *peer;

	for (peer = peers; peer; peer = peer->next)
		peer->kept = peer->outdated = false;
	if (kernel_session_each(learn_session, &strangers, reason)) {
		log_error("cannot list the kernel's sessions: %s; see dmesg",
			  reason);
		return -1;
	}
	for (peer = peers; peer; peer = peer->next) {
		if (!peer->kept && peer->state == PEER_UP)
			set_down(peer, "session lost; see xpmemctl quarantine");
		if (!peer->outdated)
			continue;
		set_down(
			peer,
			"the session began with another address, window, security, uids or root-squash; wait until it is closed and a new one is up");
		end_session(peer->config.partid);
	}
	end_strangers(&strangers);
	return 0;
}

/* What was missed may be that a session was lost: nobody tells it again. */
static void events_missed(void)
{
	if (learn_sessions())
		loop_timer_set(&relearn, RELEARN_MS);
	peers_changed();
}

static void relearn_fire(struct loop_timer *timer)
{
	(void)timer;
	events_missed();
}

static const struct kernel_events_ops events_ops = {
	.session = session_event,
	.missed = events_missed,
};

static struct peer *peer_create(const struct config_peer *from)
{
	struct peer **at = &peers, *peer = calloc(1, sizeof(*peer));

	if (!peer) {
		log_error("no memory for peer %u; free some", from->partid);
		return NULL;
	}
	peer->config = *from;
	peer->state = PEER_DOWN;
	peer->backoff_ms = BACKOFF_MIN_MS;
	peer->retry.fire = connect_now;
	reason_set(peer->reason, "not heard of yet");
	while (*at && (*at)->config.partid < from->partid)
		at = &(*at)->next;
	peer->next = *at;
	*at = peer;
	return peer;
}

static void peer_destroy(struct peer *peer)
{
	struct peer **at = &peers;

	while (*at != peer)
		at = &(*at)->next;
	*at = peer->next;
	loop_timer_cancel(&peer->retry);
	if (peer->handshake)
		handshake_destroy(peer->handshake);
	free(peer);
}

/**
 * peer_init - know the peers, learn what the kernel has, and connect
 * @conf:    must outlive peer_exit() or be replaced by peer_reload()
 * @self:    this side; must outlive peer_exit()
 * @changed: called when a peer's session came up or was lost
 *
 * Return: 0, or -1 after logging why.
 */
int peer_init(const struct config *conf, const struct handshake_local *self,
	      void (*changed)(void))
{
	char reason[REASON_SIZE];
	struct peer *peer;
	size_t i;

	config = conf;
	local = self;
	peers_changed = changed;
	relearn.fire = relearn_fire;
	for (i = 0; i < conf->npeers; i++) {
		if (!peer_create(&conf->peers[i]))
			goto destroy_peers;
	}
	/* First listen, then look: what changes in between is heard. */
	if (kernel_events_init(&events_ops, reason)) {
		log_error("%s", reason);
		goto destroy_peers;
	}
	if (learn_sessions())
		goto exit_events;
	for (peer = peers; peer; peer = peer->next) {
		if (peer->state == PEER_DOWN)
			connect_later(peer);
	}
	return 0;

exit_events:
	kernel_events_exit();
destroy_peers:
	while (peers)
		peer_destroy(peers);
	return -1;
}

/**
 * peer_exit - forget the peers
 *
 * The kernel's sessions stay: what is attached is not disturbed.
 */
void peer_exit(void)
{
	kernel_events_exit();
	loop_timer_cancel(&relearn);
	while (peers)
		peer_destroy(peers);
}

/**
 * peer_reload - change the peers to those of another configuration
 * @conf: takes the place of the one before, which is not used any more
 *
 * A peer that stays as it was is not disturbed.  The session of one that is
 * gone is closed, and of one that changed closed and made anew: the kernel
 * takes the new one once the old one has ended.
 *
 * Return: 0, or -1 after logging that some peer could not be added.
 */
int peer_reload(const struct config *conf)
{
	struct peer *peer, *next;
	int ret = 0;
	size_t i;

	config = conf;
	for (peer = peers; peer; peer = peer->next)
		peer->kept = false;
	for (i = 0; i < conf->npeers; i++) {
		peer = find(conf->peers[i].partid);
		if (!peer || !settings_same(conf->partid, &peer->config,
					    &conf->peers[i]))
			continue;
		peer->kept = true;
		peer->config = conf->peers[i];
	}
	for (peer = peers; peer; peer = next) {
		next = peer->next;
		if (peer->kept)
			continue;
		end_session(peer->config.partid);
		peer_destroy(peer);
	}
	for (i = 0; i < conf->npeers; i++) {
		if (find(conf->peers[i].partid))
			continue;
		peer = peer_create(&conf->peers[i]);
		if (peer)
			connect_later(peer);
		else
			ret = -1;
	}
	peers_changed();
	return ret;
}
