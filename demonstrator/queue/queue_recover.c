/* queue_recover.c - what a log on disk says.
 *
 * All segments are read in order of their sequence. A position that no record
 * holds and that is not done is damage; an invalid record in the last group
 * of the newest segment is the torn tail of a commit that was never answered.
 * What was concluded is written down before any segment is given up. */
#include "queue_log_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DONE_MAX (4u * QUEUE_SPANS_MAX) /* ranges in a log that is believed */
#define HOLES_MAX 65536u

/* Bytes that are no record, and the positions that no record holds because of them. */
typedef struct Hole {
    Segment *segment; /* NULL: a whole segment is missing */
    uint32_t offset, end;
    uint64_t first, behind;
    bool newest;
} Hole;

typedef struct Recovery {
    QueueLog *log;
    InaError *error;
    unsigned slots[QUEUE_SEGMENTS_MAX];
    size_t n_slots;
    bool too_many;
    /* Files without a valid header; with samples in them if a header was destroyed. */
    Segment *blank[QUEUE_SEGMENTS_MAX];
    size_t n_blank;
    Segment *dropped[QUEUE_SEGMENTS_MAX]; /* not needed any more */
    size_t n_dropped;
    SegmentHeader headers[QUEUE_SEGMENTS_MAX]; /* of log->used */
    Hole *holes;
    size_t n_holes, allocated_holes;
    bool checkpoint_whole; /* of the newest segment */
    uint32_t last_group;   /* of the newest segment */
    uint32_t written_end;  /* of it: behind everything that looks like a record */
} Recovery;

/* --- finding the segments --------------------------------------------------------- */

static void note_file(void *userdata, const char *name)
{
    Recovery *recovery = userdata;
    unsigned slot;
    int length = 0;
    char again[32];

    if (sscanf(name, "segment-%9u%n", &slot, &length) != 1 || name[length] != '\0') {
        return;
    }
    queue_segment_name(slot, again, sizeof again);
    if (strcmp(name, again) != 0) {
        return;
    }
    if (recovery->n_slots == QUEUE_SEGMENTS_MAX) {
        recovery->too_many = true;
        return;
    }
    recovery->slots[recovery->n_slots++] = slot;
    if (slot >= recovery->log->next_slot) {
        recovery->log->next_slot = slot + 1;
    }
}

/* Reads both copies of the header; the valid one of the latest use counts. */
static int read_header(Recovery *recovery, Segment *segment, SegmentHeader *ret, bool *ret_valid)
{
    const QueueIo *io = recovery->log->io;

    *ret_valid = false;
    for (uint64_t offset = 0; offset <= QUEUE_HEADER_COPY; offset += QUEUE_HEADER_COPY) {
        SegmentHeader header;
        if (segment->size < offset + sizeof header ||
            io->read(io->self, segment->file, offset, &header, sizeof header) < 0 || !segment_header_valid(&header)) {
            continue;
        }
        if (header.version != QUEUE_FORMAT_VERSION) {
            return ina_error_set(recovery->error, EPROTONOSUPPORT,
                                 "segment %u has format version %u; this program reads and writes version %u",
                                 segment->slot, header.version, QUEUE_FORMAT_VERSION);
        }
        if (!*ret_valid || header.sequence > ret->sequence) {
            *ret = header;
            *ret_valid = true;
        }
    }
    return 0;
}

/* What a valid header of ours can never say. */
static int check_header(Recovery *recovery, const Segment *segment, const SegmentHeader *header)
{
    QueueLog *log = recovery->log;

    if (log->n_used > 0 && header->log_id != log->log_id) {
        return ina_error_set(recovery->error, EBADMSG,
                             "segments %u and %u are of different logs; only one log can be in a folder",
                             log->used[0]->slot, segment->slot);
    }
    if (header->sequence == 0 || header->sequence == UINT64_MAX || header->floor > header->first_position ||
        header->checkpoint_bytes % 8 != 0 || header->size < QUEUE_RECORDS_START ||
        header->checkpoint_bytes > header->size - QUEUE_RECORDS_START || header->size > QUEUE_SEGMENT_BYTES_MAX) {
        return ina_error_set(recovery->error, EBADMSG, "the header of segment %u contradicts itself", segment->slot);
    }
    return 0;
}

static int insert_used(Recovery *recovery, Segment *segment, const SegmentHeader *header)
{
    QueueLog *log = recovery->log;
    size_t index = log->n_used;

    while (index > 0 && log->used[index - 1]->sequence > header->sequence) {
        index--;
    }
    if (index > 0 && log->used[index - 1]->sequence == header->sequence) {
        return ina_error_set(recovery->error, EBADMSG, "segments %u and %u have the same sequence number %" PRIu64,
                             log->used[index - 1]->slot, segment->slot, header->sequence);
    }
    memmove(&log->used[index + 1], &log->used[index], (log->n_used - index) * sizeof segment);
    memmove(&recovery->headers[index + 1], &recovery->headers[index], (log->n_used - index) * sizeof *header);
    log->used[index] = segment;
    recovery->headers[index] = *header;
    log->n_used++;
    log->log_id = header->log_id;
    segment->sequence = header->sequence;
    segment->seed = record_seed(header->log_id, header->sequence);
    segment->first_position = segment->end_position = header->first_position;
    segment->start = segment->end = segment->sealed_end = QUEUE_RECORDS_START;
    if (segment->size < header->size) {
        queue_notice(log, "segment %u has %" PRIu64 " bytes of %" PRIu64, segment->slot, segment->size, header->size);
        segment->broken = true; /* nothing is written to it, and it goes when its samples are done */
    }
    segment->size = segment->size < header->size ? segment->size & ~UINT64_C(7) : header->size;
    return 0;
}

static int open_segment(Recovery *recovery, unsigned slot)
{
    QueueLog *log = recovery->log;
    char name[32];
    SegmentHeader header;
    bool valid;

    queue_segment_name(slot, name, sizeof name);
    int file = log->io->open(log->io->self, name, false);
    if (file < 0) {
        return ina_error_errno(recovery->error, file, "cannot open %s", name);
    }
    Segment *segment = calloc(1, sizeof *segment);
    if (!segment) {
        log->io->close(log->io->self, file);
        return ina_error_errno(recovery->error, ENOMEM, "%s", name);
    }
    segment->slot = slot;
    segment->file = file;
    int result = log->io->size(log->io->self, file, &segment->size);
    if (result < 0) {
        result = ina_error_errno(recovery->error, result, "cannot read %s", name);
    } else if ((result = read_header(recovery, segment, &header, &valid)) == 0 && valid) {
        result = check_header(recovery, segment, &header);
        if (result == 0) {
            result = insert_used(recovery, segment, &header);
        }
        if (result == 0) {
            return 0;
        }
    } else if (result == 0) {
        recovery->blank[recovery->n_blank++] = segment;
        return 0;
    }
    log->io->close(log->io->self, file);
    free(segment);
    return result;
}

/* --- the newest segment -------------------------------------------------------------- */

static bool look_at_record(QueueLog *log, Segment *segment, uint32_t offset, RecordHeader *header,
                           const uint8_t **ret_payload, bool *ret_header_valid)
{
    uint32_t limit = (uint32_t)segment->size, length;
    bool own;
    const uint8_t *bytes = queue_look(log, segment, offset, sizeof *header, limit, &length, &own);

    *ret_header_valid = false;
    if (!bytes) {
        return false;
    }
    memcpy(header, bytes, sizeof *header);
    if (!record_header_valid(header, segment->seed, offset, limit)) {
        return false;
    }
    *ret_header_valid = true;
    bytes = queue_look(log, segment, offset, record_size(header), limit, &length, &own);
    *ret_payload = bytes + sizeof *header;
    return record_payload_valid(header, *ret_payload, segment->seed);
}

/* Where the last group begins, of which there is any header. */
static void find_last_group(Recovery *recovery, Segment *segment)
{
    QueueLog *log = recovery->log;

    recovery->last_group = recovery->written_end = QUEUE_RECORDS_START;
    for (uint32_t offset = QUEUE_RECORDS_START; offset < segment->size;) {
        RecordHeader header;
        uint32_t length;
        bool own;
        const uint8_t *bytes = queue_look(log, segment, offset, sizeof header, (uint32_t)segment->size, &length, &own);
        if (!bytes) {
            return;
        }
        memcpy(&header, bytes, sizeof header);
        if (!record_header_valid(&header, segment->seed, offset, segment->size)) {
            offset = queue_resynchronize(log, segment, offset + 8, (uint32_t)segment->size);
            continue;
        }
        if (header.group > recovery->last_group) {
            recovery->last_group = header.group;
        }
        offset += record_size(&header);
        recovery->written_end = offset;
    }
}

static bool checkpoint_is_whole(QueueLog *log, Segment *segment, uint32_t checkpoint_bytes)
{
    uint32_t end = QUEUE_RECORDS_START + checkpoint_bytes;

    for (uint32_t offset = QUEUE_RECORDS_START; offset < end;) {
        RecordHeader header;
        const uint8_t *payload;
        bool header_valid;
        if (!look_at_record(log, segment, offset, &header, &payload, &header_valid) || header.type != RECORD_DONE) {
            return false;
        }
        offset += record_size(&header);
    }
    return true;
}

static int clear_header(QueueLog *log, Segment *segment)
{
    static const uint8_t zeros[QUEUE_RECORDS_START];
    struct iovec part = {(void *)zeros, sizeof zeros};
    int result = log->io->write(log->io->self, segment->file, 0, &part, 1);

    return result < 0 ? result : log->io->sync(log->io->self, segment->file);
}

/* A newest segment whose first group was torn never counted. */
static int drop_unfinished(Recovery *recovery)
{
    QueueLog *log = recovery->log;

    while (log->n_used > 0) {
        Segment *newest = log->used[log->n_used - 1];
        uint32_t checkpoint_bytes = recovery->headers[log->n_used - 1].checkpoint_bytes;
        find_last_group(recovery, newest);
        recovery->checkpoint_whole = checkpoint_is_whole(log, newest, checkpoint_bytes);
        if (recovery->checkpoint_whole || recovery->last_group > QUEUE_RECORDS_START) {
            return 0;
        }
        queue_notice(log, "segment %u was begun, but its first commit was torn: it is cleared", newest->slot);
        int result = clear_header(log, newest);
        if (result < 0) {
            return ina_error_errno(recovery->error, result, "cannot clear segment %u", newest->slot);
        }
        log->n_used--;
        log->window_sequence = 0;
        recovery->dropped[recovery->n_dropped++] = newest;
    }
    return 0;
}

/* --- reading segments ------------------------------------------------------------------ */

static int read_done(Recovery *recovery, const RecordHeader *header, const uint8_t *payload)
{
    QueueLog *log = recovery->log;

    for (uint32_t i = 0; i < header->count; i++) {
        Range range;
        memcpy(&range, payload + i * sizeof range, sizeof range);
        if (range.count == 0 || range.count > UINT64_MAX - range.first) {
            return ina_error_set(recovery->error, EBADMSG, "a record acknowledges positions that cannot be");
        }
        if (log->done.count > DONE_MAX || ranges_add(&log->done, range.first, range.count) < 0) {
            return ina_error_set(recovery->error, ENOMEM, "more than %u ranges of positions are acknowledged",
                                 DONE_MAX);
        }
    }
    return 0;
}

static int add_hole(Recovery *recovery, Hole hole)
{
    if (recovery->n_holes == recovery->allocated_holes) {
        size_t more = recovery->allocated_holes ? recovery->allocated_holes * 2 : 16;
        Hole *grown = more <= HOLES_MAX ? reallocarray(recovery->holes, more, sizeof hole) : NULL;
        if (!grown) {
            return ina_error_set(recovery->error, ENOMEM, "more than %u places are damaged", HOLES_MAX);
        }
        recovery->holes = grown;
        recovery->allocated_holes = more;
    }
    recovery->holes[recovery->n_holes++] = hole;
    return 0;
}

/* Reads all records; those from position `limit` on were written again in a later segment. */
static int read_segment(Recovery *recovery, Segment *segment, uint64_t limit, bool newest)
{
    QueueLog *log = recovery->log;
    uint64_t expected = segment->first_position;
    uint32_t size = (uint32_t)segment->size, offset = QUEUE_RECORDS_START;
    Hole hole = {.segment = NULL, .newest = newest};
    int result = 0;

    while (offset < size && result == 0) {
        RecordHeader header;
        const uint8_t *payload;
        bool header_valid;
        bool valid = look_at_record(log, segment, offset, &header, &payload, &header_valid);
        if (valid && header.type == RECORD_DATA && header.position >= limit) {
            break;
        }
        valid = valid && (header.type != RECORD_DATA || header.position >= expected);
        if (!valid) {
            if (newest && offset >= recovery->last_group) {
                break; /* torn */
            }
            uint32_t next = queue_resynchronize(log, segment, offset + (header_valid ? record_size(&header) : 8), size);
            if (next == size) {
                break;
            }
            hole.offset = hole.segment ? hole.offset : offset;
            hole.end = next;
            hole.segment = segment;
            offset = next;
            continue;
        }
        if (header.type == RECORD_DATA) {
            if (hole.segment || header.position > expected) {
                hole.first = expected;
                hole.behind = header.position;
                result = add_hole(recovery, hole);
                hole.segment = NULL;
            }
            expected = header.position + header.count;
        } else {
            result = read_done(recovery, &header, payload);
        }
        offset += record_size(&header);
    }
    if (hole.segment && result == 0) {
        hole.first = hole.behind = expected; /* only what is acknowledged; or the next segment's first position tells */
        result = add_hole(recovery, hole);
    }
    segment->end = segment->sealed_end = offset < size ? offset : size;
    segment->end_position = expected;
    return result;
}

static int read_segments(Recovery *recovery)
{
    QueueLog *log = recovery->log;
    uint64_t expected = log->floor;

    for (size_t i = 0; i < log->n_used; i++) {
        Segment *segment = log->used[i];
        bool newest = i + 1 == log->n_used;
        uint64_t limit = newest ? UINT64_MAX : log->used[i + 1]->first_position;
        if (limit < segment->first_position) {
            return ina_error_set(recovery->error, EBADMSG, "segments %u and %u contradict each other", segment->slot,
                                 log->used[i + 1]->slot);
        }
        if (limit <= log->floor && recovery->checkpoint_whole) {
            /* None of its samples counts, and what it acknowledges is in the checkpoint. */
            segment->end_position = limit;
            continue;
        }
        int result = read_segment(recovery, segment, limit, newest);
        if (result < 0) {
            return result;
        }
        if (segment->first_position > expected) {
            /* The end of the segment before is gone, or whole segments are. */
            Hole hole = {.first = expected, .behind = segment->first_position};
            if (i > 0 && log->used[i - 1]->end < log->used[i - 1]->size) {
                hole.segment = log->used[i - 1];
                hole.offset = hole.segment->end;
                hole.end = (uint32_t)hole.segment->size;
            }
            result = add_hole(recovery, hole);
        }
        expected = segment->end_position > expected ? segment->end_position : expected;
        if (result < 0) {
            return result;
        }
    }
    log->end = expected;
    return 0;
}

/* --- the result --------------------------------------------------------------------- */

static void raise_floor(QueueLog *log)
{
    ranges_cut_below(&log->done, log->floor);
    if (log->done.count > 0 && log->done.ranges[0].first == log->floor) {
        log->floor += log->done.ranges[0].count;
        ranges_cut_below(&log->done, log->floor);
    }
}

static void cut_done_at_end(QueueLog *log)
{
    while (log->done.count > 0) {
        Range *last = &log->done.ranges[log->done.count - 1];
        if (last->first < log->end) {
            last->count = last->first + last->count <= log->end ? last->count : log->end - last->first;
            return;
        }
        log->done.count--;
    }
}

/* What is in no record and not done is lost; it counts as done from now on.
 * Older segments may be half written over when nothing in them counts. */
static int count_damage(Recovery *recovery)
{
    QueueLog *log = recovery->log;
    uint64_t lost = 0;

    for (size_t i = 0; i < recovery->n_holes; i++) {
        const Hole *hole = &recovery->holes[i];
        uint64_t first = hole->first > log->floor ? hole->first : log->floor;
        uint64_t missing = 0;
        if (first < hole->behind) {
            missing = hole->behind - first - ranges_overlap(&log->done, first, hole->behind);
        }
        if (hole->segment && (missing > 0 || hole->newest)) {
            queue_set_aside(log, hole->segment, hole->offset, hole->end, "damaged");
        }
        if (missing > 0 && ranges_add(&log->done, first, hole->behind - first) < 0) {
            return ina_error_errno(recovery->error, ENOMEM, "damaged log");
        }
        lost += missing;
    }
    raise_floor(log);
    log->damaged += lost;
    if (lost > 0) {
        queue_notice(log, "%" PRIu64 " samples are lost by damage", lost);
    }
    return 0;
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
    return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

/* A file without a header is a segment that was never used, or one whose header
 * was destroyed: what is in it is kept, since nobody can say what it was. */
static int clear_blank(Recovery *recovery, Segment *segment)
{
    QueueLog *log = recovery->log;
    bool zero = true;

    if (segment->size != log->options.segment_bytes && segment->size > QUEUE_SEGMENT_BYTES_MAX) {
        return -EFBIG;
    }
    segment->sequence = UINT64_MAX;
    log->window_sequence = 0;
    for (uint32_t offset = 0; zero && offset < segment->size;) {
        uint32_t length;
        bool own;
        const uint8_t *bytes = queue_look(log, segment, offset, 1, (uint32_t)segment->size, &length, &own);
        zero = is_zero(bytes, length);
        offset += length;
    }
    int result = 0;
    if (!zero) {
        queue_set_aside(log, segment, 0, (uint32_t)segment->size,
                        "no header (its first commit was torn, or the header was destroyed)");
        result = log->io->allocate(log->io->self, segment->file, segment->size);
    }
    log->window_sequence = 0;
    return result;
}

static void count_live(QueueLog *log, Segment *segment)
{
    uint64_t first = segment->first_position > log->floor ? segment->first_position : log->floor;

    segment->live = 0;
    if (segment->end_position > first) {
        segment->live = segment->end_position - first - ranges_overlap(&log->done, first, segment->end_position);
    }
}

/* Behind the end of the newest segment must be nothing that checks, and what
 * is in front of it must be on disk and not only in memory that a failed sync
 * left: so the last group is written again, with zeros behind it. */
static int write_tail(Recovery *recovery, Segment *segment)
{
    QueueLog *log = recovery->log;
    uint32_t start = recovery->last_group > segment->end ? segment->end : recovery->last_group;
    uint32_t zeros = recovery->written_end > segment->end ? recovery->written_end - segment->end : 0;
    uint32_t length = segment->end - start + zeros;
    int result = 0;

    if (zeros > 0) {
        queue_notice(log, "the last commit in segment %u was torn: %u bytes are cut off", segment->slot, zeros);
    }
    if (start == QUEUE_RECORDS_START) {
        start = 0;
        length += QUEUE_RECORDS_START;
    }
    if (length == 0) {
        return 0;
    }
    uint8_t *bytes = calloc(1, length);
    if (!bytes) {
        return -ENOMEM;
    }
    if (length > zeros) {
        result = log->io->read(log->io->self, segment->file, start, bytes, length - zeros);
    }
    struct iovec part = {bytes, length};
    if (result == 0) {
        result = log->io->write(log->io->self, segment->file, start, &part, 1);
    }
    if (result == 0) {
        result = log->io->sync(log->io->self, segment->file);
    }
    free(bytes);
    log->window_sequence = 0;
    return result;
}

/* Writes down what is done, behind the last group of the newest segment: some
 * of it may stand only in segments that are to be used again. */
static int write_conclusion(QueueLog *log, Segment *segment)
{
    RangeSet all = {0};
    int result = 0;

    if (log->floor == 0 && log->done.count == 0) {
        return 0;
    }
    for (size_t i = 0; i < log->done.count && result == 0; i++) {
        result = ranges_add(&all, log->done.ranges[i].first, log->done.ranges[i].count);
    }
    if (result == 0 && log->floor > 0) {
        result = ranges_add(&all, 0, log->floor);
    }
    uint32_t length = queue_ranges_bytes(all.count);
    uint8_t *bytes = result == 0 ? malloc(length) : NULL;
    if (!bytes || length > segment->size - segment->end) {
        ranges_clear(&all);
        free(bytes);
        return bytes ? -ENOSPC : -ENOMEM;
    }
    queue_write_ranges(bytes, all.ranges, all.count);
    queue_seal_records(bytes, length, segment->end, 0, segment->seed);
    ranges_clear(&all);
    struct iovec part = {bytes, length};
    result = log->io->write(log->io->self, segment->file, segment->end, &part, 1);
    if (result == 0) {
        result = log->io->sync(log->io->self, segment->file);
    }
    free(bytes);
    if (result == 0) {
        segment->end += length;
        segment->sealed_end = segment->end;
    }
    return result;
}

static void continue_newest(Recovery *recovery)
{
    QueueLog *log = recovery->log;
    Segment *newest = log->n_used > 0 ? log->used[log->n_used - 1] : NULL;
    int result;

    if (!newest) {
        return;
    }
    result = newest->broken ? -EIO : write_tail(recovery, newest);
    if (result == 0 && (result = write_conclusion(log, newest)) == 0) {
        log->current = newest;
        return;
    }
    log->keep_all = true; /* until a new segment's checkpoint says what is done */
    if (result != -ENOSPC) {
        queue_notice(log, "segment %u cannot be continued: %s", newest->slot, strerror(-result));
        newest->broken = true;
    }
}

static void sort_out_segments(Recovery *recovery)
{
    QueueLog *log = recovery->log;
    size_t kept = 0, n_used = log->n_used;

    for (size_t i = 0; i < n_used; i++) {
        Segment *segment = log->used[i];
        count_live(log, segment);
        segment->committed = true;
        /* The newest one says what is done: it stays until there is a newer one. */
        if (segment->live > 0 || i + 1 == n_used || log->keep_all) {
            log->used[kept++] = segment;
        } else {
            recovery->dropped[recovery->n_dropped++] = segment;
        }
    }
    log->n_used = kept;
    for (size_t i = 0; i < recovery->n_blank; i++) {
        Segment *segment = recovery->blank[i];
        segment->broken = clear_blank(recovery, segment) < 0;
        recovery->dropped[recovery->n_dropped++] = segment;
    }
    recovery->n_blank = 0;
    for (size_t i = 0; i < recovery->n_dropped; i++) {
        Segment *segment = recovery->dropped[i];
        segment->sequence = 0;
        if (log->n_unused >= QUEUE_FREE_TARGET || segment->size != log->options.segment_bytes || segment->broken) {
            queue_segment_discard(log, segment);
        } else {
            log->unused[log->n_unused++] = segment;
        }
    }
    recovery->n_dropped = 0;
}

static int recover(Recovery *recovery)
{
    QueueLog *log = recovery->log;

    /* What an earlier process left unfinished may hold records of the numbers
     * behind the last one: those are not used again. */
    log->next_sequence =
        1 + (log->n_used > 0 ? log->used[log->n_used - 1]->sequence : 0) + (log->io->random(log->io->self) & 0xffffff);
    int result = drop_unfinished(recovery);
    if (result < 0) {
        return result;
    }
    if (log->n_used == 0) {
        log->log_id = log->io->random(log->io->self);
    } else {
        const SegmentHeader *header = &recovery->headers[log->n_used - 1];
        log->floor = header->floor;
        log->damaged = header->damaged;
    }
    result = read_segments(recovery);
    if (result < 0) {
        return result;
    }
    raise_floor(log);
    cut_done_at_end(log);
    result = count_damage(recovery);
    if (result < 0) {
        return result;
    }
    log->first_sequence = log->next_sequence;
    continue_newest(recovery);
    sort_out_segments(recovery);
    log->cursor = log->floor;
    log->fresh = log->end - log->floor;
    for (size_t i = 0; i < log->done.count; i++) {
        log->fresh -= log->done.ranges[i].count;
    }
    return 0;
}

static void close_all(QueueLog *log, Segment **segments, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        log->io->close(log->io->self, segments[i]->file);
        free(segments[i]);
    }
}

int queue_recover(QueueLog *log, InaError *error)
{
    Recovery *recovery = calloc(1, sizeof *recovery);

    if (!recovery) {
        return ina_error_errno(error, ENOMEM, "queue log");
    }
    recovery->log = log;
    recovery->error = error;
    int result = log->io->list(log->io->self, note_file, recovery);
    if (result < 0) {
        result = ina_error_errno(error, result, "cannot list the segments");
    } else if ((result = log->io->sync_names(log->io->self)) < 0) {
        /* A process that was killed may have left names that are not on disk. */
        result = ina_error_errno(error, result, "cannot sync the folder");
    } else if (recovery->too_many) {
        result = ina_error_set(error, E2BIG, "there are more than %u segments", QUEUE_SEGMENTS_MAX);
    }
    for (size_t i = 0; i < recovery->n_slots && result == 0; i++) {
        result = open_segment(recovery, recovery->slots[i]);
    }
    for (size_t i = 0; i < log->n_used; i++) {
        log->bytes_on_disk += log->used[i]->size;
    }
    for (size_t i = 0; i < recovery->n_blank; i++) {
        log->bytes_on_disk += recovery->blank[i]->size;
    }
    if (result == 0) {
        result = recover(recovery);
    }
    close_all(log, recovery->blank, recovery->n_blank);
    close_all(log, recovery->dropped, recovery->n_dropped);
    free(recovery->holes);
    free(recovery);
    return result;
}
