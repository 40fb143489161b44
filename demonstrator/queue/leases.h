/* leases.h - which spans of the log are handed out, until when, and which came back.
 *
 * A span is a range of consecutive positions with the place of the record that
 * holds its first one. Spans that came back wait in a list ordered by
 * position. Not thread safe; -ENOMEM leaves things as they were. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Segment Segment;

typedef struct Place {
    Segment *segment;
    uint32_t offset;
} Place;

typedef struct Span {
    uint64_t first, count;
    Place place;
} Span;

typedef struct SpanList {
    Span *spans;
    size_t count, allocated;
    size_t begin;     /* spans before it were taken off the front */
    uint64_t samples; /* in all spans */
} SpanList;

int span_list_append(SpanList *list, Span span);
int span_list_insert(SpanList *list, Span span); /* by position */
/* Takes `count` samples off the first span, or all of it; the rest is at `place`. */
void span_list_take(SpanList *list, uint64_t count, Place rest);
const Span *span_list_first(const SpanList *list); /* NULL when empty */
size_t span_list_length(const SpanList *list);
void span_list_clear(SpanList *list);

#define LEASES_MAX 65536u /* that a table can hold */

typedef struct Lease {
    uint64_t id; /* 0: free */
    uint64_t ends;
    size_t place; /* in the heap */
    SpanList spans;
} Lease;

typedef struct LeaseTable {
    Lease *leases; /* by the low 16 bits of the id */
    uint32_t *heap, *free_slots;
    size_t count, maximum, n_free;
    uint64_t counter;
    size_t n_spans;   /* of all leases */
    uint64_t samples; /* in all leases */
} LeaseTable;

/* Ids count from `start`, which should be random, so that those of an earlier process are unknown. */
int lease_table_make(LeaseTable *table, size_t maximum, uint64_t start);
void lease_table_clear(LeaseTable *table);
/* Takes the spans. -EAGAIN when `maximum` leases are out. */
int lease_add(LeaseTable *table, uint64_t ends, SpanList *spans, uint64_t *ret_id);
/* NULL: unknown. */
Lease *lease_find(LeaseTable *table, uint64_t id);
/* Gives up the spans to the caller. */
SpanList lease_remove(LeaseTable *table, Lease *lease);
/* The lease that ends first; NULL: none. */
Lease *lease_next(LeaseTable *table);
