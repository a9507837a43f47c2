// SPDX-License-Identifier: GPL-2.0-only
/*
 * xpmemd itself, on a machine whose GnuTLS is configured without the cipher of
 * sessions.  Without the module it ends by itself, and says what is missing.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "test.h"

#define COMMAND                                                       \
	"env GNUTLS_SYSTEM_PRIORITY_FILE=priority timeout 10 " XPMEMD \
	" -f -c conf 2>&1"

/* Returns what it says.  Where the module is loaded xpmemd would go on. */
static const char *start(const char *security)
{
	char text[512];

	if (access(XPMEMD, X_OK))
		skip();
	scratch_write("priority",
		      "[overrides]\ntls-disabled-cipher = chacha20-poly1305\n");
	snprintf(text, sizeof(text),
		 "partid 1\nlisten 127.0.0.1 7799\ncontrol /none/socket\n"
		 "security %s\npeer 2 {\naddress 127.0.0.1 7798\n"
		 "fabric window\nwindow pci 0000:00:05.0\n}\n",
		 security);
	scratch_write("conf", text);
	scratch_run(COMMAND);
	return scratch_said();
}

static void test_tls(void **state)
{
	const char *said = start("tls");

	(void)state;
	assert_contains(said, "no TLS: GnuTLS does not allow");
	assert_contains(said, "use \"security plain\"");
}

/* Nothing of TLS is needed for it. */
static void test_plain(void **state)
{
	const char *said = start("plain");

	(void)state;
	if (!access("/sys/module/xpmem", F_OK))
		skip();
	assert_null(strstr(said, "TLS"));
	assert_contains(said, "the kernel has no xpmem");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tls),
		cmocka_unit_test(test_plain),
	};

	return cmocka_run_group_tests_name("start", tests, scratch_setup,
					   scratch_teardown);
}
