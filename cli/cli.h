/* cli.h - the commands of `inaetics`: one table, one function each. */
#pragma once

#include "cluster/instance.h"

#include <jansson.h>
#include <stdbool.h>

/* Exit statuses. */
enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

typedef struct Arguments {
    char **items; /* without options */
    int count;
    /* Options; each command says which it takes. */
    const char *name, *data;
    const char *listen, *etcd, *deployment, *software;             /* up */
    const char *tail, *container;                                  /* logs */
    bool follow, previous;                                         /* logs */
    const char *wait;                                              /* verify, provisioning */
    const char *policy, *workload, *trace, *seed, *start_up, *svg; /* simulate */
    const char *directory;                                         /* new */
    const char *server, *user, *password_file, *ca, *message;      /* provisioning */
    bool auto_approve, force;                                      /* provisioning */
    bool purge;                                                    /* down */
    bool json;                                                     /* pods, scale, services, node, discovery, verify */
} Arguments;

typedef struct Command {
    const char *name;
    const char *arguments; /* as the usage line shows them */
    const char *summary;
    const char *help;     /* options and examples */
    const char *options;  /* of CLI_OPTIONS, the long names it takes, with blanks around each */
    int minimum, maximum; /* arguments; maximum -1: all but --name and --data is handed on */
    int (*run)(const Arguments *arguments, Instance *instance);
} Command;

/* Prints "inaetics: MESSAGE" and returns CLI_FAILED. */
int cli_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Whom to ask: the Kubernetes API with the administrator's certificate, or what
 * `inaetics up` offers of its machines (cluster/up/machine.h). */
typedef enum CliTarget { CLI_API, CLI_MACHINES } CliTarget;

/* One request; says what is wrong if it cannot be made or is refused, and
 * returns false then. A body of a PATCH is a merge patch or, if it is a list, a JSON Patch. `ret` may be NULL. */
bool cli_request(const Instance *instance, CliTarget target, const char *method, const char *path, const char *body,
                 json_t **ret);
/* As it comes, to stdout. */
bool cli_stream(const Instance *instance, CliTarget target, const char *path);
/* Says that nothing runs there (and why that is thought, if not NULL); which instances beside it run, if any do.
 * Returns CLI_FAILED. */
int cli_nothing_runs(const Instance *instance, const char *why);
int cli_print_json(const json_t *json);
/* Whether it can name an object; says so if not. */
bool cli_check_name(const char *name);
/* pods.c: the one pod that the user means by its name, the part that it plays, or a piece of its name; the caller owns
 * it. NULL: it said why there is none. */
json_t *cli_find_pod(const Instance *instance, const char *text);

/* life.c */
int command_up(const Arguments *arguments, Instance *instance);
int command_down(const Arguments *arguments, Instance *instance);
int command_link(const Arguments *arguments, Instance *instance);
int command_token(const Arguments *arguments, Instance *instance);
int command_password(const Arguments *arguments, Instance *instance);
int command_verify(const Arguments *arguments, Instance *instance);
int command_kubectl(const Arguments *arguments, Instance *instance);
int command_bundle(const Arguments *arguments, Instance *instance);
/* simulate.c */
int command_simulate(const Arguments *arguments, Instance *instance);
/* exec.c */
int command_exec(const Arguments *arguments, Instance *instance);
/* life.c: without echo when it is typed; malloc'ed, NULL at the end of input. */
char *cli_read_password(const char *prompt);
/* new.c */
int command_new(const Arguments *arguments, Instance *instance);
/* provisioning.c */
int command_provisioning(const Arguments *arguments, Instance *instance);
/* nodes.c */
int command_node(const Arguments *arguments, Instance *instance);
/* services.c */
int command_discovery(const Arguments *arguments, Instance *instance);
int command_services(const Arguments *arguments, Instance *instance);
/* pods.c */
int command_pods(const Arguments *arguments, Instance *instance);
int command_logs(const Arguments *arguments, Instance *instance);
int command_kill(const Arguments *arguments, Instance *instance);
/* scale.c */
int command_scale(const Arguments *arguments, Instance *instance);
