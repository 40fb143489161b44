/* facts.c - what follows from what ledgers, queue and store say. */
#include "facts.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

/* --- the table ------------------------------------------------------------------ */

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const Facts *)a)->producer, ((const Facts *)b)->producer);
}

static int compare_items(const void *a, const void *b)
{
    return compare_names(*(Facts *const *)a, *(Facts *const *)b);
}

static void free_facts(Facts *facts)
{
    sequences_clear(&facts->accepted);
    sequences_clear(&facts->later);
    sequences_clear(&facts->queued);
    sequences_clear(&facts->kept);
    sequences_clear(&facts->seen);
    free(facts->producer);
    free(facts);
}

Facts *facts_of(FactsTable *table, const char *producer)
{
    Facts key = {.producer = (char *)producer};
    Facts **found = tfind(&key, &table->tree, compare_names);
    if (found)
        return *found;
    if (table->count == table->room) {
        size_t room = table->room ? table->room * 2 : 16;
        Facts **more = reallocarray(table->items, room, sizeof(Facts *));
        if (!more)
            return NULL;
        table->items = more;
        table->room = room;
    }
    Facts *facts = calloc(1, sizeof(*facts));
    if (!facts)
        return NULL;
    facts->producer = strdup(producer);
    if (!facts->producer || !tsearch(facts, &table->tree, compare_names)) {
        free_facts(facts);
        return NULL;
    }
    table->items[table->count++] = facts;
    return facts;
}

void facts_settle(FactsTable *table)
{
    for (size_t i = 0; i < table->count; i++) {
        Facts *facts = table->items[i];
        sequences_settle(&facts->accepted);
        sequences_settle(&facts->later);
        sequences_settle(&facts->queued);
        sequences_settle(&facts->kept);
        sequences_settle(&facts->seen);
    }
    if (table->count > 0)
        qsort(table->items, table->count, sizeof(Facts *), compare_items);
}

static void keep(void *node)
{
}

void facts_clear(FactsTable *table)
{
    tdestroy(table->tree, keep);
    for (size_t i = 0; i < table->count; i++)
        free_facts(table->items[i]);
    free(table->items);
    *table = (FactsTable){0};
}

uint64_t facts_queued(const FactsTable *table)
{
    uint64_t queued = 0;
    for (size_t i = 0; i < table->count; i++)
        queued += sequences_size(&table->items[i]->queued);
    return queued;
}

/* --- what follows ----------------------------------------------------------------- */

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t excess(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

typedef struct Sets {
    Sequences here;    /* known to the store */
    Sequences gone;    /* seen by it, and no payload any more */
    Sequences found;   /* known to store or queue */
    Sequences entered; /* in a ledger */
    Sequences part;
} Sets;

static int size_of(int (*operation)(const Sequences *, const Sequences *, Sequences *, InaError *), const Sequences *a,
                   const Sequences *b, uint64_t *ret, InaError *error)
{
    Sequences part = {0};
    int result = operation(a, b, &part, error);
    *ret = sequences_size(&part);
    sequences_clear(&part);
    return result;
}

static int place_accepted(const Facts *facts, const Sets *sets, Figures *figures, InaError *error)
{
    Sequences waiting = {0};
    int result = size_of(sequences_intersection, &facts->accepted, &facts->kept, &figures->stored, error);
    if (result == 0)
        result = size_of(sequences_intersection, &facts->accepted, &sets->gone, &figures->expired, error);
    if (result == 0)
        result = sequences_difference(&facts->queued, &sets->here, &waiting, error);
    if (result == 0)
        result = size_of(sequences_intersection, &facts->accepted, &waiting, &figures->queued, error);
    if (result == 0)
        result = sequences_difference(&facts->accepted, &sets->found, &figures->missing_ranges, error);
    if (result == 0)
        result = size_of(sequences_difference, &sets->found, &sets->entered, &figures->unknown, error);
    sequences_clear(&waiting);
    return result;
}

/* The store against itself: its rows, its ranges, and what it counted. */
static void check_counts(const Facts *facts, const Sets *sets, Figures *figures)
{
    uint64_t seen = sequences_size(&facts->seen);
    /* Payloads that went without being counted as expired; or ranges noted
     * for which nothing was stored (these have no payload either). */
    uint64_t vanished = larger(excess(sequences_size(&sets->gone), facts->expired), excess(seen, facts->seen_stored));
    /* The same result in two rows; or stored once more after it had expired. */
    uint64_t twice = larger(facts->kept.added - sequences_size(&facts->kept), excess(facts->seen_stored, seen));
    if (facts->seen_sum != sequences_sum(&facts->seen) && vanished == 0 && twice == 0)
        vanished = twice = 1; /* one in the place of another, at least */
    figures->missing = sequences_size(&figures->missing_ranges) + vanished;
    figures->expired = excess(figures->expired, vanished);
    figures->duplicate = twice;
}

int facts_figures(const Facts *facts, Figures *ret, InaError *error)
{
    Sets sets = {0};
    Figures figures = {.accepted = sequences_size(&facts->accepted)};
    int result = sequences_union(&facts->seen, &facts->kept, &sets.here, error);
    if (result == 0)
        result = sequences_difference(&facts->seen, &facts->kept, &sets.gone, error);
    if (result == 0)
        result = sequences_union(&sets.here, &facts->queued, &sets.found, error);
    if (result == 0)
        result = sequences_union(&facts->accepted, &facts->later, &sets.entered, error);
    if (result == 0)
        result = place_accepted(facts, &sets, &figures, error);
    if (result == 0) {
        check_counts(facts, &sets, &figures);
        figures.unledgered = facts->has_ledger ? 0 : figures.unknown;
        *ret = figures;
    } else {
        sequences_clear(&figures.missing_ranges);
    }
    sequences_clear(&sets.here);
    sequences_clear(&sets.gone);
    sequences_clear(&sets.found);
    sequences_clear(&sets.entered);
    return result;
}

void figures_add(Figures *total, const Figures *figures)
{
    total->accepted += figures->accepted;
    total->stored += figures->stored;
    total->queued += figures->queued;
    total->expired += figures->expired;
    total->unknown += figures->unknown;
    total->unledgered += figures->unledgered;
    total->missing += figures->missing;
    total->duplicate += figures->duplicate;
}
