/* report.h - printing what verification found, for people and for programs. */
#pragma once

#include "facts.h"

#include <stdio.h>

typedef struct ReportRow {
    const char *producer;
    Figures figures;
} ReportRow;

typedef struct Report {
    ReportRow *rows;
    size_t count;
    Figures total;
} Report;

/* Clears with report_clear, also after a failure. */
int report_make(const FactsTable *table, Report *ret, InaError *error);
void report_clear(Report *report);
/* Something is missing or counts twice. */
bool report_loss(const Report *report);
/* No loss, and every producer has its ledger: without it losses would not show. */
bool report_good(const Report *report);
void report_print(const Report *report, FILE *to);
/* One JSON object. */
void report_print_json(const Report *report, FILE *to);
