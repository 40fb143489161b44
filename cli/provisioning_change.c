/* provisioning_change.c - changes of what a provisioning server has: files, objects, links. */
#include "provisioning.h"

#include "base/cleanup.h"
#include "base/files.h"
#include "table.h"

#include <string.h>

#define LINKS_MAX 1000u /* that one command takes away */

/* --- files ------------------------------------------------------------------ */

bool provisioning_send_file(Provisioning *provisioning, const char *path, const char *workspace, json_t **ret,
                            bool *ret_new)
{
    InaError error = {0};
    AUTO_FREE char *content = NULL;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    AUTO_FREE char *url = workspace ? provisioning_path("/v1/artifacts?filename=%s&workspace=%s", name, workspace)
                                    : provisioning_path("/v1/artifacts?filename=%s", name);
    size_t size;
    if (!url || file_read(path, PROVISIONING_FILE_MAX, &content, &size, &error) < 0) {
        cli_fail("%s", error.code ? error.message : "out of memory");
        return false;
    }
    ProvisioningAnswer answer;
    ProvisioningCall call = {"POST", url, "application/octet-stream", content, size, NULL, NULL};
    if (!provisioning_call(provisioning, &call, &answer))
        return false;
    bool right = answer.status == 200 || answer.status == 201;
    if (!right) {
        fprintf(stderr, "%s: ", path);
        provisioning_refused(&answer);
    }
    *ret_new = answer.status == 201;
    if (right && ret)
        *ret = json_incref(answer.json);
    provisioning_clear(&answer);
    return right;
}

int provisioning_upload(Provisioning *provisioning, int count, char *const *items)
{
    int failed = 0;
    for (int i = 0; i < count; i++) {
        AUTO_JSON json_t *object = NULL;
        bool new;
        if (!provisioning_send_file(provisioning, items[i], NULL, &object, &new)) {
            failed++;
            continue;
        }
        const json_t *attributes = json_object_get(object, "attributes");
        const char *name = text_of(attributes, "Bundle-SymbolicName");
        printf("%s: ", items[i]);
        print_text(*name ? name : text_of(attributes, "filename"));
        print_line(*name ? "@" : "", text_of(attributes, "Bundle-Version"), new ? "" : ", was there already");
    }
    return failed == 0 ? provisioning_follow_upload(provisioning) : CLI_FAILED;
}

/* --- objects and links ------------------------------------------------------ */

/* Stores these changes (stolen) as one revision, or nothing of them. */
static int store(Provisioning *provisioning, json_t *changes, const char *message)
{
    AUTO_JSON json_t *workspace = NULL, *stored = NULL;
    AUTO_JSON json_t *body = json_pack("{s:o}", "changes", changes);
    const char *given = provisioning->arguments->message;
    AUTO_JSON json_t *commit = json_pack("{s:s}", "message", given ? given : message);
    if (!body || !commit)
        return cli_fail("out of memory, or a text that is no UTF-8");
    if (!provisioning_ask(provisioning, "POST", "/v1/workspaces", NULL, &workspace))
        return CLI_FAILED;
    const char *id = text_of(workspace, "id");
    AUTO_FREE char *path = provisioning_path("/v1/workspaces/%s", id);
    AUTO_FREE char *change = provisioning_path("/v1/workspaces/%s/changes", id);
    AUTO_FREE char *end = provisioning_path("/v1/workspaces/%s/commit", id);
    bool right = provisioning_ask(provisioning, "POST", change, body, NULL) &&
                 provisioning_ask(provisioning, "POST", end, commit, &stored);
    (void)provisioning_ask(provisioning, "DELETE", path, NULL, NULL);
    return right ? provisioning_follow_rollout(provisioning, stored) : CLI_FAILED;
}

/* "feature-name-f1"; malloc'ed. As in ACE's identifiers '/' is spelled "&#47". */
static char *make_definition(const char *kind, const char *name)
{
    char *definition = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&definition, &size);
    if (!stream)
        return NULL;
    fprintf(stream, "%s-%s-", kind, strcmp(kind, "target") == 0 ? "id" : "name");
    for (; *name; name++)
        if (*name == '/')
            fputs("&#47", stream);
        else
            fputc(*name, stream);
    if (fclose(stream) == 0)
        return definition;
    free(definition);
    return NULL;
}

/* A value in a filter (RFC 4515); malloc'ed. */
static char *escape_value(const char *value)
{
    char *escaped = malloc(3 * strlen(value) + 1), *out = escaped;
    for (; escaped && *value; value++)
        if (strchr("*()\\", *value))
            out += sprintf(out, "\\%02x", (unsigned)(unsigned char)*value);
        else
            *out++ = *value;
    if (escaped)
        *out = '\0';
    return escaped;
}

/* NAME, NAME@VERSION or NAME@RANGE. */
typedef struct ArtifactName {
    char *name;          /* malloc'ed */
    const char *version; /* exactly this; or NULL */
    const char *range;   /* the newest in it; or NULL */
} ArtifactName;

static ArtifactName parse_artifact(const char *text)
{
    const char *at = strrchr(text, '@');
    bool range = at && (at[1] == '[' || at[1] == '(');
    return (ArtifactName){.name = at ? strndup(text, (size_t)(at - text)) : strdup(text),
                          .version = at && !range ? at + 1 : NULL,
                          .range = range ? at + 1 : NULL};
}

/* Whether `version` is that of the bundle; missing numbers are 0. */
static bool is_version(const char *version, const char *bundle)
{
    size_t length = strlen(version);
    if (strncmp(version, bundle, length) != 0)
        return false;
    return bundle[length] == '\0' || strcmp(bundle + length, ".0") == 0 || strcmp(bundle + length, ".0.0") == 0;
}

/* The artifacts that a name means; NULL: it said why there is none. */
static json_t *find_artifacts(Provisioning *provisioning, const ArtifactName *wanted)
{
    AUTO_FREE char *value = wanted->name ? escape_value(wanted->name) : NULL, *filter = NULL;
    if (!value || asprintf(&filter, "(|(Bundle-SymbolicName=%s)(filename=%s))", value, value) < 0) {
        cli_fail("out of memory");
        return NULL;
    }
    AUTO_FREE char *path = provisioning_path("/v1/objects?kind=artifact&filter=%s", filter);
    json_t *list = provisioning_list(provisioning, path);
    const json_t *attributes;
    for (size_t i = json_array_size(list); wanted->version && i-- > 0;) {
        attributes = json_object_get(json_array_get(list, i), "attributes");
        if (!is_version(wanted->version, text_of(attributes, "Bundle-Version")))
            json_array_remove(list, i);
    }
    if (list && json_array_size(list) == 0) {
        cli_fail("there is no artifact %s%s%s; `inaetics provisioning list artifacts` shows those there are, `upload` "
                 "brings others",
                 wanted->name, wanted->version ? "@" : "", wanted->version ? wanted->version : "");
        json_decref(list);
        return NULL;
    }
    return list;
}

/* What is linked to what, by what the user calls the left. */
static const char *const link_kinds[][3] = {
    {"artifact", "artifact2feature", "feature"},
    {"feature", "feature2distribution", "distribution"},
    {"distribution", "distribution2target", "target"},
};

static const char *const *find_link_kind(const char *name)
{
    for (size_t i = 0; i < sizeof link_kinds / sizeof *link_kinds; i++)
        if (strcmp(name, link_kinds[i][0]) == 0 || strcmp(name, link_kinds[i][1]) == 0)
            return link_kinds[i];
    cli_fail("\"%.40s\" is linked to nothing: an artifact is to a feature, a feature to a distribution, a distribution "
             "to a target",
             name);
    return NULL;
}

/* The left of a link of an artifact, and that it is dynamic, into `object`. */
static bool link_artifact(Provisioning *provisioning, const char *text, json_t *object)
{
    ArtifactName wanted = parse_artifact(text);
    AUTO_FREE char *name = wanted.name;
    AUTO_JSON json_t *found = find_artifacts(provisioning, &wanted);
    const json_t *first = json_array_get(found, 0);
    if (!found || !name)
        return false;
    bool bundle = *text_of(json_object_get(first, "attributes"), "Bundle-SymbolicName") != '\0';
    json_object_set_new(object, "left", json_string(text_of(first, "definition")));
    if (bundle && !wanted.version)
        json_object_set_new(json_object_get(object, "attributes"), "associationVersionStatement",
                            json_string(wanted.range ? wanted.range : "0.0.0"));
    return true;
}

/* Of "artifact-Bundle-SymbolicName-NAME-Bundle-Version-VERSION" all before the version; 0: of no bundle. */
static size_t bundle_length(const char *definition)
{
    static const char first[] = "artifact-Bundle-SymbolicName-", second[] = "-Bundle-Version-";
    const char *found = NULL;
    if (strncmp(definition, first, sizeof first - 1) != 0)
        return 0;
    for (const char *at = definition; (at = strstr(at, second)); at++)
        found = at;
    return found ? (size_t)(found - definition) + sizeof second - 1 : 0;
}

static size_t count_links(const json_t *links, const char *association)
{
    const json_t *link;
    size_t i, n = 0;
    json_array_foreach(links, i, link) n += strcmp(text_of(link, "association"), association) == 0;
    return n;
}

/* An agent has one version of a bundle: the links of others to the same feature go, in the same change. What a filter
 * makes that links more than this stays, and is told. */
static bool replace_versions(Provisioning *provisioning, const json_t *object, json_t *changes)
{
    AUTO_JSON json_t *answer = NULL;
    const char *left = text_of(object, "left"), *right = text_of(object, "right");
    size_t length = bundle_length(left), i;
    const json_t *link, *links;
    bool dynamic = json_object_get(json_object_get(object, "attributes"), "associationVersionStatement") != NULL;
    if (length == 0 || !*right)
        return true;
    if (!provisioning_ask(provisioning, "GET", "/v1/links", NULL, &answer))
        return false;
    links = json_object_get(answer, "items");
    json_array_foreach(links, i, link)
    {
        const char *other = text_of(link, "left"), *association = text_of(link, "association");
        bool same = strcmp(other, left) == 0 && !dynamic && !json_is_true(json_object_get(link, "dynamic"));
        if (strcmp(text_of(link, "right"), right) != 0 || bundle_length(other) != length ||
            strncmp(other, left, length) != 0 || same)
            continue;
        if (count_links(links, association) > 1) {
            fprintf(stderr,
                    "inaetics: version %s stays, linked by a filter: unlink it, an agent has one version of a bundle\n",
                    other + length);
            continue;
        }
        printf("instead of version %s%s\n", other + length,
               json_is_true(json_object_get(link, "dynamic")) ? " (dynamic)" : "");
        json_array_append_new(changes, json_pack("{s:s, s:s, s:s}", "op", "remove", "kind", "artifact2feature",
                                                 "definition", association));
    }
    return true;
}

int provisioning_link(Provisioning *provisioning, int count, char *const *items)
{
    const char *const *kind = find_link_kind(items[0]);
    AUTO_JSON json_t *object = json_pack("{s:{}, s:{}}", "attributes", "tags");
    char message[512];
    if (!kind || !object)
        return CLI_FAILED;
    if (kind == link_kinds[0]) {
        if (!link_artifact(provisioning, items[1], object))
            return CLI_FAILED;
    } else {
        AUTO_FREE char *left = make_definition(kind[0], items[1]);
        json_object_set_new(object, "left", json_string(left ? left : ""));
    }
    if (items[2][0] == '(') { /* all that a filter finds, now and later */
        json_object_set_new(json_object_get(object, "attributes"), "rightEndpoint", json_string(items[2]));
        json_object_set_new(json_object_get(object, "attributes"), "rightCardinality", json_string("2147483647"));
    } else {
        AUTO_FREE char *right = make_definition(kind[2], items[2]);
        json_object_set_new(object, "right", json_string(right ? right : ""));
    }
    snprintf(message, sizeof message, "Link %s %.200s to %s %.200s", kind[0], items[1], kind[2], items[2]);
    json_t *changes = json_array();
    if (!replace_versions(provisioning, object, changes)) {
        json_decref(changes);
        return CLI_FAILED;
    }
    json_array_append_new(changes, json_pack("{s:s, s:s, s:O}", "op", "add", "kind", kind[1], "object", object));
    return store(provisioning, changes, message);
}

/* Whether a link's left is what the user calls so. */
static bool is_left(const char *definition, const char *kind, const char *text)
{
    if (strcmp(kind, "artifact") != 0) {
        AUTO_FREE char *wanted = make_definition(kind, text);
        return wanted && strcmp(wanted, definition) == 0;
    }
    ArtifactName wanted = parse_artifact(text);
    AUTO_FREE char *name = wanted.name, *bundle = NULL, *file = NULL;
    if (!name || asprintf(&bundle, "artifact-Bundle-SymbolicName-%s-Bundle-Version-", name) < 0 ||
        asprintf(&file, "artifact-filename-%s", name) < 0)
        return false;
    size_t length = strlen(bundle);
    if (strncmp(definition, bundle, length) != 0)
        return strcmp(definition, file) == 0;
    return !wanted.version || is_version(wanted.version, definition + length);
}

int provisioning_unlink(Provisioning *provisioning, int count, char *const *items)
{
    const char *const *kind = find_link_kind(items[0]);
    AUTO_JSON json_t *links = NULL, *gone = json_object();
    const json_t *link;
    size_t i;
    char message[512];
    if (!kind || !provisioning_ask(provisioning, "GET", "/v1/links", NULL, &links))
        return CLI_FAILED;
    AUTO_FREE char *right = make_definition(kind[2], items[2]);
    json_t *changes = json_array();
    json_array_foreach(json_object_get(links, "items"), i, link)
    {
        const char *association = text_of(link, "association");
        if (strcmp(text_of(link, "kind"), kind[1]) != 0 || !right || strcmp(text_of(link, "right"), right) != 0 ||
            !is_left(text_of(link, "left"), kind[0], items[1]) || json_object_get(gone, association))
            continue;
        json_object_set_new(gone, association, json_true());
        json_array_append_new(changes,
                              json_pack("{s:s, s:s, s:s}", "op", "remove", "kind", kind[1], "definition", association));
    }
    if (json_array_size(changes) == 0 || json_array_size(changes) > LINKS_MAX) {
        json_decref(changes);
        return cli_fail("%s %.200s is not linked to %s %.200s; `inaetics provisioning list links` shows what is",
                        kind[0], items[1], kind[2], items[2]);
    }
    snprintf(message, sizeof message, "Unlink %s %.200s from %s %.200s", kind[0], items[1], kind[2], items[2]);
    return store(provisioning, changes, message);
}

static bool is_made_by_hand(const char *kind)
{
    return strcmp(kind, "feature") == 0 || strcmp(kind, "distribution") == 0 || strcmp(kind, "target") == 0;
}

int provisioning_create(Provisioning *provisioning, int count, char *const *items)
{
    bool target = strcmp(items[0], "target") == 0;
    char message[300];
    if (!is_made_by_hand(items[0]))
        return cli_fail("a \"%.40s\" cannot be made so; a feature, a distribution or a target can, and `inaetics "
                        "provisioning upload` brings artifacts",
                        items[0]);
    json_t *object = json_pack("{s:{s:s}, s:{}}", "attributes", target ? "id" : "name", items[1], "tags");
    json_t *attributes = json_object_get(object, "attributes");
    if (target)
        json_object_set_new(attributes, "autoapprove",
                            json_string(provisioning->arguments->auto_approve ? "true" : "false"));
    if (count > 2)
        json_object_set_new(attributes, "description", json_string(items[2]));
    snprintf(message, sizeof message, "Make %s %.200s", items[0], items[1]);
    return store(provisioning, json_pack("[{s:s, s:s, s:o}]", "op", "add", "kind", items[0], "object", object),
                 message);
}

/* The one artifact that a name means; malloc'ed. NULL: it said why there is none. */
static char *find_artifact(Provisioning *provisioning, const char *text)
{
    ArtifactName wanted = parse_artifact(text);
    AUTO_FREE char *name = wanted.name;
    AUTO_JSON json_t *found = find_artifacts(provisioning, &wanted);
    if (json_array_size(found) > 1) {
        cli_fail("there are %zu versions of %s; say which, as in %s@%s", json_array_size(found), name, name,
                 text_of(json_object_get(json_array_get(found, 0), "attributes"), "Bundle-Version"));
        return NULL;
    }
    return found ? strdup(text_of(json_array_get(found, 0), "definition")) : NULL;
}

int provisioning_remove(Provisioning *provisioning, int count, char *const *items)
{
    char message[300];
    if (strcmp(items[0], "account") == 0) {
        AUTO_FREE char *path = provisioning_path("/v1/accounts/%s", items[1]);
        return provisioning_ask(provisioning, "DELETE", path, NULL, NULL) ? CLI_OK : CLI_FAILED;
    }
    bool artifact = strcmp(items[0], "artifact") == 0;
    if (!artifact && !is_made_by_hand(items[0]))
        return cli_fail("a \"%.40s\" cannot be removed; an artifact, a feature, a distribution, a target or an account "
                        "can",
                        items[0]);
    AUTO_FREE char *definition = artifact ? find_artifact(provisioning, items[1]) : make_definition(items[0], items[1]);
    if (!definition)
        return CLI_FAILED;
    snprintf(message, sizeof message, "Remove %s %.200s", items[0], items[1]);
    return store(provisioning,
                 json_pack("[{s:s, s:s, s:s}]", "op", "remove", "kind", items[0], "definition", definition), message);
}
