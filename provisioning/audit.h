/* audit.h - the audit log: what agents say happened, kept for ever or trimmed.
 *
 * The line: targetID,logID,seq,timeMillis,type[,key,value]*  with '$' escapes
 * in targetID and values ("$$" $, "$k" comma, "$n" LF, "$r" CR, "$e" empty), as
 * ACE's Event and Codec have it. (target, log, seq) is stored once, however
 * often it is sent. Sequence numbers begin with 1 (Celix: 0).
 *
 * What is stored of each log is also kept in memory as ranges, read from the
 * database when a target is first asked for. What was trimmed still counts as
 * stored, so that no agent sends it again. */
#pragma once

#include "base/map.h"
#include "database.h"
#include "ranges.h"

#define AUDIT_LINE_MAX 65536u
#define AUDIT_ENTRIES_MAX 64u
#define AUDIT_TARGET_MAX 255u
#define AUDIT_BODY_MAX (16u * 1024u * 1024u)
#define AUDIT_LOGS_MAX 64u /* logs kept of one target; the oldest go */

#define AUDIT_DATABASE_MAX (INT64_C(4) << 30) /* bytes of the database above which no events are taken */
#define AUDIT_EVENTS_MAX 100000u              /* kept of one log; beyond it the oldest quarter is trimmed */

/* Types that mean something to the server (ACE's AuditEvent). */
enum {
    AUDIT_BUNDLE_INSTALLED = 1,
    AUDIT_BUNDLE_STARTED = 3,
    AUDIT_BUNDLE_STOPPED = 4,
    AUDIT_BUNDLE_UPDATED = 6,
    AUDIT_BUNDLE_UNINSTALLED = 7,
    AUDIT_FRAMEWORK_ERROR = 1003,
    AUDIT_FRAMEWORK_STARTED = 1005,
    AUDIT_DEPLOYMENT_INSTALL = 2001,
    AUDIT_DEPLOYMENT_COMPLETE = 2003,
    AUDIT_CONTROL_INSTALL = 3001,
    AUDIT_TARGET_PROPERTIES = 4001,
};

typedef struct AuditEvent {
    char *target;
    int64_t log, sequence, time, type;
    struct {
        char *key, *value;
    } entries[AUDIT_ENTRIES_MAX];
    size_t n_entries;
} AuditEvent;

/* -EINVAL says the column. The event's strings are freed by audit_event_clear. */
int audit_parse(const char *line, size_t size, AuditEvent *ret, InaError *error);
int audit_format(const AuditEvent *event, char **ret, InaError *error); /* without LF; malloc'ed */
void audit_encode(Buffer *out, const char *text); /* a target's name, a value or ranges, escaped */
const char *audit_event_get(const AuditEvent *event, const char *key);
void audit_event_clear(AuditEvent *event);
const char *audit_type_name(int64_t type); /* "bundle started", "deployment complete"; "event" for unknown ones */

typedef struct Audit Audit;

int audit_open(Database *database, Audit **ret, InaError *error);
/* Called for each event that is new, within the transaction that stores it. */
void audit_watch(Audit *audit, void (*stored)(void *userdata, const AuditEvent *event), void *userdata);
/* Stores one; ret_new false: it was there. */
int audit_store(Audit *audit, const AuditEvent *event, bool *ret_new, InaError *error);
/* The body of a POST: lines; good ones are stored in one transaction. -EINVAL if any was bad (the first one named). */
int audit_store_lines(Audit *audit, const char *text, size_t size, size_t *ret_stored, InaError *error);
int audit_ranges(Audit *audit, const char *target, int64_t log, Ranges *ret, InaError *error);
/* The first sequence number that was not trimmed; 0: nothing was. */
int audit_lowest(Audit *audit, const char *target, int64_t log, int64_t *ret, InaError *error);
/* Each log of a target (NULL: of all) with its ranges. */
int audit_logs(Audit *audit, const char *target,
               void (*each)(void *userdata, const char *target, int64_t log, const Ranges *ranges), void *userdata,
               InaError *error);
/* Events of a target in the order of logs (their ids are times) and sequence, or newest first; log 0: all; ranges
 * NULL: all. Not from within `each`. */
int audit_read(Audit *audit, const char *target, int64_t log, const Ranges *ranges, bool newest_first, size_t skip,
               size_t maximum, void (*each)(void *userdata, const AuditEvent *event), void *userdata, InaError *error);
/* Forgets what comes before `lowest`. */
int audit_trim(Audit *audit, const char *target, int64_t log, int64_t lowest, InaError *error);
/* All of a target. */
int audit_forget(Audit *audit, const char *target, InaError *error);
/* All of those that `known` does not know. */
int audit_sweep(Audit *audit, bool (*known)(void *userdata, const char *target), void *userdata, InaError *error);
Audit *audit_close(Audit *audit);
