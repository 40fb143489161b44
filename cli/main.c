/* inaetics: the command line of a cluster on one machine. */
#include "cli.h"

#include "base/cleanup.h"
#include "base/option.h"

#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

static const Command commands[] = {
    {"up", "", "start everything and stay in the foreground; Ctrl-C ends it",
     "  --listen ADDRESS    offer the pages at this address too (containers, other machines);\n"
     "                      needs a login, see `inaetics password`\n"
     "  --etcd PROGRAM      the etcd to run (default: $INAETICS_ETCD_PROGRAM, what ./run fetched, $PATH)\n"
     "  --deployment DIR    manifests to put into the data folder (default: the demonstrator's; \"\": none)\n"
     "  --software DIR      what is provisioned at first, a folder with provisioning.json (default: the "
     "demonstrator's)\n"
     "\n"
     "examples:\n"
     "  inaetics up\n"
     "  inaetics up --name 1               a second instance beside the first\n"
     "  inaetics up --data /srv/inaetics   with its data elsewhere\n",
     " listen etcd deployment software ", 0, 0, command_up},
    {"down", "", "end what `inaetics up` started, and wait for it",
     "  --purge             and remove its data folder: everything that was stored\n"
     "\n"
     "examples:\n"
     "  inaetics down\n"
     "  inaetics down --name 1 --purge\n",
     " purge ", 0, 0, command_down},
    {"node", "ACTION ...", "list, halt, start, freeze, thaw, drain the nodes; what runs there",
     "  node list           nodes, their machines and what Kubernetes thinks of them\n"
     "  node halt NODE      switch it off: ends at once all that runs there\n"
     "  node start NODE     switch it on again\n"
     "  node freeze NODE    stop all its processes, as a hung or cut-off machine looks to the others\n"
     "  node thaw NODE      let them go on\n"
     "  node drain NODE     let its pods move away, and take no new ones\n"
     "  node uncordon NODE  take pods again\n"
     "  node ps NODE        processes there, with pod and container\n"
     "  node kill NODE WHAT SIGKILL to a pid, a pod, or POD/CONTAINER there; what happens?\n"
     "\n"
     "  --json              list and ps for programs\n"
     "\n"
     "examples:\n"
     "  inaetics node list\n"
     "  inaetics node halt node-2\n"
     "  inaetics node ps node-1\n",
     " json ", 1, 3, command_node},
    {"kubectl", "ARGS ...", "run kubectl against this cluster",
     "Runs kubectl (from $PATH, or fetched into the build folder) with the cluster's\n"
     "kubeconfig, DATA/kubeconfig. `export KUBECONFIG=DATA/kubeconfig` does for your shell.\n"
     "\n"
     "examples:\n"
     "  inaetics kubectl get pods -o wide\n"
     "  inaetics kubectl --name 1 get nodes\n",
     " ", 0, -1, command_kubectl},
    {"pods", "", "list the pods: state, restarts, address",
     "  --json              the whole PodList, as Kubernetes has it\n"
     "\n"
     "examples:\n"
     "  inaetics pods\n"
     "  inaetics pods --json | jq '.items[].status.podIP'\n",
     " json ", 0, 0, command_pods},
    {"logs", "POD", "print what a pod wrote",
     "POD is its name, the part that it plays, or a piece of its name that no other has.\n"
     "\n"
     "  -f, --follow        go on with what it writes from now on\n"
     "  -p, --previous      of its run before this one\n"
     "  -n, --tail N        only the last N lines\n"
     "  -c, --container C   of this container (default: its first)\n"
     "\n"
     "examples:\n"
     "  inaetics logs queue\n"
     "  inaetics logs x7k2p -f --tail 20\n"
     "  inaetics logs store --previous\n",
     " follow previous tail container ", 1, 1, command_logs},
    {"exec", "POD COMMAND ...", "run a command beside a container, with its environment",
     "  -c, --container C   beside this container (default: the pod's first)\n"
     "\n"
     "Options of its own stand before POD; \"--\" may stand before COMMAND.\n"
     "\n"
     "examples:\n"
     "  inaetics exec queue env\n"
     "  inaetics exec -c main web -- sh\n",
     " container ", 2, 256, command_exec},
    {"kill", "POD", "end a pod's processes at once (SIGKILL); they are started again",
     "POD is its name, the part that it plays, or a piece of its name that no other has.\n"
     "\n"
     "examples:\n"
     "  inaetics kill queue\n"
     "  inaetics kill inaetics-queue-controller-x7k2p\n",
     " ", 1, 1, command_kill},
    {"scale", "[NAME [N]]", "say or change how many there are of each part",
     "NAME is a component of an application, or a replication controller that belongs to\n"
     "none. A component that follows a queue is given its minimum. What the component's\n"
     "maximum does not allow is refused; `inaetics kubectl edit application` changes that.\n"
     "\n"
     "  --json              the applications and the replication controllers, as Kubernetes has them\n"
     "\n"
     "examples:\n"
     "  inaetics scale                     all of them, and why\n"
     "  inaetics scale processor           this one\n"
     "  inaetics scale producer 2          two producers from now on\n",
     " json ", 0, 2, command_scale},
    {"simulate", "", "compare scaling policies on simulated time",
     "  --policy NAME       only this one (queueing, slope, hpa, keda, slope-1s, hpa-1s, keda-1s)\n"
     "  --workload NAME     only this one (steady, step, ramp, spikes, daily, faults)\n"
     "  --trace FILE        a workload from lines SECONDS,SAMPLES_PER_SECOND\n"
     "  --seed N            of chance (default 1)\n"
     "  --start-up SECONDS  until a new processor works (default 1)\n"
     "  --svg FILE          draw it; with several workloads, one picture each: FILE-WORKLOAD.svg\n"
     "  --json              for programs\n"
     "\n"
     "examples:\n"
     "  inaetics simulate\n"
     "  inaetics simulate --workload step --svg step.svg\n"
     "  inaetics simulate --policy hpa --trace monday.csv --json\n",
     " policy workload trace seed start-up svg json ", 0, 0, command_simulate},
    {"services", "", "list what is offered where",
     "  --json              with properties and endpoints\n"
     "\n"
     "examples:\n"
     "  inaetics services\n"
     "  inaetics services --json | jq -r '.[] | select(.contract == \"demonstrator.v1.Queue\").url'\n",
     " json ", 0, 0, command_services},
    {"discovery", "", "show the records in etcd by which the parts find each other",
     "  --json              with revisions\n"
     "\n"
     "examples:\n"
     "  inaetics discovery\n",
     " json ", 0, 0, command_discovery},
    {"link", "", "print the link that opens a session which may change things",
     "examples:\n"
     "  xdg-open $(inaetics link)\n",
     " ", 0, 0, command_link},
    {"token", "", "print the cluster's bearer token (for calls to its services)",
     "examples:\n"
     "  curl -H \"Authorization: Bearer $(inaetics token)\" -H 'Content-Type: application/json' \\\n"
     "       -d '{}' http://127.1.1.2:8080/demonstrator.v1.Queue/Status\n",
     " ", 0, 0, command_token},
    {"password", "", "set the password of the pages' login (needed by `inaetics up --listen`)",
     "Reads a line from stdin and keeps its hash (Argon2id) in DATA/password.\n"
     "\n"
     "examples:\n"
     "  inaetics password\n"
     "  pwgen -s 20 1 | tee /dev/tty | inaetics password\n",
     " ", 0, 0, command_password},
    {"bundle", "COMMAND ...", "pack, inspect or verify bundles",
     "`inaetics bundle help` shows its commands and their options.\n"
     "\n"
     "examples:\n"
     "  inaetics bundle pack greeter.zip --name greeter --version 1.0.0 --library greeter.so\n"
     "  inaetics bundle inspect greeter.zip\n"
     "  inaetics bundle verify *.zip\n",
     " ", 1, -1, command_bundle},
    {"new", "bundle NAME", "begin a bundle of your own: a small complete project",
     "  --directory DIR     make it there (default: NAME)\n"
     "\n"
     "It has a service with its contract, a component, tests and a README, and is built\n"
     "and tested by its own ./test, outside the tree of Inaetics.\n"
     "\n"
     "examples:\n"
     "  inaetics new bundle my-sensor && cd my-sensor && ./test\n"
     "  inaetics new bundle my-sensor --directory ~/work/sensor\n",
     " directory ", 2, 2, command_new},
    {"provisioning", "COMMAND ...", "bring software to the targets, see it go out, take it back",
     "  status | login | logout | whoami\n"
     "  list artifacts|features|distributions|targets|links|rollouts|revisions|accounts\n"
     "  upload FILE...                         bundles and configurations\n"
     "  create feature|distribution|target NAME [DESCRIPTION]\n"
     "  remove artifact|feature|distribution|target|account NAME\n"
     "  link|unlink artifact LEFT FEATURE      LEFT: processor (its newest), processor@1.0.0,\n"
     "                                         'processor@[1.0,2.0)', config.json\n"
     "  link|unlink feature FEATURE DISTRIBUTION\n"
     "  link|unlink distribution DISTRIBUTION TARGET   or a filter, '(target.component=queue)'\n"
     "  show|register|approve|forget|log|versions TARGET\n"
     "  rollout [show|pause|resume|abort|rollback] [ROLLOUT]   or rollback [ROLLOUT]\n"
     "  restore REVISION                       the software as it was then\n"
     "  apply DIRECTORY | diff [DIRECTORY] | export DIRECTORY   desired state as code\n"
     "  events                                 what happens, live\n"
     "  settings [NAME VALUE]                  who is registered by himself, how rollouts go, and more\n"
     "  account NAME ROLE                      makes or changes one; the password is asked for\n"
     "\n"
     "  --server URL        which one (default: this instance's, $INAETICS_PROVISIONING_SERVER)\n"
     "  --user NAME         as whom ($INAETICS_PROVISIONING_USER)\n"
     "  --password-file F   its password is the first line of F (else\n"
     "                      $INAETICS_PROVISIONING_PASSWORD, else asked for); a session is kept\n"
     "  --ca FILE           whose certificate an https server has (default: the instance's)\n"
     "  --message TEXT      why, for the history\n"
     "  --wait SECONDS      wait until the rollout that follows has ended; status 1 if not well\n"
     "  --auto-approve      register, create target: it takes what is stored from then on\n"
     "  --force             export: replace what is in the folder\n"
     "  --tail N            log: the last N events (default 100)\n"
     "  --json              for programs\n"
     "\n"
     "diff ends with status 0 without differences, 1 with some, 2 when it cannot say.\n"
     "\n"
     "Settings are register, approve, autoApprove (filters), versionsKept, forgetSeconds,\n"
     "and how rollouts go: rollout.groups, .success, .error, .gateSeconds,\n"
     ".installSeconds, .silenceSeconds, .progress, .automaticRollback; rollout default\n"
     "sets all of these, rollout none: at once to all (docs/rollouts.md).\n"
     "\n"
     "examples:\n"
     "  inaetics provisioning upload build/demonstrator/anomaly.zip --wait 60\n"
     "  inaetics provisioning link artifact processor processor --message 'find anomalies'\n"
     "  inaetics provisioning settings register '(target.application=*)'\n"
     "  inaetics provisioning settings rollout.gateSeconds 20\n"
     "  inaetics provisioning rollback\n"
     "  inaetics provisioning export deployment && git -C deployment init\n"
     "  inaetics provisioning apply deployment --wait 120\n",
     " server user password-file ca message wait auto-approve force tail json ", 0, 1001, command_provisioning},
    {"verify", "", "compare what producers were promised with what is stored",
     "  --wait SECONDS      first wait until the queue is empty, at most so long\n"
     "  --json              for programs\n"
     "\n"
     "By producer: samples accepted, stored, queued, expired, unknown, missing and\n"
     "duplicate. Exit status 1 when something is missing or duplicate, 2 when something\n"
     "cannot be read, 3 when the queue did not become empty in time.\n"
     "`inaetics-verify --help` explains the columns.\n"
     "\n"
     "examples:\n"
     "  inaetics verify\n"
     "  inaetics verify --wait 60 --json | jq .total\n",
     " json wait ", 0, 0, command_verify},
};

#define COMMANDS (sizeof commands / sizeof *commands)

static const char common_help[] = "  --name N            the instance, 0 to 9 (default 0)\n"
                                  "  --data DIR          its data folder (default $INAETICS_DATA, else\n"
                                  "                      $XDG_DATA_HOME/inaetics, else ~/.local/share/inaetics,\n"
                                  "                      for root /var/lib/inaetics)\n"
                                  "  -h, --help\n";

int cli_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("inaetics: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return CLI_FAILED;
}

static void print_help(void)
{
    puts("inaetics: a cluster of evolving applications on this machine\n"
         "\n"
         "usage: inaetics COMMAND [ARGUMENTS] [OPTIONS]\n");
    for (size_t i = 0; i < COMMANDS; i++)
        printf("  %-13s %-12s %s\n", commands[i].name, commands[i].arguments, commands[i].summary);
    puts("\n"
         "`inaetics COMMAND --help` shows its options and examples. Common to all:");
    fputs(common_help, stdout);
    puts("  --version\n"
         "\n"
         "examples:\n"
         "  inaetics up                  start; prints the link to the dashboard\n"
         "  inaetics pods                what runs\n"
         "  inaetics node halt node-2    what happens?\n"
         "  inaetics verify              was anything lost?");
}

static int print_command_help(const Command *command)
{
    printf("inaetics %s: %s\n\nusage: inaetics %s%s%s [OPTIONS]\n\n", command->name, command->summary, command->name,
           command->arguments[0] ? " " : "", command->arguments);
    /* Its own options come before the examples, the common ones between. */
    const char *examples = strstr(command->help, "examples:");
    int own = examples ? (int)(examples - command->help) : (int)strlen(command->help);
    while (own > 0 && command->help[own - 1] == '\n')
        own--;
    if (own > 0)
        printf("%.*s\n", own, command->help);
    printf("%s\n%s", common_help, examples ? examples : "");
    return CLI_OK;
}

static const Command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int usage(const Command *command, const char *problem, const char *what)
{
    fprintf(stderr, "inaetics %s: %s%s\nTry inaetics %s --help.\n", command->name, problem, what, command->name);
    return CLI_USAGE;
}

static const struct option option_table[] = {
    {"name", required_argument, NULL, 'N'},
    {"data", required_argument, NULL, 'D'},
    {"listen", required_argument, NULL, 'L'},
    {"etcd", required_argument, NULL, 'E'},
    {"deployment", required_argument, NULL, 'M'},
    {"software", required_argument, NULL, 'B'},
    {"tail", required_argument, NULL, 'n'},
    {"container", required_argument, NULL, 'c'},
    {"follow", no_argument, NULL, 'f'},
    {"previous", no_argument, NULL, 'p'},
    {"wait", required_argument, NULL, 'W'},
    {"policy", required_argument, NULL, 'P'},
    {"workload", required_argument, NULL, 'O'},
    {"trace", required_argument, NULL, 'T'},
    {"seed", required_argument, NULL, 'S'},
    {"start-up", required_argument, NULL, 'U'},
    {"svg", required_argument, NULL, 'V'},
    {"directory", required_argument, NULL, 'd'},
    {"server", required_argument, NULL, 'r'},
    {"user", required_argument, NULL, 'u'},
    {"password-file", required_argument, NULL, 'w'},
    {"password", required_argument, NULL, 'Z'}, /* to be refused */
    {"ca", required_argument, NULL, 'a'},
    {"message", required_argument, NULL, 'm'},
    {"auto-approve", no_argument, NULL, 'A'},
    {"force", no_argument, NULL, 'F'},
    {"json", no_argument, NULL, 'J'},
    {"purge", no_argument, NULL, 'X'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static const char *option_name(int option)
{
    const struct option *o = option_table;
    while (o->name && o->val != option)
        o++;
    return o->name ? o->name : "";
}

static bool takes(const Command *command, int option)
{
    char name[32];
    if (option == 'N' || option == 'D' || option == 'h')
        return true;
    snprintf(name, sizeof name, " %s ", option_name(option));
    return strstr(command->options, name) != NULL;
}

/* Where an option goes: its value or, if it has none, that it is there. */
static const unsigned short places[CHAR_MAX + 1] = {
    ['N'] = offsetof(Arguments, name),         ['D'] = offsetof(Arguments, data),
    ['L'] = offsetof(Arguments, listen),       ['E'] = offsetof(Arguments, etcd),
    ['M'] = offsetof(Arguments, deployment),   ['B'] = offsetof(Arguments, software),
    ['n'] = offsetof(Arguments, tail),         ['c'] = offsetof(Arguments, container),
    ['f'] = offsetof(Arguments, follow),       ['p'] = offsetof(Arguments, previous),
    ['W'] = offsetof(Arguments, wait),         ['P'] = offsetof(Arguments, policy),
    ['O'] = offsetof(Arguments, workload),     ['T'] = offsetof(Arguments, trace),
    ['S'] = offsetof(Arguments, seed),         ['U'] = offsetof(Arguments, start_up),
    ['V'] = offsetof(Arguments, svg),          ['r'] = offsetof(Arguments, server),
    ['u'] = offsetof(Arguments, user),         ['w'] = offsetof(Arguments, password_file),
    ['a'] = offsetof(Arguments, ca),           ['m'] = offsetof(Arguments, message),
    ['A'] = offsetof(Arguments, auto_approve), ['F'] = offsetof(Arguments, force),
    ['d'] = offsetof(Arguments, directory),    ['X'] = offsetof(Arguments, purge),
    ['J'] = offsetof(Arguments, json),
};

static void set_option(Arguments *arguments, int option, const char *value)
{
    void *place = (char *)arguments + places[option];
    if (value)
        *(const char **)place = value;
    else
        *(bool *)place = true;
}

/* What a command hands on to another program begins behind --name, --data and
 * --help; "--" ends these too. Returns -1 to go on, else the exit status. */
static int parse_own(const Command *command, int argc, char **argv, Arguments *arguments)
{
    int i = 1;
    for (; i < argc; i++) {
        const char **value = strncmp(argv[i], "--name", 6) == 0   ? &arguments->name
                             : strncmp(argv[i], "--data", 6) == 0 ? &arguments->data
                                                                  : NULL;
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return print_command_help(command);
        if (value && argv[i][6] == '=')
            *value = argv[i] + 7;
        else if (value && argv[i][6] == '\0' && i + 1 < argc)
            *value = argv[++i];
        else
            break;
    }
    if (i < argc && strcmp(argv[i], "--") == 0)
        i++;
    arguments->items = argv + i;
    arguments->count = argc - i;
    return arguments->count < command->minimum ? usage(command, "missing argument: ", command->arguments) : -1;
}

/* Takes the first "-1" and the like, which is no option, out of what getopt sees; NULL: there is none. */
static char *take_negative(int *argc, char **argv)
{
    for (int i = 1; i < *argc && strcmp(argv[i], "--") != 0; i++) {
        char *argument = argv[i];
        if (strcmp(argument, "--name") == 0 || strcmp(argument, "--data") == 0) {
            i++;
        } else if (argument[0] == '-' && argument[1] >= '0' && argument[1] <= '9') {
            memmove(argv + i, argv + i + 1, (size_t)(*argc - i) * sizeof *argv);
            (*argc)--;
            return argument;
        }
    }
    return NULL;
}

/* Returns -1 to go on, else the exit status. */
static int parse(const Command *command, int argc, char **argv, Arguments *arguments)
{
    InaError error = {0};
    int option;
    if (command->maximum < 0)
        return parse_own(command, argc, argv, arguments);
    char *negative = command->run == command_scale ? take_negative(&argc, argv) : NULL;
    const char *shorts = command->run == command_exec ? "+hc:" : "hfpn:c:";
    while ((option = option_next(argc, argv, shorts, option_table, &error)) != -1) {
        if (option == '?')
            return usage(command, error.message, "");
        if (option == 'Z' && takes(command, 'w'))
            return usage(command,
                         "a password is not taken from the command line, which all others on this machine can read: "
                         "put it into a file for --password-file or into $INAETICS_PROVISIONING_PASSWORD, or let it be "
                         "asked for",
                         "");
        if (!takes(command, option))
            return usage(command, "does not take the option --", option_name(option));
        if (option == 'h')
            return print_command_help(command);
        set_option(arguments, option, optarg);
    }
    if (negative)
        argv[argc++] = negative; /* where it was taken from; last, as numbers are */
    arguments->items = argv + optind;
    arguments->count = argc - optind;
    if (arguments->count < command->minimum)
        return usage(command, "missing argument: ", command->arguments);
    if (arguments->count > command->maximum)
        return usage(command, "unexpected argument: ", arguments->items[command->maximum]);
    return -1;
}

static int run(const Command *command, int argc, char **argv)
{
    Arguments arguments = {0};
    InaError error = {0};
    Instance *instance;
    int status = parse(command, argc, argv, &arguments);
    if (status >= 0)
        return status;
    if (instance_new(arguments.name, arguments.data, &instance, &error) < 0)
        return cli_fail("%s", error.message);
    status = command->run(&arguments, instance);
    instance_free(instance);
    return status;
}

/* `inaetics --name 1 pods` is what `inaetics pods --name 1` is: puts the command first. */
static void put_command_first(int argc, char **argv)
{
    int first = 1;
    while (first < argc && (strncmp(argv[first], "--name=", 7) == 0 || strncmp(argv[first], "--data=", 7) == 0 ||
                            (first + 1 < argc &&
                             (strcmp(argv[first], "--name") == 0 || strcmp(argv[first], "--data") == 0) && first++)))
        first++;
    if (first == 1 || first >= argc)
        return;
    char *command = argv[first];
    memmove(argv + 2, argv + 1, (size_t)(first - 1) * sizeof *argv);
    argv[1] = command;
}

int main(int argc, char **argv)
{
    put_command_first(argc, argv);
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_help();
        return argc < 2 ? CLI_USAGE : CLI_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("inaetics " INAETICS_VERSION);
        return CLI_OK;
    }
    const Command *command = find_command(argv[1]);
    if (!command) {
        const char *words[COMMANDS + 1] = {NULL};
        for (size_t i = 0; i < COMMANDS; i++)
            words[i] = commands[i].name;
        const char *near = option_nearest(argv[1], words);
        fprintf(stderr, "inaetics: there is no command \"%s\"%s%s%s Try inaetics --help.\n", argv[1],
                near ? "; was \"" : "", near ? near : "", near ? "\" meant?" : ".");
        return CLI_USAGE;
    }
    return run(command, argc - 1, argv + 1);
}
