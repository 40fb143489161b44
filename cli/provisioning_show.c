/* provisioning_show.c - what a provisioning server has, for people: status, lists, targets. */
#include "provisioning.h"

#include "base/cleanup.h"
#include "provisioning/model.h"
#include "table.h"

#include <inttypes.h>
#include <string.h>

static json_int_t number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* An attribute of an OBJECT. */
static const char *attribute(const json_t *object, const char *key)
{
    return text_of(json_object_get(object, "attributes"), key);
}

#define NUMBER_SIZE 24

static const char *number_text(json_int_t number, char ret[NUMBER_SIZE])
{
    snprintf(ret, NUMBER_SIZE, "%" JSON_INTEGER_FORMAT, number);
    return ret;
}

/* --- status ----------------------------------------------------------------- */

/* "running, group 1 of 3: 1 of 2 healthy" */
static void describe_rollout(const json_t *rollout, char *ret, size_t size)
{
    const json_t *groups = json_object_get(rollout, "groups");
    json_int_t number = number_of(rollout, "group");
    const json_t *group = json_array_get(groups, (size_t)number);
    int n = snprintf(ret, size, "%s", text_of(rollout, "phase"));
    if (group && json_is_null(json_object_get(rollout, "ended")) && (size_t)n < size)
        snprintf(ret + n, size - (size_t)n,
                 ", group %" JSON_INTEGER_FORMAT " of %zu: %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT
                 " healthy",
                 number + 1, json_array_size(groups), number_of(group, "healthy"), number_of(group, "targets"));
}

static bool show_rollout_line(Provisioning *provisioning, json_int_t id)
{
    AUTO_JSON json_t *rollout = NULL;
    char text[200], path[64];
    snprintf(path, sizeof path, "/v1/rollouts/%" JSON_INTEGER_FORMAT, id);
    if (!provisioning_ask(provisioning, "GET", path, NULL, &rollout))
        return false;
    describe_rollout(rollout, text, sizeof text);
    printf("rollout     %" JSON_INTEGER_FORMAT ": %s\n", id, text);
    return true;
}

static void show_counts(const json_t *counts)
{
    const char *key, *separator = "";
    json_t *value;
    printf("objects     ");
    json_object_foreach((json_t *)counts, key, value)
    {
        if (strchr(key, '2'))
            continue; /* links */
        printf("%s%" JSON_INTEGER_FORMAT " %s%s", separator, json_integer_value(value), key,
               json_integer_value(value) == 1 ? "" : "s");
        separator = ", ";
    }
    putchar('\n');
}

int provisioning_status(Provisioning *provisioning, int count, char *const *items)
{
    AUTO_JSON json_t *state = NULL, *session = NULL;
    if (!provisioning_ask(provisioning, "GET", "/v1/state", NULL, &state))
        return CLI_FAILED;
    if (provisioning->arguments->json)
        return cli_print_json(state);
    if (!provisioning_ask(provisioning, "GET", "/v1/session", NULL, &session))
        return CLI_FAILED;
    printf("server      %s, version ", provisioning->server);
    print_text(text_of(state, "version"));
    printf("\naccount     ");
    print_text(text_of(session, "name"));
    printf(" (%s)\n", text_of(session, "role"));
    printf("revision    %" JSON_INTEGER_FORMAT ", released %" JSON_INTEGER_FORMAT "\n", number_of(state, "revision"),
           number_of(state, "released"));
    show_counts(json_object_get(state, "counts"));
    if (*text_of(state, "held")) {
        printf("waiting     ");
        print_text(text_of(state, "held"));
        printf("\n");
    }
    const json_t *rollout = json_object_get(state, "rollout");
    if (json_is_integer(rollout) && !show_rollout_line(provisioning, json_integer_value(rollout)))
        return CLI_FAILED;
    json_int_t drift = number_of(state, "drift");
    if (drift > 0)
        printf("drift       %" JSON_INTEGER_FORMAT
               " differences from what was applied; `inaetics provisioning diff` shows "
               "them\n",
               drift);
    if (json_is_true(json_object_get(state, "defaultAccount")))
        puts("warning     the account d has its default password; set another with `inaetics provisioning account d "
             "admin`");
    return CLI_OK;
}

/* --- lists ------------------------------------------------------------------ */

static void add_artifact(json_t *table, const json_t *item)
{
    const char *name = attribute(item, "Bundle-SymbolicName"), *processor = attribute(item, "processorPid");
    const char *kind = attribute(item, "Deployment-ProvidesResourceProcessor")[0] ? "resource processor"
                       : *name                                                    ? "bundle"
                                                                                  : "configuration";
    TABLE_ROW(table, *name ? name : attribute(item, "filename"), attribute(item, "Bundle-Version"), kind,
              *name ? attribute(item, "runtime") : processor, attribute(item, "artifactSize"),
              attribute(item, "artifactDescription"));
}

static void add_named(json_t *table, const json_t *item)
{
    TABLE_ROW(table, attribute(item, "name"), attribute(item, "description"));
}

static const char *first_line(const char *text, char *ret, size_t size)
{
    snprintf(ret, size, "%.*s", (int)strcspn(text, "\n"), text);
    return ret;
}

static void add_target(json_t *table, const json_t *item)
{
    char seen[TIME_TEXT_SIZE], problem[200], installed[64];
    snprintf(installed, sizeof installed, "%.30s%s", text_of(item, "installed"),
             text_of(item, "installed")[0] && json_is_false(json_object_get(item, "installedOk")) ? " failed" : "");
    TABLE_ROW(table, text_of(item, "id"), text_of(item, "registration"), text_of(item, "store"),
              text_of(item, "provisioning"), text_of(item, "current"), installed,
              age_text(number_of(item, "seen"), seen), first_line(text_of(item, "problem"), problem, sizeof problem));
}

static void add_rollout(json_t *table, const json_t *item)
{
    char id[NUMBER_SIZE], from[NUMBER_SIZE], to[NUMBER_SIZE], started[TIME_TEXT_SIZE], phase[200];
    describe_rollout(item, phase, sizeof phase);
    TABLE_ROW(table, number_text(number_of(item, "id"), id), number_text(number_of(item, "from"), from),
              number_text(number_of(item, "to"), to), time_text(number_of(item, "started"), started),
              text_of(item, "author"), phase, text_of(item, "reason"));
}

static void add_revision(json_t *table, const json_t *item)
{
    char number[NUMBER_SIZE], changes[NUMBER_SIZE], time[TIME_TEXT_SIZE], message[200];
    TABLE_ROW(table, number_text(number_of(item, "number"), number), time_text(number_of(item, "time"), time),
              text_of(item, "author"), number_text(number_of(item, "changes"), changes),
              first_line(text_of(item, "message"), message, sizeof message));
}

static void add_account(json_t *table, const json_t *item)
{
    TABLE_ROW(table, text_of(item, "name"), text_of(item, "role"));
}

static const struct {
    const char *name, *path, *headline[8];
    void (*add)(json_t *table, const json_t *item);
} lists[] = {
    {"artifacts",
     "/v1/objects?kind=artifact",
     {"NAME", "VERSION", "KIND", "FOR", "BYTES", "DESCRIPTION"},
     add_artifact},
    {"features", "/v1/objects?kind=feature", {"NAME", "DESCRIPTION"}, add_named},
    {"distributions", "/v1/objects?kind=distribution", {"NAME", "DESCRIPTION"}, add_named},
    {"targets",
     "/v1/targets?",
     {"TARGET", "REGISTRATION", "STORE", "PROVISIONING", "CURRENT", "INSTALLED", "SEEN", "PROBLEM"},
     add_target},
    {"rollouts", "/v1/rollouts?", {"ROLLOUT", "FROM", "TO", "STARTED", "BY", "PHASE", "REASON"}, add_rollout},
    {"revisions", "/v1/revisions?", {"REVISION", "TIME", "BY", "CHANGES", "MESSAGE"}, add_revision},
    {"accounts", "/v1/accounts?", {"NAME", "ROLE"}, add_account},
};

/* "processor@2.0.0" */
static void print_definition(const char *definition)
{
    char text[OBJECT_TEXT_SIZE];
    print_text(definition_text(definition, text));
}

/* "KIND-leftEndpoint-(name=d)-rightEndpoint-(FILTER)", as links above. */
static void print_dangling(const char *definition)
{
    static const char first[] = "-leftEndpoint-", second[] = "-rightEndpoint-";
    const char *left = strstr(definition, first), *right = left ? strstr(left, second) : NULL;
    if (!right) {
        print_line("matches nothing now   ", definition, "");
        return;
    }
    AUTO_FREE char *kind = strndup(definition, (size_t)(left - definition));
    left += sizeof first - 1;
    AUTO_FREE char *from = strndup(left, (size_t)(right - left));
    printf("%-22s", kind ? kind : "");
    print_text(from ? from : "");
    print_line(" -> ", right + sizeof second - 1, " matches nothing now");
}

static int list_links(Provisioning *provisioning)
{
    AUTO_JSON json_t *links = NULL;
    const json_t *item;
    size_t i;
    if (!provisioning_ask(provisioning, "GET", "/v1/links", NULL, &links))
        return CLI_FAILED;
    if (provisioning->arguments->json)
        return cli_print_json(links);
    json_array_foreach(json_object_get(links, "items"), i, item)
    {
        printf("%-22s", text_of(item, "kind"));
        print_definition(text_of(item, "left"));
        printf(json_is_true(json_object_get(item, "dynamic")) ? " (newest) -> " : " -> ");
        print_definition(text_of(item, "right"));
        putchar('\n');
    }
    json_array_foreach(json_object_get(links, "dangling"), i, item)
    {
        print_dangling(json_string_value(item));
    }
    return CLI_OK;
}

int provisioning_show_list(Provisioning *provisioning, int count, char *const *items)
{
    size_t i = 0, j;
    const json_t *item;
    if (strcmp(items[0], "links") == 0)
        return list_links(provisioning);
    while (i < sizeof lists / sizeof *lists && strcmp(lists[i].name, items[0]) != 0)
        i++;
    if (i == sizeof lists / sizeof *lists)
        return cli_fail("there is no list of \"%s\"; there are artifacts, features, distributions, targets, links, "
                        "rollouts, revisions, accounts",
                        items[0]);
    AUTO_JSON json_t *list = provisioning_list(provisioning, lists[i].path), *table = json_array();
    if (!list || !table)
        return CLI_FAILED;
    if (provisioning->arguments->json)
        return cli_print_json(list);
    size_t n = 0;
    while (n < sizeof lists[i].headline / sizeof *lists[i].headline && lists[i].headline[n])
        n++;
    table_row(table, n, lists[i].headline);
    json_array_foreach(list, j, item) lists[i].add(table, item);
    table_print(table);
    return CLI_OK;
}

/* --- one target ------------------------------------------------------------- */

static void show_map(const char *title, const json_t *map)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)map, key, value)
    {
        printf("%-12s", title);
        print_text(key);
        fputs(" = ", stdout);
        if (json_is_string(value)) {
            print_text(json_string_value(value));
        } else {
            AUTO_FREE char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
            print_text(text ? text : "");
        }
        putchar('\n');
        title = "";
    }
}

static void show_lines(const char *title, const char *text)
{
    while (*text) {
        size_t length = strcspn(text, "\n");
        AUTO_FREE char *line = strndup(text, length);
        printf("%-12s", title);
        print_text(line ? line : "");
        putchar('\n');
        text += length + (text[length] == '\n');
        title = "";
    }
}

static void show_health(const json_t *health)
{
    char age[TIME_TEXT_SIZE];
    if (number_of(health, "time") == 0)
        return;
    printf("health      %s%s, %" JSON_INTEGER_FORMAT " errors, runs for %" JSON_INTEGER_FORMAT " s, reported %s\n",
           json_is_true(json_object_get(health, "ready")) ? "ready" : "not ready: ", "", number_of(health, "errors"),
           number_of(health, "runningSeconds"), age_text(number_of(health, "time"), age));
    show_lines("", text_of(health, "reason"));
}

/* A line each: what a rollout compares with what it was. */
static void show_progress(const json_t *progress)
{
    const json_t *rate;
    size_t i;
    json_array_foreach(progress, i, rate)
    {
        const json_t *asked = json_object_get(rate, "askedPerSecond");
        printf("%-12s", i == 0 ? "progress" : "");
        print_text(text_of(rate, "name"));
        printf(" %.2f/s", json_number_value(json_object_get(rate, "perSecond")));
        if (asked)
            printf(" of %.2f/s", json_number_value(asked));
        putchar('\n');
    }
}

int provisioning_show_target(Provisioning *provisioning, int count, char *const *items)
{
    AUTO_FREE char *path = provisioning_path("/v1/targets/%s", items[0]);
    AUTO_JSON json_t *target = NULL;
    const json_t *item;
    char seen[TIME_TEXT_SIZE];
    size_t i;
    if (!provisioning_ask(provisioning, "GET", path, NULL, &target))
        return CLI_FAILED;
    if (provisioning->arguments->json)
        return cli_print_json(target);
    printf("target      ");
    print_text(text_of(target, "id"));
    printf("\nstate       %s, %s, %s%s\n", text_of(target, "registration"), text_of(target, "store"),
           text_of(target, "provisioning"),
           json_is_true(json_object_get(target, "autoApprove")) ? ", approves itself" : "");
    printf("version     newest %s, installed %s%s\n",
           text_of(target, "current")[0] ? text_of(target, "current") : "none",
           text_of(target, "installed")[0] ? text_of(target, "installed") : "none",
           json_is_false(json_object_get(target, "installedOk")) && text_of(target, "installed")[0] ? " (failed)" : "");
    printf("seen        %s%s\n", age_text(number_of(target, "seen"), seen),
           json_is_false(json_object_get(target, "present")) ? "; silent since, whether it runs is not known" : "");
    show_health(json_object_get(target, "health"));
    show_progress(json_object_get(json_object_get(target, "health"), "progress"));
    show_lines("problem", text_of(target, "problem"));
    json_array_foreach(json_object_get(target, "artifacts"), i, item)
    {
        printf("%-12s", i == 0 ? "artifacts" : "");
        print_definition(json_string_value(item) ? json_string_value(item) : "");
        putchar('\n');
    }
    show_map("properties", json_object_get(target, "properties"));
    show_map("tags", json_object_get(target, "tags"));
    return CLI_OK;
}

int provisioning_log(Provisioning *provisioning, int count, char *const *items)
{
    const char *tail = provisioning->arguments->tail;
    AUTO_FREE char *path = provisioning_path("/v1/targets/%s/log?maximum=%s", items[0], tail ? tail : "100");
    AUTO_JSON json_t *log = NULL;
    const json_t *list;
    if (!provisioning_ask(provisioning, "GET", path, NULL, &log))
        return CLI_FAILED;
    if (provisioning->arguments->json)
        return cli_print_json(log);
    list = json_object_get(log, "items");
    for (size_t i = json_array_size(list); i-- > 0;) { /* oldest first, as logs are read */
        const json_t *event = json_array_get(list, i);
        AUTO_FREE char *properties = json_dumps(json_object_get(event, "properties"), JSON_COMPACT);
        char time[TIME_TEXT_SIZE];
        printf("%s  %-28s ", time_text(number_of(event, "time"), time), text_of(event, "name"));
        print_text(properties ? properties : "");
        putchar('\n');
    }
    return CLI_OK;
}

int provisioning_versions(Provisioning *provisioning, int count, char *const *items)
{
    AUTO_FREE char *path = provisioning_path("/v1/targets/%s/versions", items[0]);
    AUTO_JSON json_t *versions = NULL;
    const json_t *version, *artifact;
    size_t i, j;
    if (!provisioning_ask(provisioning, "GET", path, NULL, &versions))
        return CLI_FAILED;
    if (provisioning->arguments->json)
        return cli_print_json(versions);
    json_array_foreach(json_object_get(versions, "items"), i, version)
    {
        char time[TIME_TEXT_SIZE];
        printf("%-10s %s, revision %" JSON_INTEGER_FORMAT ", by ", text_of(version, "version"),
               time_text(number_of(version, "created"), time), number_of(version, "revision"));
        print_text(text_of(version, "author"));
        putchar('\n');
        json_array_foreach(json_object_get(version, "artifacts"), j, artifact)
        {
            const char *name = text_of(artifact, "symbolicName");
            fputs("           ", stdout);
            print_text(*name ? name : text_of(artifact, "name"));
            print_line(*name ? "@" : " ", text_of(artifact, "version"), "");
        }
    }
    return CLI_OK;
}
