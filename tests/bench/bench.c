/* bench.c - see bench.h. */
#include "bench.h"
#include "base/files.h"
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TOKEN "0123456789abcdef0123456789abcdef"

double bench_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void bench_die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

/* --- figures ---------------------------------------------------------------- */

void bench_add(BenchTimes *times, double microseconds)
{
    if (times->count == times->capacity) {
        times->capacity = times->capacity ? times->capacity * 2 : 4096;
        times->values = realloc(times->values, times->capacity * sizeof(*times->values));
        if (!times->values) {
            bench_die("out of memory");
        }
    }
    times->values[times->count++] = microseconds;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double bench_percentile(BenchTimes *times, double percent)
{
    if (times->count == 0) {
        bench_die("nothing was measured");
    }
    qsort(times->values, times->count, sizeof(*times->values), compare);
    size_t place = (size_t)((double)times->count * percent / 100);
    return times->values[place < times->count ? place : times->count - 1];
}

void bench_clear(BenchTimes *times)
{
    free(times->values);
    *times = (BenchTimes){0};
}

void bench_line(const char *name, double value, const char *unit, double ratio, const char *floor)
{
    char number[64];
    snprintf(number, sizeof(number), value >= 1000 ? "%.0f" : value >= 10 ? "%.1f" : "%.3f", value);
    printf("%-58s %14s %-10s", name, number, unit);
    if (ratio > 0) {
        printf(" %7.2f x %s", ratio, floor);
    }
    printf("\n");
    fflush(stdout);
}

/* --- floors ------------------------------------------------------------------ */

static void echo(int listener)
{
    char buffer[64];
    int one = 1, fd = accept(listener, NULL, NULL);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    while (recv(fd, buffer, sizeof(buffer), MSG_WAITALL) == (ssize_t)sizeof(buffer)) {
        if (send(fd, buffer, sizeof(buffer), MSG_NOSIGNAL) != (ssize_t)sizeof(buffer)) {
            break;
        }
    }
    _exit(0);
}

double bench_floor_loopback(double seconds)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, length) < 0 || listen(listener, 1) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) < 0) {
        bench_die("loopback: %s", strerror(errno));
    }
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(fd); /* else its end would never be seen */
        echo(listener);
    }
    if (connect(fd, (struct sockaddr *)&address, length) < 0) {
        bench_die("loopback: %s", strerror(errno));
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    BenchTimes times = {0};
    char buffer[64] = "";
    for (double begin = bench_now(), end = begin + seconds; begin < end;) {
        if (send(fd, buffer, sizeof(buffer), 0) < 0 || recv(fd, buffer, sizeof(buffer), MSG_WAITALL) <= 0) {
            bench_die("loopback: %s", strerror(errno));
        }
        double now = bench_now();
        bench_add(&times, (now - begin) * 1e6);
        begin = now;
    }
    close(fd);
    close(listener);
    waitpid(pid, NULL, 0);
    double median = bench_percentile(&times, 50);
    bench_clear(&times);
    return median;
}

double bench_floor_sync(const char *folder, size_t bytes, double seconds)
{
    const size_t size = 16u << 20;
    char path[4200];
    snprintf(path, sizeof(path), "%s/floor", folder);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    char *zeros = calloc(1, size);
    if (fd < 0 || !zeros || pwrite(fd, zeros, size, 0) != (ssize_t)size || fsync(fd) < 0) {
        bench_die("%s: %s", path, strerror(errno));
    }
    memset(zeros, 'x', bytes);
    BenchTimes times = {0};
    off_t offset = 0;
    for (double begin = bench_now(), end = begin + seconds; begin < end;) {
        if (pwrite(fd, zeros, bytes, offset) != (ssize_t)bytes || fdatasync(fd) < 0) {
            bench_die("%s: %s", path, strerror(errno));
        }
        offset = (offset + (off_t)bytes) % (off_t)(size - bytes);
        double now = bench_now();
        bench_add(&times, (now - begin) * 1e6);
        begin = now;
    }
    close(fd);
    unlink(path);
    free(zeros);
    double median = bench_percentile(&times, 50);
    bench_clear(&times);
    return median;
}

double bench_floor_copy(void)
{
    const size_t size = 64u << 20, block = 24000;
    char *from = malloc(size), *to = malloc(size);
    if (!from || !to) {
        bench_die("out of memory");
    }
    memset(from, 1, size);
    memset(to, 2, size);
    double begin = bench_now();
    size_t rounds = 8;
    for (size_t i = 0; i < rounds; i++) {
        for (size_t at = 0; at + block <= size; at += block) {
            memcpy(to + at, from + at, block);
        }
        __asm__ volatile("" : : "r"(to) : "memory");
    }
    double rate = (double)(rounds * size) / (bench_now() - begin);
    free(from);
    free(to);
    return rate;
}

/* --- children --------------------------------------------------------------------- */

pid_t bench_child_begin(void)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    }
    return pid;
}

void bench_child_end(pid_t pid)
{
    int status;
    if (waitpid(pid, &status, 0) != pid || status != 0) {
        bench_die("a client failed");
    }
}

double bench_children_cpu(void)
{
    struct rusage used;
    getrusage(RUSAGE_CHILDREN, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

unsigned bench_free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) < 0) {
        bench_die("no free port: %s", strerror(errno));
    }
    close(fd);
    return ntohs(address.sin_port);
}

LoadShared *load_shared_new(void)
{
    LoadShared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        bench_die("out of memory");
    }
    return shared;
}

/* --- agents ---------------------------------------------------------------------- */

static void copy_file(const char *from, const char *to)
{
    InaError error = {0};
    char *data;
    size_t size;
    if (file_read(from, 64u << 20, &data, &size, &error) < 0 || file_write(to, data, size, 0600, &error) < 0) {
        bench_die("%s", error.message);
    }
    free(data);
}

/* The address that the agent says it listens on, from its log; empty: not yet. */
static void find_address(BenchAgent *agent)
{
    char path[4200], *text;
    size_t size;
    snprintf(path, sizeof(path), "%s/log", agent->folder);
    if (file_read(path, 1u << 20, &text, &size, NULL) < 0) {
        return;
    }
    const char *up = strstr(text, "agent is up"), *http = up ? strstr(up, "http=") : NULL;
    if (http) {
        sscanf(http, "http=%63[0-9.:]", agent->address);
    }
    free(text);
}

void bench_agent_start(BenchAgent *agent, const char *program, const char *id, const char *folder,
                       const char *const *zips, const char *const *settings)
{
    InaError error = {0};
    char bundles[4200], cache[4200], log[4200];
    *agent = (BenchAgent){0};
    snprintf(agent->id, sizeof(agent->id), "%s", id);
    snprintf(agent->folder, sizeof(agent->folder), "%s/%s", folder, id);
    snprintf(agent->token_file, sizeof(agent->token_file), "%s/%s.token", folder, id);
    snprintf(bundles, sizeof(bundles), "%s/bundles", agent->folder);
    snprintf(cache, sizeof(cache), "%s/cache", agent->folder);
    snprintf(log, sizeof(log), "%s/log", agent->folder);
    if (folder_make(bundles, 0700, &error) < 0 ||
        file_write(agent->token_file, TOKEN, strlen(TOKEN), 0600, &error) < 0) {
        bench_die("%s", error.message);
    }
    for (size_t i = 0; zips[i]; i++) {
        char to[8400];
        const char *name = strrchr(zips[i], '/');
        snprintf(to, sizeof(to), "%s/%s", bundles, name ? name + 1 : zips[i]);
        copy_file(zips[i], to);
    }
    agent->pid = fork();
    if (agent->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        dup2(fd, 2);
        for (size_t i = 0; settings && settings[i]; i++) {
            putenv((char *)settings[i]);
        }
        execl(program, program, "--id", id, "--address", "127.0.0.1", "--port", "0", "--shell-port", "-1",
              "--token-file", agent->token_file, "--bundles", bundles, "--cache", cache, (char *)NULL);
        _exit(127);
    }
    for (double end = bench_now() + 30; !*agent->address; usleep(2000)) {
        find_address(agent);
        if (bench_now() > end || waitpid(agent->pid, NULL, WNOHANG) != 0) {
            bench_die("%s did not start; its log: %s", program, log);
        }
    }
}

double bench_agent_memory(const BenchAgent *agent, const char *key)
{
    char path[64], line[256];
    double kilobytes = 0;
    snprintf(path, sizeof(path), "/proc/%d/status", agent->pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file)) {
        if (strncmp(line, key, strlen(key)) == 0) {
            kilobytes = strtod(line + strlen(key) + 1, NULL);
        }
    }
    if (file) {
        fclose(file);
    }
    return kilobytes * 1024;
}

double bench_agent_cpu(const BenchAgent *agent)
{
    clockid_t clock;
    struct timespec used = {0};
    if (clock_getcpuclockid(agent->pid, &clock) == 0) {
        clock_gettime(clock, &used);
    }
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

void bench_agent_stop(BenchAgent *agent)
{
    kill(agent->pid, SIGTERM);
    waitpid(agent->pid, NULL, 0);
}

/* --- the caller -------------------------------------------------------------------- */

void bench_host_start(BenchHost *host, const BenchAgent *agent)
{
    InaError error = {0};
    char *token;
    size_t size;
    if (file_read(agent->token_file, 4096, &token, &size, &error) < 0) {
        bench_die("%s", error.message);
    }
    token[strcspn(token, "\r\n")] = '\0';
    FrameworkOptions options = {.agent_id = "bench"};
    ConnectClientOptions connect = {.agent = "bench", .token = token};
    if (sd_event_default(&host->event) < 0 || framework_new(host->event, &options, &host->framework, &error) < 0 ||
        framework_start(host->framework, &error) < 0 ||
        connect_client_new(host->event, host->framework, &connect, &host->connect, &error) < 0) {
        bench_die("%s", error.message);
    }
    free(token);
}

InaClient *bench_host_client(BenchHost *host, const BenchAgent *agent, const InaContract *contract)
{
    InaError error = {0};
    char url[128];
    ConnectProxy *proxy;
    snprintf(url, sizeof(url), "http://%s", agent->address);
    ConnectProxyOptions options = {.contract = contract, .url = url, .security = "token", .agent = agent->id};
    if (connect_proxy_new(host->connect, &options, &proxy, &error) < 0) {
        bench_die("%s", error.message);
    }
    InaClient *client = client_new(connect_proxy_entry(proxy));
    if (!client) {
        bench_die("out of memory");
    }
    return client;
}
