/* report.c - printing what verification found. */
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define RANGES_SHOWN 5u     /* missing ranges of a producer, for people */
#define RANGES_LISTED 1000u /* and for programs */

static const struct {
    const char *title, *key;
    size_t offset;
} columns[] = {
    {"ACCEPTED", "accepted", offsetof(Figures, accepted)},    {"STORED", "stored", offsetof(Figures, stored)},
    {"QUEUED", "queued", offsetof(Figures, queued)},          {"EXPIRED", "expired", offsetof(Figures, expired)},
    {"UNKNOWN", "unknown", offsetof(Figures, unknown)},       {"MISSING", "missing", offsetof(Figures, missing)},
    {"DUPLICATE", "duplicate", offsetof(Figures, duplicate)},
};

#define COLUMNS (sizeof(columns) / sizeof(*columns))

static uint64_t figure(const Figures *figures, size_t column)
{
    uint64_t value;
    memcpy(&value, (const char *)figures + columns[column].offset, sizeof(value));
    return value;
}

int report_make(const FactsTable *table, Report *ret, InaError *error)
{
    *ret = (Report){.rows = calloc(table->count ? table->count : 1, sizeof(ReportRow))};
    if (!ret->rows)
        return ina_error_set(error, ENOMEM, "out of memory");
    for (size_t i = 0; i < table->count; i++) {
        ReportRow *row = ret->rows + i;
        row->producer = table->items[i]->producer;
        int result = facts_figures(table->items[i], &row->figures, error);
        if (result < 0)
            return result;
        ret->count++;
        figures_add(&ret->total, &row->figures);
    }
    return 0;
}

void report_clear(Report *report)
{
    for (size_t i = 0; i < report->count; i++)
        sequences_clear(&report->rows[i].figures.missing_ranges);
    free(report->rows);
    *report = (Report){0};
}

bool report_loss(const Report *report)
{
    return report->total.missing > 0 || report->total.duplicate > 0;
}

bool report_good(const Report *report)
{
    return !report_loss(report) && report->total.unledgered == 0;
}

/* --- for people ------------------------------------------------------------------- */

/* Columns that a terminal needs for UTF-8 text, near enough: one per character. */
static int width_of(const char *text)
{
    int width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void print_row(const char *name, int name_width, const Figures *figures, const int *widths, FILE *to)
{
    fprintf(to, "%s%*s", name, name_width - width_of(name), "");
    for (size_t i = 0; i < COLUMNS; i++)
        fprintf(to, "  %*" PRIu64, widths[i], figure(figures, i));
    fprintf(to, "\n");
}

static void print_missing(const ReportRow *row, FILE *to)
{
    const Sequences *ranges = &row->figures.missing_ranges;
    if (ranges->count == 0)
        return;
    fprintf(to, "missing of %s:", row->producer);
    for (size_t i = 0; i < ranges->count && i < RANGES_SHOWN; i++)
        fprintf(to, " %" PRIu64 "-%" PRIu64, ranges->items[i].first, ranges->items[i].past - 1);
    if (ranges->count > RANGES_SHOWN)
        fprintf(to, " and %zu more ranges", ranges->count - RANGES_SHOWN);
    fprintf(to, "\n");
}

static int digits(uint64_t number)
{
    return snprintf(NULL, 0, "%" PRIu64, number);
}

void report_print(const Report *report, FILE *to)
{
    int name_width = width_of("PRODUCER"), widths[COLUMNS];
    for (size_t i = 0; i < report->count; i++) {
        int width = width_of(report->rows[i].producer);
        name_width = width > name_width ? width : name_width;
    }
    for (size_t i = 0; i < COLUMNS; i++) {
        widths[i] = width_of(columns[i].title);
        int width = digits(figure(&report->total, i));
        widths[i] = width > widths[i] ? width : widths[i];
    }
    fprintf(to, "%-*s", name_width, "PRODUCER");
    for (size_t i = 0; i < COLUMNS; i++)
        fprintf(to, "  %*s", widths[i], columns[i].title);
    fprintf(to, "\n");
    for (size_t i = 0; i < report->count; i++)
        print_row(report->rows[i].producer, name_width, &report->rows[i].figures, widths, to);
    print_row("total", name_width, &report->total, widths, to);
    for (size_t i = 0; i < report->count; i++)
        print_missing(report->rows + i, to);
    if (report->total.unledgered > 0)
        fprintf(to, "%" PRIu64 " samples are of producers whose ledger is not there: nothing can be said of them.\n",
                report->total.unledgered);
    if (report_good(report))
        fprintf(to, "Nothing is missing, nothing counts twice.\n");
    else if (!report_loss(report))
        fprintf(to, "Of the other producers nothing is missing, nothing counts twice.\n");
    else
        fprintf(to, "%" PRIu64 " missing, %" PRIu64 " counted twice.\n", report->total.missing,
                report->total.duplicate);
}

/* --- for programs ------------------------------------------------------------------- */

/* JSON's integers are signed here. */
static json_t *number(uint64_t value)
{
    return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

static json_t *figures_json(const Figures *figures)
{
    json_t *object = json_object();
    for (size_t i = 0; i < COLUMNS; i++)
        json_object_set_new(object, columns[i].key, number(figure(figures, i)));
    return object;
}

void report_print_json(const Report *report, FILE *to)
{
    json_t *producers = json_array();
    for (size_t i = 0; i < report->count; i++) {
        const ReportRow *row = report->rows + i;
        json_t *object = figures_json(&row->figures);
        json_object_set_new(object, "producer", json_string(row->producer));
        json_t *missing = json_array();
        const Sequences *ranges = &row->figures.missing_ranges;
        for (size_t j = 0; j < ranges->count && j < RANGES_LISTED; j++)
            json_array_append_new(missing, json_pack("{s:o, s:o}", "first", number(ranges->items[j].first), "count",
                                                     number(ranges->items[j].past - ranges->items[j].first)));
        json_object_set_new(object, "missingRanges", missing);
        json_array_append_new(producers, object);
    }
    json_t *total = figures_json(&report->total);
    json_object_set_new(total, "withoutLedger", number(report->total.unledgered));
    json_t *all = json_pack("{s:o, s:o, s:b}", "producers", producers, "total", total, "good", report_good(report));
    if (all)
        json_dumpf(all, to, JSON_INDENT(2));
    fprintf(to, "\n");
    json_decref(all);
}
