/* queue_log.c - making, filling and asking a log; see queue_log.h. */
#include "queue_log_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A batch from this size on is written at once as a record of its own. */
#define DIRECT_SAMPLES 512u

static int check_options(const QueueLogOptions *options, InaError *error)
{
    if (options->capacity == 0 || options->capacity > QUEUE_CAPACITY_MAX) {
        return ina_error_set(error, EINVAL, "capacity is %" PRIu64 " samples; allowed are 1 to %u", options->capacity,
                             QUEUE_CAPACITY_MAX);
    }
    if (options->group_bytes < QUEUE_GROUP_BYTES_MIN || options->group_bytes > QUEUE_GROUP_BYTES_MAX) {
        return ina_error_set(error, EINVAL, "a commit's size is %u bytes; allowed are %u to %u", options->group_bytes,
                             QUEUE_GROUP_BYTES_MIN, QUEUE_GROUP_BYTES_MAX);
    }
    if (options->spans_max < 16 || options->spans_max > QUEUE_SPANS_MAX || options->leases_max == 0 ||
        options->leases_max > LEASES_MAX || options->leases_max > options->spans_max) {
        return ina_error_set(error, EINVAL,
                             "%zu ranges and %zu leases; allowed are 16 to %u ranges, and not more leases than ranges",
                             options->spans_max, options->leases_max, QUEUE_SPANS_MAX);
    }
    uint64_t least = 4 * (uint64_t)options->group_bytes + 64 * (uint64_t)options->spans_max + 2 * QUEUE_RECORDS_START;
    least = least < QUEUE_SEGMENT_BYTES_MIN ? QUEUE_SEGMENT_BYTES_MIN : least;
    if (options->segment_bytes < least || options->segment_bytes > QUEUE_SEGMENT_BYTES_MAX ||
        options->segment_bytes % 4096 != 0) {
        return ina_error_set(error, EINVAL,
                             "a segment's size is %u bytes; allowed are multiples of 4096 from %" PRIu64 " to %u",
                             options->segment_bytes, least, QUEUE_SEGMENT_BYTES_MAX);
    }
    if (options->disk_bytes < 4 * (uint64_t)options->segment_bytes) {
        return ina_error_set(error, EINVAL, "%" PRIu64 " bytes of disk do not hold 4 segments of %u bytes",
                             options->disk_bytes, options->segment_bytes);
    }
    return 0;
}

static bool allocate(QueueLog *log)
{
    for (size_t i = 0; i < QUEUE_GROUPS; i++) {
        log->groups[i].bytes = malloc(log->options.group_bytes);
        if (!log->groups[i].bytes) {
            return false;
        }
    }
    log->open.time_us = calloc(QUEUE_RECORD_SAMPLES, sizeof(int64_t));
    log->open.value1 = calloc(QUEUE_RECORD_SAMPLES, sizeof(double));
    log->open.value2 = calloc(QUEUE_RECORD_SAMPLES, sizeof(double));
    log->window = malloc(QUEUE_READ_BYTES);
    log->taken.time_us = malloc(QUEUE_TAKE_SAMPLES * sizeof(int64_t));
    log->taken.value1 = malloc(QUEUE_TAKE_SAMPLES * sizeof(double));
    log->taken.value2 = malloc(QUEUE_TAKE_SAMPLES * sizeof(double));
    log->taken.batches = calloc(QUEUE_TAKE_BATCHES, sizeof(QueueBatch));
    log->taken.producers = malloc(QUEUE_TAKE_BATCHES * sizeof *log->taken.producers);
    return log->open.time_us && log->open.value1 && log->open.value2 && log->window && log->taken.time_us &&
           log->taken.value1 && log->taken.value2 && log->taken.batches && log->taken.producers &&
           lease_table_make(&log->leases, log->options.leases_max, log->io->random(log->io->self)) == 0;
}

/* The first segment must be there; others are prepared while the log is used. */
static int make_first_segment(QueueLog *log, InaError *error)
{
    if (log->n_used + log->n_unused > 0) {
        return 0;
    }
    QueuePrepare *prepare = queue_log_prepare(log, 0);
    queue_prepare_run(prepare);
    int result = queue_log_prepared(log, prepare, 0);
    return result < 0 ? ina_error_errno(error, result, "cannot make a segment of %u bytes", log->options.segment_bytes)
                      : 0;
}

int queue_log_open(const QueueLogOptions *options, const QueueIo *io, QueueLog **ret, InaError *error)
{
    int result = check_options(options, error);
    if (result < 0) {
        return result;
    }
    QueueLog *log = calloc(1, sizeof *log);
    if (!log) {
        return ina_error_errno(error, ENOMEM, "queue log");
    }
    log->options = *options;
    log->io = io;
    log->groups[0].ticket = 1;
    log->commit.log = log->prepare.log = log;
    result = allocate(log) ? queue_recover(log, error) : ina_error_errno(error, ENOMEM, "queue log");
    if (result == 0) {
        result = make_first_segment(log, error);
    }
    if (result < 0) {
        queue_log_free(log);
        return result;
    }
    *ret = log;
    return 0;
}

static void segments_free(QueueLog *log, Segment **segments, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        log->io->close(log->io->self, segments[i]->file);
        free(segments[i]);
    }
}

QueueLog *queue_log_free(QueueLog *log)
{
    if (!log) {
        return NULL;
    }
    segments_free(log, log->used, log->n_used);
    segments_free(log, log->unused, log->n_unused);
    for (size_t i = 0; i < QUEUE_GROUPS; i++) {
        free(log->groups[i].bytes);
        free(log->groups[i].header);
        free(log->groups[i].records);
        span_list_clear(&log->groups[i].done);
    }
    ranges_clear(&log->done);
    span_list_clear(&log->returned);
    lease_table_clear(&log->leases);
    free(log->open.time_us);
    free(log->open.value1);
    free(log->open.value2);
    free(log->window);
    free(log->taken.time_us);
    free(log->taken.value1);
    free(log->taken.value2);
    free(log->taken.batches);
    free(log->taken.producers);
    free(log);
    return NULL;
}

/* --- putting ---------------------------------------------------------------- */

static uint64_t waiting_or_leased(const QueueLog *log)
{
    return log->fresh + log->returned.samples + log->leases.samples;
}

static uint64_t not_committed(const QueueLog *log)
{
    return log->groups[log->filling].samples + log->open.count +
           (log->commit.under_way ? log->commit.group->samples : 0);
}

static uint32_t open_bytes(const QueueLog *log)
{
    return log->open.count == 0
               ? 0
               : (uint32_t)sizeof(RecordHeader) + data_length(log->open.producer_length, log->open.count);
}

static bool continues_open(const QueueLog *log, const QueueBatch *batch, uint64_t sequence)
{
    return log->open.count > 0 && log->open.count < QUEUE_RECORD_SAMPLES &&
           log->open.producer_length == batch->producer_length &&
           log->open.first_sequence + log->open.count == sequence &&
           memcmp(log->open.producer, batch->producer, batch->producer_length) == 0;
}

static void copy_columns(uint8_t *to, const QueueBatch *batch, size_t from, size_t count)
{
    memcpy(to, batch->time_us + from, count * sizeof(int64_t));
    memcpy(to + count * 8, batch->value1 + from, count * sizeof(double));
    memcpy(to + count * 16, batch->value2 + from, count * sizeof(double));
}

/* Writes the header and the producer of a record at the end of the group;
 * returns where its columns go. */
static uint8_t *begin_record(Group *group, const char *producer, uint32_t producer_length, uint64_t first_sequence,
                             uint32_t count)
{
    uint8_t *at = group->bytes + group->length;
    RecordHeader header = {
        .type = RECORD_DATA,
        .producer_length = (uint16_t)producer_length,
        .length = data_length(producer_length, count),
        .count = count,
        .position = group->samples,
        .first_sequence = first_sequence,
    };
    memcpy(at, &header, sizeof header);
    memset(at + sizeof header, 0, padded(producer_length));
    memcpy(at + sizeof header, producer, producer_length);
    group->length += record_size(&header);
    group->samples += count;
    return at + sizeof header + padded(producer_length);
}

void queue_flush_open(QueueLog *log)
{
    uint32_t count = log->open.count;

    if (count == 0) {
        return;
    }
    uint8_t *columns = begin_record(&log->groups[log->filling], log->open.producer, log->open.producer_length,
                                    log->open.first_sequence, count);
    QueueBatch batch = {
        .time_us = log->open.time_us, .value1 = log->open.value1, .value2 = log->open.value2, .count = count};
    copy_columns(columns, &batch, 0, count);
    log->open.count = 0;
}

static void add_to_open(QueueLog *log, const QueueBatch *batch, size_t from, size_t count)
{
    if (log->open.count == 0) {
        memcpy(log->open.producer, batch->producer, batch->producer_length);
        log->open.producer_length = (uint32_t)batch->producer_length;
        log->open.first_sequence = batch->first_sequence + from;
    }
    memcpy(log->open.time_us + log->open.count, batch->time_us + from, count * sizeof(int64_t));
    memcpy(log->open.value1 + log->open.count, batch->value1 + from, count * sizeof(double));
    memcpy(log->open.value2 + log->open.count, batch->value2 + from, count * sizeof(double));
    log->open.count += (uint32_t)count;
}

static bool can_prepare(const QueueLog *log, uint64_t now)
{
    return log->prepare.under_way || (now >= log->prepare_after && log->n_used + log->n_unused < QUEUE_SEGMENTS_MAX &&
                                      log->bytes_on_disk + log->options.segment_bytes <= log->options.disk_bytes);
}

/* Puts up to `count` samples into one record; 0 and why if there is no room. */
static size_t append(QueueLog *log, const QueueBatch *batch, size_t from, size_t count, uint64_t now,
                     QueueRefusal *ret_refusal)
{
    bool goes_on = continues_open(log, batch, batch->first_sequence + from);
    uint32_t limit = goes_on ? QUEUE_RECORD_SAMPLES - log->open.count : QUEUE_RECORD_SAMPLES;
    uint32_t head = goes_on ? 0 : (uint32_t)sizeof(RecordHeader) + padded((uint32_t)batch->producer_length);
    uint32_t room = log->options.group_bytes - log->groups[log->filling].length - open_bytes(log);

    if (room < head + 24) {
        *ret_refusal = QUEUE_BUSY;
        return 0;
    }
    limit = limit < (room - head) / 24 ? limit : (room - head) / 24;
    count = count < limit ? count : limit;
    if (!queue_has_room(log, open_bytes(log) + head + count * 24)) {
        *ret_refusal = can_prepare(log, now) ? QUEUE_BUSY : QUEUE_DISK;
        return 0;
    }
    if (!goes_on) {
        queue_flush_open(log);
    }
    if (!goes_on && count >= DIRECT_SAMPLES) {
        uint8_t *columns = begin_record(&log->groups[log->filling], batch->producer, (uint32_t)batch->producer_length,
                                        batch->first_sequence + from, (uint32_t)count);
        copy_columns(columns, batch, from, count);
    } else {
        add_to_open(log, batch, from, count);
    }
    return count;
}

size_t queue_log_put(QueueLog *log, const QueueBatch *batch, uint64_t now, QueueRefusal *ret_refusal)
{
    size_t accepted = 0;

    *ret_refusal = QUEUE_NOTHING_REFUSED;
    while (accepted < batch->count) {
        uint64_t size = waiting_or_leased(log) + not_committed(log);
        if (size >= log->options.capacity) {
            *ret_refusal = QUEUE_FULL;
            break;
        }
        uint64_t room = log->options.capacity - size;
        size_t left = batch->count - accepted;
        size_t taken = append(log, batch, accepted, left < room ? left : (size_t)room, now, ret_refusal);
        if (taken == 0) {
            break;
        }
        accepted += taken;
    }
    return accepted;
}

uint64_t queue_log_ticket(const QueueLog *log)
{
    return log->groups[log->filling].ticket;
}

uint64_t queue_log_committed_ticket(const QueueLog *log)
{
    return log->committed_ticket;
}

size_t queue_log_waiting(const QueueLog *log)
{
    const Group *group = &log->groups[log->filling];
    return group->length + open_bytes(log) +
           (group->done.count > 0 ? sizeof(RecordHeader) + group->done.count * sizeof(Range) : 0);
}

void queue_log_status(const QueueLog *log, QueueLogStatus *ret)
{
    uint64_t acknowledging =
        log->groups[log->filling].done.samples + (log->commit.under_way ? log->commit.group->done.samples : 0);
    uint64_t size = waiting_or_leased(log);

    *ret = (QueueLogStatus){
        .size = size,
        .leased = log->leases.samples,
        .accepted = log->end,
        .acknowledged = log->end - size - acknowledging - log->damaged,
        .damaged = log->damaged,
        .redelivered = log->redelivered,
        .bytes_on_disk = log->bytes_on_disk,
        .commits = log->commits,
        .bytes_written = log->bytes_written,
    };
}

/* --- for the other files ----------------------------------------------------- */

void queue_notice(QueueLog *log, const char *format, ...)
{
    char text[INA_ERROR_MESSAGE_MAX];
    va_list arguments;

    if (log->options.notice) {
        va_start(arguments, format);
        (void)vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        log->options.notice(log->options.userdata, text);
    }
}

int queue_segment_name(unsigned slot, char *buffer, size_t size)
{
    return snprintf(buffer, size, "segment-%06u", slot);
}
