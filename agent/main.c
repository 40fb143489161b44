/* inaetics-agent - the process that hosts bundles: framework, remote services,
 * pages, shell and metrics in one loop. */
#include "agent.h"
#include "base/files.h"
#include "base/log.h"
#include "base/pki.h"
#include "bundles.h"
#include "memory.h"
#include "web.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define END_SECONDS 2 /* for taking back what is published when etcd does not answer */

static int drop_privileges(InaError *error);
static int open_loop(Agent *agent, InaError *error);
static int open_framework(Agent *agent, InaError *error);
static int open_services(Agent *agent, InaError *error);
static int open_shell(Agent *agent, InaError *error);
static uint64_t traffic(void *userdata);
static int open_discovery(Agent *agent, InaError *error);
static int open_deployer(Agent *agent, InaError *error);
static void close_all(Agent *agent);

int main(int argc, char *argv[])
{
    Agent agent = {.started = ina_now()};
    InaError error = {0};
    int r = options_parse(argc, argv, &agent.options, &error);
    if (r == 0)
        return 0;
    if (r > 0) {
        log_set_level(agent.options.log_level);
        r = drop_privileges(&error);
    }
    if (r >= 0)
        r = open_loop(&agent, &error);
    if (r >= 0)
        r = token_read(agent.options.token_file, &agent.token, &error);
    if (r >= 0)
        r = open_framework(&agent, &error);
    if (r >= 0)
        r = web_new(&agent, &agent.web, &error);
    if (r >= 0)
        r = open_services(&agent, &error);
    if (r >= 0)
        r = open_shell(&agent, &error);
    if (r >= 0)
        r = open_discovery(&agent, &error);
    if (r >= 0)
        r = memory_watch(agent.event, traffic, &agent, &error);
    if (r >= 0)
        r = open_deployer(&agent, &error);
    if (r >= 0)
        r = agent_set_bundles(&agent, &error);
    if (r >= 0) {
        log_record(INA_LOG_NOTICE, "agent is up", "agent", agent.options.id, "http", web_address(agent.web), "shell",
                   agent.shell && shell_address(agent.shell) ? shell_address(agent.shell) : "none", NULL);
        r = sd_event_loop(agent.event);
        if (r < 0)
            ina_error_errno(&error, r, "event loop");
    }
    if (r < 0)
        log_record(INA_LOG_ERROR, error.message, NULL);
    close_all(&agent);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* --- privileges, loop, signals ------------------------------------------ */

static int drop_privileges(InaError *error)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return ina_error_errno(error, errno, "no_new_privs");
    return 0;
}

static int on_end(sd_event_source *source, uint64_t when, void *userdata)
{
    sd_event_exit(((Agent *)userdata)->event, 0);
    return 0;
}

static void on_withdrawn(void *userdata)
{
    sd_event_exit(((Agent *)userdata)->event, 0);
}

/* The first asks to end in order, the second at once. */
static int on_terminate(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    Agent *agent = userdata;
    if (agent->ending || !agent->discovery)
        return sd_event_exit(agent->event, 0);
    log_record(INA_LOG_NOTICE, "agent ends", "agent", agent->options.id, NULL);
    agent->ending = true;
    deployer_end(agent->deployer);
    discovery_close(agent->discovery, on_withdrawn, agent);
    return sd_event_add_time_relative(agent->event, &agent->end_timer, CLOCK_MONOTONIC, END_SECONDS * 1000000, 0,
                                      on_end, agent);
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    InaError error = {0};
    if (agent_set_bundles(userdata, &error) < 0)
        log_record(INA_LOG_ERROR, error.message, NULL);
    return 0;
}

static int open_loop(Agent *agent, InaError *error)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    int r = sd_event_default(&agent->event);
    if (r >= 0)
        r = sd_event_add_signal(agent->event, NULL, SIGTERM, on_terminate, agent);
    if (r >= 0)
        r = sd_event_add_signal(agent->event, NULL, SIGINT, on_terminate, agent);
    if (r >= 0)
        r = sd_event_add_signal(agent->event, NULL, SIGHUP, on_hangup, agent);
    return r < 0 ? ina_error_errno(error, r, "event loop") : 0;
}

/* --- parts -------------------------------------------------------------- */

static int open_framework(Agent *agent, InaError *error)
{
    FrameworkOptions options = {.agent_id = agent->options.id,
                                .cache = agent->options.cache,
                                .configuration = agent->options.configuration,
                                .environment = true};
    return framework_new(agent->event, &options, &agent->framework, error);
}

static int open_services(Agent *agent, InaError *error)
{
    if (!agent->token) {
        log_record(INA_LOG_NOTICE, "without a token no services are offered to others, and no shell", NULL);
        return 0;
    }
    ConnectServerOptions options = {.agent = agent->options.id, .token = agent->token};
    return connect_server_new(agent->framework, web_server(agent->web), &options, &agent->server, error);
}

static int open_shell(Agent *agent, InaError *error)
{
    char address[80];
    if (!agent->token || agent->options.shell_port < 0)
        return 0;
    snprintf(address, sizeof(address), strchr(agent->options.address, ':') ? "[%s]:%d" : "%s:%d",
             agent->options.address, agent->options.shell_port);
    int r = shell_new(agent->framework, &agent->shell, error);
    return r < 0 ? r : shell_listen(agent->shell, address, agent->token, error);
}

static void report(void *userdata, InaLogLevel level, const char *message, const char *key)
{
    log_record(level, message, "record", key, NULL);
}

/* The files of a folder that make TLS to etcd and to other agents. */
static int tls_files(const char *folder, HttpClientOptions *ret, InaError *error)
{
    if (!folder)
        return 0;
    ret->ca_file = path_join(folder, "ca.pem");
    ret->certificate_file = path_join(folder, "client.pem");
    ret->key_file = path_join(folder, "client-key.pem");
    return ret->ca_file && ret->certificate_file && ret->key_file ? 0 : ina_error_set(error, ENOMEM, "no memory");
}

static int open_discovery_with(Agent *agent, const HttpClientOptions *tls, InaError *error)
{
    char url[128];
    ConnectClientOptions client = {.agent = agent->options.id, .token = agent->token, .tls = tls};
    snprintf(url, sizeof(url), "http://%s", web_address(agent->web));
    DiscoveryOptions options = {.agent = agent->options.id,
                                .zone = agent->options.zone,
                                .url = agent->server ? url : NULL,
                                .security = "token",
                                .report = report};
    const char *pki = agent->options.pki;
    int r = pki ? etcd_open(agent->event, agent->options.etcd, pki, "client", &agent->etcd, error)
                : etcd_new(agent->event, agent->options.etcd, NULL, &agent->etcd, error);
    if (r >= 0)
        r = connect_client_new(agent->event, agent->framework, &client, &agent->client, error);
    if (r >= 0)
        r = discovery_new(agent->event, agent->framework, agent->etcd, agent->client, &options, &agent->discovery,
                          error);
    return r;
}

static int open_discovery(Agent *agent, InaError *error)
{
    HttpClientOptions tls = {0};
    if (!agent->options.etcd)
        return 0;
    int r = tls_files(agent->options.pki, &tls, error);
    if (r >= 0)
        r = open_discovery_with(agent, &tls, error);
    free((char *)tls.ca_file);
    free((char *)tls.certificate_file);
    free((char *)tls.key_file);
    return r;
}

/* For whoever brings software here: a bundle of the platform, which finds in
 * the environment what the agent may have been told by options. */
static int open_deployer(Agent *agent, InaError *error)
{
    if (agent->options.bundles || !agent->options.platform)
        return 0;
    const struct {
        const char *name, *value;
    } told[] = {{"INAETICS_ETCD", agent->options.etcd},
                {"INAETICS_PKI", agent->options.pki},
                {"INAETICS_TOKEN_FILE", agent->options.token_file}};
    for (size_t i = 0; i < sizeof(told) / sizeof(*told); i++)
        if (told[i].value && setenv(told[i].name, told[i].value, 1) < 0)
            return ina_error_errno(error, errno, "environment");
    return deployer_new(agent->event, agent->framework, &agent->deployer, error);
}

static uint64_t traffic(void *userdata)
{
    FrameworkStatistics statistics;
    framework_statistics(((Agent *)userdata)->framework, &statistics);
    return statistics.calls;
}

/* --- the end ------------------------------------------------------------ */

/* Those who call into bundles go before the bundles. */
static void close_all(Agent *agent)
{
    sd_event_source_disable_unref(agent->end_timer);
    sd_event_source_disable_unref(agent->start_timer);
    discovery_free(agent->discovery);
    connect_server_free(agent->server);
    connect_client_free(agent->client);
    shell_free(agent->shell);
    web_free(agent->web);
    deployer_free(agent->deployer);
    framework_free(agent->framework);
    etcd_free(agent->etcd);
    sd_event_unref(agent->event);
    free(agent->token);
    options_clear(&agent->options);
}
