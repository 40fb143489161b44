/* options.c - see options.h. */
#include "options.h"

#include "api.h"
#include "base/log.h"
#include "base/option.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "inaetics-provisioning - what software which agent is to have, and its way there\n"
    "\n"
    "  --data DIR           database, files, keys (required)         INAETICS_PROVISIONING_DATA\n"
    "  --listen A:P,...     for agents (127.0.0.1:8091)              INAETICS_PROVISIONING_LISTEN\n"
    "  --pages A:P,...      for people (127.0.0.1:8090)              INAETICS_PROVISIONING_PAGES\n"
    "  --www DIR            the page's files                         INAETICS_PROVISIONING_WWW\n"
    "  --dashboard PORT|URL the application's page, to link to; a port\n"
    "                       is asked first (of instance N: N higher)  INAETICS_PROVISIONING_DASHBOARD\n"
    "  --load DIR           desired state, applied at start when it\n"
    "                       changed (provisioning.json and files)    INAETICS_PROVISIONING_LOAD\n"
    "  --settings JSON|FILE {\"register\", \"approve\", \"autoApprove\", \"versionsKept\", \"forgetSeconds\",\n"
    "                       \"rollout\"}: what counts until settings\n"
    "                       are stored                               INAETICS_PROVISIONING_SETTINGS\n"
    "  --etcd URL,...       where agents find this server            INAETICS_ETCD\n"
    "  --announce A:P       what they are told (first --listen)      INAETICS_PROVISIONING_ANNOUNCE\n"
    "  --pki DIR            ca.pem, client.pem, client-key.pem for etcd; with provisioning.pem and\n"
    "                       provisioning-key.pem agents are served\n"
    "                       over TLS (https): beyond loopback ours\n"
    "                       come only so                             INAETICS_PKI\n"
    "  --token-file FILE    the cluster's token, to enrol with       INAETICS_TOKEN_FILE\n"
    "  --key FILE           what deployments are signed with; made when\n"
    "                       it is not there (DIR/signing.key)         INAETICS_PROVISIONING_KEY\n"
    "  --credentials        agents of ACE and Celix need credentials on loopback, too\n"
    "  --insecure           and need none beyond loopback\n"
    "  --ready-fd FD        write READY there when it serves\n"
    "  --log-level LEVEL    error, warning, notice, info, debug      INAETICS_LOG_LEVEL\n"
    "  --help, --version\n"
    "\n"
    "An address may be unix:/path. SIGTERM ends in order.\n";

enum {
    DATA = 1,
    LISTEN,
    PAGES,
    WWW,
    DASHBOARD,
    LOAD,
    SETTINGS,
    ETCD,
    ANNOUNCE,
    PKI,
    TOKEN_FILE,
    KEY,
    LOG_LEVEL, /* up to here with a variable */
    CREDENTIALS,
    INSECURE,
    READY_FD,
    HELP,
    VERSION,
};

static const struct option names[] = {
    {"data", required_argument, NULL, DATA},
    {"listen", required_argument, NULL, LISTEN},
    {"pages", required_argument, NULL, PAGES},
    {"www", required_argument, NULL, WWW},
    {"dashboard", required_argument, NULL, DASHBOARD},
    {"load", required_argument, NULL, LOAD},
    {"settings", required_argument, NULL, SETTINGS},
    {"etcd", required_argument, NULL, ETCD},
    {"announce", required_argument, NULL, ANNOUNCE},
    {"pki", required_argument, NULL, PKI},
    {"token-file", required_argument, NULL, TOKEN_FILE},
    {"key", required_argument, NULL, KEY},
    {"log-level", required_argument, NULL, LOG_LEVEL},
    {"credentials", no_argument, NULL, CREDENTIALS},
    {"insecure", no_argument, NULL, INSECURE},
    {"ready-fd", required_argument, NULL, READY_FD},
    {"help", no_argument, NULL, HELP},
    {"version", no_argument, NULL, VERSION},
    {NULL, 0, NULL, 0},
};

static const char *const variables[] = {
    [DATA] = "INAETICS_PROVISIONING_DATA",
    [LISTEN] = "INAETICS_PROVISIONING_LISTEN",
    [PAGES] = "INAETICS_PROVISIONING_PAGES",
    [WWW] = "INAETICS_PROVISIONING_WWW",
    [DASHBOARD] = "INAETICS_PROVISIONING_DASHBOARD",
    [LOAD] = "INAETICS_PROVISIONING_LOAD",
    [SETTINGS] = "INAETICS_PROVISIONING_SETTINGS",
    [ETCD] = "INAETICS_ETCD",
    [ANNOUNCE] = "INAETICS_PROVISIONING_ANNOUNCE",
    [PKI] = "INAETICS_PKI",
    [TOKEN_FILE] = "INAETICS_TOKEN_FILE",
    [KEY] = "INAETICS_PROVISIONING_KEY",
    [LOG_LEVEL] = "INAETICS_LOG_LEVEL",
};

typedef struct Parsed {
    ServerOptions options;
    bool credentials, insecure;
} Parsed;

static int set_level(const char *value, InaError *error)
{
    InaLogLevel level;
    if (ina_log_level_from_name(value, &level) < 0)
        return ina_error_set(error, EINVAL, "\"%s\": must be error, warning, notice, info or debug", value);
    log_set_level(level);
    return 0;
}

static int set(Parsed *parsed, int option, const char *value, InaError *error)
{
    ServerOptions *options = &parsed->options;
    char **const texts[] = {
        [DATA] = &options->data,         [WWW] = &options->www,           [DASHBOARD] = &options->dashboard,
        [LOAD] = &options->load,         [SETTINGS] = &options->settings, [ETCD] = &options->etcd,
        [ANNOUNCE] = &options->announce, [PKI] = &options->pki,           [TOKEN_FILE] = &options->token_file,
        [KEY] = &options->key,
    };
    switch (option) {
    case LISTEN:
        return option_list(options->listen, SERVER_LISTEN_MAX, value, error);
    case PAGES:
        return option_list(options->pages, SERVER_LISTEN_MAX, value, error);
    case LOG_LEVEL:
        return set_level(value, error);
    case CREDENTIALS:
        parsed->credentials = true;
        return 0;
    case INSECURE:
        parsed->insecure = true;
        return 0;
    case READY_FD:
        return option_number(&options->ready_fd, value, 3, 1023, error);
    default:
        if (option >= DATA && option <= KEY)
            return option_text(texts[option], value, error);
        return ina_error_set(error, EINVAL, "unknown option; see inaetics-provisioning --help");
    }
}

static int read_environment(Parsed *parsed, InaError *error)
{
    for (int option = DATA; option <= LOG_LEVEL; option++) {
        const char *value = getenv(variables[option]);
        if (value && *value && set(parsed, option, value, error) < 0)
            return ina_error_wrap(error, "%s", variables[option]);
    }
    return 0;
}

/* What follows from the rest. */
static int complete(Parsed *parsed, InaError *error)
{
    ServerOptions *options = &parsed->options;
    bool loopback = true;
    int r = 0;
    if (!options->data)
        return ina_error_set(error, EINVAL, "--data DIR is needed; see inaetics-provisioning --help");
    if (parsed->credentials && parsed->insecure)
        return ina_error_set(error, EINVAL, "--credentials and --insecure exclude each other");
    if (!options->listen[0])
        r = option_list(options->listen, SERVER_LISTEN_MAX, "127.0.0.1:8091", error);
    if (r >= 0 && !options->pages[0])
        r = option_list(options->pages, SERVER_LISTEN_MAX, "127.0.0.1:8090", error);
    if (r >= 0 && options->dashboard)
        r = pages_check(options->dashboard, error) < 0 ? ina_error_wrap(error, "--dashboard") : 0;
    for (size_t i = 0; r >= 0 && options->listen[i]; i++)
        loopback = loopback && address_is_loopback(options->listen[i]);
    options->open = !parsed->credentials && (loopback || parsed->insecure);
    return r;
}

int options_parse(int argc, char *argv[], ServerOptions *ret, InaError *error)
{
    Parsed parsed = {.options = {.ready_fd = -1}};
    int option, r = read_environment(&parsed, error);
    while (r >= 0 && (option = option_next(argc, argv, "", names, error)) != -1) {
        if (option == HELP || option == VERSION) {
            fputs(option == HELP ? help : "inaetics-provisioning " INAETICS_VERSION "\n", stdout);
            server_options_clear(&parsed.options);
            return 0;
        }
        if (option == '?') {
            r = -EINVAL; /* said already */
            break;
        }
        r = set(&parsed, option, optarg, error);
        if (r < 0)
            r = ina_error_wrap(error, "--%s", names[option - 1].name); /* they are in this order */
    }
    if (r >= 0 && optind < argc)
        r = ina_error_set(error, EINVAL, "\"%s\": no arguments are expected; see inaetics-provisioning --help",
                          argv[optind]);
    if (r >= 0)
        r = complete(&parsed, error);
    if (r < 0) {
        server_options_clear(&parsed.options);
        return r;
    }
    *ret = parsed.options;
    return 1;
}
