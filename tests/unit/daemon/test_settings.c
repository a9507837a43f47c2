// SPDX-License-Identifier: GPL-2.0-only
/* Which changes of a peer's configuration end its session: at a reload and a start. */
#include <arpa/inet.h>
#include <string.h>

#include "settings.h"
#include "test.h"

static struct config_peer peer;
static struct kernel_session session;

static void set_address(struct config_address *address, const char *text,
			uint16_t port)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address->addr;
	struct sockaddr_in *v4 = (struct sockaddr_in *)&address->addr;

	memset(address, 0, sizeof(*address));
	if (strchr(text, ':')) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
		address->length = sizeof(*v6);
	} else {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		assert_int_equal(inet_pton(AF_INET, text, &v4->sin_addr), 1);
		address->length = sizeof(*v4);
	}
}

/* Partition 4, and what the module says of a session with it. */
static int setup(void **state)
{
	(void)state;
	peer = (struct config_peer){
		.partid = 4,
		.fabric = XPMEM_FABRIC_WINDOW,
		.window = "0000:00:05.0",
		.security = XPMEM_SECURITY_TLS,
		.uid_min = 1000,
		.uid_max = 2000,
		.root_squash = true,
	};
	set_address(&peer.address, "192.0.2.4", 7760);
	session = (struct kernel_session){
		.partid = 4,
		.window = "0000:00:05.0",
		.security = XPMEM_SECURITY_TLS,
		.uid_min = 1000,
		.uid_max = 2000,
		.root_squash = 1,
		.address = peer.address.addr,
		.address_length = peer.address.length,
	};
	return 0;
}

/* @changed is as the session of before or not, for partition @self. */
static void expect(uint16_t self, const struct config_peer *changed, bool same)
{
	assert_int_equal(settings_match(self, changed, &session), same);
	assert_int_equal(settings_same(self, &peer, changed), same);
	assert_int_equal(settings_same(self, changed, &peer), same);
}

#define CHANGED(self, same, change)              \
	do {                                     \
		struct config_peer other = peer; \
                                                 \
		change;                          \
		expect((self), &other, (same));  \
	} while (0)

static void test_changes(void **state)
{
	static const uint16_t selves[] = { 3, 5 };
	unsigned int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		CHANGED(selves[i], true, (void)0);
		CHANGED(selves[i], true, other.line = 9);
		CHANGED(selves[i], true, strcpy(other.fence_options, "a=1\n"));
		CHANGED(selves[i], false, strcpy(other.window, "0000:00:05.1"));
		CHANGED(selves[i], false, strcpy(other.window, "0001:00:05.0"));
		CHANGED(selves[i], false,
			other.security = XPMEM_SECURITY_PLAIN);
		CHANGED(selves[i], false, other.uid_min++);
		CHANGED(selves[i], false, other.uid_max++);
		CHANGED(selves[i], false, other.root_squash = false);
	}
}

/* It counts only where this side connects: the lower of two. */
static void test_address(void **state)
{
	static const struct {
		const char *text;
		uint16_t port;
	} others[] = {
		{ "192.0.2.4", 7761 },
		{ "192.0.2.5", 7760 },
		{ "::ffff:192.0.2.4", 7760 },
		{ "2001:db8::4", 7760 },
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		CHANGED(3, false,
			set_address(&other.address, others[i].text,
				    others[i].port));
		CHANGED(5, true,
			set_address(&other.address, others[i].text,
				    others[i].port));
	}
}

static void test_address_ipv6(void **state)
{
	(void)state;
	set_address(&peer.address, "2001:db8::4", 7760);
	session.address = peer.address.addr;
	session.address_length = peer.address.length;
	CHANGED(3, true, (void)0);
	CHANGED(3, false, set_address(&other.address, "2001:db8::5", 7760));
	CHANGED(3, false, set_address(&other.address, "2001:db8::4", 7761));
	CHANGED(3, false, set_address(&other.address, "192.0.2.4", 7760));
	/* An address that no socket is connected to is not compared. */
	set_address(&peer.address, "::", 7760);
	assert_true(settings_match(3, &peer, &session));
}

/* What it does not say is no reason to end what it has. */
static void test_older_modules(void **state)
{
	(void)state;
	session.address_length = 0;
	session.window[0] = '\0';
	assert_true(settings_match(3, &peer, &session));
	session.uid_min++;
	assert_false(settings_match(3, &peer, &session));
	session.security = 0;
	assert_true(settings_match(3, &peer, &session));
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_changes),
		TEST(test_address),
		TEST(test_address_ipv6),
		TEST(test_older_modules),
	};

	return cmocka_run_group_tests_name("settings", tests, NULL, NULL);
}
