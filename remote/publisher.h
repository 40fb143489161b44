/* publisher.h - keeps a set of records in etcd under one lease: a pure core.
 *
 * It is told which keys should have which values, and what etcd answered; it
 * says what to ask etcd next. One request per key is under way at a time, so
 * that they cannot overtake each other. When the lease is lost everything is
 * written again under a new one; a failed request is repeated after pauses of
 * 0.1 to 5 s; etcd may be away for any time.
 *
 *   absent --set--> writing --done--> written --withdraw--> marking --> erasing --> absent
 *
 * A withdrawn record of kind PUBLISHER_MARKED becomes a tombstone before it is
 * deleted, so that watchers can tell intent from loss.
 *
 * Times are monotonic nanoseconds. Requests must not answer from inside. */
#pragma once

#include <inaetics/call.h>
#include <stdbool.h>

#define PUBLISHER_LEASE_SECONDS 5
#define PUBLISHER_KEEPALIVE (PUBLISHER_LEASE_SECONDS * INA_SECOND / 3)
#define PUBLISHER_PAUSE_MIN (100 * INA_MILLISECOND)
#define PUBLISHER_PAUSE_MAX (5 * INA_SECOND)
#define PUBLISHER_RECORDS_MAX 4096u

typedef struct Publisher Publisher;

typedef struct PublisherRequests {
    void (*grant)(void *userdata, int64_t ttl_seconds);
    void (*keepalive)(void *userdata, int64_t lease);
    void (*put)(void *userdata, const char *key, const char *value, int64_t lease);
    void (*erase)(void *userdata, const char *key);
    void (*revoke)(void *userdata, int64_t lease);
} PublisherRequests;

typedef enum PublisherKind { PUBLISHER_PLAIN, PUBLISHER_MARKED } PublisherKind;

Publisher *publisher_new(const PublisherRequests *requests, void *userdata);
Publisher *publisher_free(Publisher *publisher);

/* -ENOMEM, -ENOSPC. Takes effect with the next publisher_tick. */
int publisher_set(Publisher *publisher, PublisherKind kind, const char *key, const char *value);
void publisher_withdraw(Publisher *publisher, const char *key);
/* Withdraws all, then gives the lease back. */
void publisher_close(Publisher *publisher);
/* After publisher_close: whether all is done. */
bool publisher_closed(const Publisher *publisher);

/* Answers. lease 0: it failed. */
void publisher_granted(Publisher *publisher, int64_t lease, uint64_t now);
typedef enum PublisherKept { PUBLISHER_KEPT, PUBLISHER_LOST, PUBLISHER_UNREACHABLE } PublisherKept;
void publisher_kept(Publisher *publisher, PublisherKept kept, uint64_t now);
void publisher_done(Publisher *publisher, const char *key, bool ok, uint64_t now); /* put, erase */
void publisher_revoked(Publisher *publisher);
/* Somebody saw that this key of ours is gone: it is written again if it should be there. */
void publisher_missing(Publisher *publisher, const char *key, uint64_t now);
/* A request failed because etcd does not know the lease. */
void publisher_lost(Publisher *publisher, uint64_t now);

/* Asks for what is due; returns when it must be called again, UINT64_MAX: only
 * after one of the other functions. */
uint64_t publisher_tick(Publisher *publisher, uint64_t now);

bool publisher_has_lease(const Publisher *publisher);
size_t publisher_pending(const Publisher *publisher); /* records not yet as they should be */
