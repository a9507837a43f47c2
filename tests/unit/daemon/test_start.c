// SPDX-License-Identifier: GPL-2.0-only
/*
 * xpmemd itself, on a machine whose GnuTLS is configured without the cipher of
 * sessions.  Without the module it ends by itself, and says what is missing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test.h"

static char directory[] = "/tmp/xpmemd-start-XXXXXX";
static char said[4096];

static void write_file(const char *name, const char *text)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static int group_setup(void **state)
{
	(void)state;
	return mkdtemp(directory) ? 0 : -1;
}

static int group_teardown(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	return system(command);
}

/* Fills @said.  Where the module is loaded xpmemd would go on. */
static void start(const char *security)
{
	char text[512], command[512];
	FILE *out;
	size_t n;

	if (access(XPMEMD, X_OK))
		skip();
	write_file("priority",
		   "[overrides]\ntls-disabled-cipher = chacha20-poly1305\n");
	snprintf(text, sizeof(text),
		 "partid 1\nlisten 127.0.0.1 7799\ncontrol %s/socket\n"
		 "security %s\npeer 2 {\naddress 127.0.0.1 7798\n"
		 "fabric window\nwindow pci 0000:00:05.0\n}\n",
		 directory, security);
	write_file("conf", text);
	snprintf(
		command, sizeof(command),
		"GNUTLS_SYSTEM_PRIORITY_FILE=%s/priority timeout 10 %s -f -c %s/conf 2>&1",
		directory, XPMEMD, directory);
	out = popen(command, "re");
	assert_non_null(out);
	n = fread(said, 1, sizeof(said) - 1, out);
	said[n] = '\0';
	pclose(out);
}

static void test_tls(void **state)
{
	(void)state;
	start("tls");
	assert_contains(said, "no TLS: GnuTLS does not allow");
	assert_contains(said, "use \"security plain\"");
}

/* Nothing of TLS is needed for it. */
static void test_plain(void **state)
{
	(void)state;
	start("plain");
	assert_null(strstr(said, "TLS"));
	assert_contains(said, "xpmem");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tls),
		cmocka_unit_test(test_plain),
	};

	return cmocka_run_group_tests_name("start", tests, group_setup,
					   group_teardown);
}
