/* provisioning_change.c - changes of what a provisioning server has: files, objects, links, targets, rollouts. */
#include "provisioning.h"

#include "base/cleanup.h"
#include "base/files.h"
#include "table.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define POLL_MICROSECONDS 300000
#define LINKS_MAX 1000u /* that one command takes away */

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static void say(const char *before, const char *text, const char *after)
{
    fputs(before, stdout);
    print_text(text);
    puts(after);
}

/* --- files ------------------------------------------------------------------ */

bool provisioning_send_file(Provisioning *provisioning, const char *path, json_t **ret, bool *ret_new)
{
    InaError error = {0};
    AUTO_FREE char *content = NULL;
    const char *slash = strrchr(path, '/');
    AUTO_FREE char *url = provisioning_path("/v1/artifacts?filename=%s", slash ? slash + 1 : path);
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
        if (!provisioning_send_file(provisioning, items[i], &object, &new)) {
            failed++;
            continue;
        }
        const json_t *attributes = json_object_get(object, "attributes");
        const char *name = text_of(attributes, "Bundle-SymbolicName");
        printf("%s: ", items[i]);
        print_text(*name ? name : text_of(attributes, "filename"));
        say(" ", text_of(attributes, "Bundle-Version"), new ? "" : ", was there already");
    }
    return failed == 0 ? CLI_OK : CLI_FAILED;
}

/* --- rollouts that follow --------------------------------------------------- */

static bool get_rollout(Provisioning *provisioning, json_int_t id, json_t **ret)
{
    char path[64];
    snprintf(path, sizeof path, "/v1/rollouts/%" JSON_INTEGER_FORMAT, id);
    return provisioning_ask(provisioning, "GET", path, NULL, ret);
}

/* Until it ended, or a person has to look after it; an exit status. */
static int wait_rollout(Provisioning *provisioning, json_int_t id, long seconds)
{
    char last[32] = "";
    for (time_t end = time(NULL) + seconds;; usleep(POLL_MICROSECONDS)) {
        AUTO_JSON json_t *rollout = NULL;
        if (!get_rollout(provisioning, id, &rollout))
            return CLI_FAILED;
        const char *phase = text_of(rollout, "phase");
        if (strcmp(phase, last) != 0)
            printf("rollout %" JSON_INTEGER_FORMAT ": %s\n", id, phase);
        snprintf(last, sizeof last, "%s", phase);
        fflush(stdout);
        if (strcmp(phase, "done") == 0)
            return CLI_OK;
        if (strcmp(phase, "paused") == 0 || json_is_integer(json_object_get(rollout, "ended")))
            return cli_fail("the rollout is %s: %s", phase, text_of(rollout, "reason"));
        if (time(NULL) >= end)
            return cli_fail("the rollout is still %s after %ld s; `inaetics provisioning rollout` shows it", phase,
                            seconds);
    }
}

int provisioning_follow_rollout(Provisioning *provisioning, const json_t *stored)
{
    const json_t *rollout = json_object_get(stored, "rollout");
    const char *wait = provisioning->arguments->wait;
    char *end = NULL;
    long seconds = wait ? strtol(wait, &end, 10) : 0;
    if (wait && (*end || end == wait || seconds < 0))
        return cli_fail("--wait: \"%.40s\" is no number of seconds", wait);
    printf("Stored as revision %" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(stored, "revision")));
    if (!json_is_integer(rollout)) {
        puts(".");
        return CLI_OK;
    }
    printf("; rollout %" JSON_INTEGER_FORMAT " takes it to the targets.\n", json_integer_value(rollout));
    return wait ? wait_rollout(provisioning, json_integer_value(rollout), seconds) : CLI_OK;
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
                 wanted->name, wanted->version ? " " : "", wanted->version ? wanted->version : "");
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
    return store(provisioning, json_pack("[{s:s, s:s, s:O}]", "op", "add", "kind", kind[1], "object", object), message);
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

/* --- targets ---------------------------------------------------------------- */

static int change_target(Provisioning *provisioning, const char *target, const char *what, const json_t *body)
{
    AUTO_FREE char *path = provisioning_path("/v1/targets/%s/", target), *full = NULL;
    AUTO_JSON json_t *state = NULL;
    if (!path || asprintf(&full, "%s%s", path, what) < 0)
        return cli_fail("out of memory");
    if (!provisioning_ask(provisioning, "POST", full, body, &state))
        return CLI_FAILED;
    printf("%s: %s, %s", target, text_of(state, "registration"), text_of(state, "store"));
    say(", newest version ", *text_of(state, "current") ? text_of(state, "current") : "none", "");
    const char *problem = text_of(state, "problem");
    if (*problem)
        say("  ", problem, "");
    return CLI_OK;
}

int provisioning_register(Provisioning *provisioning, int count, char *const *items)
{
    AUTO_JSON json_t *body = json_pack("{s:b}", "autoApprove", (int)provisioning->arguments->auto_approve);
    return change_target(provisioning, items[0], "register", body);
}

int provisioning_approve(Provisioning *provisioning, int count, char *const *items)
{
    return change_target(provisioning, items[0], "approve", NULL);
}

int provisioning_forget(Provisioning *provisioning, int count, char *const *items)
{
    AUTO_FREE char *path = provisioning_path("/v1/targets/%s/forget", items[0]);
    return provisioning_ask(provisioning, "POST", path, NULL, NULL) ? CLI_OK : CLI_FAILED;
}

/* --- accounts --------------------------------------------------------------- */

int provisioning_account(Provisioning *provisioning, int count, char *const *items)
{
    /* Not what a pipe has for the login: that is read from elsewhere. */
    if (!provisioning->token[0] && !provisioning_login(provisioning))
        return CLI_FAILED;
    AUTO_FREE char *password = cli_read_password("New password (empty: as it was): ");
    AUTO_FREE char *path = provisioning_path("/v1/accounts/%s", items[0]);
    AUTO_JSON json_t *body = json_pack("{s:s}", "role", items[1]);
    if (!password)
        return cli_fail("no password was given: a line on the standard input, empty to leave it as it was");
    if (*password)
        json_object_set_new(body, "password", json_string(password));
    explicit_bzero(password, strlen(password));
    return provisioning_ask(provisioning, "PUT", path, body, NULL) ? CLI_OK : CLI_FAILED;
}

/* --- rollouts --------------------------------------------------------------- */

static void show_rollout(const json_t *rollout)
{
    const json_t *group, *target;
    char time[TIME_TEXT_SIZE];
    size_t i;
    printf("rollout %" JSON_INTEGER_FORMAT ": %s, from revision %" JSON_INTEGER_FORMAT " to %" JSON_INTEGER_FORMAT
           ", started %s by ",
           json_integer_value(json_object_get(rollout, "id")), text_of(rollout, "phase"),
           json_integer_value(json_object_get(rollout, "from")), json_integer_value(json_object_get(rollout, "to")),
           time_text(json_integer_value(json_object_get(rollout, "started")), time));
    say("", text_of(rollout, "author"), "");
    if (*text_of(rollout, "reason"))
        say("  ", text_of(rollout, "reason"), "");
    json_array_foreach(json_object_get(rollout, "groups"), i, group)
    {
        const char *key, *separator = "";
        json_t *value;
        printf("  group %zu: ", i + 1);
        json_object_foreach((json_t *)group, key, value)
        {
            if (!json_is_integer(value) || (json_integer_value(value) == 0 && strcmp(key, "targets") != 0))
                continue;
            printf("%s%" JSON_INTEGER_FORMAT " %s", separator, json_integer_value(value), key);
            separator = ", ";
        }
        putchar('\n');
    }
    AUTO_JSON json_t *table = json_array();
    json_array_foreach(json_object_get(rollout, "targets"), i, target)
    {
        char number[24];
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT,
                 json_integer_value(json_object_get(target, "group")) + 1);
        if (i == 0)
            TABLE_ROW(table, "TARGET", "GROUP", "STATE", "VERSION", "REASON");
        TABLE_ROW(table, text_of(target, "id"), number, text_of(target, "state"), text_of(target, "version"),
                  text_of(target, "reason"));
    }
    table_print(table);
}

/* The one that runs, else the newest. -1: it said that there is none. */
static json_int_t find_rollout(Provisioning *provisioning)
{
    AUTO_JSON json_t *state = NULL, *list = NULL;
    if (!provisioning_ask(provisioning, "GET", "/v1/state", NULL, &state))
        return -1;
    if (json_is_integer(json_object_get(state, "rollout")))
        return json_integer_value(json_object_get(state, "rollout"));
    if (!provisioning_ask(provisioning, "GET", "/v1/rollouts", NULL, &list))
        return -1;
    const json_t *newest = json_array_get(json_object_get(list, "items"), 0);
    if (newest)
        return json_integer_value(json_object_get(newest, "id"));
    cli_fail("there was no rollout so far");
    return -1;
}

int provisioning_rollout(Provisioning *provisioning, int count, char *const *items)
{
    static const char actions[] = " show pause resume abort rollback ";
    char word[32], path[80];
    const char *action = count > 0 ? items[0] : "show", *number = count > 1 ? items[1] : NULL;
    if (count == 1 && items[0][strspn(items[0], "0123456789")] == '\0') {
        number = items[0];
        action = "show";
    }
    if ((size_t)snprintf(word, sizeof word, " %s ", action) >= sizeof word || !strstr(actions, word))
        return cli_fail("a rollout cannot \"%.40s\"; it can show, pause, resume, abort, rollback", action);
    if (number && (strlen(number) > 18 || number[0] == '\0' || number[strspn(number, "0123456789")]))
        return cli_fail("\"%.40s\" is no number of a rollout; `inaetics provisioning list rollouts` shows them",
                        number);
    json_int_t id = number ? strtoll(number, NULL, 10) : find_rollout(provisioning);
    AUTO_JSON json_t *rollout = NULL;
    if (id < 0)
        return CLI_FAILED;
    bool show = strcmp(action, "show") == 0;
    snprintf(path, sizeof path, "/v1/rollouts/%" JSON_INTEGER_FORMAT "%s%s", id, show ? "" : "/", show ? "" : action);
    if (!provisioning_ask(provisioning, show ? "GET" : "POST", path, NULL, &rollout))
        return CLI_FAILED;
    if (provisioning->arguments->json)
        return cli_print_json(rollout);
    show_rollout(rollout);
    return CLI_OK;
}

int provisioning_restore(Provisioning *provisioning, int count, char *const *items)
{
    const char *given = provisioning->arguments->message;
    char message[64];
    if (strlen(items[0]) > 18 || items[0][0] == '\0' || items[0][strspn(items[0], "0123456789")])
        return cli_fail("\"%.40s\" is no number of a revision; `inaetics provisioning list revisions` shows them",
                        items[0]);
    snprintf(message, sizeof message, "Restore revision %s", items[0]);
    AUTO_FREE char *path = provisioning_path("/v1/revisions/%s/restore", items[0]);
    AUTO_JSON json_t *body = json_pack("{s:s}", "message", given ? given : message), *stored = NULL;
    if (!provisioning_ask(provisioning, "POST", path, body, &stored))
        return CLI_FAILED;
    return provisioning_follow_rollout(provisioning, stored);
}
