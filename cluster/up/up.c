#include "up.h"
#include "link.h"

#include "base/cleanup.h"
#include "base/files.h"
#include "cluster/child.h"
#include "cluster/life.h"
#include "cluster/ports.h"
#include "cluster/service.h"
#include "up_etcd.h"
#include "up_prepare.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#define PAGE_PERIOD_US 5000
#define PAGE_WAIT_US 10000000
#define ETCD_GRACE (5 * LIFE_SECOND)
#define NODE_GRACE (60 * LIFE_SECOND) /* its pods have graces of their own */
#define NODE_ARGUMENTS 12
#define FAILURE_LINES 8

/* What `up` is at; each ends by calling the next. */
typedef enum Phase { STARTING_ETCD, STARTING_NODE, AWAITING_PAGE, RUNNING, STOPPING_NODE, STOPPING_ETCD } Phase;

typedef struct Up {
    const UpOptions *options;
    const Instance *instance;
    sd_event *event;
    Children *children;
    Phase phase;
    char *session, *etcd_program, *node_program;
    EtcdArguments etcd_arguments;
    char *node_arguments[NODE_ARGUMENTS];
    Service *etcd, *node;
    EtcdKeeper *keeper;
    UpPage page;
    uint64_t page_deadline;
    sd_event_source *page_timer;
    InaError failure; /* why it ends, if not asked to */
} Up;

static void stop(Up *up);

static void say(const Up *up, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(const Up *up, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stdout, format, arguments);
    va_end(arguments);
    fflush(stdout);
}

static uint64_t now_us(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

/* --- it runs ------------------------------------------------------------------------- */

/* DATA/up.json: what runs, for programs. */
static void write_state(const Up *up)
{
    char page[96] = "";
    if (up->page.port > 0)
        snprintf(page, sizeof page, "http://%s:%u", up->page.address, up->page.port);
    AUTO_FREE char *path = instance_path(up->instance, "up.json"), *socket = instance_path(up->instance, "node.sock");
    AUTO_JSON json_t *json = json_pack(
        "{s:i, s:i, s:i, s:{s:i, s:s}, s:{s:i, s:s, s:s}, s:s}", "version", 1, "pid", (int)getpid(), "instance",
        (int)up->instance->number, "etcd", "pid", (int)service_pid(up->etcd), "url", up->instance->etcd_url, "node",
        "pid", (int)service_pid(up->node), "socket", socket ? socket : "", "address", up->instance->node, "page", page);
    AUTO_FREE char *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
    InaError error = {0};
    if (!path || !text || file_write(path, text, strlen(text), 0600, &error) < 0)
        fprintf(stderr, "inaetics: cannot write up.json: %s\n", error.message);
}

static void announce(const Up *up)
{
    say(up, "Inaetics runs (data in %s).\n", up->instance->data);
    say(up, "  etcd   %s\n  node   %s, pods from %s2\n", up->instance->etcd_url, up->instance->node,
        up->instance->pods);
    if (up->page.port == 0) {
        say(up, "No pod has a host port, so there is no page to look at.\n");
    } else {
        say(up, "  page   http://%s:%u\n", up->page.address, up->page.port);
        if (up->options->listen)
            say(up, "         and at port %u of %s\n", up->page.port, up->options->listen);
        char token[LINK_TOKEN_MAX];
        if (link_token(up->session, token, NULL) == 0)
            say(up,
                "Open this once to change things too (`inaetics link` prints another):\n  http://%s:%u/?session=%s\n",
                up->page.address, up->page.port, token);
    }
    say(up, "Ctrl-C ends it; the data stays.\n");
}

static void enter_running(Up *up)
{
    up->phase = RUNNING;
    write_state(up);
    announce(up);
}

static int handle_page_timer(sd_event_source *source, uint64_t time, void *userdata)
{
    Up *up = userdata;
    if (!port_answers(up->page.address, up->page.port)) {
        if (now_us() < up->page_deadline) {
            sd_event_source_set_time_relative(source, PAGE_PERIOD_US);
            sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
            return 0;
        }
        fprintf(stderr,
                "inaetics: nothing answers at http://%s:%u yet; `inaetics pods` shows what runs, `inaetics logs POD` "
                "what it says\n",
                up->page.address, up->page.port);
    }
    up->page_timer = sd_event_source_disable_unref(up->page_timer);
    enter_running(up);
    return 0;
}

/* The link is printed when it can be opened. */
static void await_page(Up *up)
{
    up->phase = AWAITING_PAGE;
    up->page_deadline = now_us() + PAGE_WAIT_US;
    if (up->page.port == 0 ||
        sd_event_add_time_relative(up->event, &up->page_timer, CLOCK_MONOTONIC, 0, 500, handle_page_timer, up) < 0)
        enter_running(up);
}

/* --- etcd and node ------------------------------------------------------------------- */

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
             "; if they say that its data cannot be read, move it away: mv %.150s/etcd %.150s/etcd.broken (nothing is "
             "lost: all that it holds is told to it anew)",
             up->instance->data, up->instance->data);
    fail(up, "etcd", how, up->etcd, remedy);
}

static void handle_node_exited(void *userdata, const char *how)
{
    Up *up = userdata;
    if (up->phase == STARTING_NODE)
        return fail(up, "inaetics-node", how, up->node, "");
    fprintf(stderr, "inaetics: inaetics-node %s; it is started again, and with it the pods\n", how);
}

static void handle_node_up(void *userdata)
{
    Up *up = userdata;
    if (up->phase == STARTING_NODE)
        await_page(up);
    else if (up->phase == RUNNING)
        write_state(up);
}

static void handle_etcd_started(void *userdata)
{
    Up *up = userdata;
    up->phase = STARTING_NODE;
    service_start(up->node);
}

static void handle_node_ended(void *userdata)
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

/* Pods first, so that they can withdraw what they told etcd. */
static void stop(Up *up)
{
    if (up->phase >= STOPPING_NODE)
        return;
    up->phase = STOPPING_NODE;
    up->page_timer = sd_event_source_disable_unref(up->page_timer);
    up->keeper = etcd_keeper_free(up->keeper);
    service_stop(up->node);
}

/* The first signal ends all in order, a second one at once. */
static int handle_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    Up *up = userdata;
    if (up->phase >= STOPPING_NODE) {
        service_kill(up->node);
        service_kill(up->etcd);
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
        .exited = handle_etcd_exited,
        .ended = handle_etcd_ended,
        .userdata = up,
    };
    return service_new(up->event, up->children, up->instance, &options, &up->etcd, error);
}

static int make_node(Up *up, InaError *error)
{
    _Static_assert(CHILD_INHERITED_FD == 3, "as said to --ready-fd");
    int r = program_find("inaetics-node", &up->node_program, error);
    if (r < 0)
        return r;
    size_t n = 0;
    char **arguments = up->node_arguments;
    arguments[n++] = "inaetics-node";
    arguments[n++] = "--ready-fd";
    arguments[n++] = "3";
    arguments[n++] = "--data";
    arguments[n++] = up->instance->home;
    arguments[n++] = "--name";
    arguments[n++] = (char *)up->instance->name;
    if (up->options->listen) {
        arguments[n++] = "--listen";
        arguments[n++] = (char *)up->options->listen;
    }
    ServiceOptions options = {
        .name = "node",
        .program = up->node_program,
        .arguments = arguments,
        .death_signal = SIGTERM, /* so that it ends its pods, and what those started */
        .ready = true,
        .grace = NODE_GRACE,
        .up = handle_node_up,
        .exited = handle_node_exited,
        .ended = handle_node_ended,
        .userdata = up,
    };
    return service_new(up->event, up->children, up->instance, &options, &up->node, error);
}

static int start(Up *up, InaError *error)
{
    int r;
    if ((r = up_prepare(up->options, &up->session, error)) < 0 ||
        (r = up_check_ports(up->options, &up->page, error)) < 0 || (r = make_loop(up, error)) < 0 ||
        (r = make_etcd(up, error)) < 0 || (r = make_node(up, error)) < 0)
        return r;
    service_start(up->etcd);
    return etcd_keeper_new(up->event, up->instance, handle_etcd_started, up, &up->keeper, error);
}

static void clear(Up *up)
{
    sd_event_source_disable_unref(up->page_timer);
    etcd_keeper_free(up->keeper);
    service_free(up->node);
    service_free(up->etcd);
    children_free(up->children);
    etcd_arguments_clear(&up->etcd_arguments);
    AUTO_FREE char *state = instance_path(up->instance, "up.json");
    if (state && up->event) /* ours, not that of one who holds the lock */
        unlink(state);
    free(up->session);
    free(up->etcd_program);
    free(up->node_program);
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
