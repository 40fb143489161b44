/* accounts.c - accounts and their roles; see accounts.h. */
#include "accounts_internal.h"

#include "base/cleanup.h"

#include <errno.h>
#include <string.h>

_Static_assert(ACCOUNT_HASH_SIZE >= crypto_pwhash_STRBYTES, "room for a hash");

/* Of the default password, which everybody knows, and of the empty one, which nobody may have: made once, since a hash
 * takes a tenth of a second. */
static const char default_hash[] =
    "$argon2id$v=19$m=65536,t=2,p=1$XnF7E2xk4sHpfYS3BJD19w$Gsz0MobKptLmhz005iiEzmSutrnvEcDPYwqgMFOrPU0";
static const char nobody_hash[] =
    "$argon2id$v=19$m=65536,t=2,p=1$I+jus4nhQbB3vfOIJoDpCw$omPKG1Ll1EjrV7iYIQHpf7H8GiSEQ7UukOlBjqGm34o";

static const char *const permission_names[PERMISSIONS] = {
    [PERMIT_VIEW_ARTIFACT] = "viewArtifact",
    [PERMIT_CREATE_ARTIFACT] = "createArtifact",
    [PERMIT_EDIT_ARTIFACT] = "editArtifact",
    [PERMIT_REMOVE_ARTIFACT] = "removeArtifact",
    [PERMIT_VIEW_FEATURE] = "viewFeature",
    [PERMIT_CREATE_FEATURE] = "createFeature",
    [PERMIT_EDIT_FEATURE] = "editFeature",
    [PERMIT_REMOVE_FEATURE] = "removeFeature",
    [PERMIT_VIEW_DISTRIBUTION] = "viewDistribution",
    [PERMIT_CREATE_DISTRIBUTION] = "createDistribution",
    [PERMIT_EDIT_DISTRIBUTION] = "editDistribution",
    [PERMIT_REMOVE_DISTRIBUTION] = "removeDistribution",
    [PERMIT_VIEW_TARGET] = "viewTarget",
    [PERMIT_CREATE_TARGET] = "createTarget",
    [PERMIT_EDIT_TARGET] = "editTarget",
    [PERMIT_REMOVE_TARGET] = "removeTarget",
    [PERMIT_ASSOCIATE_ARTIFACT_FEATURE] = "associateArtifactFeature",
    [PERMIT_DISSOCIATE_ARTIFACT_FEATURE] = "dissociateArtifactFeature",
    [PERMIT_ASSOCIATE_FEATURE_DISTRIBUTION] = "associateFeatureDistribution",
    [PERMIT_DISSOCIATE_FEATURE_DISTRIBUTION] = "dissociateFeatureDistribution",
    [PERMIT_ASSOCIATE_DISTRIBUTION_TARGET] = "associateDistributionTarget",
    [PERMIT_DISSOCIATE_DISTRIBUTION_TARGET] = "dissociateDistributionTarget",
    [PERMIT_APPROVE_TARGET] = "approveTarget",
    [PERMIT_REGISTER_TARGET] = "registerTarget",
    [PERMIT_STEER_ROLLOUT] = "steerRollout",
    [PERMIT_VIEW_LOG] = "viewLog",
    [PERMIT_EDIT_USERS] = "editUsers",
};

#define P(name) PERMIT(PERMIT_##name)
#define ALL_OF(kind) (P(VIEW_##kind) | P(CREATE_##kind) | P(EDIT_##kind) | P(REMOVE_##kind))
#define LINK(kinds) (P(ASSOCIATE_##kinds) | P(DISSOCIATE_##kinds))
#define VIEWS (P(VIEW_ARTIFACT) | P(VIEW_FEATURE) | P(VIEW_DISTRIBUTION) | P(VIEW_TARGET) | P(VIEW_LOG))

static const struct {
    const char *name;
    uint32_t permissions;
} roles[] = {
    /* NOLINTBEGIN(misc-redundant-expression): who changes something may see it, too, as all who have VIEWS */
    {"release-manager", VIEWS | ALL_OF(ARTIFACT) | ALL_OF(FEATURE) | LINK(ARTIFACT_FEATURE)},
    {"distribution-manager",
     VIEWS | ALL_OF(DISTRIBUTION) | LINK(FEATURE_DISTRIBUTION) | LINK(DISTRIBUTION_TARGET) | P(STEER_ROLLOUT)},
    {"target-manager",
     VIEWS | ALL_OF(TARGET) | LINK(DISTRIBUTION_TARGET) | P(REGISTER_TARGET) | P(APPROVE_TARGET) | P(STEER_ROLLOUT)},
    {"target-operator", P(VIEW_DISTRIBUTION) | P(VIEW_TARGET) | P(VIEW_LOG) | P(APPROVE_TARGET)},
    {"external-distribution-manager", P(VIEW_FEATURE) | ALL_OF(DISTRIBUTION) | LINK(FEATURE_DISTRIBUTION)},
    /* NOLINTEND(misc-redundant-expression) */
    {"viewer", VIEWS},
    {"admin", (1u << PERMISSIONS) - 1},
};

static const char schema[] = "CREATE TABLE IF NOT EXISTS accounts (name TEXT PRIMARY KEY, role TEXT NOT NULL, "
                             "hash TEXT NOT NULL) WITHOUT ROWID;"
                             "CREATE TABLE IF NOT EXISTS accounts_targets (target TEXT PRIMARY KEY, "
                             "digest BLOB NOT NULL) WITHOUT ROWID;";

const char *permission_name(Permission permission)
{
    return (unsigned)permission < PERMISSIONS ? permission_names[permission] : "none";
}

int role_permissions_checked(const char *role, uint32_t *ret, InaError *error)
{
    char list[256] = "";
    if (role_permissions(role, ret) == 0)
        return 0;
    for (size_t i = 0; i < sizeof(roles) / sizeof(*roles); i++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof(list) - used, "%s%s", i ? ", " : "", roles[i].name);
    }
    return ina_error_set(error, EINVAL, "\"%.40s\" is no role; there are %s", role, list);
}

int role_permissions(const char *role, uint32_t *ret)
{
    for (size_t i = 0; i < sizeof(roles) / sizeof(*roles); i++) {
        if (strcmp(role, roles[i].name) == 0) {
            *ret = roles[i].permissions;
            return 0;
        }
    }
    return -EINVAL;
}

bool account_name_valid(const char *name)
{
    size_t length = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@-");
    return length > 0 && length <= ACCOUNT_NAME_MAX && name[length] == '\0';
}

/* --- life ------------------------------------------------------------------ */

static int keep(Accounts *accounts, const char *name, const char *role, const char *hash, InaError *error)
{
    StoredAccount *stored = map_get(accounts->by_name, name);
    uint32_t permissions;
    int r = role_permissions_checked(role, &permissions, error);
    if (r < 0)
        return r;
    if (!stored) {
        if (map_count(accounts->by_name) >= ACCOUNTS_MAX)
            return ina_error_set(error, ENOSPC, "there are %u accounts already; remove one", ACCOUNTS_MAX);
        stored = calloc(1, sizeof(*stored));
        if (!stored || map_set(accounts->by_name, name, stored) < 0) {
            free(stored);
            return ina_error_set(error, ENOMEM, "no memory for account %s", name);
        }
        snprintf(stored->account.name, sizeof(stored->account.name), "%s", name);
    }
    snprintf(stored->account.role, sizeof(stored->account.role), "%s", role);
    stored->account.permissions = permissions;
    if (strcmp(stored->hash, hash) != 0) {
        snprintf(stored->hash, sizeof(stored->hash), "%s", hash);
        stored->account.password = ++accounts->passwords;
    }
    return 0;
}

static int read_accounts(Accounts *accounts, InaError *error)
{
    sqlite3_stmt *statement;
    int r = database_prepare(accounts->database, "SELECT name, role, hash FROM accounts", &statement, error, ""), step;
    if (r < 0)
        return r;
    while (r >= 0 && (step = sqlite3_step(statement)) == SQLITE_ROW)
        r = keep(accounts, (const char *)sqlite3_column_text(statement, 0),
                 (const char *)sqlite3_column_text(statement, 1), (const char *)sqlite3_column_text(statement, 2),
                 error);
    if (r >= 0 && step != SQLITE_DONE)
        r = ina_error_set(error, EIO, "accounts: %s", sqlite3_errmsg(database_handle(accounts->database)));
    sqlite3_reset(statement);
    return r < 0 ? ina_error_wrap(error, "accounts") : 0;
}

static int fill(Accounts *accounts, InaError *error)
{
    int r = database_schema(accounts->database, schema, error);
    if (r >= 0)
        r = read_accounts(accounts, error);
    if (r >= 0)
        r = accounts_targets_read(accounts, error);
    if (r >= 0 && map_count(accounts->by_name) == 0)
        return accounts_set(accounts, ACCOUNT_DEFAULT_NAME, ACCOUNT_DEFAULT_PASSWORD, "admin", error);
    StoredAccount *first = map_get(accounts->by_name, ACCOUNT_DEFAULT_NAME);
    accounts->is_default = first && strcmp(first->hash, default_hash) == 0;
    return r;
}

int accounts_open(Database *database, Accounts **ret, InaError *error)
{
    if (sodium_init() < 0)
        return ina_error_set(error, EIO, "libsodium cannot start: no source of randomness");
    Accounts *accounts = calloc(1, sizeof(*accounts));
    if (!accounts)
        return ina_error_set(error, ENOMEM, "no memory for accounts");
    accounts->database = database;
    accounts->by_name = map_new();
    accounts->sessions = map_new();
    accounts->attempts = map_new();
    accounts->targets = map_new();
    accounts->tokens = map_new();
    int r = accounts->by_name && accounts->sessions && accounts->attempts && accounts->targets && accounts->tokens
                ? fill(accounts, error)
                : ina_error_set(error, ENOMEM, "no memory for accounts");
    if (r < 0) {
        accounts_close(accounts);
        return r;
    }
    *ret = accounts;
    return 0;
}

static Map *free_values(Map *map)
{
    size_t position = 0;
    void *value;
    while (map && map_next(map, &position, NULL, &value))
        free(value);
    return map_free(map);
}

Accounts *accounts_close(Accounts *accounts)
{
    if (!accounts)
        return NULL;
    free_values(accounts->by_name);
    free_values(accounts->sessions);
    free_values(accounts->attempts);
    accounts_targets_free(accounts);
    free(accounts);
    return NULL;
}

/* --- passwords ---------------------------------------------------------------- */

bool accounts_default(const Accounts *accounts)
{
    return accounts->is_default;
}

void accounts_stored(const Accounts *accounts, const char *name, char ret[ACCOUNT_HASH_SIZE])
{
    const StoredAccount *stored = map_get(accounts->by_name, name);
    memset(ret, 0, ACCOUNT_HASH_SIZE);
    /* Of an unknown name a hash that no password which is taken can fit, so that it takes as long. */
    snprintf(ret, ACCOUNT_HASH_SIZE, "%s", stored ? stored->hash : nobody_hash);
}

bool accounts_verify(const char hash[ACCOUNT_HASH_SIZE], const char *password)
{
    char copy[ACCOUNT_HASH_SIZE] = {0}; /* libsodium reads crypto_pwhash_STRBYTES */
    size_t length = strnlen(password, ACCOUNT_PASSWORD_MAX + 1);
    snprintf(copy, sizeof(copy), "%s", hash);
    return length > 0 && length <= ACCOUNT_PASSWORD_MAX && crypto_pwhash_str_verify(copy, password, length) == 0;
}

bool accounts_get(const Accounts *accounts, const char *name, Account *ret)
{
    const StoredAccount *stored = map_get(accounts->by_name, name);
    if (stored)
        *ret = stored->account;
    return stored != NULL;
}

int accounts_check(Accounts *accounts, const char *name, const char *password, Account *ret, InaError *error)
{
    char hash[ACCOUNT_HASH_SIZE];
    accounts_stored(accounts, name, hash);
    if (!accounts_verify(hash, password) || !accounts_get(accounts, name, ret))
        return ina_error_set(error, EACCES, "name or password is wrong");
    return 0;
}

int accounts_hash(const char *password, char ret[ACCOUNT_HASH_SIZE], InaError *error)
{
    size_t length = strnlen(password, ACCOUNT_PASSWORD_MAX + 1);
    if (length > ACCOUNT_PASSWORD_MAX)
        return ina_error_set(error, EINVAL, "the password is longer than %u bytes", ACCOUNT_PASSWORD_MAX);
    if (strcmp(password, ACCOUNT_DEFAULT_PASSWORD) == 0) { /* so that it is known again */
        snprintf(ret, ACCOUNT_HASH_SIZE, "%s", default_hash);
        return 0;
    }
    char hash[crypto_pwhash_STRBYTES];
    if (crypto_pwhash_str_alg(hash, password, length, crypto_pwhash_OPSLIMIT_INTERACTIVE,
                              crypto_pwhash_MEMLIMIT_INTERACTIVE, crypto_pwhash_ALG_ARGON2ID13) < 0)
        return ina_error_set(error, ENOMEM, "no memory to hash a password (64 MiB are needed)");
    snprintf(ret, ACCOUNT_HASH_SIZE, "%s", hash);
    return 0;
}

/* --- changes ------------------------------------------------------------------- */

static bool is_last_admin(const Accounts *accounts, const char *name)
{
    size_t position = 0;
    void *value;
    const StoredAccount *own = map_get(accounts->by_name, name);
    if (!own || strcmp(own->account.role, "admin") != 0)
        return false;
    while (map_next(accounts->by_name, &position, NULL, &value)) {
        const StoredAccount *other = value;
        if (other != own && strcmp(other->account.role, "admin") == 0)
            return false;
    }
    return true;
}

int accounts_set(Accounts *accounts, const char *name, const char *password, const char *role, InaError *error)
{
    char hash[ACCOUNT_HASH_SIZE];
    if (!password)
        return accounts_set_hash(accounts, name, NULL, role, error);
    if (!*password)
        return ina_error_set(error, EINVAL, "account %s: the password is empty", name);
    int r = accounts_hash(password, hash, error);
    return r < 0 ? r : accounts_set_hash(accounts, name, hash, role, error);
}

int accounts_set_hash(Accounts *accounts, const char *name, const char *hash, const char *role, InaError *error)
{
    const StoredAccount *stored = map_get(accounts->by_name, name);
    uint32_t permissions;
    char text[ACCOUNT_HASH_SIZE];
    if (!account_name_valid(name))
        return ina_error_set(error, EINVAL,
                             "the name of an account has 1 to %u letters, digits or characters of \"._@-\"",
                             ACCOUNT_NAME_MAX);
    int r = role_permissions_checked(role, &permissions, error);
    if (r < 0)
        return r;
    if (!hash && !stored)
        return ina_error_set(error, EINVAL, "account %s is new: it needs a password", name);
    if (strcmp(role, "admin") != 0 && is_last_admin(accounts, name))
        return ina_error_set(error, EPERM, "%s is the last account with role admin: make another one first", name);
    if (!stored && map_count(accounts->by_name) >= ACCOUNTS_MAX)
        return ina_error_set(error, ENOSPC, "there are %u accounts already; remove one", ACCOUNTS_MAX);
    snprintf(text, sizeof(text), "%s", hash ? hash : stored->hash);
    r = database_run(accounts->database, error,
                     "INSERT INTO accounts (name, role, hash) VALUES (?, ?, ?) "
                     "ON CONFLICT (name) DO UPDATE SET role = excluded.role, hash = excluded.hash",
                     "sss", name, role, text);
    if (r >= 0)
        r = keep(accounts, name, role, text, error);
    if (r >= 0 && hash && strcmp(name, ACCOUNT_DEFAULT_NAME) == 0)
        accounts->is_default = strcmp(text, default_hash) == 0;
    return r;
}

int accounts_remove(Accounts *accounts, const char *name, InaError *error)
{
    if (!map_get(accounts->by_name, name))
        return ina_error_set(error, ENOENT, "there is no account %.64s", name);
    if (is_last_admin(accounts, name))
        return ina_error_set(error, EPERM, "%s is the last account with role admin: make another one first", name);
    int r = database_run(accounts->database, error, "DELETE FROM accounts WHERE name = ?", "s", name);
    if (r < 0)
        return r;
    free(map_remove(accounts->by_name, name));
    if (strcmp(name, ACCOUNT_DEFAULT_NAME) == 0)
        accounts->is_default = false;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    const Account *const *first = a, *const *second = b;
    return strcmp((*first)->name, (*second)->name);
}

void accounts_each(Accounts *accounts, void (*each)(void *userdata, const Account *account), void *userdata)
{
    size_t n = 0, position = 0;
    void *value;
    AUTO_FREE const Account **list = calloc(map_count(accounts->by_name) + 1, sizeof(*list));
    while (list && map_next(accounts->by_name, &position, NULL, &value))
        list[n++] = &((StoredAccount *)value)->account;
    if (list)
        qsort(list, n, sizeof(*list), by_name);
    for (size_t i = 0; i < n; i++)
        each(userdata, list[i]);
}
