/* desired_differences.c - what differs between two models, in people's words. */
#include "desired.h"
#include "desired_internal.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

/* --- names of endpoints ----------------------------------------------------- */

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = c ? strchr(digits, tolower((unsigned char)c)) : NULL;
    return found ? (int)(found - digits) : -1;
}

/* The value of "(KEY=VALUE)" at the beginning of `text`, without its escapes; ret_end: behind it. malloc'ed; NULL: it
 * is no such comparison. */
static char *exact_value(const char *text, const char *key, const char **ret_end)
{
    size_t length = strlen(key);
    if (text[0] != '(' || strncmp(text + 1, key, length) != 0 || text[length + 1] != '=')
        return NULL;
    const char *from = text + length + 2, *end = strchr(from, ')');
    char *value = end && !memchr(from, '*', (size_t)(end - from)) ? malloc((size_t)(end - from) + 1) : NULL,
         *to = value;
    for (; value && from < end; from++)
        if (*from == '\\' && end - from > 2 && hex_digit(from[1]) >= 0 && hex_digit(from[2]) >= 0) {
            *to++ = (char)(hex_digit(from[1]) << 4 | hex_digit(from[2]));
            from += 2;
        } else {
            *to++ = *from;
        }
    if (value) {
        *to = '\0';
        *ret_end = end + 1;
    }
    return value;
}

/* "(KEY=VALUE)" as a whole. */
static char *whole_value(const char *text, const char *key)
{
    const char *end;
    char *value = exact_value(text, key, &end);
    if (value && *end) {
        free(value);
        return NULL;
    }
    return value;
}

static char *join(const char *a, const char *separator, const char *b)
{
    char *joined;
    return asprintf(&joined, "%s%s%s", a, separator, b) < 0 ? NULL : joined;
}

/* An artifact as a feature's list has it: "processor", "processor@1.0.0", "processor@[1,2)", "config.json". NULL: the
 * endpoint is of no such form (or out of memory). */
static char *artifact_reference(const char *endpoint, const char *range)
{
    const char *end;
    char *file = whole_value(endpoint, "filename");
    if (file || strncmp(endpoint, "(&", 2) != 0)
        return file;
    AUTO_FREE char *name = exact_value(endpoint + 2, "Bundle-SymbolicName", &end);
    if (!name)
        return NULL;
    if (range)
        return strcmp(range, "0.0.0") == 0 ? strdup(name) : join(name, "@", range);
    AUTO_FREE char *version = exact_value(end, "Bundle-Version", &end);
    return version && strcmp(end, ")") == 0 ? join(name, "@", version) : NULL;
}

static const char *end_key(ObjectKind kind, bool left)
{
    return kind == OBJECT_DISTRIBUTION2TARGET && !left ? "id" : "name";
}

char *desired_end_name(const Object *link, bool left)
{
    const char *text = object_attribute(link, left ? "leftEndpoint" : "rightEndpoint");
    const char *range = object_attribute(link, "associationVersionStatement");
    char *name = left && object_kind(link) == OBJECT_ARTIFACT2FEATURE
                     ? artifact_reference(text, range)
                     : whole_value(text, end_key(object_kind(link), left));
    return name ? name : strdup(text);
}

static char *object_name(const Object *object)
{
    const char *name = object_attribute(object, "Bundle-SymbolicName");
    if (object_kind_is_association(object_kind(object))) {
        AUTO_FREE char *left = desired_end_name(object, true), *right = desired_end_name(object, false);
        return left && right ? join(left, " -> ", right) : NULL;
    }
    if (name)
        return join(name, "@", object_attribute(object, "Bundle-Version"));
    name = object_attribute(object, object_kind(object) == OBJECT_ARTIFACT ? "filename"
                                    : object_kind(object) == OBJECT_TARGET ? "id"
                                                                           : "name");
    return strdup(name ? name : object_definition(object));
}

/* --- differences ------------------------------------------------------------ */

typedef struct Differences {
    json_t *list;
    bool failed;
} Differences;

static void add_difference(void *userdata, const Object *before, const Object *after)
{
    Differences *differences = userdata;
    const Object *object = after ? after : before;
    AUTO_FREE char *name = object_name(object);
    json_t *difference = name ? json_pack("{s:s, s:s, s:s, s:o, s:o}", "kind", object_kind_name(object_kind(object)),
                                          "name", name, "change",
                                          !before  ? "added"
                                          : !after ? "removed"
                                                   : "changed",
                                          "before", before ? object_json(before) : json_null(), "after",
                                          after ? object_json(after) : json_null())
                              : NULL;
    if (!difference || json_array_append_new(differences->list, difference) < 0)
        differences->failed = true;
}

json_t *desired_differences(const Model *before, const Model *after)
{
    Differences differences = {.list = json_array()};
    if (!differences.list)
        return NULL;
    model_compare(before, after, add_difference, &differences);
    if (!differences.failed)
        return differences.list;
    json_decref(differences.list);
    return NULL;
}

int desired_compare(json_t *differences, const char *name, const json_t *before, const json_t *after)
{
    bool was = before && !json_is_null(before), is = after && !json_is_null(after);
    if ((!was && !is) || (was && is && json_equal(before, after)))
        return 0;
    json_t *difference = json_pack("{s:s, s:s, s:s, s:O, s:O}", "kind", name, "name", name, "change",
                                   !was  ? "added"
                                   : !is ? "removed"
                                         : "changed",
                                   "before", was ? before : json_null(), "after", is ? after : json_null());
    return !difference || json_array_append_new(differences, difference) < 0 ? -ENOMEM : 0;
}
