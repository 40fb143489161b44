#include "up.h"
#include "apply.h"
#include "link.h"
#include "machine.h"

#include "base/cleanup.h"
#include "base/files.h"
#include "cluster/cgroup.h"
#include "cluster/child.h"
#include "cluster/confine.h"
#include "cluster/life.h"
#include "cluster/ports.h"
#include "cluster/service.h"
#include "cluster/users.h"
#include "up_etcd.h"
#include "up_page.h"
#include "up_prepare.h"
#include "up_watch.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#define PAGE_WAIT_US 20000000
#define ETCD_GRACE (5 * LIFE_SECOND)
#define CONTROL_GRACE (5 * LIFE_SECOND)
#define PROXY_GRACE (2 * LIFE_SECOND)
#define ARGUMENTS_MAX 24
#define FAILURE_LINES 8

/* What `up` is at; each ends by calling the next. */
typedef enum Phase {
    STARTING_ETCD,
    STARTING_CONTROL,
    STARTING_NODES, /* and applying the manifests */
    AWAITING_PAGE,
    RUNNING,
    STOPPING_CONTROL, /* first, so that nobody replaces pods that are to end */
    STOPPING_NODES,   /* pods before etcd, so that they can withdraw what they told it */
    STOPPING_ETCD,
} Phase;

typedef struct Up {
    const UpOptions *options;
    const Instance *instance;
    sd_event *event;
    Children *children;
    Phase phase;
    char *session, *etcd_program, *control_program, *node_program, *proxy_program, *pki, *listen;
    EtcdArguments etcd_arguments;
    char *control_arguments[ARGUMENTS_MAX], *proxy_arguments[ARGUMENTS_MAX];
    Service *etcd, *control, *proxy;
    Machines *machines;
    EtcdKeeper *keeper;
    UpWatch *watch;
    KubeClient *client;
    Apply *apply;
    bool nodes_ready, applied;
    bool users; /* pods have users of their own */
    char users_why[USERS_WHY_SIZE];
    UpPages pages;
    PageWait *page_wait;
    InaError failure; /* why it ends, if not asked to */
} Up;

static void stop(Up *up);
static void await_page(Up *up);

static void say(const Up *up, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(const Up *up, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stdout, format, arguments);
    va_end(arguments);
    fflush(stdout);
}

/* --- it runs ------------------------------------------------------------------------- */

static json_t *pages_json(const Up *up)
{
    json_t *pages = json_object();
    for (size_t i = 0; pages && i < up->pages.count; i++) {
        const UpPage *page = &up->pages.items[i];
        json_object_set_new(pages, page->name, json_sprintf("http://%s:%u", page->address, page->port));
    }
    return pages;
}

/* DATA/up.json: what runs, for programs. */
static void write_state(const Up *up)
{
    const Instance *instance = up->instance;
    char page[96] = "";
    if (up->pages.count > 0)
        snprintf(page, sizeof page, "http://%s:%u", up->pages.items[0].address, up->pages.items[0].port);
    AUTO_JSON json_t *pages = pages_json(up);
    AUTO_FREE char *path = instance_path(instance, "up.json"), *socket = instance_path(instance, "machine.sock"),
                   *config = instance_path(instance, "kubeconfig");
    AUTO_JSON json_t *json =
        json_pack("{s:i, s:i, s:i, s:{s:i, s:s}, s:{s:i, s:s, s:s?}, s:{s:i}, s:s?, s:s, s:O?}", "version", 2, "pid",
                  (int)getpid(), "instance", (int)instance->number, "etcd", "pid", (int)service_pid(up->etcd), "url",
                  instance->etcd_url, "controlPlane", "pid", (int)service_pid(up->control), "url", instance->api_url,
                  "kubeconfig", config, "proxy", "pid", (int)service_pid(up->proxy), "machines", socket, "page", page,
                  "pages", pages);
    AUTO_FREE char *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
    InaError error = {0};
    if (!path || !text || file_write(path, text, strlen(text), 0600, &error) < 0)
        fprintf(stderr, "inaetics: cannot write up.json: %s\n", error.message);
}

static void announce_pages(const Up *up)
{
    const UpPage *first = &up->pages.items[0];
    for (size_t i = 0; i < up->pages.count; i++) {
        const UpPage *page = &up->pages.items[i];
        say(up, "  %-13s http://%s:%u\n", page->name, page->address, page->port);
        if (up->options->listen)
            say(up, "                and at port %u of %s\n", page->port, up->options->listen);
    }
    char token[LINK_TOKEN_MAX];
    if (link_token(up->session, token, NULL) == 0)
        say(up, "Open this once to change things too (`inaetics link` prints another):\n  http://%s:%u/?session=%s\n",
            first->address, first->port, token);
}

/* What is not separated. */
static void announce_isolation(const Up *up)
{
    if (!up->users && geteuid() == 0)
        say(up, "Pods run as root: %s.\n", up->users_why);
    char why[CGROUP_WHY_SIZE];
    CgroupPlace place;
    cgroups_find("/proc/self", &place, why);
    if (!place.limits_memory && !place.limits_cpu)
        say(up, "Limits of memory are watched only, those of processors are not enforced: %s.\n", why);
    else if (!place.limits_memory)
        say(up, "Limits of memory are watched only: %s.\n", why);
    else if (!place.limits_cpu)
        say(up, "Limits of processors are not enforced: %s.\n", why);
    if (confine_missing())
        say(up, "Pods share %snetwork%s (%s).\n", up->users ? "" : "user, ",
            up->users ? "; each has a user of its own, and reads what others may" : " and files", confine_missing());
    else
        say(up, "Pods share %snetwork; each %sis confined to its own files.\n", up->users ? "the " : "user and ",
            up->users ? "has a user of its own and " : "");
}

static void announce(const Up *up)
{
    const Instance *instance = up->instance;
    char last[16];
    instance_node_address(instance, INSTANCE_NODES, last);
    say(up, "Inaetics runs (data in %s).\n", instance->data);
    say(up, "  etcd          %s\n  API           %s\n  nodes         node-1 to node-%d, %s to %s\n", instance->etcd_url,
        instance->api_url, INSTANCE_NODES, instance->node, strrchr(last, '.') + 1);
    say(up, "  kubectl --kubeconfig %s/kubeconfig get pods -o wide\n", instance->data);
    announce_isolation(up);
    if (up->pages.count == 0)
        say(up, "No pod has a host port, so there is no page to look at.\n");
    else
        announce_pages(up);
    say(up, "Ctrl-C ends it; the data stays.\n");
}

static void enter_running(Up *up)
{
    up->phase = RUNNING;
    write_state(up);
    announce(up);
}

static void handle_page(void *userdata, bool answered)
{
    Up *up = userdata;
    const UpPage *page = &up->pages.items[0];
    up->page_wait = page_wait_free(up->page_wait);
    if (!answered)
        fprintf(stderr,
                "inaetics: nothing answers at http://%s:%u yet; `inaetics pods` shows what runs, `inaetics logs POD` "
                "what it says\n",
                page->address, page->port);
    enter_running(up);
}

/* The link is printed when it can be opened. */
static void await_page(Up *up)
{
    const UpPage *page = &up->pages.items[0];
    up->phase = AWAITING_PAGE;
    if (up->pages.count == 0 ||
        page_wait_new(up->event, page->address, page->port, PAGE_WAIT_US, handle_page, up, &up->page_wait, NULL) < 0)
        enter_running(up);
}

/* --- the parts, one after the other --------------------------------------------------- */

static void fail(Up *up, const char *what, const char *how, Service *service, const char *remedy)
{
    AUTO_FREE char *tail = service_tail(service, FAILURE_LINES);
    if (tail && tail[0])
        fprintf(stderr, "%s", tail);
    ina_error_set(&up->failure, EIO, "%s %s before it was ready (its last words are above)%s", what, how, remedy);
    stop(up);
}

static void handle_etcd_exited(void *userdata, const char *how)
{
    Up *up = userdata;
    if (up->phase != STARTING_ETCD) {
        fprintf(stderr, "inaetics: etcd %s; it is started again, and what runs goes on meanwhile\n", how);
        return;
    }
    char remedy[512];
    snprintf(remedy, sizeof remedy,
             "; if they say that its data cannot be read, move it away: mv %.150s/etcd %.150s/etcd.broken (the "
             "application is deployed anew then, with the data that it had; other objects of yours are gone)",
             up->instance->data, up->instance->data);
    fail(up, "etcd", how, up->etcd, remedy);
}

static void handle_control_exited(void *userdata, const char *how)
{
    Up *up = userdata;
    if (up->phase == STARTING_CONTROL)
        return fail(up, "inaetics-control-plane", how, up->control, "");
    fprintf(stderr, "inaetics: inaetics-control-plane %s; it is started again, and what runs goes on meanwhile\n", how);
}

static void handle_proxy_exited(void *userdata, const char *how)
{
    fprintf(stderr, "inaetics: the service proxy %s; it is started again\n", how);
}

static void handle_machine_failed(void *userdata, const char *message)
{
    fprintf(stderr, "inaetics: %s\n", message);
}

static void proceed_when_applied(Up *up)
{
    if (up->phase == STARTING_NODES && up->nodes_ready && up->applied)
        await_page(up);
}

static void handle_applied(void *userdata, const InaError *error)
{
    Up *up = userdata;
    up->applied = true;
    if (error)
        fprintf(stderr, "inaetics: the manifests could not all be applied: %s\n", error->message);
    proceed_when_applied(up);
}

static void handle_nodes_ready(void *userdata)
{
    Up *up = userdata;
    up->nodes_ready = true;
    proceed_when_applied(up);
}

static void handle_started(void *userdata)
{
    Up *up = userdata;
    if (up->phase == RUNNING)
        write_state(up);
}

static void handle_control_hangs(void *userdata)
{
    Up *up = userdata;
    if (service_pid(up->control) <= 0)
        return; /* it is being started */
    fprintf(stderr, "inaetics: inaetics-control-plane does not answer; it is ended, and started again\n");
    service_kill(up->control);
}

static pid_t control_pid(void *userdata)
{
    const Up *up = userdata;
    return service_pid(up->control);
}

static void begin_watch(Up *up)
{
    InaError error = {0};
    UpWatchOptions options = {.event = up->event,
                              .instance = up->instance,
                              .pid = control_pid,
                              .hangs = handle_control_hangs,
                              .userdata = up};
    if (!up->watch && up_watch_new(&options, &up->watch, &error) < 0)
        fprintf(stderr, "inaetics: the control plane is not watched: %s\n", error.message);
}

static void handle_control_up(void *userdata)
{
    Up *up = userdata;
    begin_watch(up);
    if (up->phase != STARTING_CONTROL)
        return;
    up->phase = STARTING_NODES;
    machines_start(up->machines);
    service_start(up->proxy);
    if (up->apply)
        apply_start(up->apply);
    else
        up->applied = true;
}

static void handle_etcd_started(void *userdata)
{
    Up *up = userdata;
    up->phase = STARTING_CONTROL;
    service_start(up->control);
}

static void handle_control_ended(void *userdata)
{
    Up *up = userdata;
    if (!service_ended(up->control) || !service_ended(up->proxy) || up->phase != STOPPING_CONTROL)
        return;
    up->phase = STOPPING_NODES;
    machines_stop(up->machines);
}

static void handle_nodes_stopped(void *userdata)
{
    Up *up = userdata;
    up->phase = STOPPING_ETCD;
    service_stop(up->etcd);
}

static void handle_etcd_ended(void *userdata)
{
    Up *up = userdata;
    sd_event_exit(up->event, 0);
}

static void stop(Up *up)
{
    if (up->phase >= STOPPING_CONTROL)
        return;
    up->phase = STOPPING_CONTROL;
    up->page_wait = page_wait_free(up->page_wait);
    up->keeper = etcd_keeper_free(up->keeper);
    up->watch = up_watch_free(up->watch);
    up->apply = apply_free(up->apply);
    service_stop(up->control);
    service_stop(up->proxy);
}

static void kill_service(Service *service)
{
    if (!service_ended(service))
        service_kill(service);
}

/* The first signal ends all in order, a second one at once. */
static int handle_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    Up *up = userdata;
    if (up->phase >= STOPPING_CONTROL) {
        if (up->phase == STOPPING_CONTROL) {
            kill_service(up->control);
            kill_service(up->proxy);
        }
        machines_kill(up->machines);
        kill_service(up->etcd);
        return 0;
    }
    if (info->ssi_signo == SIGINT)
        say(up, "\nEnding. (Ctrl-C again ends it at once.)\n");
    stop(up);
    return 0;
}

/* --- start ---------------------------------------------------------------------------- */

static int make_loop(Up *up, InaError *error)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    for (size_t i = 0; i < 3; i++)
        sigaddset(&mask, signals[i]);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    signal(SIGPIPE, SIG_IGN);
    int r = sd_event_default(&up->event);
    for (size_t i = 0; r >= 0 && i < 3; i++)
        r = sd_event_add_signal(up->event, NULL, signals[i], handle_signal, up);
    if (r < 0)
        return ina_error_errno(error, r, "event loop");
    return children_new(up->event, &up->children, error);
}

static int make_etcd(Up *up, InaError *error)
{
    int r = etcd_find(up->options->etcd, &up->etcd_program, error);
    if (r < 0 || (r = etcd_arguments(up->instance, &up->etcd_arguments, error)) < 0)
        return r;
    ServiceOptions options = {
        .name = "etcd",
        .program = up->etcd_program,
        .arguments = up->etcd_arguments.items,
        .grace = ETCD_GRACE,
        .started = handle_started,
        .exited = handle_etcd_exited,
        .ended = handle_etcd_ended,
        .userdata = up,
    };
    return service_new(up->event, up->children, up->instance, &options, &up->etcd, error);
}

/* Copies what is not NULL up to the end. */
static void set_arguments(char *ret[ARGUMENTS_MAX], const char *const *arguments)
{
    size_t n = 0;
    for (; arguments[n]; n++)
        ret[n] = (char *)arguments[n];
    ret[n] = NULL;
}

static int make_control(Up *up, InaError *error)
{
    int r = program_find("inaetics-control-plane", &up->control_program, error);
    if (r < 0)
        return r;
    if (!(up->pki = instance_path(up->instance, "pki")) ||
        asprintf(&up->listen, "%s:%d", up->instance->controller, INSTANCE_API_PORT) < 0)
        return ina_error_set(error, ENOMEM, "out of memory");
    _Static_assert(CHILD_INHERITED_FD == 3, "as said to --ready-fd");
    const char *const arguments[] = {"inaetics-control-plane",
                                     "--etcd",
                                     up->instance->etcd_url,
                                     "--pki",
                                     up->pki,
                                     "--listen",
                                     up->listen,
                                     "--data",
                                     up->instance->data,
                                     "--service-prefix",
                                     up->instance->services,
                                     "--pod-prefix",
                                     up->instance->pod_range,
                                     "--ready-fd",
                                     "3",
                                     NULL};
    set_arguments(up->control_arguments, arguments);
    ServiceOptions options = {
        .name = "control-plane",
        .program = up->control_program,
        .arguments = up->control_arguments,
        .ready = true,
        .grace = CONTROL_GRACE,
        .up = handle_control_up,
        .started = handle_started,
        .exited = handle_control_exited,
        .ended = handle_control_ended,
        .userdata = up,
    };
    return service_new(up->event, up->children, up->instance, &options, &up->control, error);
}

/* What services offer at addresses of their own is the machine's: it goes on when a node is frozen. */
static int make_proxy(Up *up, InaError *error)
{
    const char *const arguments[] = {"inaetics-proxy",   "--server", up->instance->api_url, "--pki", up->pki, "--data",
                                     up->instance->home, "--name",   up->instance->name,    NULL};
    int r = program_find("inaetics-proxy", &up->proxy_program, error);
    if (r < 0)
        return r;
    set_arguments(up->proxy_arguments, arguments);
    ServiceOptions options = {
        .name = "proxy",
        .program = up->proxy_program,
        .arguments = up->proxy_arguments,
        .grace = PROXY_GRACE,
        .started = handle_started,
        .exited = handle_proxy_exited,
        .ended = handle_control_ended,
        .userdata = up,
    };
    return service_new(up->event, up->children, up->instance, &options, &up->proxy, error);
}

static int make_nodes(Up *up, InaError *error)
{
    int r = program_find("inaetics-node", &up->node_program, error);
    if (r < 0)
        return r;
    MachinesOptions options = {
        .event = up->event,
        .children = up->children,
        .instance = up->instance,
        .program = up->node_program,
        .listen = up->options->listen,
        .users = up->users,
        .ready = handle_nodes_ready,
        .failed = handle_machine_failed,
        .stopped = handle_nodes_stopped,
        .userdata = up,
    };
    return machines_new(&options, &up->machines, error);
}

static int make_apply(Up *up, InaError *error)
{
    AUTO_FREE char *config = instance_path(up->instance, "kubeconfig"), *folder = NULL;
    if (!config)
        return ina_error_set(error, ENOMEM, "out of memory");
    int r = kube_client_from_file(up->event, config, &up->client, error);
    if (r < 0 || !(folder = up_manifests(up->options)))
        return r;
    if ((r = apply_new(up->event, up->client, folder, handle_applied, up, &up->apply, error)) < 0)
        return r;
    return up_check_pages(up->options, up->apply, &up->pages, error);
}

static int start(Up *up, InaError *error)
{
    int r = up_prepare(up->options, &up->session, error);
    if (r == 0)
        cgroups_prepare("/proc/self");
    if (r == 0)
        up->users = users_check(up->instance, up->users_why);
    if (r < 0 || (r = up_check_ports(up->options, error)) < 0 || (r = make_loop(up, error)) < 0 ||
        (r = make_apply(up, error)) < 0 || (r = make_etcd(up, error)) < 0 || (r = make_control(up, error)) < 0 ||
        (r = make_nodes(up, error)) < 0 || (r = make_proxy(up, error)) < 0)
        return r;
    service_start(up->etcd);
    return etcd_keeper_new(up->event, up->instance, handle_etcd_started, up, &up->keeper, error);
}

/* Those of nodes that were halted, and could not do it themselves. */
static void clear_cgroups(const Up *up)
{
    for (unsigned i = 1; i <= INSTANCE_NODES; i++) {
        AUTO_FREE char *record = NULL, *prefix = NULL;
        char name[16];
        snprintf(name, sizeof name, "node-%u", i);
        if (asprintf(&record, "%s/nodes/%s/" CGROUPS_RECORD, up->instance->data, name) < 0)
            record = NULL;
        if (record && (prefix = cgroups_prefix(up->instance, name)))
            cgroups_clear(prefix, record);
    }
}

static void clear(Up *up)
{
    page_wait_free(up->page_wait);
    etcd_keeper_free(up->keeper);
    up_watch_free(up->watch);
    apply_free(up->apply);
    kube_client_free(up->client);
    machines_free(up->machines);
    service_free(up->proxy);
    service_free(up->control);
    service_free(up->etcd);
    if (up->children) /* else another may run with this data */
        clear_cgroups(up);
    children_free(up->children);
    etcd_arguments_clear(&up->etcd_arguments);
    AUTO_FREE char *state = instance_path(up->instance, "up.json");
    if (state && up->event) /* ours, not that of one who holds the lock */
        unlink(state);
    free(up->session);
    free(up->etcd_program);
    free(up->control_program);
    free(up->pki);
    free(up->listen);
    free(up->node_program);
    free(up->proxy_program);
    sd_event_unref(up->event);
}

int up_run(const UpOptions *options, InaError *error)
{
    Up up = {.options = options, .instance = options->instance};
    int r = start(&up, error);
    if (r >= 0 && (r = sd_event_loop(up.event)) < 0)
        ina_error_errno(error, r, "event loop");
    clear(&up);
    if (r >= 0 && up.failure.code != 0)
        return ina_error_set(error, up.failure.code, "%s", up.failure.message);
    return r < 0 ? r : 0;
}
