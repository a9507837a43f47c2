// SPDX-License-Identifier: GPL-2.0-only
/*
 * Benchmarks: the table on the terminal, and one JSON object for each measure.
 */
#include "bench.h"

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

void print_list(const struct topic *const *topics, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct topic *topic = topics[i];

		printf("%s: %s\n", topic->name, topic->what);
		for (size_t k = 0; k < topic->count; k++) {
			const struct measure *m = &topic->measures[k];

			if (!wanted(m->name))
				continue;
			printf("  %-28s %s", m->name, m->figure);
			printf(m->reference ? "; beside: %s\n" : "\n",
			       m->reference);
		}
	}
}

/* Every verdict that a row can end with. */
static const char *verdict(const struct row *row)
{
	double budget = budget_of(row);

	switch (row->state) {
	case ROW_ABSENT:
		return "not there";
	case ROW_EMPTY:
	case ROW_FAILED:
		return "failed";
	case ROW_MEASURED:
		break;
	}
	if (budget) {
		double ratio = ratio_of(row).median;

		return ratio <= budget && ratio >= row->measure->least ?
			       "ok" :
			       "missed";
	}
	if (!row->measure->least)
		return "";
	return spread_of(row->figure, row->samples).median >=
			       row->measure->least ?
		       "ok" :
		       "missed";
}

static const char *unit(const struct row *row)
{
	static char text[32];
	const char *per = row->measure->per;

	if (!strcmp(per, "%"))
		return per;
	snprintf(text, sizeof(text), "%s/%s",
		 options.clock == CLOCK_INSTR ? "instr" : "ns", per);
	return text;
}

/* Three digits, or whole numbers. */
static const char *number(double value, char *text, size_t size)
{
	snprintf(text, size, "%.*f",
		 value >= 100 ? 0 :
		 value >= 10  ? 1 :
				2,
		 value);
	return text;
}

static double ratio_of_minima(const struct row *row)
{
	return spread_of(row->figure, row->samples).min /
	       spread_of(row->reference, row->samples).min;
}

static void print_row(const struct row *row)
{
	const struct measure *m = row->measure;
	char figure[24], reference[24] = "", budget[32] = "", ratio[40] = "",
			 minima[16] = "";
	double most = budget_of(row);

	number(spread_of(row->figure, row->samples).median, figure,
	       sizeof(figure));
	if (m->reference) {
		struct spread r = ratio_of(row);

		number(spread_of(row->reference, row->samples).median,
		       reference, sizeof(reference));
		snprintf(ratio, sizeof(ratio), "%.3f [%.3f..%.3f]", r.median,
			 r.low, r.high);
		snprintf(minima, sizeof(minima), "%.3f", ratio_of_minima(row));
	}
	if (most && m->least)
		snprintf(budget, sizeof(budget), "%g..%g", m->least, most);
	else if (most)
		snprintf(budget, sizeof(budget), "<= %g", most);
	else if (m->least)
		snprintf(budget, sizeof(budget), ">= %g", m->least);
	printf("%-26s %11s %11s  %-13s %-21s %7s %-8s %-6s %s\n", m->name,
	       figure, reference, unit(row), ratio, minima, budget,
	       verdict(row), row->note);
}

void print_table(const struct row *rows, size_t count)
{
	printf("\n%-26s %11s %11s  %-13s %-21s %7s %-8s\n", "measure", "figure",
	       "reference", "unit", "ratio [half of them]", "minima", "budget");
	for (size_t i = 0; i < count; i++) {
		if (rows[i].state == ROW_MEASURED)
			print_row(&rows[i]);
		else
			printf("%-26s %s: %s\n", rows[i].measure->name,
			       verdict(&rows[i]), rows[i].note);
	}
	printf("\n");
}

static void json_string(FILE *to, const char *key, const char *value)
{
	fprintf(to, ",\"%s\":\"", key);
	for (; *value; value++) {
		if (*value == '"' || *value == '\\')
			fprintf(to, "\\%c", *value);
		else if ((unsigned char)*value < ' ')
			fprintf(to, "\\u%04x", *value);
		else
			fputc(*value, to);
	}
	fputc('"', to);
}

static void json_spread(FILE *to, const char *key, struct spread s)
{
	fprintf(to,
		",\"%s\":{\"min\":%.6g,\"q1\":%.6g,\"median\":%.6g,\"q3\":%.6g,\"max\":%.6g}",
		key, s.min, s.low, s.median, s.high, s.max);
}

static void json_row(FILE *to, const struct row *row, const char *kernel)
{
	const struct measure *m = row->measure;

	fprintf(to, "{\"measure\":\"%s\"", m->name);
	json_string(to, "topic", row->topic->name);
	json_string(to, "clock",
		    options.clock == CLOCK_INSTR ? "instructions" : "time");
	json_string(to, "kernel", kernel);
	json_string(to, "figure_is", m->figure);
	if (m->reference)
		json_string(to, "reference_is", m->reference);
	json_string(to, "unit", unit(row));
	json_string(to, "verdict", verdict(row));
	json_string(to, "note", row->note);
	if (m->least)
		fprintf(to, ",\"least\":%g", m->least);
	if (budget_of(row))
		fprintf(to, ",\"budget\":%g", budget_of(row));
	fprintf(to, ",\"samples\":%d", row->samples);
	if (row->state == ROW_MEASURED) {
		json_spread(to, "figure", spread_of(row->figure, row->samples));
		if (m->reference) {
			json_spread(to, "reference",
				    spread_of(row->reference, row->samples));
			json_spread(to, "ratio", ratio_of(row));
			fprintf(to, ",\"ratio_of_minima\":%.6g",
				ratio_of_minima(row));
		}
	}
	fprintf(to, "}");
}

void write_json(const struct row *rows, size_t count)
{
	bool print = !strcmp(options.json, "-");
	FILE *to = print ? stdout : fopen(options.json, "we");
	struct utsname name = {};

	if (!to)
		err(1, "--json %s", options.json);
	uname(&name);
	fputs(print ? "" : "[\n", to);
	for (size_t i = 0; i < count; i++) {
		json_row(to, &rows[i], name.release);
		fputs(print || i + 1 == count ? "\n" : ",\n", to);
	}
	fputs(print ? "" : "]\n", to);
	if (fflush(to) || ferror(to))
		err(1, "--json %s", options.json);
	if (!print)
		fclose(to);
}
