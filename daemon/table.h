/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef XPMEMCTL_TABLE_H
#define XPMEMCTL_TABLE_H

#include <stdbool.h>

#define TABLE_FIELDS_MAX 16

/**
 * struct table_record - one thing, in keys and values
 * @next:    in the order they were added
 * @name:    what kind of thing
 * @nfields: how many of the following are valid
 * @key:     names, the same for all records of one name
 * @value:   values
 *
 * All strings point into one allocation that @name starts.
 */
struct table_record {
	struct table_record *next;
	char *name;
	unsigned int nfields;
	char *key[TABLE_FIELDS_MAX];
	char *value[TABLE_FIELDS_MAX];
};

struct table {
	struct table_record *first;
	struct table_record **last;
};

void table_init(struct table *table);
int table_add(struct table *table, const char *line);
void table_print(const struct table *table, bool json);
void table_free(struct table *table);

#endif
