/* server.h - inaetics-provisioning: its parts, as its files share them.
 *
 * Listeners: `listen` for agents (ACE's agent protocol, /v1/agents, /v1/blobs;
 * TLS when the PKI folder has a server certificate), and `pages` for people
 * (page, /client/work, /v1); metrics and health on both. Who serves a prefix
 * registers it with server_handle and gets the caller with server_authorize.
 *
 *   server.c        opens and closes the parts, answers
 *   server_auth.c   who the caller is
 *   server_counts.c how many targets are in which state
 *   server_blobs.c  files that nobody names any more, what forgotten targets left
 *   server_tell.c   what changes, as events and as JSON
 *   api.c           the table of routes of /v1 (api.h), api_*.c their handlers */
#pragma once

#include "accounts.h"
#include "audit.h"
#include "base/etcd.h"
#include "base/http_server.h"
#include "base/map.h"
#include "base/worker.h"
#include "blobs.h"
#include "repository.h"
#include "rollouts.h"
#include "signing.h"
#include "stream.h"
#include "targets.h"

#include <inaetics/properties.h>

#define SERVER_LISTEN_MAX 4u
#define SERVER_POLLS_MAX 1000u     /* package downloads at once; above it 503 with Retry-After */
#define SERVER_WAIT_MAX_SECONDS 60 /* of a wake-up request */
#define SERVER_CONNECTIONS_MAX 12000u
#define SERVER_UNKNOWN_BODY_MAX (64u * 1024u) /* bytes that are read from somebody before it is known who it is */
#define SERVER_AGENT_BODY_MAX (512u * 1024u)  /* of what our agents send: properties and reports */
#define SERVER_CHECKS_MAX 256u                /* passwords being checked */
#define SERVER_OWN_WORKSPACES_MAX 32u         /* of one account */
#define SERVER_UPLOADS_MAX 32u                /* being looked at, one after the other, or waiting for that */
#define SERVER_CLOSERS_MAX 16u
#define SESSION_COOKIE "inaetics-provisioning" /* "-PORT" follows */
#define SERVER_KNOWN_MAX 1024u                 /* passwords that were right, remembered by their digest */

typedef struct ServerOptions {
    char *listen[SERVER_LISTEN_MAX + 1]; /* for agents */
    char *pages[SERVER_LISTEN_MAX + 1];  /* for people */
    char *data, *www, *load;             /* load: a folder of desired state, applied at start when it changed */
    char *etcd, *pki, *token_file;       /* the cluster's; NULL: none */
    char *key;                           /* what is signed with; NULL: one in the data folder */
    char *announce;                      /* "127.1.3.4:8080": what agents are told through etcd */
    char *dashboard;                     /* the application's own page: host port as its manifest says it, or a URL */
    char *settings;                      /* JSON: auto operator, rollout policy (docs/provisioning-api.md) */
    bool open;                           /* legacy agents need no credentials (loopback only without --insecure) */
    int ready_fd;                        /* -1: none */
} ServerOptions;

typedef struct PasswordCheck PasswordCheck;
typedef struct AgentWaits AgentWaits;
typedef struct Record Record;
struct Approvals;
struct AgentProtocol;

typedef struct Cleaning {
    struct Server *server;
    sd_event_source *timer, *gone;
    bool ended;
} Cleaning;

typedef struct TargetCounts {
    size_t all, registered, unapproved, failed, ready;
} TargetCounts;

typedef struct Counting {
    TargetCounts counts;
    Map *counted; /* by id: in which states a target was counted */
    sd_event_source *idle;
    char at[TARGET_ID_MAX + 1]; /* up to here those are counted that were known at the start */
} Counting;

typedef struct Server {
    ServerOptions options;
    sd_event *event;
    WorkerPool *workers; /* for passwords */
    WorkerPool *files;   /* for what is uploaded */
    unsigned n_uploads;
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
    char *token;         /* the cluster's, for enrolling; NULL: none */
    char *url;           /* what agents are told */
    bool tls;            /* agents are served over TLS */
    char *passwords_key; /* random: digests of known passwords are keyed with it */
    PasswordCheck *checks;
    unsigned n_checks;
    Map *known;  /* digest of a password that was right: whose and which */
    Map *routes; /* ServerRoute, to be freed */
    AgentWaits *waits;
    struct AgentProtocol *protocol;  /* agent_protocol.h */
    struct Approvals *ace_approvals; /* ace_rest.c */
    struct Pages *elsewhere;         /* api_pages.c; NULL: not asked for yet */
    Etcd *etcd;
    Record *record;
    int64_t drift_revision; /* desired_drift was counted of; 0: not yet */
    int drift;
    struct ServerCloser {
        void (*close)(void *userdata);
        void *userdata;
    } closers[SERVER_CLOSERS_MAX];
    unsigned n_closers;
    Cleaning cleaning; /* server_blobs.c */
    Counting counting; /* server_counts.c */
    int64_t started;   /* ms since 1970 */
    uint64_t requests, refused;
} Server;

int server_open(sd_event *event, const ServerOptions *options, Server **ret, InaError *error); /* takes the options */
int server_listen(Server *server, InaError *error); /* from here on it is asked */
Server *server_close(Server *server);
void server_options_clear(ServerOptions *options);
int64_t server_now(void); /* ms since 1970 */
bool address_is_loopback(const char *address);

/* Serves `prefix`. A password that comes as HTTP Basic is checked, beside the loop, before `handle` is called. */
#define SERVER_AGENTS 1u
#define SERVER_PEOPLE 2u
typedef void (*ServerHandler)(Server *server, InaHttpRequest *request);
/* Called when the server closes, the last one first, while all parts and listeners are still there. */
int server_on_close(Server *server, void (*close)(void *userdata), void *userdata, InaError *error);
int server_handle(Server *server, unsigned where, const char *prefix, ServerHandler handle, InaError *error);

/* Answers 401/403 itself and returns false when the caller may not. A session (cookie or "Authorization: Bearer"), or
 * HTTP Basic. */
bool server_authorize(Server *server, InaHttpRequest *request, Permission permission, Account *ret);
/* The target itself: its token, a client certificate with its CN, Basic; or, for one that never enrolled, anybody when
 * `open`. Answers itself when not. */
bool server_authorize_target(Server *server, InaHttpRequest *request, const char *target);
int server_auth_open(Server *server, InaError *error);
void server_auth_close(Server *server);
/* Who calls, without answering: false: nobody that is known. */
bool server_identify(Server *server, InaHttpRequest *request, Account *ret);
/* For guards, before a body is read: true: it is answered, or will be, or is let in when its password is right. */
bool server_guard(Server *server, InaHttpRequest *request);
/* Whether a request has the cluster's token ("Authorization: Bearer"). False when the server has none. */
bool server_has_cluster_token(const Server *server, const InaHttpRequest *request);
/* Who reads the event stream; and whether it still may: the account is as it was, and so is the session. */
void server_reader(const InaHttpRequest *request, const Account *account, StreamReader *ret);
bool server_reader_still(void *userdata, StreamReader *reader);
/* Whether the account is still as it was when the request began, and has the permission: for what takes a while. */
bool server_still_may(const Server *server, const Account *account, Permission permission);
/* 401 or, for somebody known, 403 with what is missing. */
void server_refuse(Server *server, InaHttpRequest *request, const Account *account, const char *missing);
/* Whether a request that changes something may come from this page; answers 403 itself. */
bool server_check_origin(InaHttpRequest *request);
/* Checks a password beside the loop; `done` is called once (account NULL: wrong), unless this answers itself (429). */
typedef void (*PasswordDone)(Server *server, InaHttpRequest *request, const Account *account, void *userdata);
void server_check_password(Server *server, InaHttpRequest *request, const char *name, const char *password,
                           PasswordDone done, void *userdata);
bool server_session_token(const InaHttpRequest *request, char *ret, size_t size); /* Bearer or cookie */
/* Whose token or client certificate a request has; false: nobody's. Answers nothing. */
bool server_identify_target(Server *server, InaHttpRequest *request, char *ret, size_t size);
/* {"error": CODE, "message": "..."}; CODE: a word, from errno ("invalid", "stale", "not-found", "exists", "forbidden").
 */
void server_fail(InaHttpRequest *request, int status /* 0: from errno */, const InaError *error);
void server_fail_text(InaHttpRequest *request, int status, int code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void server_json(InaHttpRequest *request, int status, json_t *value); /* steals */

/* Counts targets as they change; view NULL: it is gone. */
int server_counts_open(Server *server, InaError *error);
void server_count_target(Server *server, const char *id, const TargetView *view);
/* Removes files that nobody names, and what forgotten targets left. */
int server_blobs_open(Server *server, InaError *error);
/* server_tell.c: new references */
int server_tell_open(Server *server, InaError *error);
json_t *settings_json(const TargetSettings *settings);
void settings_clear(TargetSettings *settings);
int settings_read(const json_t *value, TargetSettings *ret, InaError *error); /* api_rollouts.c; strings malloc'ed */
json_t *target_json(const Server *server, const TargetView *view);
json_t *version_json(const DeploymentVersion *version);
json_t *event_json(const AuditEvent *event);
json_t *revision_json(const RevisionInfo *revision);
json_t *workspace_json(const Workspace *workspace);
void server_tell_workspace(Server *server, const Workspace *workspace);

/* Whether a filter is true of an object's attributes and tags. */
int object_matches(const Object *object, const InaFilter *filter, bool *ret, InaError *error);
/* Answers with a file, or the range of it that is asked for. */
void server_send_blob(Server *server, InaHttpRequest *request, const char *digest);
/* api_uploads.c: recognises a file and, when it is right, keeps it, at once (at the start); the artifact is not in the
 * model yet, and may be there with other content. */
int server_take_file(Server *server, const Model *model, const char *filename, const void *data, size_t size,
                     Object **ret, InaError *error);

/* api_workspaces.c: one CHANGE on a model, if the account may, and which permission it took is added to `needs`; what a
 * commit answers */
int server_change(Server *server, const Account *account, const json_t *value, Model *model, json_t **ret,
                  uint32_t *needs, InaError *error);
/* -EBUSY: the account has too many, or all together. */
int server_new_workspace(Server *server, const Account *account, Workspace **ret, InaError *error);
int server_follow(Model *model, const Model *changed, InaError *error); /* makes a model as the other is */
/* Answers what was stored: {"revision", "rollout"} and what is in `more`, which is taken over. Now, or when it is known
 * what it began. */
void server_answer_committed(Server *server, InaHttpRequest *request, int64_t revision, json_t *more);
/* Begins a rollout and answers it. Policy NULL: the usual one. */
void server_answer_begun(Server *server, InaHttpRequest *request, int64_t revision, const RolloutPolicy *policy,
                         bool force, const char *author);
int desired_open(Server *server, InaError *error); /* api_desired.c */
bool desired_applied(Server *server);              /* any, ever */
int desired_drift(Server *server);                 /* how many differences */

int agent_protocol_open(Server *server, InaError *error);    /* /deployment, /auditlog, /agent (agent_protocol*.c) */
int ace_rest_open(Server *server, InaError *error);          /* /client/work (ace_rest*.c) */
void ace_rest_forget(Server *server, const char *workspace); /* it ended */
int api_pages_open(Server *server, InaError *error);         /* the page's files, at / for people (api_common.c) */
int api_open(Server *server, InaError *error);               /* /v1 for people (api_*.c) */
int api_targets_open(Server *server, InaError *error);       /* /v1/agents: enrol, next, blobs, report (api_agents.c) */
int desired_load(Server *server, InaError *error);           /* --load (api_desired.c) */
int discovery_record_open(Server *server, InaError *error);  /* /inaetics/node-provisioning-service/ID */
void discovery_record_close(Server *server, void (*withdrawn)(void *userdata), void *userdata); /* NULL: at once */
void agent_waits_wake(Server *server, const char *target); /* a new version is there */
