/* deployment.h - the bundle `deployment`: brings an agent its software from a
 * provisioning server. What its files share.
 *
 *   deployment.c  the component: what it is told, and its life
 *   servers.c     which servers there are, and which one is asked
 *   talk.c        enrolling, waiting for the next version, reporting
 *   plan.c        from a signed statement to bundles that run
 *   download.c    files by their digest
 *   store.c       what is remembered over restarts
 *   events.c      the audit log
 *   progress.c    how fast components do what they are for
 *
 * Everything from a server is checked: who signed it, for whom, that it is not
 * older than what was accepted before, and each file against its digest before
 * it is given to anybody. What cannot be had is waited for; what is wrong is
 * refused, said, and not tried again until there is another version. */
#pragma once

#include <inaetics/bundle.h>
#include <inaetics/deployer.h>
#include <inaetics/http.h>
#include <jansson.h>
#include <systemd/sd-event.h>

#define SERVERS_MAX 16u
#define SERVER_URL_MAX 512u
#define SERVER_PROBLEM_MAX 65536u /* bytes of an answer that says what is wrong */
#define SERVER_PAUSE_MIN (100 * INA_MILLISECOND)
#define SERVER_PAUSE_MAX (5 * INA_SECOND)

#define POLL_SECONDS 25
#define POLL_TIMEOUT ((POLL_SECONDS + 10) * INA_SECOND)
#define TALK_TIMEOUT (5 * INA_SECOND)
#define NEXT_REPLY_MAX (8u * 1024u * 1024u)
#define REFUSED_PAUSE_MAX (60 * INA_SECOND)

#define REPORT_OFTEN INA_SECOND
#define REPORT_SELDOM (10 * INA_SECOND)
#define REPORT_YOUNG (60 * INA_SECOND) /* a version that runs for less is reported often */

#define DOWNLOADS_MAX 16u
#define DOWNLOAD_SIZE_MAX (INT64_C(64) * 1024 * 1024)    /* of a file */
#define DOWNLOADS_SIZE_MAX (INT64_C(1024) * 1024 * 1024) /* of a version's files together */
#define DOWNLOAD_TIMEOUT (30 * INA_SECOND)               /* then it goes on where it was */
#define CONFIGURATION_SIZE_MAX (256u * 1024u)

#define EVENTS_KEPT 2000u
#define EVENT_LINE_MAX 4096u
#define EVENTS_BODY_MAX (256u * 1024u)
#define EVENTS_FILE_MAX (16u * 1024u * 1024u)

#define DIGEST_SIZE 65u

typedef struct Deployment Deployment;

/* --- store.c ------------------------------------------------------------------- */

/* FOLDER/state.json */
typedef struct Remembered {
    char *token;     /* the server's for this target; NULL: not enrolled */
    int64_t serial;  /* the highest that was accepted */
    json_t *digests; /* of the files of the version that runs */
    /* {"version", "serial", "times", "digests"}: what is being installed, and how often the process died of it. */
    json_t *trying;
} Remembered;

/* So many deaths while the agent changes to a version are that version's failure. */
#define ATTEMPTS_MAX 3

/* What is not there or not readable is empty. */
void store_load(Deployment *deployment);
void store_clear(Deployment *deployment);
/* Writes it, synced, in a worker; `saved`, or NULL, is called when what was remembered at this moment is on disk. */
void store_save(Deployment *deployment, void (*saved)(Deployment *deployment, const InaError *error));
/* malloc'ed: FOLDER/files/NAME; NULL: out of memory. */
char *store_path(const Deployment *deployment, const char *name);
/* Removes the files that neither the running version nor this list has. */
void store_sweep(Deployment *deployment, const json_t *digests);

/* --- servers.c ------------------------------------------------------------------- */

typedef struct Server {
    char *key; /* in etcd, or "" */
    char url[SERVER_URL_MAX];
} Server;

typedef struct Servers {
    Server list[SERVERS_MAX];
    size_t n, current;
    unsigned failures;   /* in a row */
    uint64_t wait_until; /* nobody is asked before; 0: at once */
    sd_event *event;
    struct Etcd *etcd;
    struct EtcdMirror *mirror;
    char *last_problem; /* told already */
    char *authority;    /* file with whom https servers must be signed by; NULL: nobody is trusted */
    char *refused;      /* why one was not taken */
} Servers;

int servers_open(Deployment *deployment, InaError *error);
void servers_close(Deployment *deployment);
/* Why there is none. */
const char *servers_missing(const Deployment *deployment);
/* What kept an answer from coming, or is wrong with it, and what would be right. The buffer's, or borrowed. */
const char *servers_problem(const Deployment *deployment, const InaHttpResponse *response, char *buffer, size_t size);
/* Base URL of the server to ask now; NULL: there is none, or not yet. */
const char *servers_url(Deployment *deployment);
/* The present one does not answer as it should: another one, after a pause when all were tried. */
void servers_failed(Deployment *deployment, const char *why);
void servers_answered(Deployment *deployment);

/* --- talk.c ------------------------------------------------------------------------ */

typedef struct Talk {
    InaHttpFetch *fetch;  /* enrolling or waiting for the next version */
    InaHttpFetch *report; /* NULL: none is under way */
    bool enrolling;
    char *after;         /* the version that was dealt with last */
    unsigned refusals;   /* in a row */
    uint64_t wait_until; /* after a refusal */
    uint64_t report_at;
    char *old_token; /* told when enrolling again */
} Talk;

/* Does what can be done now; to be called when anything changed. */
void talk_go_on(Deployment *deployment);
void talk_close(Deployment *deployment);
/* Asks another server instead of the one that it waits for. */
void talk_interrupt(Deployment *deployment);
/* The state changed: reports now. */
void talk_report(Deployment *deployment);
/* The agent ends: one last report, without waiting for the answer. */
void talk_leave(Deployment *deployment);
/* What it answers cannot be used: asks again after a pause that grows. */
void talk_refused(Deployment *deployment, const char *why);
/* The server does not know the token any more. */
void talk_enrol_again(Deployment *deployment);

/* --- download.c --------------------------------------------------------------------- */

typedef struct Artifact {
    const char *name, *digest; /* borrowed from the statement */
    const char *symbolic_name, *version, *processor;
    int64_t size;
    enum { ARTIFACT_UNKNOWN, ARTIFACT_CHECKING, ARTIFACT_MISSING, ARTIFACT_COMING, ARTIFACT_THERE } state;
    bool damaged; /* once */
} Artifact;

typedef struct Plan {
    Deployment *deployment;
    json_t *statement;
    char version[64];
    int64_t serial;
    Artifact *artifacts;
    size_t n_artifacts;
    struct Download *downloads; /* under way */
    size_t n_downloads;
    int64_t received; /* bytes */
    bool saved, applying;
    struct Check *check; /* of files that are there, under way; or NULL */
} Plan;

/* Fetches what is missing, as much at once as allowed; calls plan_go_on when something came. */
void downloads_go_on(Plan *plan);
void downloads_cancel(Plan *plan);

/* --- plan.c --------------------------------------------------------------------------- */

/* The server's answer: verified, and begun unless it is nothing new. False: refused, `error` says why. */
bool plan_take(Deployment *deployment, const char *text, size_t size, InaError *error);
void plan_go_on(Plan *plan);
/* Gives it up: the version counts as tried. */
void plan_fail(Plan *plan, const InaError *error);
/* It cannot be had as it is offered: the server is asked again after a while. */
void plan_forget(Plan *plan, const char *why);
/* What came of a version that was being installed when the process ended. */
void plan_recall(Deployment *deployment);
/* At the component's end. */
void plan_stop(Deployment *deployment);
/* Drops it without a word. Takes NULL, returns NULL. */
Plan *plan_free(Plan *plan);

/* --- events.c --------------------------------------------------------------------------- */

/* Types of the audit log, as Apache ACE numbers them. */
typedef enum EventType {
    EVENT_BUNDLE_INSTALLED = 1,
    EVENT_BUNDLE_STARTED = 3,
    EVENT_BUNDLE_STOPPED = 4,
    EVENT_BUNDLE_UPDATED = 6,
    EVENT_BUNDLE_UNINSTALLED = 7,
    EVENT_FRAMEWORK_ERROR = 1003,
    EVENT_FRAMEWORK_STARTED = 1005,
    EVENT_DEPLOYMENT_BEGUN = 2001,
    EVENT_DEPLOYMENT_DONE = 2003,
    EVENT_TARGET_PROPERTIES = 4001,
} EventType;

typedef struct Event {
    int64_t sequence;
    char *line; /* without the newline */
} Event;

typedef struct Events {
    char *path;
    int64_t log; /* its id: when it was begun, ms */
    int64_t last;
    Event *list;
    size_t n;
    int64_t acknowledged; /* all up to it are known to the server, as far as we have them */
    char *ranges;         /* what the server said it has; NULL: not asked */
    InaHttpFetch *fetch;
    int64_t sending; /* the last of those under way */
} Events;

void events_open(Deployment *deployment);
void events_close(Deployment *deployment);
/* Pairs of key and value, ended by NULL. */
void events_add(Deployment *deployment, EventType type, ...) __attribute__((sentinel));
void events_add_all(Deployment *deployment, EventType type, const json_t *values); /* texts by key */
void events_send(Deployment *deployment);
/* Another server may have others. */
void events_ask_again(Deployment *deployment);
/* What is there, to be compared with what is there afterwards. A new reference. */
json_t *events_bundles(const Deployment *deployment);
void events_compare(Deployment *deployment, const json_t *before);

/* --- progress.c -------------------------------------------------------------------------- */

#define PROGRESS_RATES_MAX 32u  /* as many as the server takes */
#define PROGRESS_NAME_SIZE 161u /* and as long */
#define PROGRESS_EACH (INA_SECOND - INA_SECOND / 10)
#define PROGRESS_SAMPLES 11u            /* ten seconds */
#define PROGRESS_LEAST (3 * INA_SECOND) /* nothing is said of less */

typedef struct ProgressSample {
    uint64_t at;
    uint64_t ok[PROGRESS_RATES_MAX], asked[PROGRESS_RATES_MAX];
} ProgressSample;

typedef struct Progress {
    uint64_t version_since; /* of the version that was measured */
    size_t n;
    char names[PROGRESS_RATES_MAX][PROGRESS_NAME_SIZE];
    bool answers[PROGRESS_RATES_MAX];
    ProgressSample samples[PROGRESS_SAMPLES]; /* the oldest first; all of the same names and of one version */
    size_t n_samples;
} Progress;

/* Once a second, whoever calls it how often. */
void progress_measure(Deployment *deployment);
/* Of the version that runs; an empty list before there is anything to say. NULL: out of memory. */
json_t *progress_json(const Deployment *deployment);

/* --- the component ----------------------------------------------------------------------- */

struct Deployment {
    InaComponent *component;
    InaPlain deployer;
    const char *target_config, *properties_config, *provisioning, *trust, *authority, *certificate; /* configuration */
    int64_t downloads;

    const InaDeployer *agent; /* its functions; NULL: it has none */
    char *target;
    char *cluster_token; /* NULL: there is none */
    json_t *properties;
    char *folder; /* goes on when the deployer, whose it is, has gone */
    InaTimer *timer;
    uint64_t wake_at; /* UINT64_MAX: not */

    Remembered remembered;
    bool saving; /* in a worker */
    bool save_again;
    void (*saved)(Deployment *deployment, const InaError *error);
    Servers servers;
    Talk talk;
    Events events;
    Plan *plan; /* NULL: nothing is being installed */

    char *failed, *failure; /* version that failed last, and why; NULL */
    int64_t failed_serial;
    json_t *before; /* the bundles before the change that is under way */
    uint64_t running_since;
    uint64_t errors_before; /* when this version began to run */
    InaHealth health;       /* as last reported */
    Progress progress;
    bool leaving; /* the agent ends */
};

/* Why there is no software yet; for /readyz and the log, once. */
void deployment_waits(Deployment *deployment, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *deployment_version(const Deployment *deployment);
/* At the agent's end its services go first; work that ends then has nobody to turn to. */
bool deployment_is_over(const Deployment *deployment);
/* "Authorization: Bearer TOKEN" into the buffer. */
const char *deployment_authorization(const char *token, char *buffer, size_t size);
/* A copy of the text instead of what is there, which is freed. False: out of memory; what is there stays. */
bool deployment_set_text(char **place, const char *text);
/* Wakes talk_go_on at that time. */
void deployment_wake(Deployment *deployment, uint64_t when);
