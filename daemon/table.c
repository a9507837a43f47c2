// SPDX-License-Identifier: GPL-2.0-only
/* Records, as columns for people or as JSON for scripts. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"

/**
 * table_init - make a table empty
 * @table: the table
 */
void table_init(struct table *table)
{
	table->first = NULL;
	table->last = &table->first;
}

/**
 * table_add - add a record
 * @table: the table
 * @line:  NAME, tab, KEY=VALUE, tab, ...; stays the caller's
 *
 * Return: 0, or -1 when there is no memory or the line is none.
 */
int table_add(struct table *table, const char *line)
{
	struct table_record *record = calloc(1, sizeof(*record));
	char *rest, *field, *equals;

	if (!record)
		return -1;
	record->name = rest = strdup(line);
	if (!rest)
		goto free_record;
	strsep(&rest, "\t");
	while ((field = strsep(&rest, "\t"))) {
		equals = strchr(field, '=');
		if (!equals || record->nfields == TABLE_FIELDS_MAX)
			goto free_record;
		*equals = '\0';
		record->key[record->nfields] = field;
		record->value[record->nfields++] = equals + 1;
	}
	*table->last = record;
	table->last = &record->next;
	return 0;

free_record:
	free(record->name);
	free(record);
	return -1;
}

static bool is_number(const char *text)
{
	return *text && strspn(text, "0123456789") == strlen(text) &&
	       (text[0] != '0' || !text[1]);
}

static void json_string(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			putchar('\\');
		putchar(*text);
	}
	putchar('"');
}

static void print_json(const struct table *table)
{
	const struct table_record *record;
	unsigned int i;

	putchar('[');
	for (record = table->first; record; record = record->next) {
		printf("%s\n  {\"record\": ",
		       record == table->first ? "" : ",");
		json_string(record->name);
		for (i = 0; i < record->nfields; i++) {
			printf(", ");
			json_string(record->key[i]);
			printf(": ");
			if (is_number(record->value[i]))
				printf("%s", record->value[i]);
			else
				json_string(record->value[i]);
		}
		putchar('}');
	}
	puts(table->first ? "\n]" : "]");
}

static const struct table_record *group_end(const struct table_record *first,
					    int width[TABLE_FIELDS_MAX])
{
	const struct table_record *record;
	unsigned int i;
	int length;

	for (i = 0; i < first->nfields; i++)
		width[i] = (int)strlen(first->key[i]);
	for (record = first; record && !strcmp(record->name, first->name);
	     record = record->next) {
		for (i = 0; i < record->nfields && i < first->nfields; i++) {
			length = (int)strlen(record->value[i]);
			if (length > width[i])
				width[i] = length;
		}
	}
	return record;
}

static void print_field(const char *text, int width, bool last)
{
	printf("%-*s%s", last ? 0 : width, text, last ? "\n" : "  ");
}

/* Records of one name follow each other; their keys are the heading. */
static void print_columns(const struct table *table)
{
	const struct table_record *record = table->first, *end;
	int width[TABLE_FIELDS_MAX];
	unsigned int i;
	char *c;

	while (record) {
		end = group_end(record, width);
		if (record != table->first)
			putchar('\n');
		for (i = 0; i < record->nfields; i++) {
			char *heading = strdup(record->key[i]);

			for (c = heading; c && *c; c++)
				*c = (char)toupper(*c);
			print_field(heading ? heading : "?", width[i],
				    i + 1 == record->nfields);
			free(heading);
		}
		for (; record != end; record = record->next) {
			for (i = 0; i < record->nfields; i++)
				print_field(record->value[i], width[i],
					    i + 1 == record->nfields);
		}
	}
}

/**
 * table_print - write all records to stdout
 * @table: the table
 * @json:  as a JSON array of objects, else in columns
 */
void table_print(const struct table *table, bool json)
{
	if (json)
		print_json(table);
	else
		print_columns(table);
}

/**
 * table_free - free all records
 * @table: left empty
 */
void table_free(struct table *table)
{
	struct table_record *record, *next;

	for (record = table->first; record; record = next) {
		next = record->next;
		free(record->name);
		free(record);
	}
	table_init(table);
}
