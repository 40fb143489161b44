/* provisioning.h - `inaetics provisioning`: its parts, as its files share them.
 * The server's interface is described in docs/provisioning-api.md. */
#pragma once

#include "cli.h"

#define PROVISIONING_URL_MAX 256u
#define PROVISIONING_NAME_MAX 64u   /* of an account */
#define PROVISIONING_TOKEN_MAX 128u /* of a session */
#define PROVISIONING_FILE_MAX (64u * 1024u * 1024u)

typedef struct Provisioning {
    const Arguments *arguments;
    Instance *instance;
    char server[PROVISIONING_URL_MAX];
    char user[PROVISIONING_NAME_MAX + 1];
    char token[PROVISIONING_TOKEN_MAX + 1]; /* of the session; "": none */
    char *ca;                               /* for https */
} Provisioning;

typedef struct ProvisioningAnswer {
    int status;
    char *body; /* malloc'ed, NUL behind it */
    size_t size;
    json_t *json; /* NULL: it is none */
} ProvisioningAnswer;

typedef struct ProvisioningCall {
    const char *method, *path, *content_type;
    const void *body;
    size_t size;
    void (*chunk)(void *userdata, const void *data, size_t size); /* for streams */
    void *userdata;
} ProvisioningCall;

/* --- provisioning_request.c ------------------------------------------------- */

/* Whom to ask, and the session that is kept, if there is one. Says what is wrong, and returns false then. */
bool provisioning_open(Provisioning *provisioning, const Arguments *arguments, Instance *instance);
void provisioning_close(Provisioning *provisioning);
/* One request, whatever its answer's status is. A session is begun when one is needed, and again when it has ended.
 * False: there was no answer, and it said so. */
bool provisioning_call(Provisioning *provisioning, const ProvisioningCall *call, ProvisioningAnswer *ret);
void provisioning_clear(ProvisioningAnswer *answer);
/* Says what the server said against it; returns CLI_FAILED. */
int provisioning_refused(const ProvisioningAnswer *answer);
/* A request that is to succeed: says so if it does not. `body` and `ret` may be NULL. */
bool provisioning_ask(Provisioning *provisioning, const char *method, const char *path, const json_t *body,
                      json_t **ret);
/* All items of a list that comes in pages; `path` has its "?". A new reference. */
json_t *provisioning_list(Provisioning *provisioning, const char *path);
/* printf to a malloc'ed path, in which each %s is escaped for a URL. NULL: out of memory. */
char *provisioning_path(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool provisioning_login(Provisioning *provisioning);
void provisioning_logout(Provisioning *provisioning);

/* --- provisioning_show.c, _change.c, _steer.c, _desired.c, _events.c -------------------- */

typedef int (*ProvisioningCommand)(Provisioning *provisioning, int count, char *const *items);

int provisioning_status(Provisioning *provisioning, int count, char *const *items);
int provisioning_show_list(Provisioning *provisioning, int count, char *const *items);
int provisioning_show_target(Provisioning *provisioning, int count, char *const *items);
int provisioning_log(Provisioning *provisioning, int count, char *const *items);
int provisioning_versions(Provisioning *provisioning, int count, char *const *items);
int provisioning_upload(Provisioning *provisioning, int count, char *const *items);
int provisioning_create(Provisioning *provisioning, int count, char *const *items);
int provisioning_remove(Provisioning *provisioning, int count, char *const *items);
int provisioning_link(Provisioning *provisioning, int count, char *const *items);
int provisioning_unlink(Provisioning *provisioning, int count, char *const *items);
int provisioning_register(Provisioning *provisioning, int count, char *const *items);
int provisioning_approve(Provisioning *provisioning, int count, char *const *items);
int provisioning_forget(Provisioning *provisioning, int count, char *const *items);
int provisioning_settings(Provisioning *provisioning, int count, char *const *items);
int provisioning_account(Provisioning *provisioning, int count, char *const *items);
int provisioning_rollout(Provisioning *provisioning, int count, char *const *items);
int provisioning_restore(Provisioning *provisioning, int count, char *const *items);
int provisioning_apply(Provisioning *provisioning, int count, char *const *items);
int provisioning_diff(Provisioning *provisioning, int count, char *const *items);
int provisioning_export(Provisioning *provisioning, int count, char *const *items);
int provisioning_events(Provisioning *provisioning, int count, char *const *items);

/* A text of an object; "" when it has none. */
const char *text_of(const json_t *object, const char *key);
/* Sends a file as an artifact, into a workspace (NULL: it is stored at once); ret_new: it was not there before. `ret`
 * may be NULL. */
bool provisioning_send_file(Provisioning *provisioning, const char *path, const char *workspace, json_t **ret,
                            bool *ret_new);
/* What a revision's storing led to, and with --wait how that went on; an exit status. */
int provisioning_follow_rollout(Provisioning *provisioning, const json_t *stored);
/* That nothing holds a change back; on stderr. */
void provisioning_warn_no_policy(void);
/* With --wait, how the rollout went on that runs now, if one does. */
int provisioning_follow_upload(Provisioning *provisioning);
