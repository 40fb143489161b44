/* audit.h - the audit log: what agents say happened, kept for ever or trimmed.
 *
 * The line: targetID,logID,seq,timeMillis,type[,key,value]*  with '$' escapes
 * in targetID and values ("$$" $, "$k" comma, "$n" LF, "$r" CR, "$e" empty), as
 * ACE's Event and Codec have it. (target, log, seq) is stored once, however
 * often it is sent. Sequence numbers begin with 1 (Celix: 0). */
#pragma once

#include "database.h"
#include "ranges.h"
#include <stdio.h>

#define AUDIT_LINE_MAX 65536u
#define AUDIT_ENTRIES_MAX 64u
#define AUDIT_TARGET_MAX 255u
#define AUDIT_BODY_MAX (16u * 1024u * 1024u)
#define AUDIT_LOGS_MAX 64u /* logs kept of one target; the oldest go */

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
/* Each log of a target (NULL: of all) with its ranges. */
int audit_logs(Audit *audit, const char *target,
               void (*each)(void *userdata, const char *target, int64_t log, const Ranges *ranges), void *userdata,
               InaError *error);
/* Events of a target in the order of time and sequence, or newest first; log 0: all; ranges NULL: all. */
int audit_read(Audit *audit, const char *target, int64_t log, const Ranges *ranges, bool newest_first, size_t skip,
               size_t maximum, void (*each)(void *userdata, const AuditEvent *event), void *userdata, InaError *error);
int audit_trim(Audit *audit, const char *target, int64_t log, int64_t lowest, InaError *error);
Audit *audit_close(Audit *audit);
