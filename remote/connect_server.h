/* connect_server.h - offers local services to callers elsewhere, over Connect.
 *
 * Every contract service that is registered with `exported` is served below
 * "/<its contract's name>" while it is there. A call runs on the local entry
 * by call_start, so one whose provider is being updated waits. A caller that
 * leaves cancels its call.
 *
 * All calls must carry the cluster's bearer token (compared in constant time).
 * The HTTP server's guard is set to refuse others before their body is read. */
#pragma once

#include "base/http_server.h"
#include "connect.h"
#include "framework/call.h"
#include "statistics.h"

#define CONNECT_SERVICES_MAX 1024u /* names of contracts */

typedef struct ConnectServer ConnectServer;

typedef struct ConnectServerOptions {
    const char *agent; /* id, as in X-Inaetics-Endpoint */
    const char *token; /* copied; NULL: anybody may call (tests) */
    /* May refuse a call: returns false and sets `ret`, with a message that lives. NULL: none. */
    bool (*guard)(void *userdata, InaHttpRequest *request, const InaContract *contract, unsigned method,
                  InaFailure *ret);
    void *userdata;
} ConnectServerOptions;

int connect_server_new(Framework *framework, HttpServer *http, const ConnectServerOptions *options, ConnectServer **ret,
                       InaError *error);
const RemoteStatistics *connect_server_statistics(const ConnectServer *server);
/* Calls under way are cancelled and answered with unavailable. */
ConnectServer *connect_server_free(ConnectServer *server);
