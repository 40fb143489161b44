/* provisioning.c - `inaetics provisioning`: its commands, one table, one function each. */
#include "provisioning.h"

#include "base/cleanup.h"
#include "base/option.h"

#include <string.h>

static int login(Provisioning *provisioning, int count, char *const *items)
{
    /* Another one than that of the session that is kept, unless the name is given. */
    if (!provisioning->arguments->user && !getenv("INAETICS_PROVISIONING_USER"))
        provisioning->user[0] = '\0';
    if (!provisioning_login(provisioning))
        return CLI_FAILED;
    printf("%s knows you as %s.\n", provisioning->server, provisioning->user);
    return CLI_OK;
}

static int logout(Provisioning *provisioning, int count, char *const *items)
{
    bool ended = !provisioning->token[0] || provisioning_ask(provisioning, "DELETE", "/v1/session", NULL, NULL);
    provisioning_logout(provisioning);
    return ended ? CLI_OK : CLI_FAILED;
}

static int who_am_i(Provisioning *provisioning, int count, char *const *items)
{
    AUTO_JSON json_t *session = NULL;
    const json_t *permission;
    size_t i;
    if (!provisioning_ask(provisioning, "GET", "/v1/session", NULL, &session))
        return CLI_FAILED;
    if (provisioning->arguments->json)
        return cli_print_json(session);
    const char *name = json_string_value(json_object_get(session, "name"));
    const char *role = json_string_value(json_object_get(session, "role"));
    printf("%s, %s, at %s; may", name ? name : "", role ? role : "", provisioning->server);
    json_array_foreach(json_object_get(session, "permissions"), i, permission)
        printf("%s %s", i == 0 ? "" : ",", json_string_value(permission));
    putchar('\n');
    return CLI_OK;
}

static const struct {
    const char *name, *arguments;
    int minimum, maximum; /* arguments */
    ProvisioningCommand run;
} commands[] = {
    {"status", "", 0, 0, provisioning_status},
    {"login", "", 0, 0, login},
    {"logout", "", 0, 0, logout},
    {"whoami", "", 0, 0, who_am_i},
    {"list", "artifacts|features|distributions|targets|links|rollouts|revisions|accounts", 1, 1,
     provisioning_show_list},
    {"upload", "FILE...", 1, 1000, provisioning_upload},
    {"create", "feature|distribution|target NAME [DESCRIPTION]", 2, 3, provisioning_create},
    {"remove", "artifact|feature|distribution|target|account NAME", 2, 2, provisioning_remove},
    {"link", "artifact|feature|distribution LEFT RIGHT", 3, 3, provisioning_link},
    {"unlink", "artifact|feature|distribution LEFT RIGHT", 3, 3, provisioning_unlink},
    {"show", "TARGET", 1, 1, provisioning_show_target},
    {"register", "TARGET", 1, 1, provisioning_register},
    {"approve", "TARGET", 1, 1, provisioning_approve},
    {"forget", "TARGET", 1, 1, provisioning_forget},
    {"log", "TARGET", 1, 1, provisioning_log},
    {"versions", "TARGET", 1, 1, provisioning_versions},
    {"rollout", "[show|pause|resume|abort|rollback] [ROLLOUT]", 0, 2, provisioning_rollout},
    {"rollback", "[ROLLOUT]", 0, 1, NULL}, /* as rollout rollback */
    {"restore", "REVISION", 1, 1, provisioning_restore},
    {"apply", "DIRECTORY", 1, 1, provisioning_apply},
    {"diff", "[DIRECTORY]", 0, 1, provisioning_diff},
    {"export", "DIRECTORY", 1, 1, provisioning_export},
    {"events", "", 0, 0, provisioning_events},
    {"settings", "[NAME VALUE]", 0, 2, provisioning_settings},
    {"account", "NAME ROLE", 2, 2, provisioning_account},
};

#define COMMANDS (sizeof commands / sizeof *commands)

static int roll_back(Provisioning *provisioning, int count, char *const *items)
{
    char *arguments[] = {(char *)"rollback", count > 0 ? items[0] : NULL};
    return provisioning_rollout(provisioning, 1 + (count > 0), arguments);
}

static int usage(const char *name, const char *arguments)
{
    fprintf(stderr, "usage: inaetics provisioning %s%s%s\n", name, *arguments ? " " : "", arguments);
    return CLI_USAGE;
}

/* Words that others use for it, or that are given to `list`. */
static const char *const other_words[][2] = {
    {"accounts", "list accounts"},
    {"add", "create"},
    {"artifacts", "list artifacts"},
    {"delete", "remove"},
    {"deploy", "apply"},
    {"distributions", "list distributions"},
    {"features", "list features"},
    {"help", "--help"},
    {"history", "list revisions"},
    {"import", "apply"},
    {"links", "list links"},
    {"ls", "list"},
    {"policy", "settings rollout"},
    {"push", "upload"},
    {"revert", "restore"},
    {"revisions", "list revisions"},
    {"rm", "remove"},
    {"rollouts", "list rollouts"},
    {"targets", "list targets"},
    {"undo", "rollback"},
    {"users", "list accounts"},
};

static void print_commands(void)
{
    static const char first[] = "Its commands:";
    size_t column = sizeof first - 1;
    fputs(first, stderr);
    for (size_t i = 0; i < COMMANDS; i++) {
        size_t length = strlen(commands[i].name) + 1 + (i + 1 < COMMANDS);
        if (column + length > 80) {
            fprintf(stderr, "\n%*s", (int)sizeof first - 1, "");
            column = sizeof first - 1;
        }
        fprintf(stderr, " %s%s", commands[i].name, i + 1 < COMMANDS ? "," : "");
        column += length;
    }
    fputs("\n`inaetics provisioning --help` says what each does.\n", stderr);
}

static int unknown_command(const char *name)
{
    const char *words[COMMANDS + 1], *near = NULL;
    for (size_t i = 0; i < COMMANDS; i++)
        words[i] = commands[i].name;
    words[COMMANDS] = NULL;
    for (size_t i = 0; i < sizeof other_words / sizeof *other_words; i++)
        if (strcmp(other_words[i][0], name) == 0)
            near = other_words[i][1];
    near = near ? near : option_nearest(name, words);
    fprintf(stderr, "inaetics provisioning: there is no command \"%.40s\"%s%s%s\n", name,
            near ? "; was \"inaetics provisioning " : "", near ? near : "", near ? "\" meant?" : ".");
    print_commands();
    return CLI_USAGE;
}

int command_provisioning(const Arguments *arguments, Instance *instance)
{
    Provisioning provisioning;
    size_t i = 0;
    int count = arguments->count - 1, status = CLI_FAILED;
    if (arguments->count == 0) {
        fputs("inaetics provisioning: which of its commands? None was given.\n", stderr);
        print_commands();
        return CLI_USAGE;
    }
    while (i < COMMANDS && strcmp(commands[i].name, arguments->items[0]) != 0)
        i++;
    if (i == COMMANDS)
        return unknown_command(arguments->items[0]);
    if (count < commands[i].minimum || count > commands[i].maximum)
        return usage(commands[i].name, commands[i].arguments);
    if (provisioning_open(&provisioning, arguments, instance))
        status = (commands[i].run ? commands[i].run : roll_back)(&provisioning, count, arguments->items + 1);
    provisioning_close(&provisioning);
    return status;
}
