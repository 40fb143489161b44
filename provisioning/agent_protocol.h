/* agent_protocol.h - what ACE's and Celix's agents are told, inside.
 *
 *   agent_protocol.c         /deployment: versions and packages; opens all
 *   agent_protocol_send.c    answers with ranges, piece by piece
 *   agent_protocol_log.c     /auditlog
 *   agent_protocol_update.c  /agent: the agent's own bundle
 *   agent_protocol_state.c   what is known of each agent beyond its log
 *
 * docs/agent-protocol.md says what these promise. */
#pragma once

#include "server.h"

#define AGENT_BUNDLES_MAX 1024u  /* watched of one agent */
#define AGENT_REPLAY_MAX 20000u  /* events read again after a restart of the server */
#define AGENT_STATES_SWEPT 4096u /* states from which on silent ones are forgotten */
#define AGENT_SILENT_MS (INT64_C(3600) * 1000)
#define AGENT_UPDATES_MAX 256u /* versions of the agent's own bundle that are listed */
#define RETRY_AFTER_LEAST 5u   /* seconds; and up to RETRY_AFTER_SPREAD more, so that not all come back at once */
#define RETRY_AFTER_SPREAD 25u
#define AUDIT_TARGETS_MAX 64u /* targets that one body may speak of */
#define AUDIT_ANSWER_MAX (16u * 1024u * 1024u)

typedef struct AgentBundle {
    int64_t id;
    char name[129];
    bool started;
} AgentBundle;

/* An agent without /v1. Of Celix' nothing is heard but polls and two events. */
typedef struct AgentState {
    char offered[32];          /* version that it fetched last; "" */
    bool refused;              /* its last fetch was answered with 503 */
    bool fetched;              /* all of `offered` was sent */
    unsigned polls;            /* of the list, since then */
    bool silent;               /* polls without User-Agent, as Celix does */
    bool tells;                /* reports of deployments were seen: ACE's agent */
    char running[32];          /* version that was installed last; "" unknown */
    int64_t since, told, seen; /* ms: it runs, its health was told, it was heard */
    int64_t errors;            /* framework errors since */
    bool ready;                /* as told last */
    AgentBundle *bundles;
    size_t n_bundles;
} AgentState;

typedef struct AgentUpdate {
    char version[128];
    char digest[BLOB_DIGEST_SIZE];
} AgentUpdate;

typedef struct AgentProtocol {
    Server *server;
    Map *states;  /* AgentState */
    size_t sweep; /* states from which on the next sweep is due */
    unsigned downloads;
    int64_t database_max; /* AUDIT_DATABASE_MAX, but in tests */
    bool storing;         /* events come from /auditlog/send */
    AgentUpdate updates[AGENT_UPDATES_MAX];
    size_t n_updates;
    int64_t updates_revision; /* of the repository that they were read from; -1: none */
} AgentProtocol;

/* Names in paths: 1 to TARGET_ID_MAX of [A-Za-z0-9._-], not beginning with a dot. */
bool agent_target_valid(const char *id);

/* --- agent_protocol_send.c ---------------------------------------------- */

/* One of both is sent; taken over. */
typedef struct SendSource {
    Package *package;
    int fd; /* -1 with a package */
    uint64_t size;
    const char *type;
} SendSource;

/* Answers a GET with all or a range, a HEAD with its header. `target` and `version` (of a package; or NULL) are
 * told to agent_fetched when the last byte was sent. */
void send_source(AgentProtocol *protocol, InaHttpRequest *request, const SendSource *source, const char *target,
                 const char *version);
void send_overload(InaHttpRequest *request);
/* Returns false when only GET and HEAD are right, and answered so. */
bool send_reading(InaHttpRequest *request);

/* --- agent_protocol_state.c --------------------------------------------- */

/* Of an agent that was just heard; made and read from the audit log when it is new. NULL: out of memory. */
AgentState *agent_state(AgentProtocol *protocol, const char *id);
void agent_polled(AgentProtocol *protocol, const char *id, bool silent);
void agent_offered(AgentProtocol *protocol, const char *id, const char *version);
void agent_refused(AgentProtocol *protocol, const char *id);
void agent_fetched(AgentProtocol *protocol, const char *id, const char *version);
void agent_event(void *userdata, const AuditEvent *event); /* for audit_watch */
void agent_states_free(AgentProtocol *protocol);

/* --- handlers ------------------------------------------------------------- */

void serve_audit(Server *server, InaHttpRequest *request);
void serve_update(Server *server, InaHttpRequest *request);
