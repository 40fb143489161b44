/* leases.c - see leases.h. */
#include "leases.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- spans ------------------------------------------------------------------ */

static int make_room(SpanList *list)
{
    if (list->begin + list->count < list->allocated) {
        return 0;
    }
    if (list->begin > list->allocated / 2) {
        memmove(list->spans, list->spans + list->begin, list->count * sizeof *list->spans);
        list->begin = 0;
        return 0;
    }
    size_t more = list->allocated ? list->allocated * 2 : 1;
    Span *grown = reallocarray(list->spans, more, sizeof *grown);
    if (!grown) {
        return -ENOMEM;
    }
    list->spans = grown;
    list->allocated = more;
    return 0;
}

int span_list_append(SpanList *list, Span span)
{
    int result = make_room(list);
    if (result < 0) {
        return result;
    }
    list->spans[list->begin + list->count++] = span;
    list->samples += span.count;
    return 0;
}

int span_list_insert(SpanList *list, Span span)
{
    int result = make_room(list);
    if (result < 0) {
        return result;
    }
    Span *spans = list->spans + list->begin;
    size_t low = 0, high = list->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (spans[middle].first < span.first) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    list->samples += span.count;
    if (low > 0 && spans[low - 1].first + spans[low - 1].count == span.first) {
        spans[low - 1].count += span.count;
        if (low < list->count && spans[low - 1].first + spans[low - 1].count == spans[low].first) {
            spans[low - 1].count += spans[low].count;
            memmove(&spans[low], &spans[low + 1], (list->count - low - 1) * sizeof span);
            list->count--;
        }
        return 0;
    }
    if (low < list->count && span.first + span.count == spans[low].first) {
        span.count += spans[low].count;
        spans[low] = span;
        return 0;
    }
    memmove(&spans[low + 1], &spans[low], (list->count - low) * sizeof span);
    spans[low] = span;
    list->count++;
    return 0;
}

void span_list_take(SpanList *list, uint64_t count, Place rest)
{
    Span *first = &list->spans[list->begin];

    list->samples -= count;
    if (count < first->count) {
        first->first += count;
        first->count -= count;
        first->place = rest;
        return;
    }
    list->begin++;
    list->count--;
    if (list->count == 0) {
        list->begin = 0;
    }
}

const Span *span_list_first(const SpanList *list)
{
    return list->count > 0 ? &list->spans[list->begin] : NULL;
}

size_t span_list_length(const SpanList *list)
{
    return list->count;
}

void span_list_clear(SpanList *list)
{
    free(list->spans);
    *list = (SpanList){0};
}

/* --- leases: slots, and a heap of slots by end ------------------------------- */

int lease_table_make(LeaseTable *table, size_t maximum, uint64_t start)
{
    *table = (LeaseTable){.maximum = maximum, .counter = start >> 17};
    table->leases = calloc(maximum, sizeof *table->leases);
    table->heap = calloc(maximum, sizeof *table->heap);
    table->free_slots = calloc(maximum, sizeof *table->free_slots);
    if (maximum > LEASES_MAX || !table->leases || !table->heap || !table->free_slots) {
        lease_table_clear(table);
        return maximum > LEASES_MAX ? -EINVAL : -ENOMEM;
    }
    return 0;
}

void lease_table_clear(LeaseTable *table)
{
    for (size_t i = 0; table->leases && i < table->maximum; i++) {
        span_list_clear(&table->leases[i].spans);
    }
    free(table->leases);
    free(table->heap);
    free(table->free_slots);
    *table = (LeaseTable){0};
}

static bool ends_before(const LeaseTable *table, uint32_t left, uint32_t right)
{
    return table->leases[left].ends < table->leases[right].ends;
}

static void heap_put(LeaseTable *table, size_t place, uint32_t slot)
{
    table->heap[place] = slot;
    table->leases[slot].place = place;
}

static void heap_up(LeaseTable *table, size_t place, uint32_t slot)
{
    while (place > 0 && ends_before(table, slot, table->heap[(place - 1) / 2])) {
        heap_put(table, place, table->heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    heap_put(table, place, slot);
}

static void heap_down(LeaseTable *table, size_t place, uint32_t slot)
{
    for (;;) {
        size_t child = 2 * place + 1;
        if (child >= table->count) {
            break;
        }
        if (child + 1 < table->count && ends_before(table, table->heap[child + 1], table->heap[child])) {
            child++;
        }
        if (!ends_before(table, table->heap[child], slot)) {
            break;
        }
        heap_put(table, place, table->heap[child]);
        place = child;
    }
    heap_put(table, place, slot);
}

int lease_add(LeaseTable *table, uint64_t ends, SpanList *spans, uint64_t *ret_id)
{
    if (table->count == table->maximum) {
        return -EAGAIN;
    }
    /* Slots never used come after those that were. */
    uint32_t slot = table->n_free > 0 ? table->free_slots[--table->n_free] : (uint32_t)table->count;
    Lease *lease = &table->leases[slot];
    table->counter++;
    lease->id = table->counter << 16 | slot;
    lease->ends = ends;
    lease->spans = *spans;
    table->n_spans += spans->count;
    table->samples += spans->samples;
    *spans = (SpanList){0};
    *ret_id = lease->id;
    table->count++;
    heap_up(table, table->count - 1, slot);
    return 0;
}

Lease *lease_find(LeaseTable *table, uint64_t id)
{
    size_t slot = id & 0xffff;
    return id != 0 && slot < table->maximum && table->leases[slot].id == id ? &table->leases[slot] : NULL;
}

SpanList lease_remove(LeaseTable *table, Lease *lease)
{
    SpanList spans = lease->spans;
    uint32_t last = table->heap[--table->count];
    size_t place = lease->place;

    if (last != (uint32_t)(lease - table->leases)) {
        if (place > 0 && ends_before(table, last, table->heap[(place - 1) / 2])) {
            heap_up(table, place, last);
        } else {
            heap_down(table, place, last);
        }
    }
    table->free_slots[table->n_free++] = (uint32_t)(lease - table->leases);
    table->n_spans -= spans.count;
    table->samples -= spans.samples;
    *lease = (Lease){0};
    return spans;
}

Lease *lease_next(LeaseTable *table)
{
    return table->count > 0 ? &table->leases[table->heap[0]] : NULL;
}
