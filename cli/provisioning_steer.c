/* provisioning_steer.c - targets, accounts and rollouts of a provisioning server. */
#include "provisioning.h"

#include "base/cleanup.h"
#include "provisioning/rollout.h"
#include "table.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#define POLL_MICROSECONDS 300000

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
    print_line(", newest version ", *text_of(state, "current") ? text_of(state, "current") : "none", "");
    const char *problem = text_of(state, "problem");
    if (*problem)
        print_line("  ", problem, "");
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

/* --- settings --------------------------------------------------------------- */

#define POLICY_KEY "rollout"
#define NO_POLICY "none: a change goes to all targets at once, none first, and is not taken back by itself"

void provisioning_warn_no_policy(void)
{
    fputs("inaetics: warning: no policy of rollouts is set: what is stored goes to all targets at once, none first, "
          "and is not taken back by itself; `inaetics provisioning settings rollout default` sets one\n",
          stderr);
}

/* A line each; of the policy "rollout.gateSeconds  10". */
static void show_settings(const json_t *settings, const json_t *policy)
{
    const char *key;
    AUTO_JSON json_t *table = json_array();
    json_t *value;
    json_object_foreach((json_t *)settings, key, value)
    {
        char number[24] = "none";
        if (json_is_integer(value))
            snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        TABLE_ROW(table, key, json_is_string(value) ? json_string_value(value) : number);
    }
    if (json_object_size(policy) == 0)
        TABLE_ROW(table, POLICY_KEY, NO_POLICY);
    json_object_foreach((json_t *)policy, key, value)
    {
        char name[64];
        AUTO_FREE char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        snprintf(name, sizeof name, POLICY_KEY ".%.40s", key);
        TABLE_ROW(table, name, text);
    }
    table_print(table);
}

/* `name` is "rollout": the whole policy as JSON, "default" or "none"; or "rollout.FIELD". The server checks it. */
static int set_policy(Provisioning *provisioning, const json_t *before, const char *name, const char *value)
{
    const char *field = name[strlen(POLICY_KEY)] == '.' ? name + strlen(POLICY_KEY) + 1 : NULL;
    bool none = !field && (!*value || strcmp(value, "none") == 0), usual = !field && strcmp(value, "default") == 0;
    AUTO_JSON json_t *given = none ? json_object() : usual ? NULL : json_loads(value, JSON_DECODE_ANY, NULL);
    AUTO_JSON json_t *policy = field ? json_deep_copy(before) : json_incref(given);
    if (usual) {
        RolloutPolicy standard;
        rollout_policy_default(&standard);
        policy = rollout_policy_json(&standard);
    }
    if (!usual && !given)
        return cli_fail("%s: \"%.40s\" is no JSON, as 10, true or [10, 50, 100]%s", name, value,
                        field ? "" : "; or say default or none");
    if (field && !json_is_object(policy)) { /* the others as usual */
        json_decref(policy);
        policy = json_object();
    }
    if (field && json_object_set(policy, field, given) < 0)
        return cli_fail("out of memory");
    if (!provisioning_ask(provisioning, "PUT", "/v1/policy", policy, NULL))
        return CLI_FAILED;
    if (none)
        provisioning_warn_no_policy();
    return CLI_OK;
}

static int show_all_settings(Provisioning *provisioning, json_t *settings, const json_t *policy)
{
    if (provisioning->arguments->json) {
        json_object_set(settings, POLICY_KEY, (json_t *)policy);
        return cli_print_json(settings);
    }
    show_settings(settings, policy);
    return CLI_OK;
}

int provisioning_settings(Provisioning *provisioning, int count, char *const *items)
{
    AUTO_JSON json_t *settings = NULL, *policy = NULL;
    if (!provisioning_ask(provisioning, "GET", "/v1/settings", NULL, &settings) ||
        !provisioning_ask(provisioning, "GET", "/v1/policy", NULL, &policy))
        return CLI_FAILED;
    if (count == 0)
        return show_all_settings(provisioning, settings, policy);
    bool is_policy = strcmp(items[0], POLICY_KEY) == 0 || strncmp(items[0], POLICY_KEY ".", sizeof POLICY_KEY) == 0;
    if (count == 2 && is_policy)
        return set_policy(provisioning, policy, items[0], items[1]);
    const json_t *before = json_object_get(settings, items[0]);
    char *end = NULL;
    if (count == 1 || !before)
        return cli_fail(
            "%s \"%.40s\": give one of register, approve, autoApprove and a filter (\"\": none); versionsKept "
            "or forgetSeconds and a number; rollout.progress, .gateSeconds, .groups and so on and a value, as "
            "10 or [10, 50, 100]; or rollout and default or none",
            count == 1 ? "no value for" : "there is no setting", items[0]);
    json_int_t number = json_is_integer(before) ? strtoll(items[1], &end, 10) : 0;
    if (json_is_integer(before) && (*end || end == items[1]))
        return cli_fail("%s: \"%.40s\" is no number", items[0], items[1]);
    json_object_set_new(settings, items[0],
                        json_is_integer(before) ? json_integer(number)
                        : *items[1]             ? json_string(items[1])
                                                : json_null());
    return provisioning_ask(provisioning, "PUT", "/v1/settings", settings, NULL) ? CLI_OK : CLI_FAILED;
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
    AUTO_JSON json_t *before = NULL;
    for (time_t end = time(NULL) + seconds;; usleep(POLL_MICROSECONDS)) {
        AUTO_JSON json_t *rollout = NULL;
        if (!get_rollout(provisioning, id, &rollout))
            return CLI_FAILED;
        const char *phase = text_of(rollout, "phase");
        if (strcmp(phase, text_of(before, "phase")) != 0)
            printf("rollout %" JSON_INTEGER_FORMAT ": %s\n", id, phase);
        fflush(stdout);
        json_decref(before);
        before = json_incref(rollout);
        if (strcmp(phase, "done") == 0)
            return CLI_OK;
        if (strcmp(phase, "paused") == 0 || json_is_integer(json_object_get(rollout, "ended")))
            return cli_fail("the rollout is %s: %s", phase, text_of(rollout, "reason"));
        if (time(NULL) >= end)
            return cli_fail("the rollout is still %s after %ld s; `inaetics provisioning rollout` shows it", phase,
                            seconds);
    }
}

/* What --wait says; -1: it is no number, and it said so. 0 without it. */
static long wait_seconds(const Provisioning *provisioning)
{
    const char *wait = provisioning->arguments->wait;
    char *end = NULL;
    long seconds = wait ? strtol(wait, &end, 10) : 0;
    if (!wait || (*end == '\0' && end != wait && seconds >= 0))
        return seconds;
    cli_fail("--wait: \"%.40s\" is no number of seconds", wait);
    return -1;
}

/* Stored, and nobody gets it: says why. */
static int tell_held(Provisioning *provisioning)
{
    AUTO_JSON json_t *state = NULL;
    if (!provisioning_ask(provisioning, "GET", "/v1/state", NULL, &state))
        return CLI_FAILED;
    const char *held = json_string_value(json_object_get(state, "held"));
    if (held)
        fprintf(stderr, "inaetics: it is held: %s\n", held);
    return held && provisioning->arguments->wait ? CLI_FAILED : CLI_OK;
}

int provisioning_follow_rollout(Provisioning *provisioning, const json_t *stored)
{
    const json_t *rollout = json_object_get(stored, "rollout");
    long seconds = wait_seconds(provisioning);
    if (seconds < 0)
        return CLI_FAILED;
    printf("Stored as revision %" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(stored, "revision")));
    if (!json_is_integer(rollout)) {
        puts(".");
        return tell_held(provisioning);
    }
    printf("; rollout %" JSON_INTEGER_FORMAT " takes it to the targets.\n", json_integer_value(rollout));
    return provisioning->arguments->wait ? wait_rollout(provisioning, json_integer_value(rollout), seconds) : CLI_OK;
}

int provisioning_follow_upload(Provisioning *provisioning)
{
    AUTO_JSON json_t *state = NULL;
    long seconds = wait_seconds(provisioning);
    if (seconds < 0)
        return CLI_FAILED;
    if (!provisioning->arguments->wait)
        return CLI_OK;
    if (!provisioning_ask(provisioning, "GET", "/v1/state", NULL, &state))
        return CLI_FAILED;
    const json_t *rollout = json_object_get(state, "rollout");
    if (json_is_integer(rollout))
        return wait_rollout(provisioning, json_integer_value(rollout), seconds);
    puts("No rollout runs.");
    return CLI_OK;
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
    print_line("", text_of(rollout, "author"), "");
    if (*text_of(rollout, "reason"))
        print_line("  ", text_of(rollout, "reason"), "");
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

static void show_history(const json_t *rollout)
{
    const json_t *lines = json_object_get(rollout, "history"), *line;
    json_int_t omitted = json_integer_value(json_object_get(rollout, "historyOmitted"));
    size_t i, first = json_array_size(lines) / 2;
    json_array_foreach(lines, i, line)
    {
        char time[TIME_TEXT_SIZE], before[TIME_TEXT_SIZE + 8];
        if (i == first && omitted > 0)
            printf("  ... %" JSON_INTEGER_FORMAT " lines are left out\n", omitted);
        snprintf(before, sizeof before, "  %s  ", time_text(json_integer_value(json_object_get(line, "time")), time));
        print_line(before, text_of(line, "text"), "");
    }
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
    if (show)
        show_history(rollout);
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
