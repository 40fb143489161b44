/* list.h - what is offered where, read from etcd: the logic of
 * `inaetics services`. */
#pragma once

#include "base/http_client.h"
#include "base/map.h"
#include <stdbool.h>

typedef struct RemoteListOptions {
    const char *etcd;             /* endpoints */
    const HttpClientOptions *tls; /* for https; may be NULL */
    const char *contract;         /* only those of this name, or of this last part of it; NULL: all */
    bool json;                    /* a list of objects instead of a table */
} RemoteListOptions;

/* Appends a table, ordered by contract and agent:
 *
 *   SERVICE                AGENT           URL                    PROPERTIES
 *   demonstrator.v1.Queue  queue-0-5f3a9c  http://127.1.1.2:8080  type=queue
 *
 * Waits for etcd's answer (in a loop of its own, at most 5 s). An endpoint
 * whose wire is not known has "-" for its URL. */
int remote_list(const RemoteListOptions *options, Buffer *output, InaError *error);
