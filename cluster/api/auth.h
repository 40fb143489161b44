/* auth.h - who asks, and what he may.
 *
 * Who: a client certificate of the cluster's CA (organisation = group, as
 * "inaetics:admin", "inaetics:node:NODE"; our certificates carry no common
 * name), or a bearer token: of the tokens file, or of a service account (signed,
 * HS256 with the cluster's token secret; naming namespace, account and uid; void
 * when the account is gone).
 * What: fixed roles. admin: all. viewer: get, list, watch of everything but
 * secrets. coordinator: viewer, and workloads, scale, applications, events,
 * and what they need (services, configuration, claims, leases), of its namespace;
 * but no pods, nor templates, with secrets, or accounts of a higher role.
 * node: read all but secrets of others; its own node, lease, and pods' status
 * and end; tokens for its pods; events. Everybody who is known: discovery.
 * Everybody: health, /version.
 *
 * A service account has the role that its annotation AUTH_ROLE_ANNOTATION
 * names (viewer, coordinator, admin); those called "viewer" or "coordinator"
 * have it without; others none. */
#pragma once

#include <inaetics/error.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define AUTH_ROLE_ANNOTATION "inaetics.org/role"
#define AUTH_ANONYMOUS "system:anonymous"

typedef enum ApiRole { ROLE_NONE, ROLE_VIEWER, ROLE_COORDINATOR, ROLE_NODE, ROLE_ADMIN } ApiRole;

typedef struct ApiUser {
    ApiRole role;
    char name[256];     /* "system:node:node-1", "system:serviceaccount:default:coordinator", "system:anonymous" */
    char node[64];      /* ROLE_NODE: which; "" otherwise */
    char namespace[64]; /* of a service account; "" otherwise */
} ApiUser;

typedef struct Authenticator Authenticator;
typedef struct Store Store;

/* secret: of service-account tokens. tokens_file: lines "TOKEN ROLE[:NODE] NAME"; NULL: none. */
int authenticator_new(const char *secret, const char *tokens_file, const Store *store, Authenticator **ret,
                      InaError *error);
/* subject: http_request_subject() or NULL; authorization: the header or NULL. Returns 0, or -EACCES (401) when a
 * credential is wrong; without any the user is system:anonymous with ROLE_NONE. */
int authenticate(const Authenticator *authenticator, const char *subject, const char *authorization, ApiUser *ret);
/* A token for a service account, void after `expires` (s since 1970; 0: never); malloc'ed. */
char *authenticator_token(const Authenticator *authenticator, const char *namespace, const char *account,
                          const char *uid, int64_t expires);
Authenticator *authenticator_free(Authenticator *authenticator);

/* verb: "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection" (exec is a "create" of
 * pods/exec, whatever the method). The namespace and name may be "". `object`: what is there now or is about to be (a
 * node may change only its own); NULL: not known yet, to be asked again with it. */
bool auth_allows(const ApiUser *user, const char *verb, const char *group, const char *resource,
                 const char *subresource, const char *namespace, const char *name, const json_t *object);
/* What the tokens of this account may. */
ApiRole auth_account_role(const json_t *account);
/* Whether a pod on the node of `user` names this secret: nodes read no others. */
bool auth_node_uses_secret(const Store *store, const ApiUser *user, const char *namespace, const char *name);
/* Whether a pod on the node of `user` that has not ended runs as this account: nodes get tokens of no others. */
bool auth_node_uses_account(const Store *store, const ApiUser *user, const char *namespace, const char *name);
