/* inaetics-proxy: offers the services of the cluster at their addresses on this machine. */
#include "proxy.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/option.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>

static const char help[] = "inaetics-proxy: spread connections to services over their ready endpoints\n"
                           "\n"
                           "usage: inaetics-proxy [OPTIONS]       (started by `inaetics up`)\n"
                           "\n"
                           "  --server URL       of the Kubernetes API (default https://127.17.8.20:10260)\n"
                           "  --pki FOLDER       with ca.pem, proxy.pem and proxy-key.pem (default DATA/pki)\n"
                           "  --data DIR         data folder (default $INAETICS_DATA, else as `inaetics --help` says)\n"
                           "  --name N           number of the instance, 0 to 9: other addresses and ports\n"
                           "  --help, --version\n";

typedef struct Options {
    const char *server, *pki, *data, *name;
} Options;

/* Returns -1 to go on, else the exit status. */
static int parse_options(int argc, char **argv, Options *options)
{
    static const struct option table[] = {
        {"server", required_argument, NULL, 's'},
        {"pki", required_argument, NULL, 'p'},
        {"data", required_argument, NULL, 'd'},
        {"name", required_argument, NULL, 'n'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},
        {0},
    };
    InaError error = {0};
    int option;
    while ((option = option_next(argc, argv, "", table, &error)) != -1) {
        if (option == 's')
            options->server = optarg;
        else if (option == 'p')
            options->pki = optarg;
        else if (option == 'd')
            options->data = optarg;
        else if (option == 'n')
            options->name = optarg;
        else if (option == 'h')
            return fputs(help, stdout) < 0;
        else if (option == 'v')
            return puts("inaetics-proxy " INAETICS_VERSION) < 0;
        else
            return fprintf(stderr, "inaetics-proxy: %s\nTry inaetics-proxy --help.\n", error.message), 2;
    }
    if (optind == argc)
        return -1;
    fprintf(stderr, "inaetics-proxy: no argument expected: %s\nTry inaetics-proxy --help.\n", argv[optind]);
    return 2;
}

static void handle_problem(void *userdata, const char *text)
{
    log_record(INA_LOG_ERROR, text, NULL);
}

static int make_client(sd_event *event, const Instance *instance, const Options *options, KubeClient **ret,
                       InaError *error)
{
    AUTO_FREE char *folder = options->pki ? strdup(options->pki) : instance_path(instance, "pki"), *ca = NULL,
                   *certificate = NULL, *key = NULL;
    if (!folder || asprintf(&ca, "%s/ca.pem", folder) < 0 || asprintf(&certificate, "%s/proxy.pem", folder) < 0 ||
        asprintf(&key, "%s/proxy-key.pem", folder) < 0)
        return ina_error_set(error, ENOMEM, "out of memory");
    KubeClientOptions client = {
        .url = options->server ? options->server : instance->api_url,
        .ca_file = ca,
        .certificate_file = certificate,
        .key_file = key,
    };
    return kube_client_new(event, &client, ret, error);
}

static int run(sd_event *event, const Instance *instance, const Options *options, InaError *error)
{
    KubeClient *client = NULL;
    Proxy *proxy = NULL;
    ProxyOptions proxy_options = {.event = event, .instance = instance, .problem = handle_problem};
    int r = make_client(event, instance, options, &client, error);
    proxy_options.client = client;
    if (r == 0)
        r = proxy_new(&proxy_options, &proxy, error);
    if (r == 0 && (r = sd_event_loop(event)) < 0)
        ina_error_errno(error, r, "event loop");
    proxy_free(proxy);
    kube_client_free(client);
    return r < 0 ? r : 0;
}

static int prepare(sd_event **ret, InaError *error)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    int r = sd_event_default(ret);
    if (r >= 0)
        r = sd_event_add_signal(*ret, NULL, SIGTERM, NULL, NULL); /* without a handler: the loop ends */
    if (r >= 0)
        r = sd_event_add_signal(*ret, NULL, SIGINT, NULL, NULL);
    return r < 0 ? ina_error_errno(error, r, "event loop") : 0;
}

int main(int argc, char **argv)
{
    Options options = {0};
    InaError error = {0};
    sd_event *event = NULL;
    Instance *instance = NULL;
    int status = parse_options(argc, argv, &options);
    if (status >= 0)
        return status;
    int r = instance_new(options.name, options.data, &instance, &error);
    if (r == 0)
        r = prepare(&event, &error);
    if (r == 0)
        r = run(event, instance, &options, &error);
    if (r < 0)
        log_record(INA_LOG_ERROR, error.message, NULL);
    instance_free(instance);
    sd_event_unref(event);
    return r < 0 ? 1 : 0;
}
