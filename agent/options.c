#include "options.h"
#include "base/option.h"
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static const char help[] =
    "inaetics-agent - hosts bundles: components, their services, and calls between agents\n"
    "\n"
    "  --id NAME            unique name of this agent            INAETICS_AGENT_ID\n"
    "  --address IP         address of the pod (127.0.0.1)       INAETICS_ADDRESS\n"
    "  --port N             for HTTP (8080; 0: a free one)       INAETICS_PORT\n"
    "  --shell-port N       for the shell (2019; -1: none)       INAETICS_SHELL_PORT\n"
    "  --listen A:P,...     further addresses, for pages only    INAETICS_LISTEN\n"
    "  --etcd URL,...       etcd's endpoints; none: no others    INAETICS_ETCD\n"
    "  --pki DIR            ca.pem, client.pem, client-key.pem   INAETICS_PKI\n"
    "  --token-file FILE    bearer token of the cluster          INAETICS_TOKEN_FILE\n"
    "  --cache DIR          bundle cache (a temporary one)       INAETICS_CACHE\n"
    "  --platform DIR       run the bundles (*.zip) in DIR first  INAETICS_PLATFORM\n"
    "                       and whatever they bring; those stay\n"
    "  --bundles DIR        run the bundles (*.zip) in DIR       INAETICS_BUNDLES\n"
    "  --config DIR         configuration, COMPONENT.json        INAETICS_CONFIG\n"
    "  --zone NAME          wiring zone (zone1)                  INAETICS_ZONE\n"
    "  --log-level LEVEL    error, warning, notice, info, debug  INAETICS_LOG_LEVEL\n"
    "\n"
    "Components are configured by CONFIG_<COMPONENT>_<KEY>, too. SIGHUP reads the bundles' folder\n"
    "again; SIGTERM ends in order.\n";

/* The order is that of the table of names below. */
enum {
    ID = 1,
    ADDRESS,
    PORT,
    SHELL_PORT,
    LISTEN,
    ETCD,
    PKI,
    TOKEN_FILE,
    CACHE,
    PLATFORM,
    BUNDLES,
    CONFIG,
    ZONE,
    LOG_LEVEL,
    HELP
};

static const struct option names[] = {
    {"id", required_argument, NULL, ID},
    {"address", required_argument, NULL, ADDRESS},
    {"port", required_argument, NULL, PORT},
    {"shell-port", required_argument, NULL, SHELL_PORT},
    {"listen", required_argument, NULL, LISTEN},
    {"etcd", required_argument, NULL, ETCD},
    {"pki", required_argument, NULL, PKI},
    {"token-file", required_argument, NULL, TOKEN_FILE},
    {"cache", required_argument, NULL, CACHE},
    {"platform", required_argument, NULL, PLATFORM},
    {"bundles", required_argument, NULL, BUNDLES},
    {"config", required_argument, NULL, CONFIG},
    {"zone", required_argument, NULL, ZONE},
    {"log-level", required_argument, NULL, LOG_LEVEL},
    {"help", no_argument, NULL, HELP},
    {NULL, 0, NULL, 0},
};

static const char *const variables[] = {
    [ID] = "INAETICS_AGENT_ID",     [ADDRESS] = "INAETICS_ADDRESS",
    [PORT] = "INAETICS_PORT",       [SHELL_PORT] = "INAETICS_SHELL_PORT",
    [LISTEN] = "INAETICS_LISTEN",   [ETCD] = "INAETICS_ETCD",
    [PKI] = "INAETICS_PKI",         [TOKEN_FILE] = "INAETICS_TOKEN_FILE",
    [CACHE] = "INAETICS_CACHE",     [PLATFORM] = "INAETICS_PLATFORM",
    [BUNDLES] = "INAETICS_BUNDLES", [CONFIG] = "INAETICS_CONFIG",
    [ZONE] = "INAETICS_ZONE",       [LOG_LEVEL] = "INAETICS_LOG_LEVEL",
};

static int set_address(char **target, const char *value, InaError *error)
{
    struct in6_addr address;
    if (inet_pton(AF_INET, value, &address) != 1 && inet_pton(AF_INET6, value, &address) != 1)
        return ina_error_set(error, EINVAL, "\"%s\": must be an IP address", value);
    return option_text(target, value, error);
}

static int set_level(InaLogLevel *target, const char *value, InaError *error)
{
    if (ina_log_level_from_name(value, target) < 0)
        return ina_error_set(error, EINVAL, "\"%s\": must be error, warning, notice, info or debug", value);
    return 0;
}

static int set(AgentOptions *options, int option, const char *value, InaError *error)
{
    switch (option) {
    case ID:
        return option_text(&options->id, value, error);
    case ADDRESS:
        return set_address(&options->address, value, error);
    case PORT:
        return option_number(&options->http_port, value, 0, 65535, error);
    case SHELL_PORT:
        return option_number(&options->shell_port, value, -1, 65535, error);
    case LISTEN:
        return option_list(options->pages, AGENT_PAGES_MAX, value, error);
    case ETCD:
        return option_text(&options->etcd, value, error);
    case PKI:
        return option_text(&options->pki, value, error);
    case TOKEN_FILE:
        return option_text(&options->token_file, value, error);
    case CACHE:
        return option_text(&options->cache, value, error);
    case PLATFORM:
        return option_text(&options->platform, value, error);
    case BUNDLES:
        return option_text(&options->bundles, value, error);
    case CONFIG:
        return option_text(&options->configuration, value, error);
    case ZONE:
        return option_text(&options->zone, value, error);
    case LOG_LEVEL:
        return set_level(&options->log_level, value, error);
    default:
        return ina_error_set(error, EINVAL, "unknown option; see inaetics-agent --help");
    }
}

static int read_environment(AgentOptions *options, InaError *error)
{
    for (int option = ID; option < HELP; option++) {
        const char *value = getenv(variables[option]);
        if (value && *value && set(options, option, value, error) < 0)
            return ina_error_wrap(error, "%s", variables[option]);
    }
    return 0;
}

static int make_id(AgentOptions *options, InaError *error)
{
    char host[65] = "agent";
    uint32_t random = 0;
    gethostname(host, sizeof(host) - 1);
    if (getrandom(&random, sizeof(random), 0) < 0 || asprintf(&options->id, "%s-%08x", host, random) < 0)
        return ina_error_set(error, ENOMEM, "no name for this agent");
    return 0;
}

static int set_defaults(AgentOptions *options, InaError *error)
{
    options->http_port = AGENT_HTTP_PORT;
    options->shell_port = AGENT_SHELL_PORT;
    options->log_level = INA_LOG_INFO;
    int r = option_text(&options->address, "127.0.0.1", error);
    return r < 0 ? r : option_text(&options->zone, "zone1", error);
}

int options_parse(int argc, char *argv[], AgentOptions *ret, InaError *error)
{
    AgentOptions options = {0};
    int option, r = set_defaults(&options, error);
    if (r >= 0)
        r = read_environment(&options, error);
    while (r >= 0 && (option = option_next(argc, argv, "", names, error)) != -1) {
        if (option == HELP) {
            fputs(help, stdout);
            options_clear(&options);
            return 0;
        }
        if (option == '?') {
            r = -EINVAL; /* said already */
            break;
        }
        r = set(&options, option, optarg, error);
        if (r < 0)
            r = ina_error_wrap(error, "--%s", names[option - 1].name); /* they are in this order */
    }
    if (r >= 0 && optind < argc)
        r = ina_error_set(error, EINVAL, "\"%s\": no arguments are expected; see inaetics-agent --help", argv[optind]);
    if (r >= 0 && !options.id)
        r = make_id(&options, error);
    if (r < 0) {
        options_clear(&options);
        return r;
    }
    *ret = options;
    return 1;
}

void options_clear(AgentOptions *options)
{
    for (size_t i = 0; i < AGENT_PAGES_MAX; i++)
        free(options->pages[i]);
    free(options->id);
    free(options->address);
    free(options->etcd);
    free(options->pki);
    free(options->token_file);
    free(options->cache);
    free(options->platform);
    free(options->bundles);
    free(options->configuration);
    free(options->zone);
    *options = (AgentOptions){0};
}
