/* desired_check.c - whether a desired state is well formed: everything that can be said without a model. */
#include "desired.h"
#include "desired_internal.h"

#include "framework/version.h"

#include <errno.h>
#include <string.h>

static const char alphabet[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

/* --- pieces ----------------------------------------------------------------- */

/* Keys are those of `known`, separated and surrounded by blanks; `where` "": of the whole. */
static int check_keys(const json_t *object, const char *where, const char *known, InaError *error)
{
    const char *key;
    json_t *value;
    char word[64];
    if (!json_is_object(object))
        return ina_error_set(error, EINVAL, "%s: an object {...} is right here", *where ? where : "the state");
    json_object_foreach((json_t *)object, key, value)
    {
        if ((size_t)snprintf(word, sizeof word, " %s ", key) >= sizeof word || !strstr(known, word))
            return ina_error_set(error, EINVAL, "%s%s\"%.60s\" is not known; there are%.*s", where, *where ? ": " : "",
                                 key, (int)strlen(known) - 1, known);
    }
    return 0;
}

static int check_text(const json_t *value, const char *where, bool required, InaError *error)
{
    if (!value && !required)
        return 0;
    const char *text = json_string_value(value);
    if (!text)
        return ina_error_set(error, EINVAL, "%s: a text \"...\" is right here", where);
    if (strlen(text) > MODEL_VALUE_MAX)
        return ina_error_set(error, EINVAL, "%s: a text has at most %u bytes", where, MODEL_VALUE_MAX);
    return required && !*text ? ina_error_set(error, EINVAL, "%s: the text is empty", where) : 0;
}

static int check_tags(const json_t *tags, const char *where, InaError *error)
{
    const char *key;
    json_t *value;
    char place[DESIRED_PLACE_MAX];
    if (!tags)
        return 0;
    if (!json_is_object(tags) || json_object_size(tags) > MODEL_ENTRIES_MAX)
        return ina_error_set(error, EINVAL, "%s.tags: at most %u tags {\"name\": \"text\"} are right here", where,
                             MODEL_ENTRIES_MAX);
    json_object_foreach((json_t *)tags, key, value)
    {
        desired_place(place, "%s.tags.%s", where, key);
        if (!*key || strlen(key) > MODEL_KEY_MAX)
            return ina_error_set(error, EINVAL, "%s: a tag's name has 1 to %u bytes", place, MODEL_KEY_MAX);
        int r = check_text(value, place, false, error);
        if (r < 0)
            return r;
    }
    return 0;
}

/* A list or an object with at most DESIRED_OBJECTS_MAX members, or nothing. */
static int check_size(const json_t *value, const char *where, bool list, size_t maximum, InaError *error)
{
    if (!value)
        return 0;
    if (list ? !json_is_array(value) : !json_is_object(value))
        return ina_error_set(error, EINVAL, "%s: %s is right here", where, list ? "a list [...]" : "an object {...}");
    size_t n = list ? json_array_size(value) : json_object_size(value);
    return n > maximum ? ina_error_set(error, EFBIG, "%s: %zu are too many; %zu may be", where, n, maximum) : 0;
}

static int check_filter(const char *text, const char *where, InaError *error)
{
    InaFilter *filter = NULL;
    int r = ina_filter_compile(text, &filter, error);
    ina_filter_free(filter);
    return r < 0 ? ina_error_wrap(error, "%s", where) : 0;
}

void desired_place(char place[DESIRED_PLACE_MAX], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(place, DESIRED_PLACE_MAX, format, arguments);
    va_end(arguments);
}

/* --- artifacts -------------------------------------------------------------- */

static bool is_file_name(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && length <= DESIRED_FILE_NAME_MAX && name[0] != '.' && strspn(name, alphabet) == length;
}

static int check_artifact(const json_t *artifact, const char *where, bool folder, InaError *error)
{
    if (!folder) {
        int r = check_keys(artifact, where, " file sha256 ", error);
        if (r < 0)
            return r;
        const char *digest = json_string_value(json_object_get(artifact, "sha256"));
        if (!digest || strlen(digest) != 64 || strspn(digest, "0123456789abcdef") != 64)
            return ina_error_set(error, EINVAL, "%s.sha256: 64 hexadecimal digits, in small letters, are right here",
                                 where);
    }
    const char *name = desired_file(artifact);
    if (!name || !is_file_name(name))
        return ina_error_set(error, EINVAL,
                             "%s: the name of a file beside " DESIRED_FILE " is right here: at most %u of letters, "
                             "digits, '.', '_' and '-', not beginning with '.'",
                             where, DESIRED_FILE_NAME_MAX);
    if (strcmp(name, DESIRED_FILE) == 0)
        return ina_error_set(error, EINVAL, "%s: " DESIRED_FILE " is no artifact", where);
    return 0;
}

static int check_artifacts(const json_t *artifacts, bool folder, InaError *error)
{
    const json_t *artifact;
    size_t i;
    char place[DESIRED_PLACE_MAX];
    int r = check_size(artifacts, "artifacts", true, DESIRED_ARTIFACTS_MAX, error);
    json_t *names = r == 0 ? json_object() : NULL;
    if (r == 0 && !names)
        r = ina_error_set(error, ENOMEM, "out of memory");
    json_array_foreach(artifacts, i, artifact)
    {
        desired_place(place, "artifacts[%zu]", i);
        r = r < 0 ? r : check_artifact(artifact, place, folder, error);
        if (r == 0 && json_object_get(names, desired_file(artifact)))
            r = ina_error_set(error, EINVAL, "%s: \"%s\" is there twice", place, desired_file(artifact));
        if (r == 0)
            (void)json_object_set_new(names, desired_file(artifact), json_true());
    }
    json_decref(names);
    return r;
}

/* --- features, distributions, targets ---------------------------------------- */

/* "NAME@1.0.0", "NAME@[1.0,2.0)": what is behind the '@'. */
static int check_reference(const char *reference, const char *where, InaError *error)
{
    const char *at = strchr(reference, '@');
    bool right = at != reference && *reference;
    if (at && at[1] != '[' && at[1] != '(') {
        Version version;
        right = right && version_parse(at + 1, &version, NULL) == 0;
    } else if (at) {
        const char *last = at + strlen(at) - 1;
        right = right && strchr(at, ',') && (*last == ']' || *last == ')');
    }
    return right ? 0
                 : ina_error_set(error, EINVAL,
                                 "%s: \"%.100s\" is no artifact; right would be \"processor\" (the newest), "
                                 "\"processor@1.0.0\", \"processor@[1.0,2.0)\", or the name of a file of configuration",
                                 where, reference);
}

/* A feature or a distribution: `parts`, its list of names, each of which `members` has (NULL: not asked). */
static int check_group(const json_t *group, const char *where, const char *parts, const json_t *members,
                       InaError *error)
{
    char place[DESIRED_PLACE_MAX], known[64];
    const json_t *part;
    size_t i;
    snprintf(known, sizeof known, " description tags %s ", parts);
    int r = check_keys(group, where, known, error);
    desired_place(place, "%s.description", where);
    r = r < 0 ? r : check_text(json_object_get(group, "description"), place, false, error);
    r = r < 0 ? r : check_tags(json_object_get(group, "tags"), where, error);
    desired_place(place, "%s.%s", where, parts);
    r = r < 0 ? r : check_size(json_object_get(group, parts), place, true, DESIRED_OBJECTS_MAX, error);
    if (r < 0)
        return r;
    json_array_foreach(json_object_get(group, parts), i, part)
    {
        desired_place(place, "%s.%s[%zu]", where, parts, i);
        const char *name = json_string_value(part);
        r = check_text(part, place, true, error);
        if (r == 0 && !members)
            r = check_reference(name, place, error);
        else if (r == 0 && !json_object_get(members, name))
            r = ina_error_set(error, EINVAL, "%s: there is no %s \"%.100s\"", place, parts, name);
        if (r < 0)
            return r;
    }
    return 0;
}

static int check_groups(const json_t *state, const char *kind, const char *parts, const json_t *members,
                        InaError *error)
{
    const json_t *groups = json_object_get(state, kind);
    char place[DESIRED_PLACE_MAX];
    const char *name;
    json_t *group;
    int r = check_size(groups, kind, false, DESIRED_OBJECTS_MAX, error);
    if (r < 0)
        return r;
    json_object_foreach((json_t *)groups, name, group)
    {
        desired_place(place, "%s.%s", kind, name);
        r = *name && strlen(name) <= MODEL_VALUE_MAX ? 0 : ina_error_set(error, EINVAL, "%s: a name is empty", kind);
        r = r < 0 ? r : check_group(group, place, parts, members, error);
        if (r < 0)
            return r;
    }
    return 0;
}

static int check_assignments(const json_t *state, InaError *error)
{
    const json_t *assignments = json_object_get(state, "assignments"), *assignment;
    char place[DESIRED_PLACE_MAX];
    size_t i;
    int r = check_size(assignments, "assignments", true, DESIRED_OBJECTS_MAX, error);
    if (r < 0)
        return r;
    json_array_foreach(assignments, i, assignment)
    {
        desired_place(place, "assignments[%zu]", i);
        const char *distribution = json_string_value(json_object_get(assignment, "distribution"));
        const char *targets = json_string_value(json_object_get(assignment, "targets"));
        r = check_keys(assignment, place, " distribution targets ", error);
        if (r == 0 && (!distribution || !json_object_get(json_object_get(state, "distributions"), distribution)))
            r = ina_error_set(error, EINVAL, "%s.distribution: the name of one of the distributions is right here",
                              place);
        if (r == 0 && !targets)
            r = ina_error_set(error, EINVAL, "%s.targets: a filter is right here, as \"(target.component=processor)\"",
                              place);
        desired_place(place, "assignments[%zu].targets", i);
        r = r < 0 ? r : check_filter(targets, place, error);
        if (r < 0)
            return r;
    }
    return 0;
}

static int check_targets(const json_t *targets, InaError *error)
{
    char place[DESIRED_PLACE_MAX];
    const char *id;
    json_t *target;
    int r = check_size(targets, "targets", false, DESIRED_OBJECTS_MAX, error);
    if (r < 0)
        return r;
    json_object_foreach((json_t *)targets, id, target)
    {
        desired_place(place, "targets.%s", id);
        const json_t *approve = json_object_get(target, "autoApprove");
        r = *id && strlen(id) <= 255 && strspn(id, alphabet) == strlen(id)
                ? check_keys(target, place, " autoApprove tags ", error)
                : ina_error_set(error, EINVAL, "%s: a target's id has 1 to 255 letters, digits, '.', '_' and '-'",
                                place);
        if (r == 0 && approve && !json_is_boolean(approve))
            r = ina_error_set(error, EINVAL, "%s.autoApprove: true or false is right here", place);
        r = r < 0 ? r : check_tags(json_object_get(target, "tags"), place, error);
        if (r < 0)
            return r;
    }
    return 0;
}

/* --- the rest --------------------------------------------------------------- */

static int check_links(const json_t *links, InaError *error)
{
    char place[DESIRED_PLACE_MAX];
    const json_t *link;
    size_t i;
    int r = check_size(links, "links", true, DESIRED_OBJECTS_MAX, error);
    if (r < 0)
        return r;
    json_array_foreach(links, i, link)
    {
        desired_place(place, "links[%zu]", i);
        const char *name = json_string_value(json_object_get(link, "kind"));
        r = check_keys(link, place, " kind attributes tags ", error);
        if (r == 0 && (!name || (strcmp(name, "artifact2feature") != 0 && strcmp(name, "feature2distribution") != 0 &&
                                 strcmp(name, "distribution2target") != 0)))
            r = ina_error_set(error, EINVAL,
                              "%s.kind: \"artifact2feature\", \"feature2distribution\" or \"distribution2target\" is "
                              "right here",
                              place);
        r = r < 0 ? r : check_tags(json_object_get(link, "tags"), place, error);
        if (r == 0 && !json_is_object(json_object_get(link, "attributes")))
            r = ina_error_set(error, EINVAL, "%s.attributes: the link's attributes are right here", place);
        if (r < 0)
            return r;
    }
    return 0;
}

static int check_settings(const json_t *settings, InaError *error)
{
    static const char *const filters[] = {"register", "approve", "autoApprove"}, *const numbers[] = {"versionsKept",
                                                                                                     "forgetSeconds"};
    char place[DESIRED_PLACE_MAX];
    if (!settings)
        return 0;
    int r = check_keys(settings, "settings", " register approve autoApprove versionsKept forgetSeconds ", error);
    for (size_t i = 0; r == 0 && i < sizeof filters / sizeof *filters; i++) {
        const json_t *value = json_object_get(settings, filters[i]);
        desired_place(place, "settings.%s", filters[i]);
        if (!value || json_is_null(value))
            continue;
        r = check_text(value, place, false, error);
        if (r == 0 && *json_string_value(value))
            r = check_filter(json_string_value(value), place, error);
    }
    for (size_t i = 0; r == 0 && i < sizeof numbers / sizeof *numbers; i++) {
        const json_t *value = json_object_get(settings, numbers[i]);
        if (value && (!json_is_integer(value) || json_integer_value(value) < 0))
            r = ina_error_set(error, EINVAL, "settings.%s: a number from 0 is right here", numbers[i]);
    }
    return r;
}

int desired_check(const json_t *state, bool folder, InaError *error)
{
    const json_t *rollout = json_object_get(state, "rollout");
    int r = check_keys(state, "",
                       " version artifacts features distributions assignments targets links settings rollout ", error);
    if (r == 0 && json_integer_value(json_object_get(state, "version")) != DESIRED_VERSION)
        r = ina_error_set(error, EINVAL, "version: %d is right here; this program knows no other", DESIRED_VERSION);
    if (r == 0 && rollout && !json_is_object(rollout) && !json_is_null(rollout))
        r = ina_error_set(error, EINVAL, "rollout: a policy {...} or null is right here");
    r = r < 0 ? r : check_artifacts(json_object_get(state, "artifacts"), folder, error);
    r = r < 0 ? r : check_groups(state, "features", "artifacts", NULL, error);
    const json_t *features = json_object_get(state, "features");
    AUTO_JSON json_t *none = json_object();
    r = r < 0 ? r : check_groups(state, "distributions", "features", features ? features : none, error);
    r = r < 0 ? r : check_assignments(state, error);
    r = r < 0 ? r : check_targets(json_object_get(state, "targets"), error);
    r = r < 0 ? r : check_settings(json_object_get(state, "settings"), error);
    return r < 0 ? r : check_links(json_object_get(state, "links"), error);
}
