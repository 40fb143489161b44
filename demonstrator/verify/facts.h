/* facts.h - what ledgers, queue and store say, by producer, and what follows.
 *
 * Read in this order: ledgers, queue, store, ledgers again, all while the
 * whole may be running. A sample that the first reading of the ledgers has was
 * in the queue before; if the queue's log has it no more it was acknowledged,
 * so the store had committed it before. The second reading is only for telling
 * samples that were accepted meanwhile from those that nobody entered. */
#pragma once

#include "sequences.h"

#include <stdbool.h>

/* Of one producer's incarnation. */
typedef struct Facts {
    char *producer;
    bool has_ledger;                /* else nothing can be said of what it was promised */
    Sequences accepted;             /* ledger, first reading */
    Sequences later;                /* ledger, second reading */
    Sequences queued;               /* in the queue's log, not acknowledged */
    Sequences kept;                 /* rows of the store; `added` counts each row */
    Sequences seen;                 /* what the store says it has ever stored */
    uint64_t seen_stored, seen_sum; /* what it counted while storing */
    uint64_t expired;               /* what it counted while expiring */
} Facts;

typedef struct FactsTable {
    Facts **items; /* sorted by producer after facts_settle */
    size_t count, room;
    void *tree; /* by name, while they are collected */
} FactsTable;

/* NULL: out of memory. */
Facts *facts_of(FactsTable *table, const char *producer);
void facts_settle(FactsTable *table);
void facts_clear(FactsTable *table);

/* Samples. accepted = stored + queued + expired + missing, unless the store's
 * own counts contradict each other. */
typedef struct Figures {
    uint64_t accepted;
    uint64_t stored;
    uint64_t queued;
    uint64_t expired;
    uint64_t unknown;    /* stored or queued, but in no ledger: their put was never answered */
    uint64_t unledgered; /* of the unknown: those of a producer without any ledger */
    uint64_t missing;
    uint64_t duplicate;
    Sequences missing_ranges; /* those that are in no place at all */
} Figures;

int facts_figures(const Facts *facts, Figures *ret, InaError *error);
/* Adds up the numbers; the total has no ranges. */
void figures_add(Figures *total, const Figures *figures);

/* --- reading ------------------------------------------------------------------ */

int facts_read_ledgers(FactsTable *table, const char *directory, bool again, InaError *error);
int facts_read_queue(FactsTable *table, const char *directory, InaError *error);
int facts_read_store(FactsTable *table, const char *path, InaError *error);
/* Samples in the queue, of all producers. Settled. */
uint64_t facts_queued(const FactsTable *table);
