/* inaetics-control-plane: the Kubernetes API of the cluster, its scheduler and
 * its controllers, over etcd. */
#include "api_http.h"
#include "api_metrics.h"

#include "base/cleanup.h"
#include "base/files.h"
#include "base/log.h"
#include "base/option.h"
#include "base/pki.h"
#include "cluster/control/control.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define PEM_MAX (256u * 1024u)
#define IDLE_SECONDS 60u
#define WATCH_STATE_US 250000u
#define HOLD_US 1000000u /* for so long clients wait until etcd has been read */

static const char help[] =
    "inaetics-control-plane: the Kubernetes API of the cluster, its scheduler and controllers\n"
    "\n"
    "usage: inaetics-control-plane --etcd URL --pki DIR --listen ADDRESS:PORT --data DIR [OPTIONS]\n"
    "                                       (started by `inaetics up`)\n"
    "\n"
    "  --etcd URL[,URL]         where the objects are kept\n"
    "  --pki DIR                ca.pem, control-plane.pem and -key.pem; what is missing is made;\n"
    "                           the same in DIR/etcd, if that is there, are for etcd alone\n"
    "  --listen ADDRESS:PORT    the API, over TLS\n"
    "  --data DIR               the token secret, `tokens` (lines \"TOKEN ROLE[:NODE] NAME\"), volumes\n"
    "  --service-prefix PREFIX  addresses of services (default 127.3.)\n"
    "  --pod-prefix PREFIX      addresses of pods (default 127.1.)\n"
    "  --node-silence MS        without a renewed lease a node is NotReady (default 3000)\n"
    "  --ready-fd FD            write READY there when the API answers\n"
    "  --help, --version\n";

typedef struct Options {
    const char *etcd, *pki, *listen, *data, *service_prefix, *pod_prefix;
    unsigned node_silence;
    int ready_fd;
} Options;

typedef struct Program {
    Options options;
    sd_event *event;
    char *ca, *certificate, *key, *volumes; /* files and folder */
    Etcd *etcd;
    Store *store;
    Authenticator *authenticator;
    Api *api;
    HttpServer *server;
    HttpDialer *nodes;
    ApiHttp *http;
    ApiNodeMetrics *metrics;
    Control *control;
    bool connected;
    sd_event_source *state;
} Program;

static int usage(const char *message, const char *argument)
{
    fprintf(stderr, "inaetics-control-plane: %s%s\nTry inaetics-control-plane --help.\n", message, argument);
    return 2;
}

static bool parse_number(const char *text, unsigned long low, unsigned long high, unsigned long *ret)
{
    char *end;

    errno = 0;
    *ret = strtoul(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *ret >= low && *ret <= high;
}

/* Returns -1 to go on, else the exit status. */
static int parse_options(int argc, char **argv, Options *options)
{
    static const struct option table[] = {
        {"etcd", required_argument, NULL, 'e'},
        {"pki", required_argument, NULL, 'p'},
        {"listen", required_argument, NULL, 'l'},
        {"data", required_argument, NULL, 'd'},
        {"service-prefix", required_argument, NULL, 's'},
        {"pod-prefix", required_argument, NULL, 'o'},
        {"node-silence", required_argument, NULL, 'n'},
        {"ready-fd", required_argument, NULL, 'r'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},
        {0},
    };
    InaError error = {0};
    int option;
    unsigned long number;

    while ((option = option_next(argc, argv, "", table, &error)) != -1) {
        switch (option) {
        case 'e':
            options->etcd = optarg;
            break;
        case 'p':
            options->pki = optarg;
            break;
        case 'l':
            options->listen = optarg;
            break;
        case 'd':
            options->data = optarg;
            break;
        case 's':
            options->service_prefix = optarg;
            break;
        case 'o':
            options->pod_prefix = optarg;
            break;
        case 'n':
            if (!parse_number(optarg, 100, 3600000, &number))
                return usage("--node-silence: allowed are 100 to 3600000, not ", optarg);
            options->node_silence = (unsigned)number;
            break;
        case 'r':
            if (!parse_number(optarg, 3, 1023, &number))
                return usage("--ready-fd: allowed are 3 to 1023, not ", optarg);
            options->ready_fd = (int)number;
            break;
        case 'h':
            fputs(help, stdout);
            return 0;
        case 'v':
            puts("inaetics-control-plane " INAETICS_VERSION);
            return 0;
        default:
            return usage(error.message, "");
        }
    }
    if (optind < argc)
        return usage("no argument expected: ", argv[optind]);
    if (!options->etcd || !options->pki || !options->listen || !options->data)
        return usage("--etcd, --pki, --listen and --data are needed", "");
    return -1;
}

/* --- what it is ------------------------------------------------------------------------------------------ */

static int out_of_memory(InaError *error)
{
    return ina_error_errno(error, ENOMEM, "inaetics-control-plane");
}

/* An etcd that trusts an authority of its own has its files in a folder of their own. */
static int open_etcd(Program *program, InaError *error)
{
    AUTO_FREE char *own = path_join(program->options.pki, "etcd"), *ca = own ? path_join(own, "ca.pem") : NULL;

    if (!ca)
        return out_of_memory(error);
    return etcd_open(program->event, program->options.etcd, access(ca, F_OK) == 0 ? own : program->options.pki,
                     "control-plane", &program->etcd, error);
}

/* Whoever starts us has usually made the certificate. */
static int prepare_pki(Program *program, char cluster_ip[32], InaError *error)
{
    char host[64];
    const char *colon = strrchr(program->options.listen, ':');
    struct stat status;

    snprintf(host, sizeof host, "%.*s", (int)(colon ? colon - program->options.listen : 0), program->options.listen);
    program->ca = path_join(program->options.pki, "ca.pem");
    program->certificate = path_join(program->options.pki, "control-plane.pem");
    program->key = path_join(program->options.pki, "control-plane-key.pem");
    if (!program->ca || !program->certificate || !program->key)
        return out_of_memory(error);
    if (stat(program->certificate, &status) == 0 && stat(program->key, &status) == 0)
        return 0;
    const char *addresses[] = {host, "127.0.0.1", cluster_ip, "localhost"};
    int r = pki_ensure_ca(program->options.pki, "Inaetics cluster", error);
    return r < 0 ? r
                 : pki_ensure_certificate(program->options.pki, "control-plane", PKI_SERVER_AND_CLIENT,
                                          "inaetics:control-plane", addresses, strcmp(host, "127.0.0.1") == 0 ? 1 : 4,
                                          error);
}

static int open_authenticator(Program *program, InaError *error)
{
    AUTO_FREE char *secret_file = path_join(program->options.data, "service-account.secret");
    AUTO_FREE char *tokens = path_join(program->options.data, "tokens");
    AUTO_FREE char *secret = NULL;

    if (!secret_file || !tokens)
        return out_of_memory(error);
    int r = folder_make(program->options.data, 0700, error);
    if (r >= 0)
        r = pki_ensure_token(secret_file, 32, &secret, error);
    return r < 0 ? r
                 : authenticator_new(secret, access(tokens, F_OK) == 0 ? tokens : NULL, program->store,
                                     &program->authenticator, error);
}

/* For those who ask as the original was asked, without TLS. */
static char *plain_answer(const Program *program)
{
    AUTO_FREE char *message = NULL;

    if (asprintf(&message,
                 "plain HTTP is not served here: use https://%s with the kubeconfig %s/kubeconfig "
                 "(kubectl --kubeconfig %s/kubeconfig get pods)",
                 program->options.listen, program->options.data, program->options.data) < 0) {
        message = NULL;
        return NULL;
    }
    AUTO_JSON json_t *status = kube_status_bad_request("%s", message);
    char *text = json_dumps(status, JSON_INDENT(2)), *line = NULL;
    if (text && asprintf(&line, "%s\n", text) < 0)
        line = NULL;
    free(text);
    return line;
}

static int open_server(Program *program, InaError *error)
{
    AUTO_FREE char *ca = NULL, *certificate = NULL, *key = NULL, *plain = plain_answer(program);
    int r;

    if ((r = file_read(program->ca, PEM_MAX, &ca, NULL, error)) < 0 ||
        (r = file_read(program->certificate, PEM_MAX, &certificate, NULL, error)) < 0 ||
        (r = file_read(program->key, PEM_MAX, &key, NULL, error)) < 0)
        return r;
    const HttpServerOptions options = {.connections_max = API_WATCHES_MAX + 1024,
                                       .body_max = API_BODY_MAX,
                                       .bodies_max = 32 * API_BODY_MAX,
                                       .idle_seconds = IDLE_SECONDS,
                                       .certificate = certificate,
                                       .key = key,
                                       .ca = ca,
                                       .plain = plain};
    if ((r = http_server_new(program->event, &options, &program->server, error)) < 0 ||
        (r = http_server_listen(program->server, program->options.listen, error)) < 0)
        return r;
    /* After a restart all clients come back at once; their handshakes would hold up the reading of etcd. */
    http_server_hold(program->server, true);
    return 0;
}

/* --- life ---------------------------------------------------------------------------------------------------- */

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    log_record(INA_LOG_INFO, "stopping", "signal", sigabbrev_np((int)info->ssi_signo), NULL);
    return sd_event_exit(sd_event_source_get_event(source), 0);
}

/* Every watch and every connection is a descriptor. */
static void raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int prepare(Program *program, InaError *error)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    raise_descriptors();
    int r = sd_event_default(&program->event);
    if (r >= 0)
        r = sd_event_add_signal(program->event, NULL, SIGTERM, on_signal, program);
    if (r >= 0)
        r = sd_event_add_signal(program->event, NULL, SIGINT, on_signal, program);
    return r < 0 ? ina_error_errno(error, r, "event loop") : 0;
}

static int on_state(sd_event_source *source, uint64_t at, void *userdata)
{
    Program *program = userdata;
    bool connected = store_connected(program->store);

    if (connected != program->connected)
        log_record(connected ? INA_LOG_INFO : INA_LOG_WARNING, connected ? "etcd answers" : "etcd does not answer",
                   "etcd", program->options.etcd, NULL);
    program->connected = connected;
    http_server_hold(program->server, false); /* from now on who asks is told what is missing */
    (void)sd_event_source_set_time_relative(source, WATCH_STATE_US);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* etcd is read: now there is something to control. */
static void on_ready(void *userdata)
{
    Program *program = userdata;
    const ControlOptions options = {.api = program->api,
                                    .volumes = program->volumes,
                                    .pod_prefix = program->options.pod_prefix,
                                    .ca_file = program->ca,
                                    .node_silence_ms = program->options.node_silence};
    InaError error = {0};

    if (control_new(&options, &program->control, &error) < 0) {
        log_record(INA_LOG_ERROR, error.message, NULL);
        sd_event_exit(program->event, 1);
        return;
    }
    program->connected = true;
    http_server_hold(program->server, false);
    log_record(INA_LOG_INFO, "the control plane is ready", "address", http_server_address(program->server, 0), NULL);
    if (program->options.ready_fd >= 0) {
        if (write(program->options.ready_fd, "READY\n", 6) != 6)
            log_record(INA_LOG_WARNING, "nobody waits for READY", NULL);
        close(program->options.ready_fd);
        program->options.ready_fd = -1;
    }
}

static int open_api(Program *program, const char *cluster_ip, InaError *error)
{
    const HttpClientOptions tls = {
        .ca_file = program->ca, .certificate_file = program->certificate, .key_file = program->key};
    int r;

    if ((r = open_etcd(program, error)) < 0 ||
        (r = store_new(program->event, program->etcd, on_ready, program, &program->store, error)) < 0 ||
        (r = open_authenticator(program, error)) < 0 || (r = open_server(program, error)) < 0 ||
        (r = http_dialer_new(program->event, &tls, &program->nodes, error)) < 0)
        return r;
    const char *address = http_server_address(program->server, 0);
    const ApiOptions api = {.event = program->event,
                            .store = program->store,
                            .service_prefix = program->options.service_prefix,
                            .pod_prefix = program->options.pod_prefix,
                            .cluster_ip = cluster_ip,
                            .address = address,
                            .authenticator = program->authenticator};
    if ((r = api_new(&api, &program->api, error)) < 0)
        return r;
    const ApiHttpOptions http = {.api = program->api,
                                 .authenticator = program->authenticator,
                                 .server = program->server,
                                 .nodes = program->nodes,
                                 .address = address};
    if ((r = api_node_metrics_new(program->api, &tls, &program->metrics, error)) < 0)
        return r;
    return api_http_new(&http, &program->http, error);
}

static int run(Program *program, InaError *error)
{
    char cluster_ip[32];
    int r;

    snprintf(cluster_ip, sizeof cluster_ip, "%s0.1", program->options.service_prefix);
    program->volumes = path_join(program->options.data, "volumes");
    if (!program->volumes)
        return out_of_memory(error);
    if ((r = prepare(program, error)) < 0 || (r = prepare_pki(program, cluster_ip, error)) < 0 ||
        (r = open_api(program, cluster_ip, error)) < 0)
        return r;
    r = sd_event_add_time_relative(program->event, &program->state, CLOCK_MONOTONIC, HOLD_US, 0, on_state, program);
    if (r >= 0)
        r = sd_event_loop(program->event);
    if (r < 0)
        return ina_error_errno(error, r, "event loop");
    return r;
}

static void clear(Program *program)
{
    sd_event_source_disable_unref(program->state);
    api_node_metrics_free(program->metrics);
    api_free(program->api);
    control_free(program->control);
    api_http_free(program->http);
    http_server_free(program->server);
    http_dialer_free(program->nodes);
    store_free(program->store);
    etcd_free(program->etcd);
    authenticator_free(program->authenticator);
    free(program->ca);
    free(program->certificate);
    free(program->key);
    free(program->volumes);
    sd_event_unref(program->event);
}

int main(int argc, char **argv)
{
    Program program = {.options = {.service_prefix = "127.3.", .pod_prefix = "127.1.", .ready_fd = -1}};
    InaError error = {0};

    int status = parse_options(argc, argv, &program.options);
    if (status >= 0)
        return status;
    int r = run(&program, &error);
    if (r < 0)
        log_record(INA_LOG_ERROR, error.message, NULL);
    clear(&program);
    return r < 0 ? 1 : r;
}
