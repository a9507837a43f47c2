/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Streams of bytes that tell where they belong: a byte of another message, of
 * another place in the same one, or of an older round is wrong.
 */
#ifndef BYTES_H
#define BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static inline uint64_t bytes_word(uint64_t seed, size_t index)
{
	uint64_t word = (seed + 1) * 0x9e3779b97f4a7c15 + index;

	word ^= word >> 29;
	word *= 0xbf58476d1ce4e5b9;
	return word ^ word >> 32;
}

/* The byte at @index of stream @seed. */
static inline unsigned char bytes_at(uint64_t seed, size_t index)
{
	uint64_t word = bytes_word(seed, index & ~7UL);
	unsigned char bytes[sizeof(word)];

	memcpy(bytes, &word, sizeof(word));
	return bytes[index & 7];
}

/* Writes the first @size bytes of stream @seed. */
static inline void bytes_fill(void *mem, size_t size, uint64_t seed)
{
	unsigned char *to = mem;
	uint64_t word;
	size_t i;

	for (i = 0; i + sizeof(word) <= size; i += sizeof(word)) {
		word = bytes_word(seed, i);
		memcpy(to + i, &word, sizeof(word));
	}
	word = bytes_word(seed, i);
	memcpy(to + i, &word, size - i);
}

/* How many bytes differ from stream @seed; says where the first one is. */
static inline size_t bytes_wrong(const void *mem, size_t size, uint64_t seed)
{
	const unsigned char *got = mem;
	unsigned char want[sizeof(uint64_t)];
	size_t wrong = 0;

	for (size_t i = 0; i < size; i += sizeof(want)) {
		size_t length = size - i < sizeof(want) ? size - i :
							  sizeof(want);
		uint64_t word = bytes_word(seed, i);

		memcpy(want, &word, sizeof(want));
		if (!memcmp(got + i, want, length))
			continue;
		for (size_t k = 0; k < length; k++) {
			if (got[i + k] == want[k])
				continue;
			if (!wrong++)
				printf("# byte %zu of %zu is %02x, not %02x\n",
				       i + k, size, got[i + k], want[k]);
		}
	}
	return wrong;
}

/* How many bytes are not @value. */
static inline size_t bytes_not(const unsigned char *mem, size_t size,
			       unsigned char value)
{
	size_t wrong = 0;

	for (size_t i = 0; i < size; i++)
		wrong += mem[i] != value;
	return wrong;
}

/* A counter of the module as it is now, or -1. */
static inline long long module_counter(const char *name)
{
	char path[128];
	long long value = -1;
	FILE *in;

	snprintf(path, sizeof(path), "/sys/class/misc/xpmem/xpmem/%s", name);
	in = fopen(path, "r");
	if (!in)
		return -1;
	if (fscanf(in, "%lld", &value) != 1)
		value = -1;
	fclose(in);
	return value;
}

/* What the module holds now, for whoever runs the program. */
static inline void module_print(void)
{
	printf("now segments=%lld permits=%lld attachments=%lld\n",
	       module_counter("segments"), module_counter("permits"),
	       module_counter("attachments"));
	fflush(stdout);
}

#endif
