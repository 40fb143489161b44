/* server.h - inaetics-provisioning: its parts, as its files share them.
 *
 * Listeners: `listen` for agents (everything but the page; TLS when a PKI is
 * given), and `pages` for people (page, REST, /v1). Each api_*.c registers its
 * prefix with server_handle and gets the caller with server_authorize. */
#pragma once

#include "accounts.h"
#include "audit.h"
#include "base/etcd.h"
#include "base/http_server.h"
#include "base/worker.h"
#include "blobs.h"
#include "repository.h"
#include "rollouts.h"
#include "signing.h"
#include "stream.h"
#include "targets.h"

#define SERVER_LISTEN_MAX 4u
#define SERVER_POLLS_MAX 1000u     /* package downloads at once; above it 503 with Retry-After */
#define SERVER_WAIT_MAX_SECONDS 60 /* of a wake-up request */

typedef struct ServerOptions {
    char *listen[SERVER_LISTEN_MAX + 1]; /* for agents */
    char *pages[SERVER_LISTEN_MAX + 1];  /* for people */
    char *data, *www, *load;             /* load: a folder of desired state, applied at start when it changed */
    char *etcd, *pki, *token_file;       /* the cluster's; NULL: none */
    char *announce;                      /* "127.1.3.4:8080": what agents are told through etcd */
    char *settings;                      /* JSON: auto operator, rollout policy (docs/provisioning-api.md) */
    bool open;                           /* legacy agents need no credentials (loopback only without --insecure) */
} ServerOptions;

typedef struct Server {
    ServerOptions options;
    sd_event *event;
    WorkerPool *workers;
    HttpServer *agents, *people;
    Database *database;
    Blobs *blobs;
    Repository *repository;
    Audit *audit;
    Targets *targets;
    Rollouts *rollouts;
    Accounts *accounts;
    SigningKey *key;
    Stream *stream;
    char *token; /* the cluster's, for enrolling; NULL: none */
} Server;

/* Answers 401/403 itself and returns false when the caller may not. A session (cookie "inaetics-provisioning" or
 * "Authorization: Bearer"), or HTTP Basic. */
bool server_authorize(Server *server, InaHttpRequest *request, Permission permission, Account *ret);
/* The target itself: its token, a client certificate with its CN, Basic; or, for one that never enrolled, anybody when
 * `open`. Answers itself when not. */
bool server_authorize_target(Server *server, InaHttpRequest *request, const char *target);
/* {"error": CODE, "message": "..."}; CODE: a word, from errno ("invalid", "stale", "not-found", "exists", "forbidden").
 */
void server_fail(InaHttpRequest *request, int status, const InaError *error);
void server_json(InaHttpRequest *request, int status, json_t *value); /* steals */

int agent_protocol_open(Server *server, InaError *error);   /* /deployment, /auditlog, /agent (agent_protocol*.c) */
int ace_rest_open(Server *server, InaError *error);         /* /client/work (ace_rest*.c) */
int api_open(Server *server, InaError *error);              /* /v1 for people (api_*.c) */
int api_targets_open(Server *server, InaError *error);      /* /v1/agents: enrol, next, blobs, report (api_agents.c) */
int discovery_record_open(Server *server, InaError *error); /* /inaetics/node-provisioning-service/ID */
