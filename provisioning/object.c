#include "base/cleanup.h"
#include "base/map.h"
#include "model_internal.h"
#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <strings.h>

#define CLAUSES_OF_BUNDLE_MAX 512u

static const struct {
    const char *name;
    const char *defining[2];
} kinds[OBJECT_KINDS] = {
    [OBJECT_ARTIFACT] = {"artifact", {"Bundle-SymbolicName", "Bundle-Version"}},
    [OBJECT_ARTIFACT2FEATURE] = {"artifact2feature", {"leftEndpoint", "rightEndpoint"}},
    [OBJECT_FEATURE] = {"feature", {"name"}},
    [OBJECT_FEATURE2DISTRIBUTION] = {"feature2distribution", {"leftEndpoint", "rightEndpoint"}},
    [OBJECT_DISTRIBUTION] = {"distribution", {"name"}},
    [OBJECT_DISTRIBUTION2TARGET] = {"distribution2target", {"leftEndpoint", "rightEndpoint"}},
    [OBJECT_TARGET] = {"target", {"id"}},
};

const char *object_kind_name(ObjectKind kind)
{
    return kinds[kind].name;
}

int object_kind_parse(const char *name, ObjectKind *ret)
{
    for (ObjectKind kind = 0; kind < OBJECT_KINDS; kind++)
        if (strcmp(name, kinds[kind].name) == 0) {
            *ret = kind;
            return 0;
        }
    return -EINVAL;
}

bool object_kind_is_association(ObjectKind kind)
{
    return kind == OBJECT_ARTIFACT2FEATURE || kind == OBJECT_FEATURE2DISTRIBUTION || kind == OBJECT_DISTRIBUTION2TARGET;
}

/* --- attributes and tags ------------------------------------------------------ */

typedef struct Reader {
    Object *object;
    const char *what; /* "attribute" or "tag" */
    InaError *error;
} Reader;

static const char *type_name(const json_t *value)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a string", [JSON_INTEGER] = "a number",
        [JSON_REAL] = "a number",    [JSON_TRUE] = "true",      [JSON_FALSE] = "false",     [JSON_NULL] = "null"};
    return names[json_typeof(value)];
}

static int check_entry(const Reader *reader, const char *key, const json_t *value)
{
    size_t length = strlen(key);
    if (length == 0 || length > MODEL_KEY_MAX)
        return ina_error_set(reader->error, EINVAL, "%s '%.40s': a name has 1 to %u bytes, not %zu", reader->what, key,
                             MODEL_KEY_MAX, length);
    if (!json_is_string(value))
        return ina_error_set(reader->error, EINVAL, "%s %s: it is %s; only strings are allowed", reader->what, key,
                             type_name(value));
    if (json_string_length(value) > MODEL_VALUE_MAX)
        return ina_error_set(reader->error, EINVAL, "%s %s: its %zu bytes are too many, at most %u are allowed",
                             reader->what, key, json_string_length(value), MODEL_VALUE_MAX);
    if (strlen(json_string_value(value)) != json_string_length(value))
        return ina_error_set(reader->error, EINVAL, "%s %s: a NUL is not allowed in it", reader->what, key);
    return 0;
}

static int check_entries(const Reader *reader, const json_t *map)
{
    const char *key;
    json_t *value;

    if (map && !json_is_object(map))
        return ina_error_set(reader->error, EINVAL, "\"%ss\" is %s; right would be {\"name\": \"value\"}", reader->what,
                             type_name(map));
    if (json_object_size(map) > MODEL_ENTRIES_MAX)
        return ina_error_set(reader->error, EINVAL, "%zu %ss are too many, at most %u are allowed",
                             json_object_size(map), reader->what, MODEL_ENTRIES_MAX);
    json_object_foreach((json_t *)map, key, value)
    {
        int r = check_entry(reader, key, value);
        if (r < 0)
            return r;
    }
    return 0;
}

static size_t texts_size(const json_t *map)
{
    size_t size = 0;
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)map, key, value) size += strlen(key) + json_string_length(value) + 2;
    return size;
}

static char *copy_text(char **end, const char *text)
{
    char *start = *end;
    *end = stpcpy(start, text) + 1;
    return start;
}

/* Filters do not know upper from lower case in a name, so there must not be both. */
static int copy_entries(const Reader *reader, const json_t *map, Entry *entries, char **end)
{
    size_t n = 0;
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)map, key, value)
    {
        for (size_t i = 0; i < n; i++)
            if (strcasecmp(entries[i].key, key) == 0)
                return ina_error_set(reader->error, EINVAL, "%s %s: it is there twice, as '%s' too", reader->what, key,
                                     entries[i].key);
        entries[n].key = copy_text(end, key);
        entries[n++].value = copy_text(end, json_string_value(value));
    }
    return 0;
}

static int read_entries(Object *object, const json_t *attributes, const json_t *tags, InaError *error)
{
    Reader attribute_reader = {object, "attribute", error}, tag_reader = {object, "tag", error};

    int r = check_entries(&attribute_reader, attributes);
    if (r == 0)
        r = check_entries(&tag_reader, tags);
    if (r < 0)
        return r;
    object->n_attributes = json_object_size(attributes);
    object->n_tags = json_object_size(tags);
    object->entries = calloc(object->n_attributes + object->n_tags + 1, sizeof *object->entries);
    object->texts = malloc(texts_size(attributes) + texts_size(tags) + 1);
    if (!object->entries || !object->texts)
        return out_of_memory(error);
    char *end = object->texts;
    r = copy_entries(&attribute_reader, attributes, object->entries, &end);
    return r < 0 ? r : copy_entries(&tag_reader, tags, object->entries + object->n_attributes, &end);
}

static const char *find_entry(const Entry *entries, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(entries[i].key, key) == 0)
            return entries[i].value;
    return NULL;
}

const char *object_attribute(const Object *object, const char *key)
{
    return find_entry(object->entries, object->n_attributes, key);
}

const char *object_tag(const Object *object, const char *key)
{
    return find_entry(object->entries + object->n_attributes, object->n_tags, key);
}

const char *object_value(const Object *object, const char *key)
{
    return find_entry(object->entries, object->n_attributes + object->n_tags, key);
}

/* --- what makes it this object ------------------------------------------------ */

static int check_defining(const char *key, const char *value, InaError *error)
{
    if (!value)
        return ina_error_set(error, EINVAL, "the attribute %s is missing", key);
    if (!*value)
        return ina_error_set(error, EINVAL, "attribute %s: it must not be empty", key);
    for (const unsigned char *p = (const unsigned char *)value; *p; p++)
        if (*p < ' ' || *p == 0x7f)
            return ina_error_set(error, EINVAL, "attribute %s: control characters are not allowed in it", key);
    return 0;
}

static int check_target_id(const char *id, InaError *error)
{
    size_t good = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
    if (id[good] || good > MODEL_KEY_MAX)
        return ina_error_set(error, EINVAL,
                             "attribute id: '%.60s' is not the id of a target; right would be at most %u letters, "
                             "digits, '.', '_' and '-'",
                             id, MODEL_KEY_MAX);
    return 0;
}

static int check_artifact(Object *object, InaError *error)
{
    if (!object_attribute(object, "Bundle-SymbolicName")) {
        if (!object_attribute(object, "filename"))
            return ina_error_set(error, EINVAL,
                                 "an artifact has the attributes Bundle-SymbolicName and Bundle-Version when it is a "
                                 "bundle, else filename");
        return check_defining("filename", object_attribute(object, "filename"), error);
    }
    int r = check_defining("Bundle-SymbolicName", object_attribute(object, "Bundle-SymbolicName"), error);
    if (r == 0)
        r = check_defining("Bundle-Version", object_attribute(object, "Bundle-Version"), error);
    if (r < 0)
        return r;
    object->is_bundle = true;
    object->is_processor = object_attribute(object, PROCESSOR_ATTRIBUTE) != NULL;
    r = version_parse(object_attribute(object, "Bundle-Version"), &object->version, error);
    return r < 0 ? ina_error_wrap(error, "attribute Bundle-Version") : 0;
}

static int check_kind(Object *object, InaError *error)
{
    if (object_kind_is_association(object->kind))
        return association_read(object, error);
    if (object->kind == OBJECT_ARTIFACT)
        return check_artifact(object, error);
    const char *key = kinds[object->kind].defining[0], *value = object_attribute(object, key);
    int r = check_defining(key, value, error);
    return r == 0 && object->kind == OBJECT_TARGET ? check_target_id(value, error) : r;
}

static void print_part(Buffer *out, const Object *object, const char *key)
{
    buffer_print(out, "-%s-", key);
    for (const char *p = object_attribute(object, key); *p; p++) {
        if (*p == '/')
            buffer_append(out, "&#47", 4);
        else
            buffer_append(out, p, 1);
    }
}

/* Endpoints may be longer than a definition: their digest stands for them. */
static void print_digest(Buffer *out, const Object *object)
{
    unsigned char digest[crypto_hash_sha256_BYTES];
    char hex[2 * sizeof digest + 1];

    crypto_hash_sha256(digest, (const unsigned char *)out->data, out->size);
    sodium_bin2hex(hex, sizeof hex, digest, sizeof digest);
    buffer_clear(out);
    buffer_print(out, "%s-sha256-%s", kinds[object->kind].name, hex);
}

static int make_definition(Object *object, InaError *error)
{
    Buffer out = {0};

    buffer_print(&out, "%s", kinds[object->kind].name);
    if (object->kind == OBJECT_ARTIFACT && !object->is_bundle) {
        print_part(&out, object, "filename");
    } else {
        for (size_t i = 0; i < 2 && kinds[object->kind].defining[i]; i++)
            print_part(&out, object, kinds[object->kind].defining[i]);
    }
    if (!out.failed && out.size > MODEL_DEFINITION_MAX && object_kind_is_association(object->kind))
        print_digest(&out, object);
    if (out.failed) {
        buffer_free(&out);
        return out_of_memory(error);
    }
    if (out.size > MODEL_DEFINITION_MAX) {
        size_t size = out.size;
        buffer_free(&out);
        return ina_error_set(error, EINVAL,
                             "its name is too long: its definition has %zu bytes, at most %u are allowed", size,
                             MODEL_DEFINITION_MAX);
    }
    object->definition = out.data;
    return 0;
}

const char *definition_text(const char *definition, char ret[OBJECT_TEXT_SIZE])
{
    static const char bundle[] = "artifact-Bundle-SymbolicName-", version[] = "-Bundle-Version-";
    static const char *const others[] = {"artifact-filename-", "feature-name-", "distribution-name-", "target-id-"};
    const char *found = NULL, *name = definition;
    if (strncmp(definition, bundle, sizeof bundle - 1) == 0) {
        name += sizeof bundle - 1;
        for (const char *at = name; (at = strstr(at, version)); at++)
            found = at; /* the last: a name may have it, too */
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strncmp(definition, others[i], strlen(others[i])) == 0)
            name = definition + strlen(others[i]);
    if (found)
        snprintf(ret, OBJECT_TEXT_SIZE, "%.*s@%s", (int)(found - name), name, found + sizeof version - 1);
    else
        snprintf(ret, OBJECT_TEXT_SIZE, "%s", name);
    return ret;
}

/* --- clauses of manifests ------------------------------------------------------ */

static int check_clauses(const char *name, const json_t *list, InaError *error)
{
    const json_t *clause;
    size_t i, size = 0;

    if (!json_is_array(list) || json_array_size(list) > CLAUSES_OF_BUNDLE_MAX)
        return ina_error_set(error, EINVAL, "\"%s\": right would be a list of at most %u clauses", name,
                             CLAUSES_OF_BUNDLE_MAX);
    json_array_foreach(list, i, clause)
    {
        if (!json_is_string(clause))
            return ina_error_set(error, EINVAL, "\"%s\"[%zu]: it is %s; right would be a clause", name, i,
                                 type_name(clause));
        size += json_string_length(clause) + 1;
    }
    if (size > MANIFEST_VALUE_MAX)
        return ina_error_set(error, EINVAL, "\"%s\": its %zu bytes are too many, at most %u are allowed", name, size,
                             MANIFEST_VALUE_MAX);
    return 0;
}

static int check_contracts(const json_t *contracts, InaError *error)
{
    const char *name;
    json_t *digest;

    if (!json_is_object(contracts) || json_object_size(contracts) > CLAUSES_OF_BUNDLE_MAX)
        return ina_error_set(error, EINVAL, "\"contracts\": right would be {\"name\": \"digest\"}");
    json_object_foreach((json_t *)contracts, name, digest)
    {
        if (!json_is_string(digest) || json_string_length(digest) > MODEL_VALUE_MAX)
            return ina_error_set(error, EINVAL, "\"contracts\", %.80s: right would be a digest", name);
    }
    return 0;
}

static int read_clause(Object *object, const char *key, const json_t *value, InaError *error)
{
    int r = strcmp(key, "contracts") == 0 ? check_contracts(value, error) : check_clauses(key, value, error);
    if (r < 0)
        return r;
    if (object->kind != OBJECT_ARTIFACT)
        return ina_error_set(error, EINVAL, "\"%s\": only artifacts have that", key);
    if (!object->clauses)
        object->clauses = json_object();
    if (!object->clauses || json_object_set_new(object->clauses, key, json_deep_copy(value)) < 0)
        return out_of_memory(error);
    return 0;
}

static bool one_of(const char *key, const char *const *keys)
{
    for (; *keys; keys++)
        if (strcmp(*keys, key) == 0)
            return true;
    return false;
}

/* "definition" and "state" are what a client got from us and sends back. */
static int read_keys(Object *object, const json_t *value, InaError *error)
{
    static const char *const clause_keys[] = {"provides", "requires", "contracts", NULL};
    static const char *const plain_keys[] = {"attributes", "tags", "definition", "state", NULL};
    static const char *const association_keys[] = {"left", "right", NULL};
    const char *key;
    json_t *item;

    json_object_foreach((json_t *)value, key, item)
    {
        if (one_of(key, clause_keys)) {
            int r = read_clause(object, key, item, error);
            if (r < 0)
                return r;
        } else if (!one_of(key, plain_keys) &&
                   !(object_kind_is_association(object->kind) && one_of(key, association_keys))) {
            return ina_error_set(error, EINVAL, "\"%.60s\" is not known; an object has \"attributes\" and \"tags\"",
                                 key);
        }
    }
    return 0;
}

/* --- life ---------------------------------------------------------------------- */

static int read_object(Object *object, const json_t *value, const Model *model, InaError *error)
{
    json_t *AUTO_JSON attributes = json_incref(json_object_get(value, "attributes"));

    if (!json_is_object(value))
        return ina_error_set(error, EINVAL, "it is %s; right would be {\"attributes\": {...}, \"tags\": {...}}",
                             value ? type_name(value) : "nothing");
    int r = read_keys(object, value, error);
    if (r == 0 && object_kind_is_association(object->kind)) {
        json_t *complete = NULL;
        r = association_complete(object->kind, value, model, &complete, error);
        if (r == 0) {
            json_decref(attributes);
            attributes = complete;
        }
    }
    if (r == 0)
        r = read_entries(object, attributes, json_object_get(value, "tags"), error);
    if (r == 0)
        r = check_kind(object, error);
    return r == 0 ? make_definition(object, error) : r;
}

int object_new(ObjectKind kind, const json_t *value, const Model *model, Object **ret, InaError *error)
{
    Object *object = calloc(1, sizeof *object);
    if (!object)
        return out_of_memory(error);
    object->references = 1;
    object->kind = kind;
    int r = read_object(object, value, model, error);
    if (r < 0) {
        object_unref(object);
        ina_error_wrap(error, "%s", kinds[kind].name);
        return r;
    }
    *ret = object;
    return 0;
}

Object *object_ref(const Object *object)
{
    Object *mine = (Object *)object; /* only what one sees of it is constant */
    mine->references++;
    return mine;
}

Object *object_unref(Object *object)
{
    if (!object || --object->references > 0)
        return NULL;
    for (Side side = 0; side < SIDES; side++)
        ina_filter_free(object->endpoints[side].filter);
    description_free(object->description);
    json_decref(object->clauses);
    free(object->definition);
    free(object->entries);
    free(object->texts);
    free(object);
    return NULL;
}

ObjectKind object_kind(const Object *object)
{
    return object->kind;
}

const char *object_definition(const Object *object)
{
    return object->definition;
}

bool object_is_processor(const Object *object)
{
    return object->is_processor;
}

static json_t *entries_json(const Entry *entries, size_t n)
{
    json_t *map = json_object();
    for (size_t i = 0; map && i < n; i++)
        if (json_object_set_new_nocheck(map, entries[i].key, json_string_nocheck(entries[i].value)) < 0) {
            json_decref(map);
            return NULL;
        }
    return map;
}

json_t *object_json(const Object *object)
{
    json_t *value = json_pack("{s:s, s:o, s:o}", "definition", object->definition, "attributes",
                              entries_json(object->entries, object->n_attributes), "tags",
                              entries_json(object->entries + object->n_attributes, object->n_tags));
    if (value && object->clauses && json_object_update(value, object->clauses) < 0) {
        json_decref(value);
        return NULL;
    }
    return value;
}

static bool entries_equal(const Entry *a, const Entry *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t j = i; /* mostly in the same order */
        if (strcmp(a[i].key, b[j].key) != 0)
            for (j = 0; j < n && strcmp(a[i].key, b[j].key) != 0;)
                j++;
        if (j == n || strcmp(a[i].value, b[j].value) != 0)
            return false;
    }
    return true;
}

bool object_equal(const Object *a, const Object *b)
{
    return a == b ||
           (a->kind == b->kind && a->n_attributes == b->n_attributes && a->n_tags == b->n_tags &&
            entries_equal(a->entries, b->entries, a->n_attributes) &&
            entries_equal(a->entries + a->n_attributes, b->entries + b->n_attributes, a->n_tags) &&
            ((!a->clauses && !b->clauses) || (a->clauses && b->clauses && json_equal(a->clauses, b->clauses))));
}
