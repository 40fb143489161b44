/* queue_commit.c - sealing groups, committing them, making and reusing segments.
 *
 * A group lies in one segment. When it does not fit into the current one it
 * begins another, whose header and checkpoint (all positions that are done)
 * are written with it: so a segment can be reused as soon as none of its own
 * samples is left, whatever acknowledges it holds. */
#include "queue_log_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMMIT_ATTEMPTS 2u

uint32_t queue_ranges_bytes(size_t count)
{
    size_t records = (count + QUEUE_RECORD_RANGES - 1) / QUEUE_RECORD_RANGES;
    return (uint32_t)(records * sizeof(RecordHeader) + count * sizeof(Range));
}

bool queue_has_room(const QueueLog *log, size_t bytes)
{
    const Group *group = &log->groups[log->filling];
    const Segment *current = log->current;
    uint64_t needed = group->length + bytes + queue_ranges_bytes(group->done.count);

    if (current) {
        /* Without the reserve, the last quarter of the segment is for acknowledges. */
        uint64_t limit = log->n_unused >= QUEUE_RESERVE ? current->size : current->size - current->size / 4;
        if (current->sealed_end + needed <= limit) {
            return true;
        }
    }
    /* The first segment of a log may be used before the reserve is made. */
    return log->n_unused > QUEUE_RESERVE || (log->n_used == 0 && log->n_unused > 0);
}

/* --- sealing ----------------------------------------------------------------- */

/* Writes ranges as records; returns their length. */
uint32_t queue_write_ranges(uint8_t *to, const Range *ranges, size_t count)
{
    uint8_t *at = to;

    while (count > 0) {
        size_t some = count < QUEUE_RECORD_RANGES ? count : QUEUE_RECORD_RANGES;
        RecordHeader header = {
            .type = RECORD_DONE, .length = (uint32_t)(some * sizeof *ranges), .count = (uint32_t)some};
        memcpy(at, &header, sizeof header);
        memcpy(at + sizeof header, ranges, some * sizeof *ranges);
        at += record_size(&header);
        ranges += some;
        count -= some;
    }
    return (uint32_t)(at - to);
}

static int make_done_records(Group *group)
{
    RangeSet ranges = {0};

    if (group->done.count == 0 || group->records) {
        return 0;
    }
    for (size_t i = 0; i < group->done.count; i++) {
        if (ranges_add(&ranges, group->done.spans[i].first, group->done.spans[i].count) < 0) {
            ranges_clear(&ranges);
            return -ENOMEM;
        }
    }
    group->records = malloc(queue_ranges_bytes(ranges.count));
    if (group->records) {
        group->records_length = queue_write_ranges(group->records, ranges.ranges, ranges.count);
    }
    ranges_clear(&ranges);
    return group->records ? 0 : -ENOMEM;
}

static Segment *take_unused(QueueLog *log, uint64_t length)
{
    for (size_t i = 0; i < log->n_unused; i++) {
        Segment *segment = log->unused[i];
        if (segment->size >= length) {
            memmove(&log->unused[i], &log->unused[i + 1], (log->n_unused - i - 1) * sizeof segment);
            log->n_unused--;
            return segment;
        }
    }
    return NULL;
}

static int begin_segment(QueueLog *log, Group *group)
{
    uint32_t checkpoint = queue_ranges_bytes(log->done.count);
    uint32_t start = QUEUE_RECORDS_START + checkpoint;
    uint8_t *header = calloc(1, start);
    Segment *segment = header ? take_unused(log, (uint64_t)start + group->length + group->records_length) : NULL;

    if (!segment) {
        free(header);
        return header ? -ENOSPC : -ENOMEM;
    }
    segment->sequence = log->next_sequence++;
    segment->seed = record_seed(log->log_id, segment->sequence);
    segment->first_position = segment->end_position = log->end;
    segment->live = 0;
    segment->committed = false;
    segment->start = segment->end = segment->sealed_end = start;
    log->used[log->n_used++] = segment;
    log->current = segment;

    SegmentHeader fields = {
        .magic = QUEUE_SEGMENT_MAGIC,
        .version = QUEUE_FORMAT_VERSION,
        .checkpoint_bytes = checkpoint,
        .log_id = log->log_id,
        .sequence = segment->sequence,
        .size = segment->size,
        .first_position = log->end,
        .floor = log->floor,
        .damaged = log->damaged,
    };
    segment_header_seal(&fields);
    memcpy(header, &fields, sizeof fields);
    memcpy(header + QUEUE_HEADER_COPY, &fields, sizeof fields);
    queue_write_ranges(header + QUEUE_RECORDS_START, log->done.ranges, log->done.count);
    group->header = header;
    group->header_length = start;
    return 0;
}

/* Finds the group its place on disk. */
static int place(QueueLog *log, Group *group)
{
    uint32_t length = group->length + group->records_length;

    free(group->header);
    group->header = NULL;
    group->header_length = 0;
    group->segment = NULL;
    if (!log->current || length > log->current->size - log->current->sealed_end) {
        int result = begin_segment(log, group);
        if (result < 0) {
            return result;
        }
    }
    Segment *segment = log->current;
    group->segment = segment;
    group->sequence = segment->sequence;
    group->offset = segment->sealed_end;
    segment->sealed_end += length;
    return 0;
}

static void reset(Group *group, uint64_t ticket)
{
    free(group->header);
    free(group->records);
    group->header = group->records = NULL;
    group->header_length = group->records_length = group->length = 0;
    group->samples = 0;
    group->done.count = group->done.begin = 0;
    group->done.samples = 0;
    group->segment = NULL;
    group->stamped = false;
    group->ticket = ticket;
}

QueueCommit *queue_log_seal(QueueLog *log)
{
    Group *group = &log->groups[log->filling];
    QueueCommit *commit = &log->commit;

    if (commit->under_way || queue_log_waiting(log) == 0) {
        return NULL;
    }
    queue_flush_open(log);
    group->position = log->end;
    commit->group = group;
    commit->under_way = true;
    commit->attempts = 0;
    commit->result = make_done_records(group);
    if (commit->result == 0) {
        commit->result = place(log, group);
    }
    log->filling = (log->filling + 1) % QUEUE_GROUPS;
    reset(&log->groups[log->filling], group->ticket + 1);
    return commit;
}

uint64_t queue_commit_ticket(const QueueCommit *commit)
{
    return commit->group->ticket;
}

/* --- committing (any thread) --------------------------------------------------- */

void queue_seal_records(uint8_t *bytes, uint32_t length, uint32_t group, uint64_t position, uint32_t seed)
{
    for (uint32_t offset = 0; offset < length;) {
        RecordHeader header;
        memcpy(&header, bytes + offset, sizeof header);
        header.group = group;
        header.position += header.type == RECORD_DATA ? position : 0;
        memcpy(bytes + offset, &header, sizeof header);
        record_seal(bytes + offset, seed);
        offset += record_size(&header);
    }
}

void queue_commit_run(QueueCommit *commit)
{
    const QueueIo *io = commit->log->io;
    Group *group = commit->group;

    if (commit->result < 0) {
        return;
    }
    /* What begins a segment is one group with its checkpoint. */
    uint32_t start = group->header ? QUEUE_RECORDS_START : group->offset;
    uint32_t seed = group->segment->seed;
    if (group->header) {
        queue_seal_records(group->header + QUEUE_RECORDS_START, group->header_length - QUEUE_RECORDS_START, start, 0,
                           seed);
    }
    queue_seal_records(group->bytes, group->length, start, group->stamped ? 0 : group->position, seed);
    queue_seal_records(group->records, group->records_length, start, 0, seed);
    group->stamped = true;

    struct iovec parts[] = {
        {group->header, group->header_length},
        {group->bytes, group->length},
        {group->records, group->records_length},
    };
    commit->result = io->write(io->self, group->segment->file, group->header ? 0 : group->offset, parts, 3);
    if (commit->result == 0) {
        commit->result = io->sync(io->self, group->segment->file);
    }
}

/* --- the end of a commit --------------------------------------------------------- */

static void forget_used(QueueLog *log, size_t index)
{
    memmove(&log->used[index], &log->used[index + 1], (log->n_used - index - 1) * sizeof *log->used);
    log->n_used--;
}

void queue_segment_discard(QueueLog *log, Segment *segment)
{
    char name[32];

    queue_segment_name(segment->slot, name, sizeof name);
    log->bytes_on_disk -= segment->size;
    log->io->close(log->io->self, segment->file);
    (void)log->io->remove(log->io->self, name);
    free(segment);
}

/* Segments in which nothing is left can be written again; not those that
 * failed. The newest one on disk says what is done, so nothing goes before a
 * newer one is there; but what never counted goes at once. */
static void reuse_segments(QueueLog *log)
{
    size_t newest = log->n_used;

    while (newest > 0 && !log->used[newest - 1]->committed) {
        newest--;
    }
    log->keep_all = log->keep_all && (newest == 0 || log->used[newest - 1]->sequence < log->first_sequence);
    for (size_t i = 0; i < log->n_used;) {
        Segment *segment = log->used[i];
        bool older = i + 1 < newest && segment->live == 0 && !log->keep_all;
        bool failed = segment->broken && !segment->committed;
        if (!older && !failed) {
            i++;
            continue;
        }
        newest -= i < newest;
        forget_used(log, i);
        if (log->cursor_place.segment == segment) {
            log->cursor_place.segment = NULL;
        }
        if (segment->broken) {
            queue_segment_discard(log, segment);
        } else {
            segment->sequence = 0;
            segment->committed = false;
            log->unused[log->n_unused++] = segment;
        }
    }
}

/* Index of the first used segment whose samples end behind `position`. */
static size_t segment_index(const QueueLog *log, uint64_t position)
{
    size_t low = 0, high = log->n_used;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (log->used[middle]->end_position <= position) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool queue_find_place(const QueueLog *log, uint64_t position, Place *ret)
{
    size_t index = segment_index(log, position);

    if (index == log->n_used) {
        return false;
    }
    *ret = (Place){log->used[index], log->used[index]->start};
    return true;
}

int queue_mark_done(QueueLog *log, uint64_t first, uint64_t count)
{
    uint64_t end = first + count;

    if (first == log->floor) {
        log->floor = end;
    } else if (ranges_add(&log->done, first, count) < 0) {
        return -ENOMEM;
    }
    if (log->done.count > 0 && log->done.ranges[0].first <= log->floor) {
        log->floor = log->done.ranges[0].first + log->done.ranges[0].count;
        ranges_cut_below(&log->done, log->floor);
    }
    for (size_t i = segment_index(log, first); i < log->n_used && log->used[i]->first_position < end; i++) {
        Segment *segment = log->used[i];
        uint64_t from = segment->first_position > first ? segment->first_position : first;
        uint64_t to = segment->end_position < end ? segment->end_position : end;
        segment->live -= to > from ? to - from : 0;
    }
    return 0;
}

static void finish(QueueLog *log, Group *group)
{
    Segment *segment = group->segment;

    segment->end = group->offset + group->length + group->records_length;
    log->end += group->samples;
    segment->end_position = log->end;
    segment->live += group->samples;
    segment->committed = true;
    log->fresh += group->samples;
    for (size_t i = 0; i < group->done.count; i++) {
        const Span *span = &group->done.spans[i];
        if (queue_mark_done(log, span->first, span->count) < 0) {
            /* It is done on disk; here it stays leased to nobody until the next start. */
            queue_notice(log, "out of memory: %" PRIu64 " acknowledged samples keep their place on disk", span->count);
        }
    }
    log->commits++;
    log->bytes_written += group->header_length + group->length + group->records_length;
    log->commit.under_way = false;
    log->committed_ticket = group->ticket;
    /* The bytes stay, to serve takes, until the group is filled again. */
    free(group->header);
    free(group->records);
    group->header = group->records = NULL;
    reuse_segments(log);
}

/* What a failed sync left is unknown, and would stay so if it were synced
 * again (the kernel may have dropped the pages): nothing is written behind it. */
static void distrust(QueueLog *log, Group *group, int code)
{
    Segment *segment = group->segment;

    queue_notice(log, "segment %u cannot be written (%s): it is not used any more", segment->slot, strerror(-code));
    segment->broken = true;
    segment->sealed_end = segment->end;
    if (log->current == segment) {
        log->current = NULL;
    }
}

static void give_up(QueueLog *log, Group *group)
{
    log->commit.under_way = false;
    log->committed_ticket = group->ticket;
    for (size_t i = 0; i < QUEUE_ACKNOWLEDGED; i++) {
        if (log->acknowledged[i].ticket == group->ticket) {
            log->acknowledged[i].lease = 0;
        }
    }
    queue_give_back(log, &group->done);
    reset(group, group->ticket);
    reuse_segments(log);
}

int queue_log_committed(QueueLog *log, QueueCommit *commit)
{
    Group *group = commit->group;
    int result = commit->result;

    if (result == 0) {
        finish(log, group);
        return 0;
    }
    if (group->segment) {
        distrust(log, group, result);
        /* Another segment of a full disk would fail as well. */
        if (result != -ENOSPC && result != -EDQUOT && ++commit->attempts < COMMIT_ATTEMPTS) {
            commit->result = place(log, group);
            if (commit->result == 0) {
                return -EAGAIN;
            }
        }
    }
    queue_notice(log, "commit of %" PRIu64 " samples and %zu acknowledges failed: %s", group->samples,
                 group->done.count, strerror(-result));
    give_up(log, group);
    return result;
}

/* --- preparing segments ------------------------------------------------------------ */

QueuePrepare *queue_log_prepare(QueueLog *log, uint64_t now)
{
    QueuePrepare *prepare = &log->prepare;

    if (prepare->under_way || log->n_unused >= QUEUE_FREE_TARGET || now < log->prepare_after ||
        log->n_used + log->n_unused >= QUEUE_SEGMENTS_MAX ||
        log->bytes_on_disk + log->options.segment_bytes > log->options.disk_bytes) {
        return NULL;
    }
    prepare->under_way = true;
    prepare->slot = log->next_slot++;
    prepare->size = log->options.segment_bytes;
    queue_segment_name(prepare->slot, prepare->name, sizeof prepare->name);
    return prepare;
}

void queue_prepare_run(QueuePrepare *prepare)
{
    const QueueIo *io = prepare->log->io;

    prepare->file = prepare->result = io->open(io->self, prepare->name, true);
    if (prepare->result < 0) {
        return;
    }
    prepare->result = io->allocate(io->self, prepare->file, prepare->size);
    if (prepare->result < 0) {
        io->close(io->self, prepare->file);
        (void)io->remove(io->self, prepare->name); /* gives back what there was of it */
    }
}

int queue_log_prepared(QueueLog *log, QueuePrepare *prepare, uint64_t now)
{
    Segment *segment = NULL;

    prepare->under_way = false;
    if (prepare->result == 0) {
        segment = calloc(1, sizeof *segment);
        if (!segment) {
            log->io->close(log->io->self, prepare->file);
            (void)log->io->remove(log->io->self, prepare->name);
            prepare->result = -ENOMEM;
        }
    }
    if (!segment) {
        log->prepare_after = now + QUEUE_PREPARE_DELAY;
        return prepare->result;
    }
    *segment = (Segment){.slot = prepare->slot, .file = prepare->file, .size = prepare->size};
    log->unused[log->n_unused++] = segment;
    log->bytes_on_disk += segment->size;
    return 0;
}
