// SPDX-License-Identifier: GPL-2.0-only
/*
 * auth.c beside the loop (child.c): libmunge waits for munged, and for one that
 * hangs for longer than anybody can wait for us.  The step before is agree.c,
 * the step after handshake.c.
 * Invariant: whatever munged does, the loop goes on, and the owner is told
 * within PROVE_TIMEOUT_MS.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "log.h"
#include "prove.h"

/* What the child tells us: less than a pipe takes without being read. */
struct answer {
	int ret;
	char reason[REASON_SIZE];
	uint8_t secret[AUTH_SECRET_LEN];
	char credential[MESSAGE_CREDENTIAL_MAX + 1];
};

/**
 * struct prove - one credential
 * @child:      that asks munged
 * @pipe:       from it: what we read, and what it writes
 * @verify:     whether it is to be verified, or made
 * @claim:      what it is for
 * @secret:     the owner's: given when it is made, filled in when verified
 * @credential: the owner's: the other way round
 * @done:       told afterwards
 * @owner:      for @done
 */
struct prove {
	struct child *child;
	int pipe[2];
	bool verify;
	struct auth_claim claim;
	uint8_t *secret;
	char *credential;
	prove_done_t done;
	void *owner;
};

static void prove_free(struct prove *prove)
{
	close(prove->pipe[0]);
	free(prove);
}

/**
 * prove_destroy - no longer wait; the owner is not told
 * @prove: freed; may be NULL
 */
void prove_destroy(struct prove *prove)
{
	if (!prove)
		return;
	child_kill(prove->child);
	prove_free(prove);
}

/* In the child.  It holds no socket of ours open, however long it takes. */
static void run(void *arg)
{
	struct prove *prove = arg;
	struct answer answer = {};

	if (dup2(prove->pipe[1], 3) < 0 || close_range(4, ~0u, 0))
		return;
	if (prove->verify)
		answer.ret = auth_verify(&prove->claim, answer.secret,
					 prove->credential, answer.reason);
	else
		answer.ret = auth_create(&prove->claim, prove->secret,
					 answer.credential, answer.reason);
	if (write(3, &answer, sizeof(answer)) == sizeof(answer))
		_exit(0);
}

static void take(struct prove *prove, const struct answer *answer)
{
	if (prove->verify)
		memcpy(prove->secret, answer->secret, AUTH_SECRET_LEN);
	else
		memcpy(prove->credential, answer->credential,
		       sizeof(answer->credential));
}

static void ended(void *arg, int status, bool killed)
{
	struct prove *prove = arg;
	prove_done_t done = prove->done;
	void *owner = prove->owner;
	struct answer answer = {};

	if (killed)
		answer.ret = reason_set(
			answer.reason,
			"munged did not answer in %d s; see systemctl status munge",
			PROVE_TIMEOUT_MS / 1000);
	else if (status || read(prove->pipe[0], &answer, sizeof(answer)) !=
				   sizeof(answer))
		answer.ret = reason_set(
			answer.reason,
			"the process that asks munged ended early (wait status %#x); see dmesg",
			(unsigned int)status);
	if (!answer.ret)
		take(prove, &answer);
	prove_free(prove);
	done(owner, answer.ret ? answer.reason : NULL);
	explicit_bzero(&answer, sizeof(answer));
}

static struct prove *start(const struct prove *from, char *reason)
{
	struct prove *prove = malloc(sizeof(*prove));

	if (!prove)
		goto failed;
	*prove = *from;
	if (pipe2(prove->pipe, O_CLOEXEC))
		goto failed;
	prove->child = child_start(run, prove, PROVE_TIMEOUT_MS, ended, prove);
	if (!prove->child)
		goto close_pipe;
	close(prove->pipe[1]);
	return prove;

close_pipe:
	close(prove->pipe[0]);
	close(prove->pipe[1]);
failed:
	reason_set(
		reason,
		"no process to ask munged: %s; free memory or raise TasksMax",
		strerror(errno));
	free(prove);
	return NULL;
}

/**
 * prove_create - auth_create(), later
 * @claim:      copied
 * @secret:     AUTH_SECRET_LEN bytes
 * @credential: MESSAGE_CREDENTIAL_MAX + 1 bytes, filled in before @done
 * @done:       called once, later, unless prove_destroy() comes first
 * @owner:      passed to @done
 * @reason:     REASON_SIZE bytes, filled in on failure
 *
 * @secret and @credential stay the caller's, and must outlive the result.
 *
 * Return: the caller's to prove_destroy() until @done; or NULL.
 */
struct prove *prove_create(const struct auth_claim *claim, uint8_t *secret,
			   char *credential, prove_done_t done, void *owner,
			   char *reason)
{
	const struct prove from = {
		.claim = *claim,
		.secret = secret,
		.credential = credential,
		.done = done,
		.owner = owner,
	};

	return start(&from, reason);
}

/**
 * prove_verify - auth_verify(), later
 * @claim:      copied
 * @secret:     AUTH_SECRET_LEN bytes, filled in before @done
 * @credential: ended by a zero
 * @done:       as of prove_create()
 * @owner:      as of prove_create()
 * @reason:     as of prove_create()
 *
 * Return: as prove_create().
 */
struct prove *prove_verify(const struct auth_claim *claim, uint8_t *secret,
			   char *credential, prove_done_t done, void *owner,
			   char *reason)
{
	const struct prove from = {
		.verify = true,
		.claim = *claim,
		.secret = secret,
		.credential = credential,
		.done = done,
		.owner = owner,
	};

	return start(&from, reason);
}
