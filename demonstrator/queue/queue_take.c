/* queue_take.c - reading the log, handing out and taking back. */
#include "queue_log_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096u
#define DIRECT_SAMPLES 256u /* from this number on samples in a group are handed out where they lie */

/* --- reading ------------------------------------------------------------------ */

/* Pages that cannot be read become zeros, which no record's checksum fits. */
static void read_pages(QueueLog *log, Segment *segment, uint32_t offset, uint32_t length)
{
    for (uint32_t at = 0; at < length;) {
        uint32_t page = PAGE - (offset + at) % PAGE;
        page = page < length - at ? page : length - at;
        if (log->io->read(log->io->self, segment->file, offset + at, log->window + at, page) < 0) {
            memset(log->window + at, 0, page);
        }
        at += page;
    }
}

static void fill_window(QueueLog *log, Segment *segment, uint32_t offset, uint32_t length)
{
    int result = log->io->read(log->io->self, segment->file, offset, log->window, length);
    if (result < 0) {
        queue_notice(log, "segment %u cannot be read from byte %u on: %s", segment->slot, offset, strerror(-result));
        read_pages(log, segment, offset, length);
    }
    log->window_sequence = segment->sequence;
    log->window_offset = offset;
    log->window_length = length;
}

const uint8_t *queue_look(QueueLog *log, Segment *segment, uint32_t offset, uint32_t minimum, uint32_t limit,
                          uint32_t *ret_length, bool *ret_own)
{
    for (size_t i = 0; i < QUEUE_GROUPS; i++) {
        const Group *group = &log->groups[i];
        if (group->segment == segment && group->sequence == segment->sequence && offset >= group->offset &&
            offset - group->offset < group->length) {
            *ret_own = true;
            *ret_length = group->length - (offset - group->offset);
            return group->bytes + (offset - group->offset);
        }
    }
    *ret_own = false;
    if (offset > limit || minimum > limit - offset) {
        return NULL;
    }
    if (log->window_sequence != segment->sequence || offset < log->window_offset ||
        offset - log->window_offset > log->window_length ||
        minimum > log->window_length - (offset - log->window_offset)) {
        fill_window(log, segment, offset, limit - offset < QUEUE_READ_BYTES ? limit - offset : QUEUE_READ_BYTES);
    }
    *ret_length = log->window_length - (offset - log->window_offset);
    return log->window + (offset - log->window_offset);
}

/* The records of what a group acknowledges follow its samples; they are
 * skipped without a look at the disk. */
static bool skip_own_records(const QueueLog *log, Place *place)
{
    for (size_t i = 0; i < QUEUE_GROUPS; i++) {
        const Group *group = &log->groups[i];
        if (group->segment == place->segment && group->sequence == place->segment->sequence &&
            group->records_length > 0 && place->offset == group->offset + group->length) {
            place->offset += group->records_length;
            return true;
        }
    }
    return false;
}

/* Reads the record at an offset. */
static bool read_record(QueueLog *log, Segment *segment, uint32_t offset, RecordHeader *header,
                        const uint8_t **ret_payload, bool *ret_header_valid, bool *ret_own)
{
    uint32_t length;
    bool own;
    const uint8_t *bytes = queue_look(log, segment, offset, sizeof *header, segment->end, &length, &own);

    *ret_own = own;

    *ret_header_valid = false;
    if (!bytes) {
        return false;
    }
    memcpy(header, bytes, sizeof *header);
    if (own) {
        *ret_payload = bytes + sizeof *header;
        return true;
    }
    if (!record_header_valid(header, segment->seed, offset, segment->end)) {
        return false;
    }
    *ret_header_valid = true;
    bytes = queue_look(log, segment, offset, record_size(header), segment->end, &length, &own);
    *ret_payload = bytes + sizeof *header;
    return record_payload_valid(header, *ret_payload, segment->seed);
}

static Segment *segment_behind(const QueueLog *log, const Segment *segment)
{
    size_t low = 0, high = log->n_used;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (log->used[middle]->sequence <= segment->sequence) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < log->n_used ? log->used[low] : NULL;
}

/* The next record of samples at or behind a place; what is damaged on the way
 * is set aside. False: there is none. */
static bool next_record(QueueLog *log, Place *place, RecordHeader *header, const uint8_t **ret_payload, bool *ret_own)
{
    for (;;) {
        Segment *segment = place->segment;
        bool header_valid;
        if (place->offset >= segment->end) {
            Segment *behind = segment_behind(log, segment);
            if (!behind) {
                return false;
            }
            *place = (Place){behind, behind->start};
            continue;
        }
        if (skip_own_records(log, place)) {
            continue;
        }
        if (!read_record(log, segment, place->offset, header, ret_payload, &header_valid, ret_own)) {
            uint32_t step = header_valid ? record_size(header) : 8;
            uint32_t next = queue_resynchronize(log, segment, place->offset + step, segment->end);
            queue_set_aside(log, segment, place->offset, next, "damaged");
            place->offset = next;
            continue;
        }
        if (header->type == RECORD_DATA) {
            return true;
        }
        place->offset += record_size(header);
    }
}

/* --- handing out ---------------------------------------------------------------- */

/* What one take gathers. */
typedef struct Taking {
    uint64_t room;
    uint64_t handed; /* of the walk under way */
    uint64_t lost;
    SpanList spans;
    bool stopped; /* no more batches, or no memory */
} Taking;

/* Positions whose record is gone count as done, and as damaged. */
static void lose(QueueLog *log, Taking *taking, uint64_t first, uint64_t end)
{
    while (first < end) {
        size_t index = ranges_find(&log->done, first);
        uint64_t until = end;
        if (index < log->done.count) {
            const Range *range = &log->done.ranges[index];
            if (range->first <= first) {
                first = range->first + range->count;
                continue;
            }
            until = range->first < end ? range->first : end;
        }
        uint64_t count = until - first;
        log->damaged += count;
        taking->lost += count;
        queue_notice(log, "%" PRIu64 " samples from position %" PRIu64 " on are lost by damage", count, first);
        if (queue_mark_done(log, first, count) < 0) {
            taking->stopped = true;
        }
        first = until;
    }
}

/* A record's samples where they lie. */
typedef struct Run {
    const char *producer;
    uint32_t producer_length;
    uint64_t first_sequence;
    size_t count;
    const uint8_t *time_us, *value1, *value2;
    bool stays; /* the bytes are those of a group: they stay until the next call */
} Run;

static Run run_of(const RecordHeader *header, const uint8_t *payload, bool own, uint32_t from, uint32_t count)
{
    const uint8_t *columns = payload + padded(header->producer_length);
    return (Run){
        .producer = (const char *)payload,
        .producer_length = header->producer_length,
        .first_sequence = header->first_sequence + from,
        .count = count,
        .time_us = columns + 8 * (size_t)from,
        .value1 = columns + 8 * ((size_t)header->count + from),
        .value2 = columns + 8 * (2 * (size_t)header->count + from),
        .stays = own,
    };
}

static void copy_run(QueueLog *log, const Run *run)
{
    size_t at = log->taken.count;
    memcpy(log->taken.time_us + at, run->time_us, 8 * run->count);
    memcpy(log->taken.value1 + at, run->value1, 8 * run->count);
    memcpy(log->taken.value2 + at, run->value2, 8 * run->count);
    log->taken.count += run->count;
}

static bool hand_out(QueueLog *log, const Run *run)
{
    size_t at = log->taken.count, n = log->taken.n_batches;
    QueueBatch *last = n > 0 ? &log->taken.batches[n - 1] : NULL;
    bool direct = run->stays && run->count >= DIRECT_SAMPLES;

    if (!direct && last && last->time_us + last->count == log->taken.time_us + at &&
        last->first_sequence + last->count == run->first_sequence && last->producer_length == run->producer_length &&
        memcmp(last->producer, run->producer, run->producer_length) == 0) {
        copy_run(log, run);
        last->count += run->count;
        return true;
    }
    if (n == QUEUE_TAKE_BATCHES) {
        return false;
    }
    memcpy(log->taken.producers[n], run->producer, run->producer_length);
    log->taken.batches[n] = (QueueBatch){
        .producer = log->taken.producers[n],
        .producer_length = run->producer_length,
        .first_sequence = run->first_sequence,
        .count = run->count,
        .time_us = direct ? (const int64_t *)run->time_us : log->taken.time_us + at,
        .value1 = direct ? (const double *)run->value1 : log->taken.value1 + at,
        .value2 = direct ? (const double *)run->value2 : log->taken.value2 + at,
    };
    if (!direct) {
        copy_run(log, run);
    }
    log->taken.n_batches++;
    return true;
}

/* Hands out a run of positions in one record. */
static bool hand_out_run(QueueLog *log, Taking *taking, const Place *place, uint64_t position, const Run *run)
{
    Span *last = taking->spans.count > 0 ? &taking->spans.spans[taking->spans.count - 1] : NULL;

    if (!last || last->first + last->count != position) {
        if (span_list_append(&taking->spans, (Span){position, 0, *place}) < 0) {
            return false;
        }
        last = &taking->spans.spans[taking->spans.count - 1];
    }
    if (!hand_out(log, run)) {
        if (last->count == 0) {
            taking->spans.count--;
        }
        return false;
    }
    last->count += run->count;
    taking->spans.samples += run->count;
    taking->handed += run->count;
    taking->room -= run->count;
    return true;
}

/* Hands out positions from *position on, at most up to `end`, from the record
 * at *place on; leaves both behind what was handed out. */
static void walk(QueueLog *log, Taking *taking, Place *place, uint64_t *position, uint64_t end)
{
    while (*position < end && taking->room > 0 && !taking->stopped) {
        RecordHeader header;
        const uint8_t *payload;
        bool own;
        if (!next_record(log, place, &header, &payload, &own) || header.position >= end) {
            lose(log, taking, *position, end);
            *position = end;
            return;
        }
        uint64_t record_end = header.position + header.count;
        if (record_end <= *position) {
            place->offset += record_size(&header);
            continue;
        }
        if (header.position > *position) {
            lose(log, taking, *position, header.position);
            *position = header.position;
        }
        uint64_t until = record_end < end ? record_end : end;
        size_t index = ranges_find(&log->done, *position);
        if (index < log->done.count) {
            const Range *range = &log->done.ranges[index];
            if (range->first <= *position) {
                *position = range->first + range->count < end ? range->first + range->count : end;
                continue;
            }
            until = range->first < until ? range->first : until;
        }
        uint64_t count = until - *position < taking->room ? until - *position : taking->room;
        Run run = run_of(&header, payload, own, (uint32_t)(*position - header.position), (uint32_t)count);
        if (!hand_out_run(log, taking, place, *position, &run)) {
            taking->stopped = true;
            return;
        }
        *position += count;
        if (*position == record_end) {
            place->offset += record_size(&header);
        }
    }
}

static void take_returned(QueueLog *log, Taking *taking)
{
    const Span *span;

    while (taking->room > 0 && !taking->stopped && (span = span_list_first(&log->returned))) {
        Place where = span->place;
        uint64_t first = span->first, position = first;
        taking->handed = taking->lost = 0;
        walk(log, taking, &where, &position, first + span->count);
        if (position == first) {
            break;
        }
        if (position >= where.segment->end_position) {
            /* The walk ended in front of the next segment; this one may be reused before the rest is taken. */
            (void)queue_find_place(log, position, &where);
        }
        span_list_take(&log->returned, position - first, where);
        log->redelivered += taking->handed;
    }
}

static void take_fresh(QueueLog *log, Taking *taking)
{
    const Group *filling = &log->groups[log->filling];
    size_t done = filling->done.count + (log->commit.under_way ? log->commit.group->done.count : 0);
    size_t spans = log->leases.n_spans + log->returned.count + log->done.count + done + taking->spans.count;

    if (taking->room == 0 || taking->stopped || log->fresh == 0 || spans >= log->options.spans_max) {
        return;
    }
    if (!log->cursor_place.segment && !queue_find_place(log, log->cursor, &log->cursor_place)) {
        return;
    }
    taking->handed = taking->lost = 0;
    walk(log, taking, &log->cursor_place, &log->cursor, log->end);
    log->fresh -= taking->handed + taking->lost;
}

uint64_t queue_log_available(const QueueLog *log)
{
    return log->returned.samples + log->fresh;
}

int queue_log_take(QueueLog *log, uint64_t maximum, uint64_t ends, QueueTaken *ret)
{
    Taking taking = {.room = maximum < QUEUE_TAKE_SAMPLES ? maximum : QUEUE_TAKE_SAMPLES};
    uint64_t lease = 0;

    if (log->leases.count == log->leases.maximum) {
        return -EAGAIN;
    }
    log->taken.count = log->taken.n_batches = 0;
    take_returned(log, &taking);
    take_fresh(log, &taking);
    uint64_t count = taking.spans.samples;
    if (taking.spans.count > 0) {
        (void)lease_add(&log->leases, ends, &taking.spans, &lease); /* there is room for one */
    }
    span_list_clear(&taking.spans);
    *ret = (QueueTaken){lease, count, log->taken.batches, log->taken.n_batches};
    return 0;
}

/* --- taking back ------------------------------------------------------------------ */

void queue_give_back(QueueLog *log, SpanList *spans)
{
    for (size_t i = 0; i < spans->count; i++) {
        if (span_list_insert(&log->returned, spans->spans[spans->begin + i]) < 0) {
            queue_notice(log, "out of memory: %" PRIu64 " samples come again after the next start only",
                         spans->spans[spans->begin + i].count);
        }
    }
    span_list_clear(spans);
}

int queue_log_acknowledge(QueueLog *log, uint64_t id, uint64_t *ret_ticket)
{
    Group *group = &log->groups[log->filling];
    Lease *lease = lease_find(&log->leases, id);

    if (!lease) {
        for (size_t i = 0; i < QUEUE_ACKNOWLEDGED; i++) {
            if (id != 0 && log->acknowledged[i].lease == id) {
                *ret_ticket = log->acknowledged[i].ticket;
                return 0;
            }
        }
        return -ENOENT;
    }
    SpanList before = group->done;
    for (size_t i = 0; i < lease->spans.count; i++) {
        if (span_list_append(&group->done, lease->spans.spans[i]) < 0) {
            group->done.count = before.count;
            group->done.samples = before.samples;
            return -ENOMEM;
        }
    }
    SpanList spans = lease_remove(&log->leases, lease);
    span_list_clear(&spans);
    log->acknowledged[log->acknowledged_next].lease = id;
    log->acknowledged[log->acknowledged_next].ticket = group->ticket;
    log->acknowledged_next = (log->acknowledged_next + 1) % QUEUE_ACKNOWLEDGED;
    *ret_ticket = group->ticket;
    return 0;
}

int queue_log_release(QueueLog *log, uint64_t id)
{
    Lease *lease = lease_find(&log->leases, id);

    if (!lease) {
        return -ENOENT;
    }
    SpanList spans = lease_remove(&log->leases, lease);
    queue_give_back(log, &spans);
    return 0;
}

void queue_log_expire(QueueLog *log, uint64_t now)
{
    for (Lease *lease; (lease = lease_next(&log->leases)) && lease->ends <= now;) {
        SpanList spans = lease_remove(&log->leases, lease);
        queue_give_back(log, &spans);
    }
}

uint64_t queue_log_next_expiry(const QueueLog *log)
{
    const Lease *lease = lease_next((LeaseTable *)&log->leases);
    return lease ? lease->ends : UINT64_MAX;
}
