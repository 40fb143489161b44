/* inaetics-node: runs the pods that a folder of Kubernetes manifests describes. */
#include "node.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

static const char help[] =
    "inaetics-node: run the pods that DATA/manifests describes (Kubernetes Pods in JSON)\n"
    "\n"
    "usage: inaetics-node [OPTIONS]        (started by `inaetics up`)\n"
    "\n"
    "  --data DIR         data folder (default $INAETICS_DATA, else ~/.local/share/inaetics)\n"
    "  --name N           number of the instance, 0 to 11: other addresses and ports\n"
    "  --listen ADDRESS   offer host ports at this address too, not only at 127.0.0.1\n"
    "  --log-size BYTES   size of a container's log file before it is rotated (default 8388608)\n"
    "  --ready-fd FD      write READY there when the API answers\n"
    "  --help, --version\n"
    "\n"
    "Its API is on the unix socket DATA/node.sock:\n"
    "  curl --unix-socket DATA/node.sock http://localhost/api/v1/namespaces/default/pods\n";

typedef struct Options {
    const char *data, *name, *listen;
    size_t log_size;
    int ready_fd;
} Options;

typedef struct Program {
    sd_event *event;
    Instance *instance;
    Node *node;
    bool stopping;
} Program;

static int usage(const char *message, const char *argument)
{
    fprintf(stderr, "inaetics-node: %s%s\nTry inaetics-node --help.\n", message, argument);
    return 2;
}

static bool parse_size(const char *text, size_t low, size_t high, size_t *ret)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || text[0] == '-' || value < low || value > high)
        return false;
    *ret = (size_t)value;
    return true;
}

/* Returns -1 to go on, else the exit status. */
static int parse_options(int argc, char **argv, Options *options)
{
    static const struct option table[] = {
        {"data", required_argument, NULL, 'd'},     {"name", required_argument, NULL, 'n'},
        {"listen", required_argument, NULL, 'l'},   {"log-size", required_argument, NULL, 's'},
        {"ready-fd", required_argument, NULL, 'r'}, {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},        {0},
    };
    int option;
    size_t number;
    while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
        switch (option) {
        case 'd':
            options->data = optarg;
            break;
        case 'n':
            options->name = optarg;
            break;
        case 'l':
            options->listen = optarg;
            break;
        case 's':
            if (!parse_size(optarg, 1024, 1u << 30, &options->log_size))
                return usage("--log-size: allowed are 1024 to 1073741824, not ", optarg);
            break;
        case 'r':
            if (!parse_size(optarg, 3, 1023, &number))
                return usage("--ready-fd: allowed are 3 to 1023, not ", optarg);
            options->ready_fd = (int)number;
            break;
        case 'h':
            fputs(help, stdout);
            return 0;
        case 'v':
            puts("inaetics-node " INAETICS_VERSION);
            return 0;
        default:
            fputs("Try inaetics-node --help.\n", stderr);
            return 2;
        }
    }
    return optind < argc ? usage("no argument expected: ", argv[optind]) : -1;
}

static void handle_stopped(void *userdata)
{
    Program *program = userdata;
    sd_event_exit(program->event, 0);
}

/* The first signal ends the pods in order, the second at once. */
static int handle_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    Program *program = userdata;
    if (program->stopping)
        return sd_event_exit(program->event, 0);
    program->stopping = true;
    log_record(INA_LOG_INFO, "stopping", "signal", sigabbrev_np((int)info->ssi_signo), NULL);
    node_stop(program->node, handle_stopped, program);
    return 0;
}

static int prepare(Program *program, InaError *error)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    int r = sd_event_default(&program->event);
    if (r >= 0)
        r = sd_event_add_signal(program->event, NULL, SIGTERM, handle_signal, program);
    if (r >= 0)
        r = sd_event_add_signal(program->event, NULL, SIGINT, handle_signal, program);
    return r < 0 ? ina_error_errno(error, r, "event loop") : 0;
}

static int run(Program *program, const Options *options, InaError *error)
{
    int r = instance_new(options->name, options->data, &program->instance, error);
    if (r < 0 || (r = prepare(program, error)) < 0)
        return r;
    NodeOptions node = {.instance = program->instance, .listen = options->listen, .log_size = options->log_size};
    if ((r = node_new(program->event, &node, &program->node, error)) < 0)
        return r;
    log_record(INA_LOG_INFO, "node started", "data", program->instance->data, NULL);
    if (options->ready_fd >= 0) {
        if (write(options->ready_fd, "READY\n", 6) != 6)
            log_record(INA_LOG_WARNING, "nobody waits for READY", NULL);
        close(options->ready_fd);
    }
    r = sd_event_loop(program->event);
    return r < 0 ? ina_error_errno(error, r, "event loop") : 0;
}

int main(int argc, char **argv)
{
    Options options = {.ready_fd = -1};
    Program program = {0};
    InaError error = {0};
    int status = parse_options(argc, argv, &options);
    if (status >= 0)
        return status;
    int r = run(&program, &options, &error);
    if (r < 0)
        log_record(INA_LOG_ERROR, error.message, NULL);
    node_free(program.node);
    instance_free(program.instance);
    sd_event_unref(program.event);
    return r < 0 ? 1 : 0;
}
