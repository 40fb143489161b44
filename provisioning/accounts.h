/* accounts.h - who may do what: accounts, roles, sessions, tokens of targets.
 *
 * Passwords are hashed with Argon2id (libsodium, "interactive" limits; in a
 * worker by the caller: 60 ms). Roles are ACE's; permissions are its 27 groups.
 * Sessions are 32 random bytes, kept in memory, 12 h; a wrong password costs
 * the address it came from a growing delay. The default account: d/f, role
 * admin, made when there is none; accounts_default tells whether it still is.
 * Accounts are held in memory: only changes touch the database. */
#pragma once

#include "database.h"
#include <stdbool.h>

#define ACCOUNT_NAME_MAX 64u
#define ACCOUNT_PASSWORD_MAX 1024u
#define ACCOUNTS_MAX 10000u
#define SESSIONS_MAX 1000u /* the oldest goes for a new one */
#define SESSION_MS (INT64_C(12) * 3600 * 1000)
#define ACCOUNT_HASH_SIZE 128u
#define ATTEMPTS_FREE 5u /* wrong passwords of one address without a delay; then 1 s, 2 s, 4 s, ... */
#define ATTEMPT_DELAY_MAX_MS (INT64_C(60) * 1000)
#define ATTEMPT_ADDRESSES_MAX 4096u /* remembered; the oldest is forgotten */

/* Bits; names as in the protocol's section 1.4: view, create, edit, remove per kind. */
typedef enum Permission {
    PERMIT_VIEW_ARTIFACT,
    PERMIT_CREATE_ARTIFACT,
    PERMIT_EDIT_ARTIFACT,
    PERMIT_REMOVE_ARTIFACT,
    PERMIT_VIEW_FEATURE,
    PERMIT_CREATE_FEATURE,
    PERMIT_EDIT_FEATURE,
    PERMIT_REMOVE_FEATURE,
    PERMIT_VIEW_DISTRIBUTION,
    PERMIT_CREATE_DISTRIBUTION,
    PERMIT_EDIT_DISTRIBUTION,
    PERMIT_REMOVE_DISTRIBUTION,
    PERMIT_VIEW_TARGET,
    PERMIT_CREATE_TARGET,
    PERMIT_EDIT_TARGET,
    PERMIT_REMOVE_TARGET,
    PERMIT_ASSOCIATE_ARTIFACT_FEATURE,
    PERMIT_DISSOCIATE_ARTIFACT_FEATURE,
    PERMIT_ASSOCIATE_FEATURE_DISTRIBUTION,
    PERMIT_DISSOCIATE_FEATURE_DISTRIBUTION,
    PERMIT_ASSOCIATE_DISTRIBUTION_TARGET,
    PERMIT_DISSOCIATE_DISTRIBUTION_TARGET,
    PERMIT_APPROVE_TARGET,
    PERMIT_REGISTER_TARGET,
    PERMIT_STEER_ROLLOUT,
    PERMIT_VIEW_LOG,
    PERMIT_EDIT_USERS,
    PERMISSIONS,
} Permission;
const char *permission_name(Permission permission); /* "approveTarget" */
#define PERMIT(permission) (1u << (permission))

/* "release-manager", "distribution-manager", "target-manager", "target-operator",
 * "external-distribution-manager", "viewer", "admin" (all). */
int role_permissions(const char *role, uint32_t *ret); /* -EINVAL lists the roles */

typedef struct Accounts Accounts;
typedef struct Account {
    char name[ACCOUNT_NAME_MAX + 1];
    char role[32];
    uint32_t permissions; /* 1u << Permission */
    uint64_t password;    /* changes with it, and with the account */
} Account;

int accounts_open(Database *database, Accounts **ret, InaError *error);
bool accounts_default(const Accounts *accounts); /* d with password f is still there */
/* -EACCES; the same time whether there is such an account or not. Blocks for the hash. */
int accounts_check(Accounts *accounts, const char *name, const char *password, Account *ret, InaError *error);
/* The same in steps, so that the hash can be computed elsewhere: what is stored (of an unknown name: of no password),
 * whether a password fits it (any thread), and the account. */
void accounts_stored(const Accounts *accounts, const char *name, char ret[ACCOUNT_HASH_SIZE]);
bool accounts_verify(const char hash[ACCOUNT_HASH_SIZE], const char *password);
bool accounts_get(const Accounts *accounts, const char *name, Account *ret);
/* Before each check: how many ms the address is to wait, 0: go on (it counts as wrong until accounts_attempt_right). */
int64_t accounts_attempt(Accounts *accounts, const char *address, int64_t now);
void accounts_attempt_right(Accounts *accounts, const char *address);
bool account_name_valid(const char *name); /* [A-Za-z0-9._@-], at most ACCOUNT_NAME_MAX */
int accounts_set(Accounts *accounts, const char *name, const char *password /* NULL: as it was */, const char *role,
                 InaError *error);
int accounts_hash(const char *password, char ret[ACCOUNT_HASH_SIZE], InaError *error); /* any thread */
/* `hash` from accounts_hash; NULL: as it was. Sessions of an account end when its password changes. */
int accounts_set_hash(Accounts *accounts, const char *name, const char *hash, const char *role, InaError *error);
int accounts_remove(Accounts *accounts, const char *name, InaError *error); /* the last admin stays: -EPERM */
void accounts_each(Accounts *accounts, void (*each)(void *userdata, const Account *account), void *userdata);
int accounts_session_begin(Accounts *accounts, const Account *account, int64_t now, char ret_token[65],
                           InaError *error);
bool accounts_session(Accounts *accounts, const char *token, int64_t now, Account *ret); /* now: ms, any clock */
void accounts_session_end(Accounts *accounts, const char *token);
/* What a session is known by, which is not its token; and whether it is still there, and whose. */
#define SESSION_ID_SIZE 65u
void accounts_session_id(const char *token, char ret[SESSION_ID_SIZE]);
bool accounts_session_by_id(Accounts *accounts, const char *id, int64_t now, Account *ret);

/* --- targets' own tokens ------------------------------------------------- */
/* An agent enrols once under its id and gets a token, kept as its hash. -EEXIST: the id is enrolled (with another
 * token) and was heard within ENROL_SILENCE_MS; a person may accounts_target_forget it. */
#define ENROL_SILENCE_MS (INT64_C(30) * 1000)
int accounts_target_enrol(Accounts *accounts, const char *target, const char *old_token, int64_t last_seen, int64_t now,
                          char ret_token[65], InaError *error);
/* Whether it would be refused, without doing it. */
int accounts_target_enrol_check(Accounts *accounts, const char *target, const char *old_token, int64_t last_seen,
                                int64_t now, InaError *error);
const char *accounts_target_of(Accounts *accounts, const char *token); /* whose token it is, borrowed; NULL: nobody's */
bool accounts_target_enrolled(Accounts *accounts, const char *target);
bool accounts_target_check(Accounts *accounts, const char *target, const char *token);
int accounts_target_forget(Accounts *accounts, const char *target, InaError *error);
/* Forgets those that `known` does not know. */
int accounts_target_sweep(Accounts *accounts, bool (*known)(void *userdata, const char *target), void *userdata,
                          InaError *error);
Accounts *accounts_close(Accounts *accounts);
