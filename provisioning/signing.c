/* signing.c - see signing.h. */
#include "signing.h"
#include "base/cleanup.h"
#include "base/files.h"
#include "base/json.h"
#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONTEXT "inaetics.deployment.v1\n"
#define CONTEXT_SIZE (sizeof CONTEXT - 1)
#define STATEMENT_TYPE "inaetics.deployment.v1"
#define KEY_HEX ((size_t)2 * crypto_sign_PUBLICKEYBYTES)
#define KEY_FILE_MAX 16384u
/* The payload in base64, and room for the rest. */
#define ENVELOPE_MAX (SIGNING_STATEMENT_MAX / 3u * 4u + 4096u)

_Static_assert(crypto_sign_PUBLICKEYBYTES == crypto_sign_SEEDBYTES, "both are 64 hexadecimal digits");

typedef struct PublicKey {
    unsigned char bytes[crypto_sign_PUBLICKEYBYTES];
    char id[SIGNING_KEY_ID_SIZE];
} PublicKey;

struct SigningKey {
    PublicKey public;
    unsigned char secret[crypto_sign_SECRETKEYBYTES];
};

struct TrustedKeys {
    PublicKey keys[SIGNING_KEYS_MAX];
    size_t n;
};

static void public_key_set(PublicKey *key, const unsigned char bytes[crypto_sign_PUBLICKEYBYTES])
{
    unsigned char digest[crypto_hash_sha256_BYTES];

    memcpy(key->bytes, bytes, sizeof key->bytes);
    crypto_hash_sha256(digest, bytes, crypto_sign_PUBLICKEYBYTES);
    sodium_bin2hex(key->id, sizeof key->id, digest, (SIGNING_KEY_ID_SIZE - 1) / 2);
}

static int start_sodium(InaError *error)
{
    if (sodium_init() < 0)
        return ina_error_set(error, EIO, "libsodium cannot start: no source of randomness");
    return 0;
}

/* --- key files ------------------------------------------------------------ */

static bool hex_key(const char *text, size_t length, unsigned char ret[crypto_sign_SEEDBYTES])
{
    size_t decoded = 0;

    return length == KEY_HEX && sodium_hex2bin(ret, crypto_sign_SEEDBYTES, text, length, NULL, &decoded, NULL) == 0 &&
           decoded == crypto_sign_SEEDBYTES;
}

/* Lines of a key each; empty ones and those that begin with '#' are passed over. */
static int parse_public(const char *path, const char *text, TrustedKeys *keys, InaError *error)
{
    unsigned line = 0;

    while (*text) {
        size_t length = strcspn(text, "\n");
        unsigned char bytes[crypto_sign_PUBLICKEYBYTES];

        line++;
        if (length > 0 && *text != '#') {
            if (!hex_key(text, length, bytes))
                return ina_error_set(error, EINVAL, "%s, line %u: not a public key of 64 hexadecimal digits", path,
                                     line);
            if (keys->n == SIGNING_KEYS_MAX)
                return ina_error_set(error, EINVAL, "%s: more than %u keys; take old ones out", path, SIGNING_KEYS_MAX);
            public_key_set(&keys->keys[keys->n++], bytes);
        }
        text += length + (text[length] == '\n');
    }
    return 0;
}

int trusted_keys_read(const char *path, TrustedKeys **ret, InaError *error)
{
    AUTO_FREE char *text = NULL;
    AUTO_FREE TrustedKeys *keys = calloc(1, sizeof *keys);
    size_t size;
    int r;

    if (!keys)
        return ina_error_errno(error, ENOMEM, "%s", path);
    r = start_sodium(error);
    if (r == 0)
        r = file_read(path, KEY_FILE_MAX, &text, &size, error);
    if (r < 0)
        return r;
    if (strlen(text) != size)
        return ina_error_set(error, EINVAL, "%s: a NUL in a file of public keys", path);
    r = parse_public(path, text, keys, error);
    if (r < 0)
        return r;
    if (keys->n == 0)
        return ina_error_set(error, EINVAL, "%s: no public key in it", path);
    *ret = TAKE_PTR(keys);
    return 0;
}

TrustedKeys *trusted_keys_free(TrustedKeys *keys)
{
    free(keys);
    return NULL;
}

static int make_seed(const char *path, unsigned char ret_seed[crypto_sign_SEEDBYTES], InaError *error)
{
    char text[KEY_HEX + 2];
    int r;

    randombytes_buf(ret_seed, crypto_sign_SEEDBYTES);
    sodium_bin2hex(text, sizeof text, ret_seed, crypto_sign_SEEDBYTES);
    memcpy(text + KEY_HEX, "\n", 2);
    r = file_write(path, text, KEY_HEX + 1, 0600, error);
    sodium_memzero(text, sizeof text);
    return r;
}

static int read_seed(const char *path, unsigned char ret_seed[crypto_sign_SEEDBYTES], InaError *error)
{
    struct stat status;
    char *text;
    size_t size;
    bool good;
    int r;

    if (stat(path, &status) < 0)
        return errno == ENOENT ? make_seed(path, ret_seed, error) : ina_error_errno(error, errno, "%s", path);
    /* One that root hands in to its user is for that user's group. */
    bool handed_in = status.st_uid == 0 && geteuid() != 0 && status.st_gid == getegid();
    if ((status.st_mode & (handed_in ? 027 : 077)) != 0)
        return ina_error_set(error, EPERM, "%s: others can use this key (mode %03o; chmod 600 it)", path,
                             (unsigned)(status.st_mode & 0777));
    r = file_read(path, KEY_FILE_MAX, &text, &size, error);
    if (r < 0)
        return r;
    good = hex_key(text, size > 0 && text[size - 1] == '\n' ? size - 1 : size, ret_seed);
    sodium_memzero(text, size);
    free(text);
    if (!good)
        return ina_error_set(error, EINVAL, "%s: not a signing key of 64 hexadecimal digits", path);
    return 0;
}

/* Adds the key to path.pub unless it is there. */
static int ensure_public(const char *path, const PublicKey *key, InaError *error)
{
    AUTO_FREE char *public = NULL, *text = NULL, *longer = NULL;
    TrustedKeys keys = {.n = 0};
    char hex[KEY_HEX + 1];
    size_t size = 0;
    int r;

    if (asprintf(&public, "%s.pub", path) < 0) {
        public = NULL;
        return ina_error_errno(error, ENOMEM, "%s", path);
    }
    r = file_read(public, KEY_FILE_MAX, &text, &size, error);
    if (r < 0 && r != -ENOENT)
        return r;
    if (text) {
        r = parse_public(public, text, &keys, error);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < keys.n; i++)
        if (memcmp(keys.keys[i].bytes, key->bytes, sizeof key->bytes) == 0)
            return 0;
    if (keys.n == SIGNING_KEYS_MAX)
        return ina_error_set(error, ENOSPC, "%s: has %u keys already; take old ones out", public, SIGNING_KEYS_MAX);
    sodium_bin2hex(hex, sizeof hex, key->bytes, sizeof key->bytes);
    if (asprintf(&longer, "%s%s%s\n", text ? text : "", text && size > 0 && text[size - 1] != '\n' ? "\n" : "", hex) <
        0) {
        longer = NULL;
        return ina_error_errno(error, ENOMEM, "%s", public);
    }
    return file_write(public, longer, strlen(longer), 0644, error);
}

int signing_key_open(const char *path, SigningKey **ret, InaError *error)
{
    unsigned char seed[crypto_sign_SEEDBYTES], public[crypto_sign_PUBLICKEYBYTES];
    SigningKey *key;
    int r = start_sodium(error);

    if (r < 0)
        return r;
    key = calloc(1, sizeof *key);
    if (!key)
        return ina_error_errno(error, ENOMEM, "%s", path);
    r = read_seed(path, seed, error);
    if (r == 0) {
        crypto_sign_seed_keypair(public, key->secret, seed);
        sodium_memzero(seed, sizeof seed);
        public_key_set(&key->public, public);
        r = ensure_public(path, &key->public, error);
        if (r == -EACCES || r == -EROFS || r == -EPERM) /* a key that was handed in */
            r = 0;
    }
    if (r < 0) {
        signing_key_free(key);
        return r;
    }
    *ret = key;
    return 0;
}

const char *signing_key_id(const SigningKey *key)
{
    return key->public.id;
}

SigningKey *signing_key_free(SigningKey *key)
{
    if (key)
        sodium_memzero(key, sizeof *key);
    free(key);
    return NULL;
}

/* --- the form of a statement ----------------------------------------------- */

typedef struct Artifact {
    char *name, *sha256, *symbolic_name, *version, *processor;
    int64_t size;
    bool customizer;
} Artifact;

typedef struct Statement {
    char *type, *target, *version;
    int64_t serial, signed_at, expires;
    JsonList artifacts;
} Statement;

/* 2^53: what every JSON reader keeps exactly. */
#define NUMBER_MAX 9007199254740992.0

static const JsonField artifact_fields[] = {
    {"name", JSON_TYPE_STRING, offsetof(Artifact, name), .flags = JSON_REQUIRED},
    {"sha256", JSON_TYPE_STRING, offsetof(Artifact, sha256), .flags = JSON_REQUIRED},
    {"size", JSON_TYPE_INTEGER, offsetof(Artifact, size), .flags = JSON_REQUIRED, .minimum = 0,
     .maximum = SIGNING_ARTIFACT_SIZE_MAX},
    {"symbolicName", JSON_TYPE_STRING, offsetof(Artifact, symbolic_name), .flags = 0},
    {"version", JSON_TYPE_STRING, offsetof(Artifact, version), .flags = 0},
    {"customizer", JSON_TYPE_BOOLEAN, offsetof(Artifact, customizer), .flags = 0},
    {"processor", JSON_TYPE_STRING, offsetof(Artifact, processor), .flags = 0},
    {.name = NULL},
};

static const JsonField statement_fields[] = {
    {"type", JSON_TYPE_STRING, offsetof(Statement, type), .flags = JSON_REQUIRED},
    {"target", JSON_TYPE_STRING, offsetof(Statement, target), .flags = JSON_REQUIRED},
    {"version", JSON_TYPE_STRING, offsetof(Statement, version), .flags = JSON_REQUIRED},
    {"serial", JSON_TYPE_INTEGER, offsetof(Statement, serial), .flags = JSON_REQUIRED, .minimum = 1,
     .maximum = NUMBER_MAX},
    {"signed", JSON_TYPE_INTEGER, offsetof(Statement, signed_at), .flags = JSON_REQUIRED, .minimum = 0,
     .maximum = NUMBER_MAX},
    {"expires", JSON_TYPE_INTEGER, offsetof(Statement, expires), .flags = JSON_REQUIRED, .minimum = 0,
     .maximum = NUMBER_MAX},
    {"artifacts", JSON_TYPE_LIST, offsetof(Statement, artifacts), .flags = JSON_REQUIRED, .fields = artifact_fields,
     .size = sizeof(Artifact)},
    {.name = NULL},
};

/* What may become a file's name anywhere: [A-Za-z0-9._-], not beginning with '.'. */
static bool plain_name(const char *text, size_t maximum)
{
    size_t length = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

    return length > 0 && length <= maximum && text[length] == '\0' && text[0] != '.';
}

static int check_artifact(const Artifact *artifact, InaError *error)
{
    if (!plain_name(artifact->name, 255))
        return ina_error_set(error, EINVAL, "'%.64s' is no name of a file ([A-Za-z0-9._-], not beginning with '.')",
                             artifact->name);
    if (strspn(artifact->sha256, "0123456789abcdef") != 64 || artifact->sha256[64])
        return ina_error_set(error, EINVAL, "%s: sha256 is not 64 hexadecimal digits", artifact->name);
    if (!artifact->symbolic_name != !artifact->version)
        return ina_error_set(error, EINVAL, "%s: a bundle has both symbolicName and version", artifact->name);
    if (!artifact->symbolic_name == !artifact->processor)
        return ina_error_set(error, EINVAL, "%s: neither a bundle (symbolicName) nor a resource (processor), or both",
                             artifact->name);
    if (artifact->symbolic_name && (!plain_name(artifact->symbolic_name, 255) || !plain_name(artifact->version, 255)))
        return ina_error_set(error, EINVAL, "%s: symbolicName or version is not of [A-Za-z0-9._-]", artifact->name);
    if (artifact->processor && (!plain_name(artifact->processor, 255) || artifact->customizer))
        return ina_error_set(error, EINVAL, "%s: processor is not of [A-Za-z0-9._-], or a customizer is no bundle",
                             artifact->name);
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const Artifact *)a)->name, ((const Artifact *)b)->name);
}

static int check_statement(Statement *statement, InaError *error)
{
    Artifact *artifacts = statement->artifacts.items;
    size_t n = statement->artifacts.count;

    if (strcmp(statement->type, STATEMENT_TYPE) != 0)
        return ina_error_set(error, EINVAL, "a statement of type '%.64s' instead of '%s'", statement->type,
                             STATEMENT_TYPE);
    if (!plain_name(statement->target, 255))
        return ina_error_set(error, EINVAL, "'%.64s' is no target's id ([A-Za-z0-9._-])", statement->target);
    if (!plain_name(statement->version, 31))
        return ina_error_set(error, EINVAL, "'%.64s' is no version", statement->version);
    if (statement->signed_at > statement->expires)
        return ina_error_set(error, EINVAL, "it expires before it was signed");
    if (n > SIGNING_ARTIFACTS_MAX)
        return ina_error_set(error, EINVAL, "%zu artifacts; at most %u", n, SIGNING_ARTIFACTS_MAX);
    for (size_t i = 0; i < n; i++) {
        int r = check_artifact(&artifacts[i], error);

        if (r < 0) {
            ina_error_wrap(error, "artifacts[%zu]", i);
            return r;
        }
    }
    if (n > 1)
        qsort(artifacts, n, sizeof *artifacts, compare_names);
    for (size_t i = 1; i < n; i++)
        if (strcmp(artifacts[i - 1].name, artifacts[i].name) == 0)
            return ina_error_set(error, EINVAL, "two artifacts have the name %s", artifacts[i].name);
    return 0;
}

/* Decodes for checking; `ret` is to be cleared by json_clear whatever the result. */
static int decode_statement(const json_t *value, Statement *ret, InaError *error)
{
    int r = json_decode(value, statement_fields, ret, error);

    if (r == 0)
        r = check_statement(ret, error);
    if (r < 0)
        ina_error_wrap(error, "statement");
    return r;
}

/* --- signing --------------------------------------------------------------- */

static int sign_bytes(const SigningKey *key, const char *payload, size_t size, unsigned char ret[crypto_sign_BYTES],
                      InaError *error)
{
    AUTO_FREE unsigned char *message = malloc(CONTEXT_SIZE + size);

    if (!message)
        return ina_error_errno(error, ENOMEM, "signing");
    memcpy(message, CONTEXT, CONTEXT_SIZE);
    memcpy(message + CONTEXT_SIZE, payload, size);
    crypto_sign_detached(ret, NULL, message, CONTEXT_SIZE + size, key->secret);
    return 0;
}

int signing_sign(const SigningKey *key, const json_t *statement, char **ret, InaError *error)
{
    unsigned char signature[crypto_sign_BYTES];
    char signature_text[sodium_base64_ENCODED_LEN(crypto_sign_BYTES, sodium_base64_VARIANT_ORIGINAL)];
    AUTO_FREE char *payload = NULL, *payload_text = NULL, *envelope = NULL;
    Statement decoded = {.type = NULL};
    size_t size, encoded;
    int r = decode_statement(statement, &decoded, error);

    json_clear(statement_fields, &decoded);
    if (r < 0)
        return r;
    payload = json_dumps(statement, JSON_COMPACT | JSON_SORT_KEYS);
    if (!payload)
        return ina_error_errno(error, ENOMEM, "signing");
    size = strlen(payload);
    if (size > SIGNING_STATEMENT_MAX)
        return ina_error_set(error, EFBIG, "a statement of %zu bytes; at most %u", size, SIGNING_STATEMENT_MAX);
    r = sign_bytes(key, payload, size, signature, error);
    if (r < 0)
        return r;
    sodium_bin2base64(signature_text, sizeof signature_text, signature, sizeof signature,
                      sodium_base64_VARIANT_ORIGINAL);
    encoded = sodium_base64_encoded_len(size, sodium_base64_VARIANT_ORIGINAL);
    payload_text = malloc(encoded);
    if (!payload_text)
        return ina_error_errno(error, ENOMEM, "signing");
    sodium_bin2base64(payload_text, encoded, (const unsigned char *)payload, size, sodium_base64_VARIANT_ORIGINAL);
    if (asprintf(&envelope, "{\"payload\":\"%s\",\"signature\":\"%s\",\"key\":\"%s\"}", payload_text, signature_text,
                 key->public.id) < 0) {
        envelope = NULL;
        return ina_error_errno(error, ENOMEM, "signing");
    }
    *ret = TAKE_PTR(envelope);
    return 0;
}

/* --- verifying ------------------------------------------------------------- */

typedef struct Envelope {
    char *payload, *signature, *key;
} Envelope;

static const JsonField envelope_fields[] = {
    {"payload", JSON_TYPE_STRING, offsetof(Envelope, payload), .flags = JSON_REQUIRED},
    {"signature", JSON_TYPE_STRING, offsetof(Envelope, signature), .flags = JSON_REQUIRED},
    {"key", JSON_TYPE_STRING, offsetof(Envelope, key), .flags = JSON_REQUIRED},
    {.name = NULL},
};

/* Strict: padded, nothing ignored, nothing behind it, so that each value has one text. */
static bool decode_base64(const char *text, unsigned char *ret, size_t maximum, size_t *ret_size)
{
    const char *end = NULL;
    size_t length = strlen(text);

    return sodium_base642bin(ret, maximum, text, length, NULL, ret_size, &end, sodium_base64_VARIANT_ORIGINAL) == 0 &&
           end == text + length;
}

static const PublicKey *find_key(const TrustedKeys *keys, const char *id)
{
    for (size_t i = 0; i < keys->n; i++)
        if (strcmp(keys->keys[i].id, id) == 0)
            return &keys->keys[i];
    return NULL;
}

/* The signed bytes: malloc'ed, the payload from CONTEXT_SIZE on. */
static int open_envelope(const TrustedKeys *keys, const Envelope *envelope, unsigned char **ret, size_t *ret_payload,
                         InaError *error)
{
    unsigned char signature[crypto_sign_BYTES];
    size_t maximum = strlen(envelope->payload) / 4 * 3 + 3, size, signature_size;
    const PublicKey *key = find_key(keys, envelope->key);
    AUTO_FREE unsigned char *message = NULL;

    if (!key)
        return ina_error_set(error, EBADMSG, "signed with the key %.32s, which is not trusted", envelope->key);
    if (!decode_base64(envelope->signature, signature, sizeof signature, &signature_size) ||
        signature_size != sizeof signature)
        return ina_error_set(error, EBADMSG, "the signature is not 64 bytes in base64");
    message = malloc(CONTEXT_SIZE + maximum);
    if (!message)
        return ina_error_errno(error, ENOMEM, "verifying");
    memcpy(message, CONTEXT, CONTEXT_SIZE);
    if (!decode_base64(envelope->payload, message + CONTEXT_SIZE, maximum, &size))
        return ina_error_set(error, EINVAL, "the payload is not base64");
    if (size > SIGNING_STATEMENT_MAX)
        return ina_error_set(error, EINVAL, "a statement of %zu bytes; at most %u", size, SIGNING_STATEMENT_MAX);
    if (crypto_sign_verify_detached(signature, message, CONTEXT_SIZE + size, key->bytes) != 0)
        return ina_error_set(error, EBADMSG, "the signature does not fit the statement");
    *ret = TAKE_PTR(message);
    *ret_payload = size;
    return 0;
}

static int check_meant(const Statement *statement, const char *target, int64_t now, int64_t lowest_serial,
                       InaError *error)
{
    if (strcmp(statement->target, target) != 0)
        return ina_error_set(error, EINVAL, "a deployment for the target %.64s, not for %.64s", statement->target,
                             target);
    if (now >= statement->expires)
        return ina_error_set(error, ESTALE, "the statement expired %lld s ago (or this machine's clock is wrong)",
                             (long long)((now - statement->expires) / 1000));
    if (statement->serial < lowest_serial)
        return ina_error_set(error, ESTALE, "serial %lld was signed before %lld, which was accepted already",
                             (long long)statement->serial, (long long)lowest_serial);
    return 0;
}

static int verify_envelope(const TrustedKeys *keys, const Envelope *envelope, const char *target, int64_t now,
                           int64_t lowest_serial, json_t **ret, InaError *error)
{
    AUTO_FREE unsigned char *message = NULL;
    AUTO_JSON json_t *value = NULL;
    Statement statement = {.type = NULL};
    size_t size = 0;
    int r = open_envelope(keys, envelope, &message, &size, error);

    if (r == 0)
        r = json_parse((const char *)message + CONTEXT_SIZE, size, SIGNING_STATEMENT_MAX, &value, error);
    if (r == 0)
        r = decode_statement(value, &statement, error);
    if (r == 0)
        r = check_meant(&statement, target, now, lowest_serial, error);
    json_clear(statement_fields, &statement);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(value);
    return 0;
}

int signing_verify(const TrustedKeys *keys, const char *envelope, size_t size, const char *target, int64_t now,
                   int64_t lowest_serial, json_t **ret, InaError *error)
{
    AUTO_JSON json_t *value = NULL;
    Envelope decoded = {.payload = NULL};
    int r = json_parse(envelope, size, ENVELOPE_MAX, &value, error);

    if (r == 0)
        r = json_decode(value, envelope_fields, &decoded, error);
    if (r == 0)
        r = verify_envelope(keys, &decoded, target, now, lowest_serial, ret, error);
    json_clear(envelope_fields, &decoded);
    if (r < 0)
        ina_error_wrap(error, "deployment");
    return r == -EFBIG ? -EINVAL : r;
}
