/* auth.c - see auth.h: who asks. What he may is in auth_roles.c. */
#include "auth.h"

#include "base/cleanup.h"
#include "base/files.h"
#include "base/json.h"
#include "cluster/api/store.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <time.h>

#define TOKENS_SIZE_MAX (64u * 1024u)
#define TOKENS_MAX 256u
#define TOKEN_SIZE_MAX 8192u

typedef struct Token {
    unsigned char digest[crypto_hash_sha256_BYTES];
    ApiUser user;
} Token;

struct Authenticator {
    char *secret;
    const Store *store;
    Token tokens[TOKENS_MAX];
    size_t n_tokens;
};

/* --- roles by name --------------------------------------------------------------------------- */

/* "admin", "viewer", "coordinator", "control-plane", "node:NAME". */
static int set_role(ApiUser *user, const char *text)
{
    static const struct {
        const char *name;
        ApiRole role;
    } roles[] = {
        {"admin", ROLE_ADMIN},
        {"control-plane", ROLE_ADMIN},
        {"viewer", ROLE_VIEWER},
        {"coordinator", ROLE_COORDINATOR},
    };

    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++)
        if (strcmp(text, roles[i].name) == 0) {
            user->role = roles[i].role;
            return 0;
        }
    if (strncmp(text, "node:", 5) != 0 || kube_check_dns_subdomain(text + 5) || strlen(text + 5) >= sizeof user->node)
        return -EINVAL;
    user->role = ROLE_NODE;
    snprintf(user->node, sizeof user->node, "%s", text + 5);
    return 0;
}

/* --- tokens of the file -------------------------------------------------------------------------- */

static int add_token(Authenticator *authenticator, char *line, const char *file, unsigned number, InaError *error)
{
    char *rest = line, *token = strsep(&rest, " \t"), *role = NULL, *name = NULL;

    while (rest && !(role && *role))
        role = strsep(&rest, " \t");
    if (rest)
        name = rest + strspn(rest, " \t");
    if (strlen(token) < 16 || !role || !name || *name == '\0' || strlen(name) >= sizeof(((ApiUser *)0)->name))
        return ina_error_set(error, EINVAL,
                             "%s, line %u: must be \"TOKEN ROLE[:NODE] NAME\", the token of 16 characters at least",
                             file, number);
    if (authenticator->n_tokens == TOKENS_MAX)
        return ina_error_set(error, EINVAL, "%s: more than %u tokens", file, TOKENS_MAX);
    Token *entry = &authenticator->tokens[authenticator->n_tokens];
    if (set_role(&entry->user, role) < 0)
        return ina_error_set(error, EINVAL, "%s, line %u: role \"%s\": admin, viewer, coordinator and node:NAME are",
                             file, number, role);
    crypto_hash_sha256(entry->digest, (const unsigned char *)token, strlen(token));
    snprintf(entry->user.name, sizeof entry->user.name, "%s", name);
    authenticator->n_tokens++;
    return 0;
}

static int read_tokens(Authenticator *authenticator, const char *file, InaError *error)
{
    AUTO_FREE char *text = NULL;
    unsigned number = 0;

    int r = file_read(file, TOKENS_SIZE_MAX, &text, NULL, error);
    char *rest = text, *line;
    while (r == 0 && (line = strsep(&rest, "\n"))) {
        number++;
        line += strspn(line, " \t\r");
        line[strcspn(line, "\r")] = '\0';
        if (*line && *line != '#')
            r = add_token(authenticator, line, file, number, error);
    }
    return r;
}

int authenticator_new(const char *secret, const char *tokens_file, const Store *store, Authenticator **ret,
                      InaError *error)
{
    Authenticator *authenticator = calloc(1, sizeof *authenticator);

    if (!authenticator || sodium_init() < 0 || !(authenticator->secret = strdup(secret))) {
        free(authenticator);
        return ina_error_errno(error, ENOMEM, "authentication");
    }
    authenticator->store = store;
    int r = tokens_file ? read_tokens(authenticator, tokens_file, error) : 0;
    if (r < 0) {
        authenticator_free(authenticator);
        return r;
    }
    *ret = authenticator;
    return 0;
}

Authenticator *authenticator_free(Authenticator *authenticator)
{
    if (!authenticator)
        return NULL;
    sodium_memzero(authenticator->secret, strlen(authenticator->secret));
    free(authenticator->secret);
    free(authenticator);
    return NULL;
}

/* --- tokens of service accounts: JSON Web Tokens, RFC 7515 and 7519 --------------------------------- */

#define JWT_HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define CLAIM "kubernetes.io/serviceaccount/"

static char *base64url(const void *data, size_t size)
{
    size_t room = sodium_base64_ENCODED_LEN(size, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    char *text = malloc(room);

    return text ? sodium_bin2base64(text, room, data, size, sodium_base64_VARIANT_URLSAFE_NO_PADDING) : NULL;
}

static void sign(const Authenticator *authenticator, const char *text, size_t size,
                 unsigned char ret[crypto_auth_hmacsha256_BYTES])
{
    crypto_auth_hmacsha256_state state;

    crypto_auth_hmacsha256_init(&state, (const unsigned char *)authenticator->secret, strlen(authenticator->secret));
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)text, size);
    crypto_auth_hmacsha256_final(&state, ret);
}

char *authenticator_token(const Authenticator *authenticator, const char *namespace, const char *account,
                          const char *uid, int64_t expires)
{
    unsigned char signature[crypto_auth_hmacsha256_BYTES];
    AUTO_FREE char *subject = NULL, *claims = NULL, *header = NULL, *payload = NULL, *signed_text = NULL, *end = NULL;
    char *token = NULL;

    if (asprintf(&subject, "system:serviceaccount:%s:%s", namespace, account) < 0)
        subject = NULL;
    AUTO_JSON json_t *object = subject ? json_pack("{s:s, s:s, s:s, s:s, s:s}", "iss", "kubernetes/serviceaccount",
                                                   CLAIM "namespace", namespace, CLAIM "service-account.name", account,
                                                   CLAIM "service-account.uid", uid, "sub", subject)
                                       : NULL;
    if (object && expires > 0)
        json_object_set_new(object, "exp", json_integer(expires));
    claims = object ? json_dumps(object, JSON_COMPACT) : NULL;
    header = base64url(JWT_HEADER, strlen(JWT_HEADER));
    payload = claims ? base64url(claims, strlen(claims)) : NULL;
    if (!header || !payload || asprintf(&signed_text, "%s.%s", header, payload) < 0) {
        signed_text = NULL;
        return NULL;
    }
    sign(authenticator, signed_text, strlen(signed_text), signature);
    end = base64url(signature, sizeof signature);
    return end && asprintf(&token, "%s.%s", signed_text, end) >= 0 ? token : NULL;
}

static json_t *decode_part(const char *text, size_t size)
{
    unsigned char data[TOKEN_SIZE_MAX];
    size_t length;
    json_t *object = NULL;

    if (sodium_base642bin(data, sizeof data, text, size, NULL, &length, NULL,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) < 0 ||
        json_parse((const char *)data, length, sizeof data, &object, NULL) < 0)
        return NULL;
    return object;
}

static const char *claim(const json_t *payload, const char *name)
{
    const char *text = json_string_value(json_object_get(payload, name));

    return text ? text : "";
}

static int authenticate_account(const Authenticator *authenticator, const char *token, ApiUser *ret)
{
    unsigned char signature[crypto_auth_hmacsha256_BYTES], given[crypto_auth_hmacsha256_BYTES];
    const char *dot = strchr(token, '.'), *last = dot ? strchr(dot + 1, '.') : NULL;
    size_t size;

    if (!last ||
        sodium_base642bin(given, sizeof given, last + 1, strlen(last + 1), NULL, &size, NULL,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) < 0 ||
        size != sizeof given)
        return -EACCES;
    sign(authenticator, token, (size_t)(last - token), signature);
    if (sodium_memcmp(signature, given, sizeof given) != 0)
        return -EACCES;
    AUTO_JSON json_t *header = decode_part(token, (size_t)(dot - token));
    AUTO_JSON json_t *payload = decode_part(dot + 1, (size_t)(last - dot - 1));
    if (strcmp(claim(header, "alg"), "HS256") != 0 || strcmp(claim(payload, "iss"), "kubernetes/serviceaccount") != 0)
        return -EACCES;
    const json_t *expires = json_object_get(payload, "exp");
    if (expires && (!json_is_integer(expires) || json_integer_value(expires) <= (json_int_t)time(NULL)))
        return -EACCES;
    const char *namespace = claim(payload, CLAIM "namespace"), *name = claim(payload, CLAIM "service-account.name");
    const json_t *account =
        authenticator->store ? store_get(authenticator->store, "serviceaccounts", namespace, name) : NULL;
    if (!account || strcmp(kube_uid(account), claim(payload, CLAIM "service-account.uid")) != 0 ||
        strlen(namespace) >= sizeof ret->namespace)
        return -EACCES;
    *ret = (ApiUser){0};
    snprintf(ret->name, sizeof ret->name, "system:serviceaccount:%s:%s", namespace, name);
    snprintf(ret->namespace, sizeof ret->namespace, "%s", namespace);
    ret->role = auth_account_role(account);
    return 0;
}

static int authenticate_token(const Authenticator *authenticator, const char *token, ApiUser *ret)
{
    unsigned char digest[crypto_hash_sha256_BYTES];
    const Token *found = NULL;

    if (*token == '\0' || strlen(token) > TOKEN_SIZE_MAX)
        return -EACCES;
    crypto_hash_sha256(digest, (const unsigned char *)token, strlen(token));
    for (size_t i = 0; i < authenticator->n_tokens; i++)
        if (sodium_memcmp(digest, authenticator->tokens[i].digest, sizeof digest) == 0)
            found = &authenticator->tokens[i];
    if (!found)
        return authenticate_account(authenticator, token, ret);
    *ret = found->user;
    return 0;
}

/* --- certificates ---------------------------------------------------------------------------------- */

/* "O=inaetics:admin", and of those that serve too "CN=node-1,O=inaetics:node:node-1": nothing else, and nothing that
 * needs an escape. */
static int authenticate_subject(const char *subject, ApiUser *ret)
{
    static const char prefix[] = "O=inaetics";

    *ret = (ApiUser){0};
    if (strncmp(subject, "CN=", 3) == 0 && subject[3 + strcspn(subject + 3, ",+\\")] == ',')
        subject += 3 + strcspn(subject + 3, ",") + 1;
    const char *rest = subject + strlen(prefix);
    if (strncmp(subject, prefix, strlen(prefix)) != 0 || strpbrk(subject, ",+\\") || (*rest && *rest != ':'))
        return -EACCES;
    if (*rest == ':')
        (void)set_role(ret, rest + 1); /* another organisation of ours: known, without a role */
    if (ret->role == ROLE_NODE)
        snprintf(ret->name, sizeof ret->name, "system:node:%s", ret->node);
    else
        snprintf(ret->name, sizeof ret->name, "%s", subject + 2);
    return 0;
}

int authenticate(const Authenticator *authenticator, const char *subject, const char *authorization, ApiUser *ret)
{
    if (authorization) {
        if (strncasecmp(authorization, "Bearer ", 7) != 0)
            return -EACCES;
        return authenticate_token(authenticator, authorization + 7 + strspn(authorization + 7, " "), ret);
    }
    if (subject)
        return authenticate_subject(subject, ret);
    *ret = (ApiUser){.name = AUTH_ANONYMOUS};
    return 0;
}
