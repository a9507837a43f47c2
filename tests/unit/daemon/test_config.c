// SPDX-License-Identifier: GPL-2.0-only
/* The configuration file: what is read, and each thing that can be wrong. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "test.h"

#define HEAD "partid 1\nlisten 10.77.0.1 7760\n"
#define PEER_AT(id, address, window)         \
	"peer " #id " {\n"                   \
	"\taddress 10.77.0." address "\n"    \
	"\tfabric window\n"                  \
	"\twindow pci 0000:00:0" window "\n" \
	"}\n"
#define PEER(id) PEER_AT(id, #id " 7760", #id ".0")

static char error[CONFIG_ERROR_SIZE];

static int parse(struct config *config, const char *text)
{
	char *copy = strdup(text);
	int ret;

	error[0] = '\0';
	ret = config_parse(config, "file", copy, error);
	free(copy);
	return ret;
}

static void test_complete(void **state)
{
	const struct sockaddr_in *addr;
	struct config config;

	(void)state;
	assert_int_equal(parse(&config, "# all there is\n"
					"  partid 1  # this one\n"
					"listen ::1 7760\n"
					"control \"/run/a b\"\n"
					"heartbeat 100\n"
					"deadline 2000\n"
					"fence-command \"/bin/true\"\n"
					"fence-options a=1 \"b=x y\"\n"
					"fence-auto yes\n"
					"fence-delay 3\n"
					"fence-timeout 7\n"
					"munge-socket /run/munge/x\n"
					"auth-uid 0\n"
					"security plain\n"
					"\n" PEER(2) PEER(3)),
			 0);
	assert_int_equal(config.partid, 1);
	assert_int_equal(config.listen.addr.ss_family, AF_INET6);
	assert_string_equal(config.control, "/run/a b");
	assert_string_equal(config.munge_socket, "/run/munge/x");
	assert_string_equal(config.fence_command, "/bin/true");
	assert_string_equal(config.fence_options, "a=1\nb=x y\n");
	assert_true(config.fence_auto);
	assert_int_equal(config.fence_delay_ms, 3000);
	assert_int_equal(config.fence_timeout_ms, 7000);
	assert_int_equal(config.heartbeat_ms, 100);
	assert_int_equal(config.deadline_ms, 2000);
	assert_int_equal(config.npeers, 2);
	assert_int_equal(config.peers[1].security, XPMEM_SECURITY_PLAIN);
	assert_int_equal(config.peers[1].partid, 3);
	assert_string_equal(config.peers[1].window, "0000:00:03.0");
	assert_int_equal(config.peers[1].fabric, XPMEM_FABRIC_WINDOW);
	addr = (const struct sockaddr_in *)&config.peers[1].address.addr;
	assert_int_equal(ntohs(addr->sin_port), 7760);
	config_free(&config);
	assert_int_equal(config.npeers, 0);
}

static void test_defaults(void **state)
{
	struct config config;

	(void)state;
	assert_int_equal(parse(&config, HEAD), 0);
	assert_string_equal(config.control, CONFIG_CONTROL);
	assert_int_equal(config.heartbeat_ms, 500);
	assert_int_equal(config.deadline_ms, 10000);
	assert_int_equal(config.auth_uid, 0);
	assert_string_equal(config.fence_command, "");
	assert_string_equal(config.fence_options, "");
	assert_false(config.fence_auto);
	assert_int_equal(config.fence_delay_ms, 0);
	assert_int_equal(config.fence_timeout_ms, 60000);
	config_free(&config);
}

/* A peer's own word counts; where it has none, the word for all. */
static void test_security(void **state)
{
	struct config config;

	(void)state;
	assert_int_equal(parse(&config, HEAD PEER(2)), 0);
	assert_int_equal(config.peers[0].security, XPMEM_SECURITY_TLS);
	config_free(&config);
	assert_int_equal(parse(&config,
			       HEAD "peer 2 {\nsecurity plain\n"
				    "address 10.77.0.2 7760\nfabric window\n"
				    "window pci 0000:00:02.0\n}\n" PEER(3)),
			 0);
	assert_int_equal(config.peers[0].security, XPMEM_SECURITY_PLAIN);
	assert_int_equal(config.peers[1].security, XPMEM_SECURITY_TLS);
	config_free(&config);
	assert_int_equal(parse(&config,
			       HEAD "peer 2 {\nsecurity tls\n"
				    "address 10.77.0.2 7760\nfabric window\n"
				    "window pci 0000:00:02.0\n}\n" PEER(
					    3) "security plain\n"),
			 0);
	assert_int_equal(config.peers[0].security, XPMEM_SECURITY_TLS);
	assert_int_equal(config.peers[1].security, XPMEM_SECURITY_PLAIN);
	config_free(&config);
}

static void test_users(void **state)
{
	struct config config;

	(void)state;
	assert_int_equal(parse(&config,
			       HEAD "peer 2 {\nuids 1-4294967294\n"
				    "root-squash no\n"
				    "address 10.77.0.2 7760\nfabric window\n"
				    "window pci 0000:00:02.0\n}\n"
				    "peer 4 {\nuids 70000-70000\n"
				    "root-squash yes\n"
				    "address 10.77.0.4 7760\nfabric window\n"
				    "window pci 0000:00:04.0\n}\n" PEER(3)),
			 0);
	assert_int_equal(config.peers[0].uid_min, 1);
	assert_int_equal(config.peers[0].uid_max, 4294967294);
	assert_false(config.peers[0].root_squash);
	assert_int_equal(config.peers[1].uid_min, 70000);
	assert_int_equal(config.peers[1].uid_max, 70000);
	assert_true(config.peers[1].root_squash);
	assert_int_equal(config.peers[2].uid_min, 1000);
	assert_int_equal(config.peers[2].uid_max, 60000);
	assert_true(config.peers[2].root_squash);
	config_free(&config);
}

static const struct {
	const char *text;
	const char *error;
} wrong[] = {
	{ "", "file:1: no partid; add" },
	{ "partid 1\n", "file:1: no listen; add" },
	{ "partid 0\n", "file:1: partid is \"0\"; give a number from 1" },
	{ "partid 32768\n", "file:1: partid is \"32768\"" },
	{ "partid -1\n", "file:1: partid is \"-1\"" },
	{ "partid 1x\n", "file:1: partid is \"1x\"" },
	{ "partid\n", "file:1: partid has 0 values; write \"partid ID\"" },
	{ "partid 1 2\n", "file:1: partid has 2 values" },
	{ "partid 1\npartid 1\n", "file:2: partid is given twice" },
	{ "\nlisten p1 7760\n", "file:2: \"p1\" is no address; give" },
	{ "listen 1.2.3.4 0\n", "file:1: listen is \"0\"" },
	{ "listen 1.2.3.4 65536\n", "file:1: listen is \"65536\"" },
	{ "control run\n", "file:1: control is \"run\"; give a path" },
	{ "control \"/a\n", "file:1: a quoted word has no end; add" },
	{ "fence-command /no/such\n", "cannot be run (No such file" },
	{ "fence-options\n", "has 0 values; write \"fence-options KEY=" },
	{ "fence-options a\n", "file:1: fence-options has \"a\"; write KEY" },
	{ "fence-options =a\n", "fence-options has \"=a\"; write KEY" },
	{ "fence-options x=1 Action=on\n", "has an action; remove it" },
	{ "fence-options option=on\n", "has an action; remove it" },
	{ "fence-auto 1\n", "fence-auto is \"1\"; give yes or no" },
	{ "fence-auto yes no\n", "fence-auto has 2 values" },
	{ "fence-delay -1\n", "fence-delay is \"-1\"; give a number" },
	{ "fence-delay 3601\n", "fence-delay is \"3601\"; give a number" },
	{ "fence-timeout 0\n", "fence-timeout is \"0\"; give a number" },
	{ HEAD "fence-auto yes\n", "without a fence-command; add it" },
	{ "peer 2 {\nfence-auto yes\n", "is not known in a peer" },
	{ "peer 2 {\nfence-options x\n", "file:2: fence-options has \"x\"" },
	{ "heartbeat 9\n", "file:1: heartbeat is \"9\"" },
	{ HEAD "deadline 1499\n", "under three heartbeats of 500 ms; raise" },
	{ "security none\n", "file:1: security \"none\" is not known; use" },
	{ "security\n", "security has 0 values; write \"security tls|plain\"" },
	{ "security tls\nsecurity tls\n", "file:2: security is given twice" },
	{ "peer 2 {\nsecurity ssl\n", "file:2: security \"ssl\" is not known" },
	{ "uids 1-2\n", "file:1: \"uids\" is not known here" },
	{ "root-squash no\n", "\"root-squash\" is not known here" },
	{ "peer 2 {\nuids\n", "uids has 0 values; write \"uids FIRST-LAST\"" },
	{ "peer 2 {\nuids 1000\n", "file:2: uids is \"1000\"; give FIRST" },
	{ "peer 2 {\nuids 0-10\n", "file:2: uids is \"0-10\"" },
	{ "peer 2 {\nuids 5-4\n", "file:2: uids is \"5-4\"" },
	{ "peer 2 {\nuids -5-4\n", "file:2: uids is \"-5-4\"" },
	{ "peer 2 {\nuids 1--4\n", "file:2: uids is \"1--4\"" },
	{ "peer 2 {\nuids 1-+4\n", "file:2: uids is \"1-+4\"" },
	{ "peer 2 {\nuids 1-2x\n", "file:2: uids is \"1-2x\"" },
	{ "peer 2 {\nuids 1-2-3\n", "file:2: uids is \"1-2-3\"" },
	{ "peer 2 {\nuids \"1 - 2\"\n", "file:2: uids is \"1 - 2\"" },
	{ "peer 2 {\nuids 1-4294967295\n", "from 1 to 4294967294" },
	{ "peer 2 {\nuids 1-99999999999999999999\n", "from 1 to 4294967294" },
	{ "peer 2 {\nuids 1-2\nuids 1-2\n", "file:3: uids is given twice" },
	{ "peer 2 {\nroot-squash\n", "root-squash has 0 values; write" },
	{ "peer 2 {\nroot-squash 0\n", "is \"0\"; give yes or no" },
	{ "colour red\n", "file:1: \"colour\" is not known here; see" },
	{ "address 1.2.3.4 1\n", "file:1: \"address\" is not known here" },
	{ "a b c d e f g h i j k l m n o p q r s t u v w x y z 1 2 3 4 5 6 7\n",
	  "file:1: too many words" },
	{ "}\n", "file:1: \"}\" ends nothing; remove" },
	{ "peer 2\n", "file:1: peer has 1 values; write \"peer ID {\"" },
	{ "peer 2 (\n", "file:1: \"(\" follows the peer's id; start" },
	{ "peer 0 {\n", "file:1: peer is \"0\"" },
	{ "peer 2 {\n} x\n", "file:2: \"x\" follows \"}\"; put it" },
	{ "peer 2 {\npeer 3 {\n", "file:2: peer in a peer; end the block" },
	{ "peer 2 {\npartid 1\n", "file:2: \"partid\" is not known in a peer" },
	{ "peer 2 {\nfabric stream\n", "file:2: fabric \"stream\" is not" },
	{ "peer 2 {\nwindow usb 1\n", "file:2: window on \"usb\" is not" },
	{ "peer 2 {\nwindow pci 5\n", "file:2: \"5\" is no PCI address" },
	{ "peer 2 {\nwindow pci 0:0:20.0\n", "is no PCI address; give it as" },
	{ "peer 2 {\nwindow pci -1:-1:0.0\n", "is no PCI address; give it as" },
	{ "peer 2 {\nwindow pci \"0: 0:0.0\"\n", "is no PCI address" },
	{ "\npeer 2 {\n}\n", "file:2: peer 2 has no address; add" },
	{ "peer 2 {\naddress 1.2.3.4 5\n}\n", "peer 2 has no fabric; add" },
	{ "peer 2 {\naddress 1.2.3.4 5\nfabric window\n}\n",
	  "file:1: peer 2 has no window; add" },
	{ HEAD PEER(2) PEER(2), "file:8: peer 2 is in line 3 already" },
	{ HEAD PEER(2) PEER_AT(3, "3 7760", "2.0"),
	  "file:8: peer 3 has the window 0000:00:02.0 of peer 2; give" },
	{ HEAD PEER(2) PEER_AT(3, "2 7760", "3.0"),
	  "file:8: peer 3 has the address and port of peer 2; give" },
	{ HEAD PEER(1), "file:3: peer 1 is this partition; remove" },
	{ HEAD "peer 2 {\n", "the block of peer 2, line 3, has no end; add" },
};

static void test_wrong(void **state)
{
	struct config config;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(parse(&config, wrong[i].text), -1);
		assert_contains(error, wrong[i].error);
		assert_advises(error);
		assert_null(config.peers);
	}
}

static void test_file(void **state)
{
	char path[] = "/tmp/xpmemd-test-XXXXXX";
	int fd = mkstemp(path);
	struct config config;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, HEAD, strlen(HEAD)), strlen(HEAD));
	assert_int_equal(config_load(&config, path, error), 0);
	config_free(&config);
	assert_int_equal(write(fd, "\0", 1), 1);
	assert_int_equal(config_load(&config, path, error), -1);
	assert_contains(error, "is no text file");
	close(fd);
	unlink(path);
	assert_int_equal(config_load(&config, path, error), -1);
	assert_contains(error, "No such file or directory; create it");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_complete),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_security),
		cmocka_unit_test(test_users),
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_file),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
