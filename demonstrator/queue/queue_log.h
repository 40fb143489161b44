/* queue_log.h - the durable sample queue: a log on disk, without loop, clock or protocol.
 *
 * Every sample that is put gets the next position. Samples are handed out in
 * the order of positions, under leases; what is released or not acknowledged
 * in time is handed out again, first and oldest first. What is put or
 * acknowledged gathers in a group; a group is sealed, committed (one write,
 * one sync) and then counts:
 *
 *     if ((commit = queue_log_seal(log))) {
 *         queue_commit_run(commit);          // any thread; the log may be used meanwhile
 *         queue_log_committed(log, commit);  // -EAGAIN: run it again
 *     }
 *
 * A ticket is the number of the group that something went into: it is on disk
 * when that group is committed, and was not accepted when it failed.
 *
 * The log is used from one thread. Times are given by the caller, in
 * nanoseconds of any steady clock. Disk and randomness come through QueueIo,
 * which must outlive the log. Memory is bounded whatever is in the log:
 * see QUEUE_GROUPS, and spans_max for takers that acknowledge out of order. */
#pragma once

#include "queue_io.h"

#define QUEUE_CAPACITY_MAX 4000000u
#define QUEUE_SEGMENT_BYTES_MIN (256u * 1024)
#define QUEUE_SEGMENT_BYTES_MAX (256u * 1024 * 1024)
#define QUEUE_SEGMENTS_MAX 512u
#define QUEUE_GROUP_BYTES_MIN (16u * 1024)
#define QUEUE_GROUP_BYTES_MAX (4u * 1024 * 1024)
#define QUEUE_GROUPS 4u           /* one fills, one is committed, the others serve takes */
#define QUEUE_TAKE_SAMPLES 65536u /* at most handed out by one take */
#define QUEUE_TAKE_BATCHES 2048u
#define QUEUE_SPANS_MAX 65536u
#define QUEUE_RESERVE 2u                         /* free segments that only acknowledges may use */
#define QUEUE_PREPARE_DELAY UINT64_C(1000000000) /* after a segment could not be made, until the next attempt */

typedef struct QueueLog QueueLog;
typedef struct QueueCommit QueueCommit;
typedef struct QueuePrepare QueuePrepare;

typedef struct QueueLogOptions {
    uint64_t capacity;      /* samples not acknowledged, 1 to QUEUE_CAPACITY_MAX */
    uint32_t segment_bytes; /* of new segments; a multiple of 4096, at least 4 times group_bytes + 32 times spans_max */
    uint32_t group_bytes;   /* of samples in one commit */
    uint64_t disk_bytes;    /* of all segments; room for 4 of them at least */
    size_t spans_max;       /* ranges of positions that are leased, came back or were acknowledged out of order */
    size_t leases_max;
    /* Told what a person should know: damage found, a commit that failed. */
    void (*notice)(void *userdata, const char *text);
    void *userdata;
} QueueLogOptions;

/* Consecutive samples of one producer, by column. */
typedef struct QueueBatch {
    const char *producer;   /* not terminated by a zero in what the log hands out */
    size_t producer_length; /* 1 to 128 */
    uint64_t first_sequence;
    size_t count;
    const int64_t *time_us;
    const double *value1, *value2;
} QueueBatch;

typedef enum QueueRefusal {
    QUEUE_NOTHING_REFUSED,
    QUEUE_BUSY, /* no room before the next commit or prepared segment: try again then */
    QUEUE_FULL, /* as many samples as its capacity are not acknowledged */
    QUEUE_DISK, /* no room on the disk */
} QueueRefusal;

/* Reads what is there, or makes an empty log. */
int queue_log_open(const QueueLogOptions *options, const QueueIo *io, QueueLog **ret, InaError *error);
QueueLog *queue_log_free(QueueLog *log); /* what is not committed is lost; takes NULL, returns NULL */

/* Accepts samples from the first on; returns how many, and why not all. A
 * batch must not be larger than SIZE_MAX / 24 and its sequence numbers end
 * below 2^64. */
size_t queue_log_put(QueueLog *log, const QueueBatch *batch, uint64_t now, QueueRefusal *ret_refusal);
/* Ticket of what was put since the last seal. */
uint64_t queue_log_ticket(const QueueLog *log);
uint64_t queue_log_committed_ticket(const QueueLog *log); /* of the last group that was committed or failed */

/* --- committing --------------------------------------------------------------- */

size_t queue_log_waiting(const QueueLog *log); /* bytes that the next commit would write; 0: nothing to commit */
/* NULL: nothing waits, or a commit is under way already. */
QueueCommit *queue_log_seal(QueueLog *log);
void queue_commit_run(QueueCommit *commit);
uint64_t queue_commit_ticket(const QueueCommit *commit);
/* 0: the group is on disk. -EAGAIN: the disk failed and the group goes to
 * another segment; run the commit again. Else the group has failed: its
 * samples are not accepted, its acknowledges are undone. */
int queue_log_committed(QueueLog *log, QueueCommit *commit);

/* A further segment is to be made, which may take long: run it in any thread. NULL: not needed now. */
QueuePrepare *queue_log_prepare(QueueLog *log, uint64_t now);
void queue_prepare_run(QueuePrepare *prepare);
int queue_log_prepared(QueueLog *log, QueuePrepare *prepare, uint64_t now); /* the result of it */

/* --- handing out -------------------------------------------------------------- */

typedef struct QueueTaken {
    uint64_t lease; /* 0: nothing was taken */
    uint64_t count;
    const QueueBatch *batches; /* valid until the next call for the log */
    size_t n_batches;
} QueueTaken;

uint64_t queue_log_available(const QueueLog *log); /* samples that could be taken */
/* Hands out up to `maximum` samples until `ends`. -EAGAIN: as many leases are
 * out as there may be. */
int queue_log_take(QueueLog *log, uint64_t maximum, uint64_t ends, QueueTaken *ret);
/* Tells by which ticket it is on disk. -ENOENT: unknown (but one that is among
 * the last 1024 acknowledged may be acknowledged again). */
int queue_log_acknowledge(QueueLog *log, uint64_t lease, uint64_t *ret_ticket);
int queue_log_release(QueueLog *log, uint64_t lease);
/* Takes back what was not acknowledged in time. */
void queue_log_expire(QueueLog *log, uint64_t now);
uint64_t queue_log_next_expiry(const QueueLog *log); /* UINT64_MAX: no lease is out */

typedef struct QueueLogStatus {
    uint64_t size; /* not acknowledged */
    uint64_t leased;
    uint64_t accepted, acknowledged, damaged; /* since the log was made */
    uint64_t redelivered;                     /* since it was opened */
    uint64_t bytes_on_disk;
    uint64_t commits, bytes_written; /* since it was opened */
} QueueLogStatus;

void queue_log_status(const QueueLog *log, QueueLogStatus *ret);
