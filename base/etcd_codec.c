/* etcd_codec.c - see etcd_codec.h. */
#include "etcd_codec.h"

#include "json.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium/utils.h>
#include <stdlib.h>
#include <string.h>

/* --- requests ----------------------------------------------------------------------- */

const char *etcd_path(EtcdKind kind)
{
    static const char *const paths[] = {
        [ETCD_PUT] = "/v3/kv/put",
        [ETCD_GET] = "/v3/kv/range",
        [ETCD_DELETE] = "/v3/kv/deleterange",
        [ETCD_COMPACT] = "/v3/kv/compaction",
        [ETCD_GRANT] = "/v3/lease/grant",
        [ETCD_KEEPALIVE] = "/v3/lease/keepalive",
        [ETCD_REVOKE] = "/v3/lease/revoke",
        [ETCD_PUT_IF] = "/v3/kv/txn",
        [ETCD_DELETE_IF] = "/v3/kv/txn",
    };
    return paths[kind];
}

static void print_base64(Buffer *body, const void *data, size_t size)
{
    size_t room = sodium_base64_ENCODED_LEN(size, sodium_base64_VARIANT_ORIGINAL);
    char *text = buffer_reserve(body, room);

    if (!text)
        return;
    sodium_bin2base64(text, room, data, size, sodium_base64_VARIANT_ORIGINAL);
    body->size += room - 1;
}

static void print_key(Buffer *body, const char *key)
{
    buffer_print(body, "\"key\":\"");
    print_base64(body, key, strlen(key));
    buffer_print(body, "\"");
}

/* The end of the range of all keys that begin with `prefix`: the prefix with its
 * last byte raised by one, where 0xff carries; a single NUL means the first or
 * the last of all keys. */
static void print_end(Buffer *body, const char *prefix)
{
    size_t end = strlen(prefix);

    while (end > 0 && (unsigned char)prefix[end - 1] == 0xff)
        end--;
    buffer_print(body, ",\"range_end\":\"");
    char *copy = end > 0 ? strndup(prefix, end) : NULL;
    if (copy) {
        copy[end - 1] = (char)((unsigned char)copy[end - 1] + 1);
        print_base64(body, copy, end);
        free(copy);
    } else if (end > 0) {
        body->failed = true;
    } else {
        print_base64(body, "", 1);
    }
    buffer_print(body, "\"");
}

static void print_prefix(Buffer *body, const char *prefix)
{
    if (prefix[0] == '\0')
        buffer_print(body, "\"key\":\"AA==\"");
    else
        print_key(body, prefix);
    print_end(body, prefix);
}

static void print_key_value(Buffer *body, const char *key, const void *value, size_t size, int64_t lease)
{
    print_key(body, key);
    buffer_print(body, ",\"value\":\"");
    print_base64(body, value, size);
    buffer_print(body, "\",\"lease\":\"%" PRId64 "\"", lease);
}

void etcd_print_put(Buffer *body, const char *key, const void *value, size_t size, int64_t lease)
{
    buffer_print(body, "{");
    print_key_value(body, key, value, size, lease);
    buffer_print(body, "}");
}

void etcd_print_range(Buffer *body, const char *key, bool prefix)
{
    buffer_print(body, "{");
    if (prefix)
        print_prefix(body, key);
    else
        print_key(body, key);
    buffer_print(body, "}");
}

static void print_compare(Buffer *body, const char *key, int64_t expected)
{
    buffer_print(body, "{\"compare\":[{");
    print_key(body, key);
    buffer_print(body, ",\"target\":\"MOD\",\"result\":\"EQUAL\",\"mod_revision\":\"%" PRId64 "\"}],", expected);
}

static void print_otherwise(Buffer *body, const char *key)
{
    buffer_print(body, ",\"failure\":[{\"request_range\":{");
    print_key(body, key);
    buffer_print(body, "}}]}");
}

void etcd_print_put_if(Buffer *body, const char *key, const void *value, size_t size, int64_t lease, int64_t expected)
{
    print_compare(body, key, expected);
    buffer_print(body, "\"success\":[{\"request_put\":{");
    print_key_value(body, key, value, size, lease);
    buffer_print(body, "}}]");
    print_otherwise(body, key);
}

void etcd_print_delete_if(Buffer *body, const char *key, int64_t expected)
{
    print_compare(body, key, expected);
    buffer_print(body, "\"success\":[{\"request_delete_range\":{");
    print_key(body, key);
    buffer_print(body, "}}]");
    print_otherwise(body, key);
}

void etcd_print_page(Buffer *body, const char *prefix, const char *after, size_t limit, int64_t revision)
{
    buffer_print(body, "{");
    if (after) { /* the first key behind it is itself with a NUL added */
        buffer_print(body, "\"key\":\"");
        print_base64(body, after, strlen(after) + 1);
        buffer_print(body, "\"");
        print_end(body, prefix);
    } else {
        print_prefix(body, prefix);
    }
    buffer_print(body, ",\"limit\":\"%zu\",\"revision\":\"%" PRId64 "\"}", limit, revision);
}

void etcd_print_watch(Buffer *body, const char *prefix, int64_t revision)
{
    buffer_print(body, "{\"create_request\":{");
    print_prefix(body, prefix);
    buffer_print(body, ",\"start_revision\":\"%" PRId64 "\",\"fragment\":true}}", revision);
}

/* --- pieces of replies ----------------------------------------------------------------- */

static int protocol(InaError *error, const char *what)
{
    return ina_error_set(error, EPROTO, "etcd: %s", what);
}

/* Absent is 0; a string of digits or a number otherwise. */
static int get_integer(const json_t *object, const char *name, int64_t *ret, InaError *error)
{
    const json_t *value = json_object_get(object, name);
    char *end;

    *ret = 0;
    if (!value)
        return 0;
    if (json_is_integer(value)) {
        *ret = json_integer_value(value);
        return 0;
    }
    const char *text = json_string_value(value);
    if (text && (text[0] == '-' || (text[0] >= '0' && text[0] <= '9'))) {
        errno = 0;
        *ret = strtoll(text, &end, 10);
        if (errno == 0 && *end == '\0' && end > text)
            return 0;
    }
    *ret = 0;
    return ina_error_set(error, EPROTO, "etcd: field \"%s\" is not an integer of 64 bits", name);
}

/* The header says which etcd speaks, and when. 64 bits without a sign, as a string. */
static int get_header(const json_t *object, EtcdMessage *message, InaError *error)
{
    const json_t *header = json_object_get(object, "header");
    const json_t *cluster = json_object_get(header, "cluster_id");
    const char *text = json_string_value(cluster);
    char *end;

    if (cluster) {
        errno = 0;
        message->cluster = text && text[0] >= '0' && text[0] <= '9' ? strtoull(text, &end, 10) : 0;
        if (message->cluster == 0 || errno != 0 || *end != '\0')
            return protocol(error, "field \"cluster_id\" is not a string of digits");
    }
    return get_integer(header, "revision", &message->revision, error);
}

/* Decodes field `name` behind *end in the pool, with a NUL behind it; absent is empty. */
static int get_bytes(const json_t *object, const char *name, char **end, const char *limit, const char **ret,
                     size_t *ret_size, InaError *error)
{
    const json_t *value = json_object_get(object, name);
    const char *text = value ? json_string_value(value) : "";
    size_t length = value ? json_string_length(value) : 0;

    if (!text)
        return ina_error_set(error, EPROTO, "etcd: field \"%s\" is not a string", name);
    if (*end >= limit || sodium_base642bin((unsigned char *)*end, (size_t)(limit - *end) - 1, text, length, NULL,
                                           ret_size, NULL, sodium_base64_VARIANT_ORIGINAL) < 0)
        return ina_error_set(error, EPROTO, "etcd: field \"%s\" is not base64", name);
    (*end)[*ret_size] = '\0';
    *ret = *end;
    *end += *ret_size + 1;
    return 0;
}

static int get_key_value(const json_t *object, char **end, const char *limit, EtcdKeyValue *ret, InaError *error)
{
    size_t key_size;
    int r;

    if (!json_is_object(object))
        return protocol(error, "a key-value is not an object");
    if ((r = get_bytes(object, "key", end, limit, &ret->key, &key_size, error)) < 0 ||
        (r = get_bytes(object, "value", end, limit, &ret->value, &ret->value_size, error)) < 0 ||
        (r = get_integer(object, "create_revision", &ret->create_revision, error)) < 0 ||
        (r = get_integer(object, "mod_revision", &ret->mod_revision, error)) < 0 ||
        (r = get_integer(object, "lease", &ret->lease, error)) < 0)
        return r;
    if (key_size == 0)
        return protocol(error, "a key-value has no key");
    if (strlen(ret->key) != key_size)
        ret->key = NULL; /* left out by the caller */
    return 0;
}

/* The text is longer than all that decodes from it: base64 takes at least 4
 * characters for up to 3 bytes and a NUL, and what is absent is in an object of 2. */
static int make_room(const json_t *array, size_t text_size, EtcdMessage *message, InaError *error)
{
    size_t count = json_array_size(array);

    message->kvs = calloc(count + 1, sizeof(*message->kvs));
    message->pool = malloc(text_size + 2);
    if (!message->kvs || !message->pool)
        return ina_error_errno(error, ENOMEM, "etcd: reply");
    return 0;
}

static int get_key_values(const json_t *array, size_t text_size, EtcdMessage *message, InaError *error)
{
    if (!array)
        return 0;
    if (!json_is_array(array))
        return protocol(error, "field \"kvs\" is not an array");
    int r = make_room(array, text_size, message, error);
    char *end = message->pool;
    for (size_t i = 0; r == 0 && i < json_array_size(array); i++) {
        EtcdKeyValue *kv = &message->kvs[message->n_kvs];
        r = get_key_value(json_array_get(array, i), &end, message->pool + text_size + 2, kv, error);
        if (r == 0 && kv->key)
            message->n_kvs++;
    }
    return r;
}

/* --- errors ------------------------------------------------------------------------------ */

/* gRPC's status codes (google.golang.org/grpc/codes). */
static int errno_of(int64_t grpc_code, const char *message)
{
    switch (grpc_code) {
    case 1:
        return ECANCELED;
    case 3:
    case 9:
        return EINVAL;
    case 4:
        return ETIMEDOUT;
    case 5:
        return ENOENT;
    case 7:
    case 16:
        return EACCES;
    case 8:
        return strstr(message, "space") ? ENOSPC : EAGAIN;
    case 11:
        return ESTALE;
    case 14:
        return EHOSTDOWN;
    default:
        return EIO;
    }
}

/* {"error":"text","code":3}, or in a stream {"error":{"grpc_code":11,"message":"text"}}. */
static int get_error(const json_t *root, int status, InaError *error)
{
    const json_t *cause = json_object_get(root, "error");
    const json_t *object = json_is_object(cause) ? cause : root;
    const char *message = json_string_value(json_object_get(object, "message"));
    int64_t code;

    if (!message)
        message = json_string_value(cause);
    if (!message)
        return ina_error_set(error, EPROTO, "etcd: HTTP status %d without a reason", status);
    if (get_integer(object, json_is_object(cause) ? "grpc_code" : "code", &code, NULL) < 0)
        code = 0;
    return ina_error_set(error, errno_of(code, message), "etcd: %s", message);
}

/* --- replies ------------------------------------------------------------------------------- */

void etcd_message_clear(EtcdMessage *message)
{
    free(message->kvs);
    free(message->pool);
    *message = (EtcdMessage){0};
}

static int parse(const char *text, size_t size, json_t **ret, InaError *error)
{
    InaError cause = {0};

    int r = json_parse(text, size, ETCD_REPLY_MAX, ret, &cause);
    if (r < 0)
        return ina_error_set(error, r == -ENOMEM ? ENOMEM : EPROTO, "etcd: %s", cause.message);
    if (json_is_object(*ret))
        return 0;
    json_decref(*ret);
    return protocol(error, "the reply is not an object");
}

/* `root` is the object with the header. */
static int get_reply(EtcdKind kind, const json_t *root, size_t size, EtcdMessage *message, InaError *error)
{
    const json_t *kvs = json_object_get(root, "kvs");
    int r;

    if ((r = get_header(root, message, error)) < 0 || (r = get_integer(root, "ID", &message->lease, error)) < 0 ||
        (r = get_integer(root, "TTL", &message->ttl, error)) < 0)
        return r;
    if (message->revision <= 0)
        return protocol(error, "the reply has no revision");
    message->succeeded = json_is_true(json_object_get(root, "succeeded"));
    message->more = json_is_true(json_object_get(root, "more"));
    bool refused = (kind == ETCD_PUT_IF || kind == ETCD_DELETE_IF) && !message->succeeded;
    if (refused)
        kvs = json_object_get(json_object_get(json_array_get(json_object_get(root, "responses"), 0), "response_range"),
                              "kvs");
    if (kind == ETCD_GET || refused)
        r = get_key_values(kvs, size, message, error);
    if (r < 0)
        return r;
    if (refused)
        return ina_error_set(error, ECANCELED, "etcd: the key is not as expected");
    if (kind == ETCD_GRANT && (message->lease == 0 || message->ttl <= 0))
        return protocol(error, "the reply to a grant has no lease");
    if (kind == ETCD_KEEPALIVE && message->ttl <= 0)
        return ina_error_set(error, ENOENT, "etcd: the lease has run out");
    return 0;
}

int etcd_parse_reply(EtcdKind kind, int status, const char *text, size_t size, EtcdMessage *ret, InaError *error)
{
    json_t *root;

    *ret = (EtcdMessage){0};
    int r = parse(text, size, &root, error);
    if (r < 0)
        return status == 200 ? r : ina_error_set(error, EPROTO, "etcd: HTTP status %d, not etcd's answer", status);
    if (status != 200 || json_object_get(root, "error"))
        r = get_error(root, status, error);
    else
        r = get_reply(kind, kind == ETCD_KEEPALIVE ? json_object_get(root, "result") : root, size, ret, error);
    if (r < 0 && r != -ECANCELED)
        etcd_message_clear(ret);
    json_decref(root);
    return r;
}

/* --- events -------------------------------------------------------------------------------- */

static int get_event(const json_t *event, char **end, const char *limit, EtcdKeyValue *ret, InaError *error)
{
    const json_t *type = json_object_get(event, "type");
    const char *name = type ? json_string_value(type) : "PUT";

    int r = get_key_value(json_object_get(event, "kv"), end, limit, ret, error);
    if (r < 0)
        return r;
    if (!name || (strcmp(name, "PUT") != 0 && strcmp(name, "DELETE") != 0))
        return protocol(error, "an event is neither PUT nor DELETE");
    if (strcmp(name, "DELETE") == 0) {
        ret->value = NULL;
        ret->value_size = 0;
    }
    return 0;
}

static int get_events(const json_t *result, size_t size, EtcdMessage *message, InaError *error)
{
    const json_t *events = json_object_get(result, "events");
    const char *reason = json_string_value(json_object_get(result, "cancel_reason"));
    int64_t compacted;

    if (!json_is_object(result))
        return protocol(error, "a message of a watch has no result");
    int r = get_integer(result, "compact_revision", &compacted, error);
    if (r < 0)
        return r;
    if (json_is_true(json_object_get(result, "canceled")))
        return ina_error_set(error, compacted > 0 ? ESTALE : ECONNRESET, "etcd: watch cancelled: %s",
                             reason          ? reason
                             : compacted > 0 ? "the revision has been compacted"
                                             : "no reason given");
    message->created = json_is_true(json_object_get(result, "created"));
    r = get_header(result, message, error);
    if (r < 0 || !events)
        return r;
    if (!json_is_array(events))
        return protocol(error, "field \"events\" is not an array");
    r = make_room(events, size, message, error);
    char *end = message->pool;
    for (size_t i = 0; r == 0 && i < json_array_size(events); i++) {
        EtcdKeyValue *kv = &message->kvs[message->n_kvs];
        r = get_event(json_array_get(events, i), &end, message->pool + size + 2, kv, error);
        if (r == 0 && kv->key)
            message->n_kvs++;
    }
    return r;
}

int etcd_parse_event(const char *text, size_t size, EtcdMessage *ret, InaError *error)
{
    json_t *root;

    *ret = (EtcdMessage){0};
    int r = parse(text, size, &root, error);
    if (r < 0)
        return r;
    if (json_object_get(root, "error"))
        r = get_error(root, 200, error);
    else
        r = get_events(json_object_get(root, "result"), size, ret, error);
    if (r < 0)
        etcd_message_clear(ret);
    json_decref(root);
    return r;
}
