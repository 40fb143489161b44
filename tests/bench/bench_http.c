/* bench_http.c - what the HTTP server and client cost beside a bare loopback
 * round trip. Not a test: run it on a quiet machine.
 *
 *   bench_http [SECONDS]      each figure is measured for so long (default 1)
 *
 * The server runs in a process of its own. */
#include "base/http_client.h"
#include "base/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES_MAX 1000000u

typedef struct Bench {
    sd_event *event;
    HttpClient *client;
    char url[128];
    const void *body;
    size_t body_size;
    uint64_t end;
    double *samples;
    size_t n;
    unsigned waiting;
} Bench;

typedef struct Call {
    Bench *bench;
    uint64_t started;
} Call;

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void report(const char *what, double *samples, size_t n, double seconds, size_t bytes)
{
    if (n == 0) {
        printf("%-44s nothing\n", what);
        return;
    }
    qsort(samples, n, sizeof(*samples), compare);
    printf("%-44s p50 %8.1f us  p99 %8.1f us  %8.0f calls/s", what, samples[n / 2], samples[n * 99 / 100],
           (double)n / seconds);
    if (bytes > 100000)
        printf("  %6.0f MB/s", (double)n * (double)bytes / seconds / 1e6);
    printf("\n");
    fflush(stdout);
}

/* --- the floor ---------------------------------------------------------- */

static void bare_server(int fd)
{
    static char buffer[4096];
    static const int one = 1;

    int peer = accept(fd, NULL, NULL);
    setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    for (;;) {
        ssize_t n = read(peer, buffer, sizeof(buffer));
        if (n <= 0 || write(peer, buffer, (size_t)n) != n)
            exit(0);
    }
}

static void bench_floor(double seconds, double *samples)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    static const int one = 1;
    char buffer[64] = {0};
    size_t n = 0;

    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, 1) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        die("listen");
    pid_t pid = fork();
    if (pid == 0)
        bare_server(fd);
    int peer = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(peer, (struct sockaddr *)&address, size) < 0)
        die("connect");
    setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    uint64_t start = now_ns(), end = start + (uint64_t)(seconds * 1e9);
    while (now_ns() < end && n < SAMPLES_MAX) {
        uint64_t before = now_ns();
        if (write(peer, buffer, sizeof(buffer)) < 0 || read(peer, buffer, sizeof(buffer)) <= 0)
            die("round trip");
        samples[n++] = (double)(now_ns() - before) / 1e3;
    }
    report("bare socket, 64 bytes", samples, n, (double)(now_ns() - start) / 1e9, 64);
    close(peer);
    close(fd);
    waitpid(pid, NULL, 0);
}

/* --- our server, bare client -------------------------------------------- */

static void bench_bare_client(const char *what, const char *address, const char *path, double seconds, double *samples)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    static const int one = 1;
    char host[64], request[512], buffer[4096];
    size_t n = 0;

    snprintf(host, sizeof(host), "%s", address);
    char *colon = strrchr(host, ':');
    *colon = '\0';
    to.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    inet_pton(AF_INET, host, &to.sin_addr);
    int peer = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(peer, (struct sockaddr *)&to, sizeof(to)) < 0)
        die("connect");
    setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    int length =
        snprintf(request, sizeof(request), "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 64\r\n\r\n%064d", path, 0);
    uint64_t start = now_ns(), end = start + (uint64_t)(seconds * 1e9);
    while (now_ns() < end && n < SAMPLES_MAX) {
        uint64_t before = now_ns();
        if (write(peer, request, (size_t)length) < 0 || read(peer, buffer, sizeof(buffer)) < 100)
            die("round trip");
        samples[n++] = (double)(now_ns() - before) / 1e3;
    }
    report(what, samples, n, (double)(now_ns() - start) / 1e9, 64);
    close(peer);
}

/* --- our client --------------------------------------------------------- */

static void call(Bench *bench, Call *one);

static void on_done(void *userdata, const InaHttpResponse *response)
{
    Call *one = userdata;
    Bench *bench = one->bench;
    uint64_t now = now_ns();

    if (response->status != 200) {
        fprintf(stderr, "status %d: %s\n", response->status, response->error.message);
        exit(1);
    }
    if (bench->n < SAMPLES_MAX)
        bench->samples[bench->n++] = (double)(now - one->started) / 1e3;
    if (now < bench->end)
        call(bench, one);
    else if (--bench->waiting == 0)
        sd_event_exit(bench->event, 0);
}

static void call(Bench *bench, Call *one)
{
    static const char *const headers[] = {"Content-Type: application/proto", "Connect-Protocol-Version: 1",
                                          "Connect-Timeout-Ms: 5000", NULL};
    InaError error;

    one->bench = bench;
    one->started = now_ns();
    InaHttpFetchOptions options = {.url = bench->url,
                                   .headers = headers,
                                   .body = bench->body,
                                   .body_size = bench->body_size,
                                   .timeout = UINT64_C(5000000000),
                                   .done = on_done,
                                   .userdata = one};
    if (!http_client_fetch(bench->client, &options, &error)) {
        fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
}

static void bench_client(const char *what, const char *address, const char *path, size_t body_size, unsigned callers,
                         double seconds, double *samples)
{
    Bench bench = {.samples = samples, .body_size = body_size, .waiting = callers};
    Call calls[64];
    InaError error;

    char *body = calloc(1, body_size + 1);
    bench.body = body;
    snprintf(bench.url, sizeof(bench.url), "http://%s%s", address, path);
    if (sd_event_new(&bench.event) < 0 || http_client_new(bench.event, NULL, &bench.client, &error) < 0)
        die("client");
    uint64_t start = now_ns();
    bench.end = start + (uint64_t)(seconds * 1e9);
    for (unsigned i = 0; i < callers; i++)
        call(&bench, &calls[i]);
    sd_event_loop(bench.event);
    report(what, samples, bench.n, (double)(now_ns() - start) / 1e9, body_size);
    http_client_free(bench.client);
    sd_event_unref(bench.event);
    free(body);
}

/* --- the server process ------------------------------------------------- */

static void echo(void *userdata, InaHttpRequest *request)
{
    size_t size;
    const void *body = ina_http_body(request, &size);

    if (size > 4096)
        ina_http_respond(request, 200, "application/proto", "ok", 2);
    else
        ina_http_respond(request, 200, "application/proto", body, size);
}

static void big(void *userdata, InaHttpRequest *request)
{
    size_t size = 1500000;

    ina_http_respond_take(request, 200, "application/proto", calloc(1, size), size);
}

static int answer_later(sd_event_source *source, void *userdata)
{
    echo(NULL, userdata);
    sd_event_source_unref(source);
    return 0;
}

static void later(void *userdata, InaHttpRequest *request)
{
    sd_event_source *source;

    if (sd_event_add_defer(userdata, &source, answer_later, request) < 0)
        die("defer");
}

static pid_t start_server(char *address, size_t size)
{
    HttpServer *server;
    sd_event *event;
    InaError error;
    int ends[2];

    if (pipe(ends) < 0)
        die("pipe");
    pid_t pid = fork();
    if (pid != 0) {
        close(ends[1]);
        ssize_t n = read(ends[0], address, size - 1);
        address[n > 0 ? n : 0] = '\0';
        close(ends[0]);
        return pid;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (sd_event_new(&event) < 0 || http_server_new(event, NULL, &server, &error) < 0 ||
        http_server_listen(server, "127.0.0.1:0", &error) < 0)
        die("server");
    http_server_handle(server, "/echo", echo, NULL, NULL);
    http_server_handle(server, "/later", later, event, NULL);
    http_server_handle(server, "/big", big, NULL, NULL);
    if (write(ends[1], http_server_address(server, 0), strlen(http_server_address(server, 0))) < 0)
        die("write");
    close(ends[1]);
    sd_event_loop(event);
    exit(0);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 1.0;
    double *samples = calloc(SAMPLES_MAX, sizeof(*samples));
    char address[64];

    pid_t pid = start_server(address, sizeof(address));
    bench_floor(seconds, samples);
    bench_bare_client("server, bare client", address, "/echo", seconds, samples);
    bench_bare_client("server answering later, bare client", address, "/later", seconds, samples);
    bench_client("client, 64 bytes", address, "/echo", 64, 1, seconds, samples);
    bench_client("client, 64 bytes, answered later", address, "/later", 64, 1, seconds, samples);
    bench_client("client, 64 bytes, 4 callers", address, "/echo", 64, 4, seconds, samples);
    bench_client("client, 64 bytes, 32 callers", address, "/echo", 64, 32, seconds, samples);
    bench_client("client, 16 kB", address, "/echo", 16384, 1, seconds, samples);
    bench_client("client, 1.5 MB sent", address, "/echo", 1500000, 1, seconds, samples);
    bench_client("client, 1.5 MB sent, 4 callers", address, "/echo", 1500000, 4, seconds, samples);
    bench_client("client, 1.5 MB received", address, "/big", 64, 1, seconds, samples);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    free(samples);
    return 0;
}
