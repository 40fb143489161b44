/* inaetics-provisioning - the provisioning server: what software which agent is
 * to have, and its way there. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/files.h"
#include "base/log.h"
#include "options.h"

#include <errno.h>
#include <gnutls/x509.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define PEM_MAX (256u * 1024u)
#define END_SECONDS 2 /* for taking back what is published when etcd does not answer */

typedef struct Program {
    ServerOptions options;
    sd_event *event;
    sd_event_source *end_timer;
    Server *server;
    bool ending;
} Program;

static int drop_privileges(InaError *error);
static int open_loop(Program *program, InaError *error);
static int start(Program *program, InaError *error);

int main(int argc, char *argv[])
{
    Program program = {.options = {.ready_fd = -1}};
    InaError error = {0};
    int r = options_parse(argc, argv, &program.options, &error);
    if (r == 0)
        return EXIT_SUCCESS;
    if (r > 0)
        r = drop_privileges(&error);
    if (r >= 0)
        r = open_loop(&program, &error);
    if (r >= 0)
        r = start(&program, &error);
    if (r >= 0) {
        r = sd_event_loop(program.event);
        if (r < 0)
            ina_error_errno(&error, r, "event loop");
    }
    if (r < 0)
        log_record(INA_LOG_ERROR, error.message, NULL);
    sd_event_source_disable_unref(program.end_timer);
    server_close(program.server);
    server_options_clear(&program.options);
    sd_event_unref(program.event);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* --- privileges, loop, signals ----------------------------------------------------- */

/* None is needed: nothing that is executed could gain some, no core holds passwords, files are the server's own. */
static int drop_privileges(InaError *error)
{
    struct rlimit limit;
    umask(0077);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return ina_error_errno(error, errno, "no_new_privs");
    if (getrlimit(RLIMIT_CORE, &limit) == 0) {
        limit.rlim_cur = 0;
        (void)setrlimit(RLIMIT_CORE, &limit);
    }
    /* Every agent that waits and every reader of events is a descriptor. */
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    return 0;
}

static int on_end(sd_event_source *source, uint64_t when, void *userdata)
{
    return sd_event_exit(sd_event_source_get_event(source), 0);
}

static void on_withdrawn(void *userdata)
{
    sd_event_exit(((Program *)userdata)->event, 0);
}

/* The first asks to end in order, the second at once. */
static int on_terminate(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    Program *program = userdata;
    if (program->ending || !program->server || !program->server->record)
        return sd_event_exit(program->event, 0);
    log_record(INA_LOG_NOTICE, "the provisioning server ends", NULL);
    program->ending = true;
    int r = sd_event_add_time_relative(program->event, &program->end_timer, CLOCK_MONOTONIC, END_SECONDS * 1000000, 0,
                                       on_end, program);
    discovery_record_close(program->server, on_withdrawn, program);
    return r;
}

static int open_loop(Program *program, InaError *error)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    int r = sd_event_default(&program->event);
    if (r >= 0)
        r = sd_event_add_signal(program->event, NULL, SIGTERM, on_terminate, program);
    if (r >= 0)
        r = sd_event_add_signal(program->event, NULL, SIGINT, on_terminate, program);
    return r < 0 ? ina_error_errno(error, r, "event loop") : 0;
}

/* --- start ------------------------------------------------------------------------------- */

static bool beyond_loopback(char *const *addresses)
{
    for (size_t i = 0; addresses[i]; i++)
        if (!address_is_loopback(addresses[i]))
            return true;
    return false;
}

/* "https://10.0.0.5:8091": the host; false: it is none that anybody could ask for ("0.0.0.0"). */
static bool announced_host(const char *url, char *ret, size_t size)
{
    const char *host = strstr(url, "://") + 3;
    bool brackets = *host == '[';
    host += brackets;
    int length = (int)strcspn(host, brackets ? "]" : ":");
    return (size_t)snprintf(ret, size, "%.*s", length, host) < size && strcmp(ret, "0.0.0.0") != 0 &&
           strcmp(ret, "::") != 0;
}

static const char *certificate_problem(const Server *server, gnutls_x509_crt_t certificate)
{
    char host[256];
    time_t now = (time_t)(wall_ms() / 1000);
    if (gnutls_x509_crt_get_expiration_time(certificate) < now)
        return "has run out";
    if (gnutls_x509_crt_get_activation_time(certificate) > now)
        return "is not valid yet";
    if (announced_host(server->url, host, sizeof(host)) && !gnutls_x509_crt_check_hostname(certificate, host))
        return "does not name the host of the url among its subject alternative names";
    return NULL;
}

/* What agents check, so that it is said here, too. */
static void warn_of_certificate(const Server *server)
{
    AUTO_FREE char *path = path_join(server->options.pki, "provisioning.pem"), *text = NULL;
    gnutls_x509_crt_t certificate;
    gnutls_datum_t pem = {0};
    size_t size;
    if (!path || file_read(path, PEM_MAX, &text, &size, NULL) < 0 || gnutls_x509_crt_init(&certificate) < 0)
        return;
    pem = (gnutls_datum_t){(unsigned char *)text, (unsigned)size};
    const char *problem = gnutls_x509_crt_import(certificate, &pem, GNUTLS_X509_FMT_PEM) < 0
                              ? "cannot be read"
                              : certificate_problem(server, certificate);
    if (problem)
        log_record(INA_LOG_WARNING, "agents will not trust this server: its certificate is not right", "file", path,
                   "problem", problem, "url", server->url, NULL);
    gnutls_x509_crt_deinit(certificate);
}

static void warn(const Server *server)
{
    bool pages = beyond_loopback(server->options.pages), agents = beyond_loopback(server->options.listen);
    if (accounts_default(server->accounts) && (pages || agents))
        log_record(INA_LOG_WARNING,
                   "ANYBODY WHO REACHES THIS SERVER CAN CHANGE WHAT SOFTWARE RUNS: it listens beyond loopback, and the "
                   "default account (d, password f) is on. Give it another password: inaetics provisioning account d "
                   "admin",
                   NULL);
    else if (accounts_default(server->accounts))
        log_record(INA_LOG_NOTICE, "the default account is on: d, password f", NULL);
    if (server->options.open && agents)
        log_record(INA_LOG_WARNING, "agents without credentials are served beyond loopback (--insecure)", NULL);
    if (agents && !server->tls)
        log_record(INA_LOG_WARNING,
                   "agents are served beyond loopback without TLS: tokens and software can be read and changed on the "
                   "way, and agents of Inaetics do not come; put provisioning.pem and provisioning-key.pem into --pki",
                   NULL);
    if (server->tls)
        warn_of_certificate(server);
}

static void tell_ready(const Server *server)
{
    if (server->options.ready_fd < 0)
        return;
    if (write(server->options.ready_fd, "READY\n", 6) != 6)
        log_record(INA_LOG_WARNING, "nobody waits for READY", NULL);
    close(server->options.ready_fd);
}

static int start(Program *program, InaError *error)
{
    int r = server_open(program->event, &program->options, &program->server, error);
    program->options = (ServerOptions){.ready_fd = -1}; /* the server's now, or gone with it */
    if (r >= 0)
        r = desired_load(program->server, error);
    if (r >= 0)
        r = server_listen(program->server, error);
    if (r >= 0)
        r = discovery_record_open(program->server, error);
    if (r < 0)
        return r;
    warn(program->server);
    tell_ready(program->server);
    return 0;
}
