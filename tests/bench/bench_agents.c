/* bench_agents.c - many agents that poll a provisioning server for their
 * versions. Not a test: ./bench provisioning runs it.
 *
 *   bench_agents ADDRESS:PORT AGENTS INTERVAL-MS SECONDS PID [keep]
 *
 * Each agent polls every interval, at its own moment within it, over a new
 * connection for each poll as Celix' agent does (libcurl's easy interface), or
 * with `keep` over one that it keeps. The time of a poll is from the connect to
 * the last byte of the answer. One thread and one epoll; PID is the server's,
 * whose CPU time is read. Source addresses 127.9.0.1 and on, so that ports do
 * not run out. Prints one JSON object. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SOURCES 32u
#define POLLS_MAX 4000000u
#define EVENTS 512
#define ANSWER_MAX 4096u
#define PATIENCE 10.0 /* s that a poll may take */

typedef struct Agent {
    int fd; /* -1: none */
    bool waiting;
    double due, begun;
    size_t n;
    char answer[ANSWER_MAX];
} Agent;

typedef struct Load {
    struct sockaddr_in server;
    char host[64];
    int epoll;
    bool keep;
    double interval;
    Agent *agents;
    unsigned n_agents;
    float *times; /* ms */
    size_t n_times, failed, busy, late;
} Load;

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

static void finish(Agent *agent)
{
    if (agent->fd >= 0)
        close(agent->fd);
    agent->fd = -1;
    agent->waiting = false;
}

static void send_poll(Load *load, unsigned index)
{
    Agent *agent = &load->agents[index];
    char text[256];
    int n = snprintf(text, sizeof text, "GET /deployment/bench-%u/versions HTTP/1.1\r\nHost: %s\r\nAccept: */*\r\n\r\n",
                     index, load->host);

    agent->n = 0;
    agent->waiting = true;
    if (send(agent->fd, text, (size_t)n, MSG_NOSIGNAL) != n) {
        load->failed++;
        finish(agent);
    }
}

static void watch(Load *load, unsigned index, uint32_t events, int operation)
{
    struct epoll_event event = {.events = events, .data.u32 = index};

    if (epoll_ctl(load->epoll, operation, load->agents[index].fd, &event) < 0)
        die("epoll_ctl");
}

static void connect_agent(Load *load, unsigned index)
{
    Agent *agent = &load->agents[index];
    struct sockaddr_in source = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f090001u + index % SOURCES)};
    int yes = 1;

    agent->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (agent->fd < 0)
        die("socket");
    setsockopt(agent->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
    setsockopt(agent->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (bind(agent->fd, (struct sockaddr *)&source, sizeof source) < 0)
        die("bind");
    if (connect(agent->fd, (struct sockaddr *)&load->server, sizeof load->server) < 0 && errno != EINPROGRESS) {
        load->failed++;
        finish(agent);
        return;
    }
    agent->waiting = true;
    agent->n = 0;
    watch(load, index, EPOLLOUT, EPOLL_CTL_ADD);
}

static void begin_poll(Load *load, unsigned index, double time)
{
    Agent *agent = &load->agents[index];

    if (agent->waiting) {
        if (time - agent->begun < PATIENCE) {
            load->late++;
            return;
        }
        load->failed++;
        finish(agent);
    }
    agent->begun = time;
    if (agent->fd >= 0)
        send_poll(load, index);
    else
        connect_agent(load, index);
}

static bool whole(const Agent *agent)
{
    const char *end = memmem(agent->answer, agent->n, "\r\n\r\n", 4);
    const char *length = end ? strcasestr(agent->answer, "\r\nContent-Length:") : NULL;

    return length && length < end && agent->n >= (size_t)(end - agent->answer) + 4 + strtoul(length + 17, NULL, 10);
}

static void read_answer(Load *load, unsigned index)
{
    Agent *agent = &load->agents[index];
    ssize_t n = recv(agent->fd, agent->answer + agent->n, ANSWER_MAX - 1 - agent->n, 0);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        if (agent->waiting)
            load->failed++;
        finish(agent);
        return;
    }
    agent->n += (size_t)n;
    agent->answer[agent->n] = '\0';
    if (!whole(agent))
        return;
    if (strncmp(agent->answer, "HTTP/1.1 200", 12) == 0 && load->n_times < POLLS_MAX)
        load->times[load->n_times++] = (float)((now() - agent->begun) * 1e3);
    else if (strncmp(agent->answer, "HTTP/1.1 503", 12) == 0)
        load->busy++;
    else
        load->failed++;
    agent->waiting = false;
    if (!load->keep)
        finish(agent);
}

static void take_event(Load *load, const struct epoll_event *event)
{
    unsigned index = event->data.u32;

    if (load->agents[index].fd < 0)
        return;
    if (event->events & EPOLLOUT) {
        watch(load, index, EPOLLIN, EPOLL_CTL_MOD);
        send_poll(load, index);
    } else {
        read_answer(load, index);
    }
}

/* In the order of their moments, round and round. */
static void run(Load *load, double seconds)
{
    struct epoll_event events[EVENTS];
    double begin = now(), time = begin;
    unsigned next = 0;

    for (unsigned i = 0; i < load->n_agents; i++)
        load->agents[i].due = begin + load->interval * i / load->n_agents;
    while (time < begin + seconds) {
        while (load->agents[next].due <= time) {
            begin_poll(load, next, time);
            load->agents[next].due += load->interval;
            next = (next + 1) % load->n_agents;
        }
        double wait = (load->agents[next].due - now()) * 1e3;
        int n = epoll_wait(load->epoll, events, EVENTS, wait < 0 ? 0 : wait > 100 ? 100 : (int)wait);
        for (int i = 0; i < n; i++)
            take_event(load, &events[i]);
        time = now();
    }
}

static int compare(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

/* utime + stime of /proc/PID/stat, s. */
static double cpu_of(const char *pid)
{
    char path[64], text[1024];
    unsigned long user = 0, system = 0;

    (void)snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    FILE *file = fopen(path, "re");
    size_t n = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file)
        fclose(file);
    text[n] = '\0';
    /* The 14th and 15th field; the second may have blanks in it. */
    char *at = strrchr(text, ')');
    for (unsigned field = 2; at && field < 14; field++)
        at = strchr(at + 1, ' ');
    if (!at)
        die(path);
    user = strtoul(at, &at, 10);
    system = strtoul(at, NULL, 10);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static void open_load(Load *load, const char *address, const char *agents, const char *interval)
{
    char ip[64];
    const char *colon = strrchr(address, ':');
    struct rlimit limit;

    (void)snprintf(ip, sizeof ip, "%.*s", colon ? (int)(colon - address) : 0, address);
    load->server = (struct sockaddr_in){.sin_family = AF_INET};
    load->server.sin_port = htons(colon ? (uint16_t)strtoul(colon + 1, NULL, 10) : 0);
    if (inet_pton(AF_INET, ip, &load->server.sin_addr) != 1)
        die(address);
    (void)snprintf(load->host, sizeof load->host, "%.60s", address);
    load->n_agents = (unsigned)strtoul(agents, NULL, 10);
    load->interval = strtod(interval, NULL) / 1e3;
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    load->agents = calloc(load->n_agents, sizeof *load->agents);
    load->times = calloc(POLLS_MAX, sizeof *load->times);
    if (load->epoll < 0 || load->n_agents == 0 || !load->agents || !load->times)
        die("bench_agents");
    for (unsigned i = 0; i < load->n_agents; i++)
        load->agents[i].fd = -1;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static double percentile(const Load *load, double percent)
{
    if (load->n_times == 0)
        return 0;
    return (double)load->times[(size_t)((double)(load->n_times - 1) * percent / 100)];
}

int main(int argc, char **argv)
{
    Load load = {0};

    if (argc < 6) {
        fprintf(stderr, "usage: bench_agents ADDRESS:PORT AGENTS INTERVAL-MS SECONDS PID [keep]\n");
        return 2;
    }
    double seconds = strtod(argv[4], NULL);
    open_load(&load, argv[1], argv[2], argv[3]);
    load.keep = argc > 6 && strcmp(argv[6], "keep") == 0;
    run(&load, load.interval); /* the first round makes the targets known */
    load.n_times = load.failed = load.busy = load.late = 0;
    double cpu = cpu_of(argv[5]), begun = now();
    run(&load, seconds);
    double took = now() - begun;
    cpu = cpu_of(argv[5]) - cpu;
    qsort(load.times, load.n_times, sizeof *load.times, compare);
    printf("{\"agents\": %u, \"polls\": %.0f, \"p50\": %.3f, \"p99\": %.3f, \"most\": %.3f, \"cpu\": %.4f, "
           "\"failed\": %zu, \"busy\": %zu, \"late\": %zu}\n",
           load.n_agents, (double)load.n_times / took, percentile(&load, 50), percentile(&load, 99),
           percentile(&load, 100), cpu / took, load.failed, load.busy, load.late);
    for (unsigned i = 0; i < load.n_agents; i++)
        finish(&load.agents[i]);
    close(load.epoll);
    free(load.agents);
    free(load.times);
    return load.failed > 0;
}
