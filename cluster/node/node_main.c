/* inaetics-node: a node of the cluster, which runs the pods that the Kubernetes API gives it. */
#include "kube_node.h"
#include "simulated_node.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/option.h"
#include "cluster/confine.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

static const char help[] =
    "inaetics-node: a node of the cluster, which runs the pods that the Kubernetes API gives it\n"
    "\n"
    "usage: inaetics-node [OPTIONS]        (started by `inaetics up`)\n"
    "\n"
    "  --node NAME        name of the node (default node-1)\n"
    "  --address ADDRESS  of the node: 127.17.8.31\n"
    "  --pods PREFIX      its pods' addresses without their last number: 127.1.1.\n"
    "  --server URL       of the API: https://127.17.8.20:10260\n"
    "  --pki FOLDER       with ca.pem, NAME.pem and NAME-key.pem (default DATA/pki)\n"
    "  --images FOLDER    look for images there too (again and again; see docs/images.md)\n"
    "  --simulate N       be node-1 to node-N, which run nothing\n"
    "  --data DIR         data folder (default $INAETICS_DATA, else as `inaetics --help` says)\n"
    "  --name N           number of the instance, 0 to 9: other addresses and ports\n"
    "  --listen ADDRESS   offer host ports at this address too, not only at 127.0.0.1\n"
    "  --log-size BYTES   size of a container's log file before it is rotated (default 8388608)\n"
    "  --ready-fd FD      write READY there when it is registered\n"
    "  --help, --version\n";

typedef struct Options {
    const char *data, *name, *listen, *node, *address, *pods, *server, *pki;
    const char *images[IMAGE_FOLDERS_MAX];
    size_t n_images, log_size, simulate;
    int ready_fd;
} Options;

typedef struct Program {
    sd_event *event;
    Instance *instance;
    Images *images;
    KubeNode *kube_node;
    SimulatedNodes *simulated;
    char *pki;
    int ready_fd;
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

/* Options that are just kept: their place in Options by their letter. */
static const char **text_option(Options *options, int letter)
{
    switch (letter) {
    case 'd':
        return &options->data;
    case 'n':
        return &options->name;
    case 'l':
        return &options->listen;
    case 'N':
        return &options->node;
    case 'a':
        return &options->address;
    case 'p':
        return &options->pods;
    case 'S':
        return &options->server;
    case 'k':
        return &options->pki;
    default:
        return NULL;
    }
}

/* Returns -1 to go on, else the exit status. */
static int take_option(int option, Options *options)
{
    size_t number;
    const char **text = text_option(options, option);
    if (text) {
        *text = optarg;
        return -1;
    }
    switch (option) {
    case 'i':
        if (options->n_images == IMAGE_FOLDERS_MAX)
            return usage("too many folders of images: ", optarg);
        options->images[options->n_images++] = optarg;
        return -1;
    case 'm':
        if (!parse_size(optarg, 1, SIMULATED_NODES_MAX, &options->simulate))
            return usage("--simulate: allowed are 1 to 1000, not ", optarg);
        return -1;
    case 's':
        if (!parse_size(optarg, 1024, 1u << 30, &options->log_size))
            return usage("--log-size: allowed are 1024 to 1073741824, not ", optarg);
        return -1;
    case 'r':
        if (!parse_size(optarg, 3, 1023, &number))
            return usage("--ready-fd: allowed are 3 to 1023, not ", optarg);
        options->ready_fd = (int)number;
        return -1;
    case 'h':
        fputs(help, stdout);
        return 0;
    case 'v':
        puts("inaetics-node " INAETICS_VERSION);
        return 0;
    default:
        return 2; /* not in the table */
    }
}

static int parse_options(int argc, char **argv, Options *options)
{
    static const struct option table[] = {
        {"data", required_argument, NULL, 'd'},
        {"name", required_argument, NULL, 'n'},
        {"listen", required_argument, NULL, 'l'},
        {"log-size", required_argument, NULL, 's'},
        {"ready-fd", required_argument, NULL, 'r'},
        {"node", required_argument, NULL, 'N'},
        {"address", required_argument, NULL, 'a'},
        {"pods", required_argument, NULL, 'p'},
        {"server", required_argument, NULL, 'S'},
        {"pki", required_argument, NULL, 'k'},
        {"images", required_argument, NULL, 'i'},
        {"simulate", required_argument, NULL, 'm'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},
        {0},
    };
    InaError error = {0};
    int option;
    while ((option = option_next(argc, argv, "", table, &error)) != -1) {
        int status = option == '?' ? usage(error.message, "") : take_option(option, options);
        if (status >= 0)
            return status;
    }
    if (optind < argc)
        return usage("no argument expected: ", argv[optind]);
    if (!options->server)
        return usage("--server URL is needed: where the API is", "");
    return -1;
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
    if (program->kube_node)
        kube_node_stop(program->kube_node, handle_stopped, program);
    else
        sd_event_exit(program->event, 0);
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

static void tell_ready(void *userdata)
{
    Program *program = userdata;
    log_record(INA_LOG_INFO, "node started", "data", program->instance->data, NULL);
    if (confine_missing())
        log_record(INA_LOG_WARNING, "pods are not confined to their files", "why", confine_missing(), NULL);
    if (program->ready_fd < 0)
        return;
    if (write(program->ready_fd, "READY\n", 6) != 6)
        log_record(INA_LOG_WARNING, "nobody waits for READY", NULL);
    close(program->ready_fd);
    program->ready_fd = -1;
}

static int set_text(char *target, size_t size, const char *text, const char *option, InaError *error)
{
    if (!text)
        return 0;
    if (strlen(text) >= size)
        return ina_error_set(error, EINVAL, "%s: \"%s\" is too long", option, text);
    memcpy(target, text, strlen(text) + 1);
    return 0;
}

static int start_node(Program *program, const Options *options, InaError *error)
{
    Instance *instance = program->instance;
    int r;
    if ((r = set_text(instance->node, sizeof instance->node, options->address, "--address", error)) < 0 ||
        (r = set_text(instance->pods, sizeof instance->pods, options->pods, "--pods", error)) < 0)
        return r;
    if (!(program->images = images_new()))
        return ina_error_set(error, ENOMEM, "out of memory");
    for (size_t i = 0; i < options->n_images; i++)
        if ((r = images_add(program->images, options->images[i], error)) < 0)
            return r;
    if ((r = images_add_standard(program->images, error)) < 0)
        return r;
    KubeNodeOptions node = {
        .instance = instance,
        .name = options->node ? options->node : "node-1",
        .server = options->server,
        .pki = program->pki,
        .listen = options->listen,
        .images = program->images,
        .log_size = options->log_size,
        .ready = tell_ready,
        .userdata = program,
    };
    return kube_node_new(program->event, &node, &program->kube_node, error);
}

static int start_simulated(Program *program, const Options *options, InaError *error)
{
    SimulatedNodesOptions nodes = {
        .server = options->server,
        .pki = program->pki,
        .certificate = "control-plane",
        .count = (unsigned)options->simulate,
        .ready = tell_ready,
        .userdata = program,
    };
    return simulated_nodes_new(program->event, &nodes, &program->simulated, error);
}

static int run(Program *program, const Options *options, InaError *error)
{
    int r = instance_new(options->name, options->data, &program->instance, error);
    if (r < 0 || (r = prepare(program, error)) < 0)
        return r;
    program->pki = options->pki ? strdup(options->pki) : instance_path(program->instance, "pki");
    if (!program->pki)
        return ina_error_set(error, ENOMEM, "out of memory");
    if (options->simulate > 0)
        r = start_simulated(program, options, error);
    else
        r = start_node(program, options, error);
    if (r < 0)
        return r;
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
    program.ready_fd = options.ready_fd;
    int r = run(&program, &options, &error);
    if (r < 0)
        log_record(INA_LOG_ERROR, error.message, NULL);
    kube_node_free(program.kube_node);
    simulated_nodes_free(program.simulated);
    images_free(program.images);
    free(program.pki);
    instance_free(program.instance);
    sd_event_unref(program.event);
    return r < 0 ? 1 : 0;
}
