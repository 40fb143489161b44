/* accounts_tokens.c - what stands for a password later: sessions of people and
 * tokens of targets; and how often somebody may try. */
#include "accounts_internal.h"

#include <errno.h>
#include <string.h>

#define TOKEN_BYTES 32u

static void make_token(char ret[65])
{
    unsigned char random[TOKEN_BYTES];
    randombytes_buf(random, sizeof(random));
    sodium_bin2hex(ret, 65, random, sizeof(random));
    sodium_memzero(random, sizeof(random));
}

static void digest_of(const char *token, unsigned char ret[TOKEN_DIGEST_SIZE])
{
    crypto_hash_sha256(ret, (const unsigned char *)token, strlen(token));
}

/* What it is looked up by. */
static void token_key(const char *token, char ret[TOKEN_KEY_SIZE])
{
    unsigned char digest[TOKEN_DIGEST_SIZE];
    digest_of(token, digest);
    sodium_bin2hex(ret, TOKEN_KEY_SIZE, digest, sizeof(digest));
}

/* --- sessions ---------------------------------------------------------------- */

_Static_assert(SESSION_ID_SIZE == TOKEN_KEY_SIZE, "a session is known by its key");

void accounts_session_id(const char *token, char ret[SESSION_ID_SIZE])
{
    token_key(token, ret);
}

static void drop_oldest_session(Accounts *accounts)
{
    size_t position = 0;
    const char *key, *oldest_key = NULL;
    void *value;
    int64_t oldest = INT64_MAX;
    while (map_next(accounts->sessions, &position, &key, &value)) {
        const Session *session = value;
        if (session->began < oldest) {
            oldest = session->began;
            oldest_key = key;
        }
    }
    if (oldest_key)
        free(map_remove(accounts->sessions, oldest_key));
}

int accounts_session_begin(Accounts *accounts, const Account *account, int64_t now, char ret_token[65], InaError *error)
{
    const StoredAccount *stored = map_get(accounts->by_name, account->name);
    char key[SESSION_ID_SIZE], token[65];
    if (!stored)
        return ina_error_set(error, EACCES, "there is no account %s", account->name);
    if (map_count(accounts->sessions) >= SESSIONS_MAX)
        drop_oldest_session(accounts);
    Session *session = calloc(1, sizeof(*session));
    make_token(token);
    accounts_session_id(token, key);
    if (!session || map_set(accounts->sessions, key, session) < 0) {
        free(session);
        return ina_error_set(error, ENOMEM, "no memory for a session");
    }
    snprintf(session->name, sizeof(session->name), "%s", account->name);
    session->password = stored->account.password;
    session->began = now;
    memcpy(ret_token, token, sizeof(token));
    return 0;
}

bool accounts_session_by_id(Accounts *accounts, const char *id, int64_t now, Account *ret)
{
    const Session *session = map_get(accounts->sessions, id);
    if (!session)
        return false;
    const StoredAccount *stored = map_get(accounts->by_name, session->name);
    if (!stored || stored->account.password != session->password || now - session->began >= SESSION_MS) {
        free(map_remove(accounts->sessions, id));
        return false;
    }
    *ret = stored->account;
    return true;
}

bool accounts_session(Accounts *accounts, const char *token, int64_t now, Account *ret)
{
    char id[SESSION_ID_SIZE];
    accounts_session_id(token, id);
    return accounts_session_by_id(accounts, id, now, ret);
}

void accounts_session_end(Accounts *accounts, const char *token)
{
    char key[SESSION_ID_SIZE];
    accounts_session_id(token, key);
    free(map_remove(accounts->sessions, key));
}

/* --- attempts ------------------------------------------------------------------ */

static int64_t delay_of(unsigned wrong)
{
    if (wrong < ATTEMPTS_FREE)
        return 0;
    unsigned power = wrong - ATTEMPTS_FREE;
    int64_t delay = power < 6 ? INT64_C(1000) << power : ATTEMPT_DELAY_MAX_MS;
    return delay < ATTEMPT_DELAY_MAX_MS ? delay : ATTEMPT_DELAY_MAX_MS;
}

static void forget_oldest_attempts(Accounts *accounts)
{
    size_t position = 0;
    const char *key, *oldest_key = NULL;
    void *value;
    int64_t oldest = INT64_MAX;
    while (map_next(accounts->attempts, &position, &key, &value)) {
        const Attempts *attempts = value;
        if (attempts->last < oldest) {
            oldest = attempts->last;
            oldest_key = key;
        }
    }
    if (oldest_key)
        free(map_remove(accounts->attempts, oldest_key));
}

int64_t accounts_attempt(Accounts *accounts, const char *address, int64_t now)
{
    Attempts *attempts = map_get(accounts->attempts, address);
    if (!attempts) {
        if (map_count(accounts->attempts) >= ATTEMPT_ADDRESSES_MAX)
            forget_oldest_attempts(accounts);
        attempts = calloc(1, sizeof(*attempts));
        if (!attempts || map_set(accounts->attempts, address, attempts) < 0) {
            free(attempts);
            return 1000;
        }
    }
    if (attempts->last > now) /* the clock was set back: nobody waits for that */
        attempts->last = now;
    int64_t until = attempts->last + delay_of(attempts->wrong);
    if (now < until)
        return until - now;
    if (now - attempts->last > 10 * ATTEMPT_DELAY_MAX_MS)
        attempts->wrong = 0;
    attempts->wrong += attempts->wrong < UINT16_MAX;
    attempts->last = now;
    return 0;
}

void accounts_attempt_right(Accounts *accounts, const char *address)
{
    free(map_remove(accounts->attempts, address));
}

/* --- targets' tokens --------------------------------------------------------------- */

static void token_free(TargetToken *token)
{
    if (token)
        free(token->target);
    free(token);
}

void accounts_targets_free(Accounts *accounts)
{
    size_t position = 0;
    void *value;
    while (accounts->targets && map_next(accounts->targets, &position, NULL, &value))
        token_free(value);
    accounts->targets = map_free(accounts->targets);
    accounts->tokens = map_free(accounts->tokens);
}

static void drop_target(Accounts *accounts, const char *target)
{
    TargetToken *token = map_remove(accounts->targets, target);
    if (token)
        map_remove(accounts->tokens, token->digest);
    token_free(token);
}

static int keep_target(Accounts *accounts, const char *target, const unsigned char *digest, InaError *error)
{
    TargetToken *token = calloc(1, sizeof(*token));
    drop_target(accounts, target);
    if (token) {
        token->target = strdup(target);
        sodium_bin2hex(token->digest, sizeof(token->digest), digest, TOKEN_DIGEST_SIZE);
    }
    if (!token || !token->target || map_set(accounts->targets, target, token) < 0) {
        token_free(token);
        return ina_error_set(error, ENOMEM, "no memory for the token of target %s", target);
    }
    if (map_set(accounts->tokens, token->digest, token) < 0) {
        drop_target(accounts, target);
        return ina_error_set(error, ENOMEM, "no memory for the token of target %s", target);
    }
    return 0;
}

int accounts_targets_read(Accounts *accounts, InaError *error)
{
    sqlite3_stmt *statement;
    int r = database_prepare(accounts->database, "SELECT target, digest FROM accounts_targets", &statement, error, "");
    int step = SQLITE_DONE;
    if (r < 0)
        return r;
    while (r >= 0 && (step = sqlite3_step(statement)) == SQLITE_ROW) {
        if (sqlite3_column_bytes(statement, 1) == (int)TOKEN_DIGEST_SIZE)
            r = keep_target(accounts, (const char *)sqlite3_column_text(statement, 0),
                            sqlite3_column_blob(statement, 1), error);
    }
    if (r >= 0 && step != SQLITE_DONE)
        r = ina_error_set(error, EIO, "targets' tokens: %s", sqlite3_errmsg(database_handle(accounts->database)));
    sqlite3_reset(statement);
    return r;
}

int accounts_target_enrol_check(Accounts *accounts, const char *target, const char *old_token, int64_t last_seen,
                                int64_t now, InaError *error)
{
    bool same = old_token && accounts_target_check(accounts, target, old_token);
    if (accounts_target_enrolled(accounts, target) && !same && now - last_seen < ENROL_SILENCE_MS)
        return ina_error_set(error, EEXIST,
                             "another agent has the id %s and was heard %lld s ago; give this one another id, or let "
                             "an account forget that target",
                             target, (long long)(now - last_seen) / 1000);
    return 0;
}

int accounts_target_enrol(Accounts *accounts, const char *target, const char *old_token, int64_t last_seen, int64_t now,
                          char ret_token[65], InaError *error)
{
    unsigned char digest[TOKEN_DIGEST_SIZE];
    char token[65];
    int r = accounts_target_enrol_check(accounts, target, old_token, last_seen, now, error);
    if (r < 0)
        return r;
    make_token(token);
    digest_of(token, digest);
    r = database_run(accounts->database, error,
                     "INSERT INTO accounts_targets (target, digest) VALUES (?, ?) "
                     "ON CONFLICT (target) DO UPDATE SET digest = excluded.digest",
                     "sb", target, digest, sizeof(digest));
    if (r >= 0)
        r = keep_target(accounts, target, digest, error);
    if (r >= 0)
        memcpy(ret_token, token, sizeof(token));
    return r;
}

bool accounts_target_enrolled(Accounts *accounts, const char *target)
{
    return map_get(accounts->targets, target) != NULL;
}

/* Digests are looked up, so the time that it takes tells nothing about tokens. */
const char *accounts_target_of(Accounts *accounts, const char *token)
{
    char key[TOKEN_KEY_SIZE];
    token_key(token, key);
    const TargetToken *found = map_get(accounts->tokens, key);
    return found ? found->target : NULL;
}

bool accounts_target_check(Accounts *accounts, const char *target, const char *token)
{
    const char *owner = accounts_target_of(accounts, token);
    return owner && strcmp(owner, target) == 0;
}

int accounts_target_forget(Accounts *accounts, const char *target, InaError *error)
{
    int r = database_run(accounts->database, error, "DELETE FROM accounts_targets WHERE target = ?", "s", target);
    if (r >= 0)
        drop_target(accounts, target);
    return r;
}

int accounts_target_sweep(Accounts *accounts, bool (*known)(void *userdata, const char *target), void *userdata,
                          InaError *error)
{
    size_t position = 0, n = 0;
    const char *target;
    void *value;
    const char **gone = calloc(map_count(accounts->targets) + 1, sizeof(*gone));
    int r = gone ? database_begin(accounts->database, error) : ina_error_set(error, ENOMEM, "no memory");
    if (r < 0) {
        free(gone);
        return r;
    }
    while (map_next(accounts->targets, &position, &target, &value))
        if (!known(userdata, target))
            gone[n++] = ((const TargetToken *)value)->target;
    for (size_t i = 0; r >= 0 && i < n; i++)
        r = database_run(accounts->database, error, "DELETE FROM accounts_targets WHERE target = ?", "s", gone[i]);
    if (r < 0)
        database_rollback(accounts->database);
    else
        r = database_commit(accounts->database, error);
    for (size_t i = 0; r >= 0 && i < n; i++)
        drop_target(accounts, gone[i]);
    free(gone);
    return r;
}
