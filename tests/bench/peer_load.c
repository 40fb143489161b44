/* peer_load.c - see peer.h. */
#include "base/files.h"
#include "bench.h"
#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_SECONDS 60
#define STOP_SECONDS 10

/* --- the server ------------------------------------------------------------------ */

static bool listens(unsigned port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool connected = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    close(fd);
    return connected;
}

void peer_load_start(PeerLoad *load, const PeerKind *kind, const char *program, const char *folder, double patience)
{
    char home[4200], log[4300], here[4096] = "", path[8300];
    InaError error = {0};
    *load = (PeerLoad){.kind = kind, .port = bench_free_port(), .patience = patience, .shared = load_shared_new()};
    snprintf(home, sizeof(home), "%s/%s", folder, kind->name);
    snprintf(log, sizeof(log), "%s/log.txt", home);
    /* Its name is kept, links and all: a program may look at it. */
    if (*program != '/' && !getcwd(here, sizeof(here))) {
        bench_die("getcwd: %s", strerror(errno));
    }
    snprintf(path, sizeof(path), "%s/%s", here, program);
    if (folder_make(home, 0700, &error) < 0) {
        bench_die("%s", error.message);
    }
    load->pid = bench_child_begin();
    if (load->pid == 0) {
        int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600), none = open("/dev/null", O_RDONLY);
        if (chdir(home) == 0 && dup2(none, 0) == 0 && dup2(fd, 1) == 1 && dup2(fd, 2) == 2) {
            kind->launch(path, home, load->port);
        }
        fprintf(stderr, "%s: %s\n", program, strerror(errno));
        _exit(127);
    }
    for (double end = bench_now() + START_SECONDS; !listens(load->port); usleep(20000)) {
        if (bench_now() > end || waitpid(load->pid, NULL, WNOHANG) != 0) {
            bench_die("%s did not start; its log: %s", program, log);
        }
    }
}

void peer_load_join(PeerLoad *load, const PeerKind *kind, const PeerLoad *server)
{
    *load = *server;
    load->kind = kind;
    load->pid = 0;
}

void peer_load_stop(PeerLoad *load)
{
    if (load->pid == 0) {
        return;
    }
    kill(load->pid, SIGTERM);
    for (double end = bench_now() + STOP_SECONDS; waitpid(load->pid, NULL, WNOHANG) == 0; usleep(20000)) {
        if (bench_now() > end) {
            kill(load->pid, SIGKILL);
        }
    }
    load->pid = 0;
}

static void open_connection(const PeerLoad *load, PeerConnection *connection, uint64_t window, bool to_take)
{
    peer_connect(connection, load->kind->name, load->port);
    connection->window = window;
    load->kind->open(connection, to_take);
}

/* --- putting ------------------------------------------------------------------------ */

typedef struct Putting {
    size_t batch;
    uint64_t limit; /* messages */
    double seconds;
    BenchTimes *times; /* with one outstanding: how long each took */
} Putting;

static void run_producer(PeerLoad *load, const Putting *putting, uint64_t window)
{
    PeerConnection connection;
    LoadShared *shared = load->shared;
    char message[PEER_MESSAGE];
    size_t size = PEER_HEADER + putting->batch * PEER_SAMPLE;
    uint64_t produced = 0, confirmed = 0;
    for (size_t i = 0; i < sizeof(message); i++) {
        message[i] = (char)rand(); /* as hard to compress as measured values */
    }
    open_connection(load, &connection, window, false);
    double now = bench_now(), end = now + putting->seconds, last = now, begun = now;
    shared->begun = now;
    while (now < last + load->patience) {
        while (produced - confirmed < window && produced < putting->limit && now < end &&
               (produced + 1) * putting->batch <= LOAD_CAPACITY + shared->acknowledged) {
            begun = now;
            produced++;
            memcpy(message, &produced, sizeof(produced));
            load->kind->put(&connection, message, size);
            now = bench_now();
        }
        if (produced == confirmed && (now >= end || produced == putting->limit)) {
            break;
        }
        if (produced == confirmed) { /* no room */
            usleep(1000);
        } else {
            peer_exchange(&connection);
            load->kind->confirm(&connection);
        }
        now = bench_now();
        if (connection.confirmed > confirmed) {
            last = now;
            if (putting->times) {
                bench_add(putting->times, (now - begun) * 1e6);
            }
        }
        confirmed = connection.confirmed;
    }
    shared->put_ended = bench_now();
    shared->put = produced * putting->batch;
    shared->wrong |= produced != confirmed;
    shared->all_put = true;
    peer_disconnect(&connection);
}

/* --- taking ------------------------------------------------------------------------- */

static void run_taker(PeerLoad *load, size_t batch, uint64_t window)
{
    PeerConnection connection;
    LoadShared *shared = load->shared;
    open_connection(load, &connection, window, true);
    load->kind->take(&connection); /* asks for the first */
    double last = bench_now();
    for (uint64_t before = 0; bench_now() < last + load->patience;) {
        if (shared->all_put && connection.taken * batch >= shared->put) {
            break;
        }
        peer_exchange(&connection);
        load->kind->take(&connection);
        shared->acknowledged = connection.acknowledged * batch;
        if (connection.taken > before || !shared->all_put) {
            last = bench_now();
        }
        before = connection.taken;
    }
    load->kind->finish(&connection);
    while (connection.acknowledged < connection.taken && bench_now() < last + load->patience) {
        peer_exchange(&connection);
        load->kind->take(&connection);
    }
    shared->acknowledged = connection.acknowledged * batch;
    shared->acknowledged_ended = bench_now();
    uint64_t put = shared->put / batch;
    shared->wrong |= connection.taken == put && connection.sum != put * (put + 1) / 2;
    peer_disconnect(&connection);
}

/* --- the loads ------------------------------------------------------------------------ */

static pid_t begin_producer(PeerLoad *load, const Putting *putting, uint64_t window)
{
    pid_t pid = bench_child_begin();
    if (pid == 0) {
        run_producer(load, putting, window);
        if (putting->times) {
            load->shared->p50 = bench_percentile(putting->times, 50);
            load->shared->p99 = bench_percentile(putting->times, 99);
        }
        _exit(0);
    }
    return pid;
}

static pid_t begin_taker(PeerLoad *load, size_t batch, uint64_t window)
{
    pid_t pid = bench_child_begin();
    if (pid == 0) {
        run_taker(load, batch, window);
        _exit(0);
    }
    return pid;
}

/* All is put, then all is taken. */
static LoadResult one_after_the_other(PeerLoad *load, const Putting *putting, uint64_t window)
{
    LoadShared *shared = load->shared;
    memset(shared, 0, sizeof(*shared));
    bench_child_end(begin_producer(load, putting, window));
    bench_child_end(begin_taker(load, putting->batch, window));
    return (LoadResult){.put = shared->put,
                        .acknowledged = shared->acknowledged,
                        .wrong = shared->wrong,
                        .seconds = shared->put_ended - shared->begun,
                        .p50 = shared->p50,
                        .p99 = shared->p99};
}

LoadResult peer_load_put(PeerLoad *load, size_t batch, uint64_t window, double seconds)
{
    LoadResult sum = {0};
    while (sum.seconds < seconds && !sum.wrong && sum.put == sum.acknowledged) {
        Putting putting = {.batch = batch, .limit = LOAD_CAPACITY / batch, .seconds = seconds - sum.seconds};
        LoadResult result = one_after_the_other(load, &putting, window);
        sum.put += result.put;
        sum.acknowledged += result.acknowledged;
        sum.seconds += result.seconds;
        sum.wrong = result.wrong;
    }
    return sum;
}

LoadResult peer_load_latency(PeerLoad *load, double seconds)
{
    BenchTimes times = {0};
    Putting putting = {.batch = 1, .limit = LOAD_CAPACITY, .seconds = seconds, .times = &times};
    return one_after_the_other(load, &putting, 1);
}

LoadResult peer_load_both(PeerLoad *load, size_t batch, uint64_t window, double seconds)
{
    LoadShared *shared = load->shared;
    Putting putting = {.batch = batch, .limit = UINT64_MAX, .seconds = seconds};
    memset(shared, 0, sizeof(*shared));
    pid_t taker = begin_taker(load, batch, window), producer = begin_producer(load, &putting, window);
    bench_child_end(producer);
    bench_child_end(taker);
    return (LoadResult){.put = shared->put,
                        .acknowledged = shared->acknowledged,
                        .wrong = shared->wrong,
                        .seconds = shared->acknowledged_ended - shared->begun};
}
