/* patch.c - JSON patch and merge patch, and the limits of all patches. */
#include "patch_internal.h"

#include "base/cleanup.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POINTER_MAX 4096u /* characters of a path */

/* --- limits ---------------------------------------------------------------------------------- */

static bool too_deep(const json_t *value, unsigned left)
{
    const char *key;
    size_t i;
    json_t *item;
    if ((json_is_object(value) || json_is_array(value)) && left == 0)
        return true;
    json_object_foreach((json_t *)value, key, item) if (too_deep(item, left - 1)) return true;
    json_array_foreach(value, i, item) if (too_deep(item, left - 1)) return true;
    return false;
}

int patch_check_depth(const json_t *value, InaError *error)
{
    if (too_deep(value, PATCH_DEPTH_MAX))
        return ina_error_set(error, EFBIG, "exceeded max depth of %u", PATCH_DEPTH_MAX);
    return 0;
}

int patch_work(size_t *work, size_t count, InaError *error)
{
    if (count > PATCH_WORK_MAX - *work)
        return ina_error_set(error, EFBIG, "the patch costs too much: more than %u list items moved or compared",
                             PATCH_WORK_MAX);
    *work += count;
    return 0;
}

int patch_finish(json_t *result, json_t **ret, InaError *error)
{
    if (!result)
        return ina_error_set(error, ENOMEM, "out of memory");
    int r = patch_check_depth(result, error);
    if (r == 0 && json_dumpb(result, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY) > PATCH_RESULT_MAX)
        r = ina_error_set(error, EFBIG, "the patched object has more than %u bytes", PATCH_RESULT_MAX);
    if (r < 0)
        json_decref(result);
    else
        *ret = result;
    return r;
}

/* Keys in order. Trees are shallow here: their depth was checked. */
static void print_value(FILE *out, const json_t *value)
{
    const char *key;
    size_t i;
    const json_t *item;
    if (json_is_object(value)) {
        AUTO_FREE char *text = json_dumps(value, JSON_SORT_KEYS);
        AUTO_JSON json_t *sorted = text ? json_loads(text, 0, NULL) : NULL;
        bool first = true;
        fputs("map[", out);
        json_object_foreach(sorted, key, item)
        {
            fprintf(out, "%s%s:", first ? "" : " ", key);
            print_value(out, item);
            first = false;
        }
        fputc(']', out);
    } else if (json_is_array(value)) {
        fputc('[', out);
        json_array_foreach(value, i, item)
        {
            fputs(i ? " " : "", out);
            print_value(out, item);
        }
        fputc(']', out);
    } else if (json_is_string(value)) {
        fputs(json_string_value(value), out);
    } else if (json_is_null(value)) {
        fputs("<nil>", out);
    } else {
        AUTO_FREE char *text = json_dumps(value, JSON_ENCODE_ANY);
        fputs(text ? text : "", out);
    }
}

char *patch_text(const json_t *value)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    print_value(out, value);
    fclose(out);
    return text;
}

/* 422 of a patch that did not apply; of what it made. */
static json_t *not_applied(void)
{
    json_t *status =
        kube_status_failure(422, "Invalid", "the server rejected our request due to an error in our request");
    json_object_set_new(status, "details", json_object());
    return status;
}

static json_t *no_object(const char *message)
{
    KubeCauses *causes = kube_causes_new();
    if (!causes)
        return NULL;
    kube_cause(causes, "FieldValueInvalid", "patch", "Invalid value: %s", message);
    return kube_causes_status(causes, "", "", "");
}

json_t *patch_status(const InaError *error)
{
    switch (error->code) {
    case EBADMSG:
        return kube_status_failure(400, "BadRequest", error->message);
    case EINVAL:
        return not_applied();
    case EPROTO:
        return no_object(error->message);
    case E2BIG:
    case EFBIG:
        return kube_status_failure(413, "RequestEntityTooLarge", error->message);
    default:
        return kube_status_failure(500, NULL, error->message);
    }
}

/* --- merge patch (RFC 7386) -------------------------------------------------------------------- */

/* What a patch adds: without its nulls. Trees are shallow here: their depth was checked. */
static json_t *without_nulls(const json_t *value)
{
    const char *key;
    size_t i;
    json_t *item;
    if (json_is_object(value)) {
        json_t *copy = json_object();
        json_object_foreach((json_t *)value, key, item) if (!json_is_null(item))
            json_object_set_new(copy, key, without_nulls(item));
        return copy;
    }
    if (json_is_array(value)) {
        json_t *copy = json_array();
        json_array_foreach(value, i, item) if (!json_is_null(item)) json_array_append_new(copy, without_nulls(item));
        return copy;
    }
    return json_deep_copy(value);
}

static void merge(json_t *object, const json_t *patch)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)patch, key, value)
    {
        json_t *current = json_object_get(object, key);
        if (json_is_null(value))
            json_object_del(object, key);
        else if (json_is_object(value) && json_is_object(current))
            merge(current, value);
        else
            json_object_set_new(object, key, without_nulls(value));
    }
}

int patch_merge(const json_t *object, const json_t *patch, json_t **ret, InaError *error)
{
    int r = patch_check_depth(patch, error);
    if (r < 0)
        return r;
    if (json_is_array(patch)) {
        AUTO_FREE char *text = json_dumps(patch, JSON_COMPACT);
        AUTO_FREE char *quoted = kube_quote(text ? text : "");
        return ina_error_set(error, EPROTO,
                             "%.200s: couldn't get version/kind; json parse error: json: cannot unmarshal array into "
                             "Go value of type struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind "
                             "string \"json:\\\"kind,omitempty\\\"\" }",
                             quoted);
    }
    if (!json_is_object(patch))
        return ina_error_set(error, EREMOTE, "Invalid JSON Patch");
    json_t *copy = json_deep_copy(object);
    if (copy)
        merge(copy, patch);
    return patch_finish(copy, ret, error);
}

/* --- JSON patch (RFC 6902) ---------------------------------------------------------------------- */

typedef struct Pointer {
    json_t *container; /* NULL: the path leads nowhere */
    char key[POINTER_MAX];
} Pointer;

typedef struct JsonPatch {
    json_t *document;
    size_t copied, work;
    InaError *error;
} JsonPatch;

static bool read_index(const char *key, json_int_t *ret)
{
    char *end;
    errno = 0;
    long long index = strtoll(key, &end, 10);
    if (*key == '\0' || *end || errno || isspace((unsigned char)*key))
        return false;
    *ret = index;
    return true;
}

/* "~1" is a slash, "~0" a tilde. */
static void unescape(const char *from, size_t length, char *to)
{
    for (size_t i = 0; i < length; i++) {
        if (from[i] == '~' && i + 1 < length && (from[i + 1] == '0' || from[i + 1] == '1'))
            *to++ = from[++i] == '0' ? '~' : '/';
        else
            *to++ = from[i];
    }
    *to = '\0';
}

static json_t *child(json_t *container, const char *key)
{
    json_int_t index;
    if (!json_is_array(container))
        return json_object_get(container, key);
    return read_index(key, &index) && index >= 0 ? json_array_get(container, (size_t)index) : NULL;
}

/* The container that holds the path's last segment. */
static void find(json_t *document, const char *path, Pointer *ret)
{
    ret->container = NULL;
    ret->key[0] = '\0';
    if (!strchr(path, '/') || strlen(path) >= POINTER_MAX)
        return;
    const char *at = strchr(path, '/') + 1;
    json_t *container = document;
    for (;;) {
        size_t length = strcspn(at, "/");
        unescape(at, length, ret->key);
        at += length;
        if (*at == '\0')
            break;
        at++;
        container = child(container, ret->key);
    }
    if (json_is_object(container) || json_is_array(container))
        ret->container = container;
}

static int wrong_index(JsonPatch *patch, const char *what, const char *path, long long index)
{
    return ina_error_set(patch->error, EINVAL,
                         "error in %s for path: '%s': Unable to access invalid index: %lld: invalid index referenced",
                         what, path, index);
}

/* Takes `value`. */
static int add(JsonPatch *patch, const Pointer *at, const char *path, json_t *value)
{
    json_int_t index = 0;
    if (json_is_object(at->container))
        return json_object_set_new(at->container, at->key, value) < 0
                   ? ina_error_set(patch->error, ENOMEM, "out of memory")
                   : 0;
    size_t size = json_array_size(at->container);
    int r = 0;
    if (strcmp(at->key, "-") == 0)
        index = (json_int_t)size;
    else if (!read_index(at->key, &index))
        r = ina_error_set(
            patch->error, EINVAL,
            "error in add for path: '%s': value was not a proper array index: '%s': strconv.Atoi: parsing "
            "\"%s\": invalid syntax",
            path, at->key, at->key);
    else if (index > (json_int_t)size || index < -(json_int_t)size - 1)
        r = wrong_index(patch, "add", path, index);
    if (index < 0)
        index += (json_int_t)size + 1;
    if (r == 0)
        r = patch_work(&patch->work, size - (size_t)index, patch->error);
    if (r < 0)
        json_decref(value);
    else if (json_array_insert_new(at->container, (size_t)index, value) < 0)
        r = ina_error_set(patch->error, ENOMEM, "out of memory");
    return r;
}

static int take_away(JsonPatch *patch, const Pointer *at, const char *path, const char *what)
{
    json_int_t index;
    if (json_is_object(at->container)) {
        if (json_object_del(at->container, at->key) == 0)
            return 0;
        return ina_error_set(patch->error, EINVAL,
                             "error in %s for path: '%s': Unable to remove nonexistent key: %s: missing value", what,
                             path, at->key);
    }
    size_t size = json_array_size(at->container);
    if (!read_index(at->key, &index))
        return ina_error_set(patch->error, EINVAL,
                             "error in %s for path: '%s': strconv.Atoi: parsing \"%s\": invalid syntax", what, path,
                             at->key);
    if (index >= (json_int_t)size || index < -(json_int_t)size)
        return wrong_index(patch, what, path, index);
    if (index < 0)
        index += (json_int_t)size;
    int r = patch_work(&patch->work, size - (size_t)index, patch->error);
    if (r == 0)
        json_array_remove(at->container, (size_t)index);
    return r;
}

static int missing(JsonPatch *patch, const char *operation, const char *what, const char *path)
{
    return ina_error_set(patch->error, EINVAL, "%s operation does not apply: doc is missing %s: %s: missing value",
                         operation, what, path);
}

static int apply_add(JsonPatch *patch, const char *path, const json_t *value)
{
    Pointer at;
    find(patch->document, path, &at);
    if (!at.container)
        return missing(patch, "add", "path", path);
    return add(patch, &at, path, value ? json_deep_copy(value) : json_null());
}

static int apply_remove(JsonPatch *patch, const char *path)
{
    Pointer at;
    find(patch->document, path, &at);
    return at.container ? take_away(patch, &at, path, "remove") : missing(patch, "remove", "path", path);
}

static int apply_replace(JsonPatch *patch, const char *path, const json_t *value)
{
    Pointer at;
    json_int_t index;
    find(patch->document, path, &at);
    if (!at.container)
        return missing(patch, "replace", "path", path);
    /* A key of an object need not be there: as kube-apiserver has it. */
    if (json_is_array(at.container) && !child(at.container, at.key))
        return missing(patch, "replace", "key", path);
    json_t *copy = value ? json_deep_copy(value) : json_null();
    int r = json_is_object(at.container) ? json_object_set_new(at.container, at.key, copy)
            : read_index(at.key, &index) ? json_array_set_new(at.container, (size_t)index, copy)
                                         : -1;
    return r < 0 ? ina_error_set(patch->error, ENOMEM, "out of memory") : 0;
}

static int apply_move(JsonPatch *patch, const char *from, const char *path)
{
    Pointer at;
    find(patch->document, from, &at);
    if (!at.container)
        return missing(patch, "move", "from path", from);
    AUTO_JSON json_t *value = json_incref(child(at.container, at.key));
    int r = take_away(patch, &at, from, "move");
    if (r < 0)
        return r;
    find(patch->document, path, &at);
    if (!at.container)
        return missing(patch, "move", "destination path", path);
    return add(patch, &at, path, TAKE_PTR(value));
}

static int apply_copy(JsonPatch *patch, const char *from, const char *path)
{
    Pointer at;
    find(patch->document, from, &at);
    json_t *value = at.container ? child(at.container, at.key) : NULL;
    if (!value)
        return missing(patch, "copy", "from path", from);
    patch->copied += json_dumpb(value, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
    if (patch->copied > PATCH_RESULT_MAX)
        return ina_error_set(patch->error, EFBIG,
                             "Unable to complete the copy, the accumulated size increase of copy is %zu, exceeding the "
                             "limit %u",
                             patch->copied, PATCH_RESULT_MAX);
    int r = patch_check_depth(value, patch->error);
    if (r < 0)
        return r;
    find(patch->document, path, &at);
    if (!at.container)
        return missing(patch, "copy", "destination path", path);
    return add(patch, &at, path, json_deep_copy(value));
}

static int apply_test(JsonPatch *patch, const char *path, const json_t *value)
{
    Pointer at;
    find(patch->document, path, &at);
    if (!at.container)
        return ina_error_set(patch->error, EINVAL, "test operation does not apply: is missing path: %s: missing value",
                             path);
    const json_t *current = child(at.container, at.key);
    bool same = current ? value && json_equal(current, value) : !value || json_is_null(value);
    return same ? 0 : ina_error_set(patch->error, EINVAL, "testing value %s failed: test failed", path);
}

static int apply(JsonPatch *patch, const json_t *operation)
{
    const char *kind = json_string_value(json_object_get(operation, "op"));
    const char *path = json_string_value(json_object_get(operation, "path"));
    const char *from = json_string_value(json_object_get(operation, "from"));
    const json_t *value = json_object_get(operation, "value");
    kind = kind ? kind : "unknown";
    bool two = strcmp(kind, "move") == 0 || strcmp(kind, "copy") == 0;
    if (two && !from)
        return ina_error_set(patch->error, EINVAL,
                             "%s operation failed to decode from: operation, missing from field: missing value", kind);
    bool known = two || strcmp(kind, "add") == 0 || strcmp(kind, "remove") == 0 || strcmp(kind, "replace") == 0 ||
                 strcmp(kind, "test") == 0;
    if (!known)
        return ina_error_set(patch->error, EINVAL, "Unexpected kind: %s", kind);
    if (!path)
        return ina_error_set(patch->error, EINVAL, "%s operation failed to decode path: missing value", kind);
    switch (*kind) {
    case 'a':
        return apply_add(patch, path, value);
    case 'm':
        return apply_move(patch, from, path);
    case 'c':
        return apply_copy(patch, from, path);
    case 't':
        return apply_test(patch, path, value);
    default:
        return kind[2] == 'm' ? apply_remove(patch, path) : apply_replace(patch, path, value);
    }
}

int patch_json(const json_t *object, const json_t *operations, json_t **ret, InaError *error)
{
    size_t i;
    const json_t *operation;
    if (!json_is_array(operations))
        return ina_error_set(error, EBADMSG, "json: cannot unmarshal %s into Go value of type jsonpatch.Patch",
                             json_is_object(operations) ? "object" : "value");
    json_array_foreach(operations, i, operation) if (!json_is_object(operation)) return ina_error_set(
        error, EBADMSG,
        "json: cannot unmarshal value into Go value of type "
        "jsonpatch.Operation");
    if (json_array_size(operations) > PATCH_OPERATIONS_MAX)
        return ina_error_set(error, E2BIG, "The allowed maximum operations in a JSON patch is %u, got %zu",
                             PATCH_OPERATIONS_MAX, json_array_size(operations));
    int r = patch_check_depth(operations, error);
    if (r < 0)
        return r;
    JsonPatch patch = {.document = json_deep_copy(object), .error = error};
    if (!patch.document)
        return ina_error_set(error, ENOMEM, "out of memory");
    json_array_foreach(operations, i, operation)
    {
        r = apply(&patch, operation);
        if (r < 0) {
            json_decref(patch.document);
            return r;
        }
    }
    return patch_finish(patch.document, ret, error);
}
