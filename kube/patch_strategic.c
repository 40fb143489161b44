/* patch_strategic.c - Kubernetes' strategic merge patch: like a merge patch,
 * but lists are merged by the keys that the schema names, and directives in the
 * patch say what else is to be done:
 *
 *   $patch: replace|delete              this object as a whole; in a list by key, the element (delete) or the list
 *   $retainKeys: [...]                  other keys of the object go (unions: a volume's source, a strategy's type)
 *   $deleteFromPrimitiveList/NAME: [..] values that leave the set NAME
 *   $setElementOrder/NAME: [...]        the order of the list NAME
 *
 * Semantics: apimachinery's strategicpatch, and the community's design
 * proposals cli/preserve-order-in-strategic-merge-patch. */
#include "patch_internal.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIRECTIVE "$patch"
#define RETAIN "$retainKeys"
#define DELETE_PREFIX "$deleteFromPrimitiveList/"
#define ORDER_PREFIX "$setElementOrder/"
#define BAD_ORDER "invalid patch format of setElementOrder list"
#define BAD_SET "invalid patch format of primitive list"
#define COMPARISON_WORK 8u /* as many moves of a list's item */
#define BAD_RETAIN "invalid patch format of retainKeys"

typedef struct Merge {
    size_t work;
    InaError *error;
} Merge;

static int merge_object(Merge *merge, json_t *object, const json_t *patch, const Schema *schema);

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_directive(const char *key)
{
    return strcmp(key, DIRECTIVE) == 0 || strcmp(key, RETAIN) == 0 || starts_with(key, DELETE_PREFIX) ||
           starts_with(key, ORDER_PREFIX);
}

static int bad_patch_type(Merge *merge, const json_t *directive, const json_t *whole)
{
    AUTO_FREE char *text = patch_text(directive);
    AUTO_FREE char *shown = patch_text(whole);
    return ina_error_set(merge->error, EREMOTE, "unknown patch type: %s in map: %s", text ? text : "",
                         shown ? shown : "");
}

static int no_merge_key(Merge *merge, const json_t *element, const char *key)
{
    AUTO_FREE char *shown = patch_text(element);
    return ina_error_set(merge->error, EREMOTE, "map: %s does not contain declared merge key: %s", shown ? shown : "",
                         key);
}

/* What the patch adds anew: without nulls, directives and elements that are to be deleted. */
static json_t *plain(const json_t *value)
{
    const char *key;
    size_t i;
    json_t *item;
    if (json_is_object(value)) {
        json_t *copy = json_object();
        json_object_foreach((json_t *)value, key, item) if (!json_is_null(item) && !is_directive(key))
            json_object_set_new(copy, key, plain(item));
        return copy;
    }
    if (json_is_array(value)) {
        json_t *copy = json_array();
        json_array_foreach(value, i, item) if (!json_object_get(item, DIRECTIVE))
            json_array_append_new(copy, plain(item));
        return copy;
    }
    return json_deep_copy(value);
}

/* --- lists by key, and sets --------------------------------------------------------------------- */

/* The position of the element with the same key; of plain values, of the same value. SIZE_MAX: none. */
static size_t position(const json_t *list, const json_t *element, const char *key)
{
    const json_t *wanted = *key ? json_object_get(element, key) : element;
    size_t i;
    const json_t *item;
    json_array_foreach(list, i, item) if (json_equal(*key ? json_object_get(item, key) : item, wanted)) return i;
    return SIZE_MAX;
}

/* Every element is an object with its key (or a plain value where `key` is ""), and comparing all of them is bearable.
 */
static int check_elements(Merge *merge, const json_t *list, const char *key, size_t others)
{
    size_t i;
    const json_t *item;
    json_array_foreach(list, i, item)
    {
        if (json_is_array(item))
            return ina_error_set(merge->error, EINVAL, "lists of lists are not supported");
        if (*key == '\0' && json_is_object(item))
            return ina_error_set(merge->error, EREMOTE, "cannot merge lists without merge key");
        if (*key && !json_is_object(item))
            return ina_error_set(merge->error, EREMOTE, "list element types are not identical");
        if (*key && !json_object_get(item, key) && !json_object_get(item, DIRECTIVE))
            return no_merge_key(merge, item, key);
    }
    size_t count = json_array_size(list) + 1, against = COMPARISON_WORK * (others + count);
    return patch_work(&merge->work, count > SIZE_MAX / against ? SIZE_MAX : count * against, merge->error);
}

/* Elements of the patch into the list; those without their like are appended. */
static int merge_elements(Merge *merge, json_t *list, const json_t *patch, const SchemaField *field)
{
    size_t i;
    json_t *element;
    json_array_foreach(patch, i, element)
    {
        if (json_object_get(element, DIRECTIVE))
            continue;
        size_t at = position(list, element, field->merge_key);
        int r = 0;
        if (at == SIZE_MAX)
            r = json_array_append_new(list, plain(element));
        else if (*field->merge_key)
            r = merge_object(merge, json_array_get(list, at), element, field->schema);
        if (r < 0)
            return r == -1 ? ina_error_set(merge->error, ENOMEM, "out of memory") : r;
    }
    return 0;
}

/* {$patch: delete, KEY: value} removes elements; {$patch: replace} empties the list first. */
static int obey_elements(Merge *merge, json_t *list, const json_t *patch, const char *key)
{
    size_t i;
    const json_t *element;
    bool replace = false;
    json_array_foreach(patch, i, element)
    {
        const json_t *directive = json_object_get(element, DIRECTIVE);
        const char *text = json_string_value(directive);
        if (!directive)
            continue;
        if (text && strcmp(text, "delete") == 0) {
            if (!json_object_get(element, key))
                return no_merge_key(merge, element, key);
            for (size_t at; (at = position(list, element, key)) != SIZE_MAX;)
                json_array_remove(list, at);
        } else if (text && strcmp(text, "replace") == 0) {
            replace = true;
        } else if (text && strcmp(text, "merge") == 0) {
            return ina_error_set(merge->error, EREMOTE, "merging lists cannot yet be specified in the patch");
        } else {
            return bad_patch_type(merge, directive, element);
        }
    }
    if (replace)
        json_array_clear(list);
    return 0;
}

/* --- order ---------------------------------------------------------------------------------------- */

/* Elements of `list` that `order` names, in its order, or the others in the order of `list`. */
static json_t *part(const json_t *list, const json_t *order, const char *key, bool named)
{
    json_t *result = json_array();
    size_t i;
    json_t *element;
    if (named)
        json_array_foreach(order, i, element)
        {
            size_t j;
            json_t *item;
            if (position(result, element, key) != SIZE_MAX)
                continue;
            json_array_foreach(list, j, item) /* of one port number there may be two protocols */
                if (json_equal(*key ? json_object_get(item, key) : item,
                               *key ? json_object_get(element, key) : element)) json_array_append(result, item);
        }
    else
        json_array_foreach(list, i, element) if (position(order, element, key) == SIZE_MAX)
            json_array_append(result, element);
    return result;
}

/* `list` anew: what `order` names in that order, and what it does not name put where it stood in `before`. */
static json_t *ordered(const json_t *list, const json_t *order, const json_t *before, const char *key)
{
    AUTO_JSON json_t *named = part(list, order, key, true);
    AUTO_JSON json_t *others = part(list, order, key, false);
    json_t *result = json_array();
    size_t i = 0, j = 0;
    while (i < json_array_size(others) || j < json_array_size(named)) {
        json_t *other = json_array_get(others, i), *next = json_array_get(named, j);
        bool first = !next;
        if (other && next) {
            size_t left = position(before, other, key), right = position(before, next, key);
            first = left != SIZE_MAX && right != SIZE_MAX && left < right;
        }
        json_array_append(result, first ? other : next);
        i += first;
        j += !first;
    }
    return result;
}

/* The patch's elements stand in $setElementOrder, in the same order. */
static int check_order(Merge *merge, const json_t *patch, const json_t *order, const char *key)
{
    size_t i, at = 0;
    const json_t *element;
    json_array_foreach(patch, i, element)
    {
        if (json_object_get(element, DIRECTIVE))
            continue;
        const json_t *wanted = *key ? json_object_get(element, key) : element;
        while (at < json_array_size(order)) {
            const json_t *item = json_array_get(order, at++);
            if (json_equal(*key ? json_object_get(item, key) : item, wanted)) {
                wanted = NULL;
                break;
            }
        }
        if (wanted)
            return ina_error_set(merge->error, EREMOTE, "The order in patch list doesn't match $setElementOrder list");
    }
    return 0;
}

/* One list that is merged by key: `patch`, the values to delete and the order may each be absent. */
static int merge_list(Merge *merge, json_t *object, const SchemaField *field, const json_t *patch, const json_t *delete,
                      const json_t *order)
{
    const char *key = field->merge_key;
    json_t *current = json_object_get(object, field->name);
    AUTO_JSON json_t *before = json_is_array(current) ? json_copy(current) : json_array();
    AUTO_JSON json_t *list = json_copy(before);
    size_t size = json_array_size(list);
    int r = check_elements(merge, list, key, 0);
    r = r < 0 ? r : check_elements(merge, patch, key, size);
    r = r < 0 ? r : check_elements(merge, order, key, size + json_array_size(patch));
    r = r < 0 ? r : check_elements(merge, delete, "", size);
    if (r == 0 && order && json_array_size(order) > 0)
        r = check_order(merge, patch, order, key);
    if (r == 0 && *key)
        r = obey_elements(merge, list, patch, key);
    r = r < 0 ? r : merge_elements(merge, list, patch, field);
    if (r < 0)
        return r;
    for (size_t i = json_array_size(list); i-- > 0;)
        if (position(delete, json_array_get(list, i), "") != SIZE_MAX)
            json_array_remove(list, i);
    if (patch || order)
        json_object_set_new(object, field->name, ordered(list, order ? order : patch, before, key));
    else
        json_object_set(object, field->name, list);
    return 0;
}

/* --- objects ---------------------------------------------------------------------------------------- */

static int retain_keys(Merge *merge, json_t *object, const json_t *patch)
{
    const json_t *retained = json_object_get(patch, RETAIN);
    const char *key;
    json_t *value;
    void *next;
    if (!retained)
        return 0;
    if (!json_is_array(retained))
        return ina_error_set(merge->error, EBADMSG, BAD_RETAIN);
    int r = patch_work(&merge->work, (json_object_size(object) + json_object_size(patch)) * json_array_size(retained),
                       merge->error);
    if (r < 0)
        return r;
    json_object_foreach((json_t *)patch, key, value)
    {
        AUTO_JSON json_t *name = json_string(key);
        if (!json_is_null(value) && !is_directive(key) && position(retained, name, "") == SIZE_MAX)
            return ina_error_set(merge->error, EBADMSG, BAD_RETAIN);
    }
    json_object_foreach_safe(object, next, key, value)
    {
        AUTO_JSON json_t *name = json_string(key);
        if (position(retained, name, "") == SIZE_MAX)
            json_object_del(object, key);
    }
    return 0;
}

/* The list that a directive's key names, which must be one that is merged. */
static const SchemaField *directed(const Schema *schema, const char *key, const char *prefix)
{
    const SchemaField *field = schema ? schema_field(schema, key + strlen(prefix)) : NULL;
    return field && field->type == FIELD_LIST && field->merge_key ? field : NULL;
}

/* A value of the patch by itself, without directives beside it. */
static int merge_value(Merge *merge, json_t *object, const char *key, const json_t *value, const Schema *schema)
{
    const SchemaField *field = schema ? schema_field(schema, key) : NULL;
    json_t *current = json_object_get(object, key);
    if (json_is_null(value)) {
        json_object_del(object, key);
        return 0;
    }
    if (json_is_object(value) && json_is_object(current))
        return merge_object(merge, current, value, field && field->type == FIELD_OBJECT ? field->schema : NULL);
    return json_object_set_new(object, key, plain(value)) < 0 ? ina_error_set(merge->error, ENOMEM, "out of memory")
                                                              : 0;
}

/* The list NAME with what the patch says of it in up to three keys. Done once, at the first of them. */
static int merge_directed(Merge *merge, json_t *object, const json_t *patch, const char *name, const Schema *schema)
{
    const SchemaField *field = schema_field(schema, name);
    char key[256];
    snprintf(key, sizeof key, ORDER_PREFIX "%s", field->name);
    const json_t *order = json_object_get(patch, key);
    snprintf(key, sizeof key, DELETE_PREFIX "%s", field->name);
    const json_t *delete = json_object_get(patch, key);
    const json_t *list = json_object_get(patch, field->name);
    if (order && !json_is_array(order))
        return ina_error_set(merge->error, EBADMSG, BAD_ORDER);
    if (delete &&!json_is_array(delete))
        return ina_error_set(merge->error, EBADMSG, BAD_SET);
    bool gone = json_is_null(list);
    if (gone)
        json_object_del(object, field->name);
    if (list && !gone && !json_is_array(list))
        return merge_value(merge, object, field->name, list, schema); /* its type is refused later, by its name */
    if (!json_object_get(object, field->name) && (!list || gone))
        return 0;
    return merge_list(merge, object, field, gone ? NULL : list, delete, order);
}

static bool is_merged_list(const Schema *schema, const char *key)
{
    const SchemaField *field = schema ? schema_field(schema, key) : NULL;
    return field && field->type == FIELD_LIST && field->merge_key;
}

static int obey_object(Merge *merge, json_t *object, const json_t *patch, const json_t *directive)
{
    const char *text = json_string_value(directive);
    bool replace = text && strcmp(text, "replace") == 0;
    if (!replace && (!text || strcmp(text, "delete") != 0))
        return bad_patch_type(merge, directive, patch);
    json_object_clear(object);
    if (replace) {
        AUTO_JSON json_t *content = plain(patch);
        json_object_update(object, content);
    }
    return 0;
}

static int merge_object(Merge *merge, json_t *object, const json_t *patch, const Schema *schema)
{
    const char *key;
    json_t *value;
    const json_t *directive = json_object_get(patch, DIRECTIVE);
    if (directive)
        return obey_object(merge, object, patch, directive);
    int r = retain_keys(merge, object, patch);
    if (r < 0)
        return r;
    json_object_foreach((json_t *)patch, key, value)
    {
        const char *prefix = starts_with(key, ORDER_PREFIX)    ? ORDER_PREFIX
                             : starts_with(key, DELETE_PREFIX) ? DELETE_PREFIX
                                                               : NULL;
        if (strcmp(key, RETAIN) == 0)
            continue;
        if (prefix && !directed(schema, key, prefix))
            return ina_error_set(merge->error, EBADMSG, "%s", strcmp(prefix, ORDER_PREFIX) == 0 ? BAD_ORDER : BAD_SET);
        if (prefix && json_object_get(patch, key + strlen(prefix)))
            continue; /* with the list itself */
        char other[256];
        snprintf(other, sizeof other, ORDER_PREFIX "%s", prefix ? key + strlen(prefix) : "");
        if (prefix && strcmp(prefix, DELETE_PREFIX) == 0 && json_object_get(patch, other))
            continue; /* with its order */
        if (prefix || is_merged_list(schema, key))
            r = merge_directed(merge, object, patch, prefix ? key + strlen(prefix) : key, schema);
        else
            r = merge_value(merge, object, key, value, schema);
        if (r < 0)
            return r;
    }
    return 0;
}

int patch_strategic(const json_t *object, const json_t *patch, const Schema *schema, json_t **ret, InaError *error)
{
    if (!json_is_object(patch))
        return ina_error_set(error, EBADMSG, "json: cannot unmarshal %s into Go value of type map[string]interface {}",
                             json_is_array(patch)    ? "array"
                             : json_is_string(patch) ? "string"
                                                     : "value");
    int r = patch_check_depth(patch, error);
    if (r < 0)
        return r;
    json_t *copy = json_deep_copy(object);
    if (!copy)
        return ina_error_set(error, ENOMEM, "out of memory");
    Merge merge = {.error = error};
    r = merge_object(&merge, copy, patch, schema);
    if (r < 0) {
        json_decref(copy);
        return r;
    }
    return patch_finish(copy, ret, error);
}
