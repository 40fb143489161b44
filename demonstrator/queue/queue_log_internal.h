/* queue_log_internal.h - the state of a queue log, shared by its files:
 * queue_log.c (put, status), queue_commit.c, queue_take.c, queue_recover.c,
 * queue_damage.c. */
#pragma once

#include "leases.h"
#include "queue_format.h"
#include "queue_log.h"
#include "ranges.h"

#define QUEUE_READ_BYTES (512u * 1024) /* of the window on what is not in a group any more */
#define QUEUE_ACKNOWLEDGED 1024u       /* leases remembered as acknowledged */
#define QUEUE_FREE_TARGET 4u           /* free segments: the reserve, the next one, and one ahead */

/* A file. Used ones are in `used`, ordered by sequence; others in `unused`. */
struct Segment {
    unsigned slot; /* names the file */
    int file;
    uint64_t size;
    uint64_t sequence;
    uint32_t seed;
    uint32_t start;      /* of the records behind the checkpoint */
    uint32_t end;        /* behind the last committed record */
    uint32_t sealed_end; /* behind the last sealed one */
    uint64_t first_position, end_position;
    uint64_t live;  /* samples in it that are not done */
    bool committed; /* at least one group is on disk */
    bool broken;    /* a write or sync failed: nothing is written to it any more */
};

/* What is committed at once. Positions in `bytes` count from the group's first
 * sample until the group is stamped. */
typedef struct Group {
    uint8_t *bytes; /* group_bytes: records of samples */
    uint32_t length;
    uint64_t samples;
    SpanList done; /* what it acknowledges, with places so that it can be undone */
    uint64_t ticket;

    /* from the seal on */
    uint8_t *header; /* of a new segment, with its checkpoint; or NULL */
    uint32_t header_length;
    uint8_t *records; /* of `done` */
    uint32_t records_length;
    Segment *segment;  /* NULL: there was no room */
    uint64_t sequence; /* of the segment then: bytes serve takes while it is the same */
    uint32_t offset;   /* of bytes in the segment */
    uint64_t position; /* of the first sample */
    bool stamped;
} Group;

struct QueueCommit {
    QueueLog *log;
    Group *group;
    bool under_way;
    unsigned attempts;
    int result;
};

struct QueuePrepare {
    QueueLog *log;
    bool under_way;
    unsigned slot;
    char name[32];
    uint64_t size;
    int file;
    int result;
};

struct QueueLog {
    QueueLogOptions options;
    const QueueIo *io;
    uint64_t log_id;

    Segment *used[QUEUE_SEGMENTS_MAX], *unused[QUEUE_SEGMENTS_MAX];
    size_t n_used, n_unused;
    Segment *current;                       /* the last of `used`; NULL: the next commit begins another */
    uint64_t next_sequence, first_sequence; /* the next one's, and the first one's that this process began */
    bool keep_all;                          /* what is done is not yet written down in one place */
    unsigned next_slot;
    uint64_t bytes_on_disk;

    /* All positions below `floor` and those in `done` are done; those from
     * `end` on do not exist yet. */
    uint64_t floor, end;
    RangeSet done;
    uint64_t damaged;

    /* Handing out: [cursor, end) was not handed out since the start; `fresh`
     * of them are not done. */
    uint64_t cursor, fresh;
    Place cursor_place; /* segment NULL: to be found */
    SpanList returned;
    LeaseTable leases;
    struct {
        uint64_t lease, ticket;
    } acknowledged[QUEUE_ACKNOWLEDGED]; /* a ring */
    size_t acknowledged_next;
    uint64_t redelivered;

    Group groups[QUEUE_GROUPS];
    unsigned filling; /* index */
    uint64_t committed_ticket;
    QueueCommit commit;
    QueuePrepare prepare;
    uint64_t prepare_after;

    /* The record that grows while samples of one producer follow each other. */
    struct {
        char producer[QUEUE_PRODUCER_MAX];
        uint32_t producer_length, count;
        uint64_t first_sequence;
        int64_t *time_us;
        double *value1, *value2;
    } open;

    /* Window on a segment. */
    uint8_t *window;
    uint64_t window_sequence; /* 0: nothing is in it */
    uint32_t window_offset, window_length;

    /* What the last take handed out. */
    struct {
        int64_t *time_us;
        double *value1, *value2;
        QueueBatch *batches;
        char (*producers)[QUEUE_PRODUCER_MAX];
        size_t n_batches, count;
    } taken;

    uint64_t commits, bytes_written;
    unsigned pieces; /* set aside */
};

void queue_notice(QueueLog *log, const char *format, ...) __attribute__((format(printf, 2, 3)));
int queue_segment_name(unsigned slot, char *buffer, size_t size);

/* --- queue_recover.c */
int queue_recover(QueueLog *log, InaError *error);

/* --- queue_damage.c */
/* Offset of the first valid header of a record at or behind `offset`; the segment's `limit` if there is none. */
uint32_t queue_resynchronize(QueueLog *log, Segment *segment, uint32_t offset, uint32_t limit);
/* Copies [offset, end) of a segment to the folder for damaged pieces and tells; not what was copied before. */
void queue_set_aside(QueueLog *log, Segment *segment, uint32_t offset, uint32_t end, const char *what);

/* --- queue_take.c */
/* The bytes of a committed segment at `offset`: as many as are there at once,
 * at least `minimum` (at most QUEUE_RECORD_MAX). NULL: cannot be read. */
const uint8_t *queue_look(QueueLog *log, Segment *segment, uint32_t offset, uint32_t minimum, uint32_t limit,
                          uint32_t *ret_length, bool *ret_own);
/* Spans come back to be handed out again. */
void queue_give_back(QueueLog *log, SpanList *spans);

/* --- queue_commit.c */
void queue_flush_open(QueueLog *log);
uint32_t queue_ranges_bytes(size_t count);                                   /* of the records of so many ranges */
uint32_t queue_write_ranges(uint8_t *to, const Range *ranges, size_t count); /* returns their length */
/* Completes records: their group's offset, their positions (which `position` is added to), their checksums. */
void queue_seal_records(uint8_t *bytes, uint32_t length, uint32_t group, uint64_t position, uint32_t seed);
/* Whether `bytes` more of samples can be committed. */
bool queue_has_room(const QueueLog *log, size_t bytes);
/* Marks positions as done: they count no more, and segments without others become unused. */
int queue_mark_done(QueueLog *log, uint64_t first, uint64_t count);
/* The start of the segment that holds a position (or of the next one, if it is gone). */
bool queue_find_place(const QueueLog *log, uint64_t position, Place *ret);
/* Closes and removes a file that is in no list any more. */
void queue_segment_discard(QueueLog *log, Segment *segment);
