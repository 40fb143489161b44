/* host.c - a producer that measures this machine: value1 is the share of time
 * that its processors were busy in the last second, value2 the share of its
 * memory in use, both in percent. Source: /proc/stat and /proc/meminfo (proc(5)). */
#include "producer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_INTERVAL (INA_SECOND / 10) /* the kernel counts in hundredths of a second */
#define WINDOW 10u                      /* readings over which the share is taken */

typedef struct Reading {
    uint64_t busy, total;
} Reading;

typedef struct HostProducer {
    Producer producer;
    int stat, meminfo;
    uint64_t read_at;
    Reading readings[WINDOW];
    size_t n_readings, next;
    double cpu, memory;
} HostProducer;

static size_t read_text(int fd, char *text, size_t size)
{
    ssize_t n = pread(fd, text, size - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

static void read_cpu(HostProducer *host)
{
    char text[512];
    unsigned long long user, nice, system, idle, iowait, irq, softirq, steal;
    if (!read_text(host->stat, text, sizeof(text)) ||
        sscanf(text, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &iowait, &irq, &softirq,
               &steal) != 8) {
        return;
    }
    uint64_t busy = user + nice + system + irq + softirq + steal;
    Reading now = {busy, busy + idle + iowait};
    Reading *oldest = host->n_readings < WINDOW ? &host->readings[0] : &host->readings[host->next];
    if (host->n_readings > 0 && now.total > oldest->total && now.busy >= oldest->busy) {
        host->cpu = 100.0 * (double)(now.busy - oldest->busy) / (double)(now.total - oldest->total);
    }
    host->readings[host->next] = now;
    host->next = (host->next + 1) % WINDOW;
    host->n_readings += host->n_readings < WINDOW;
}

static void read_memory(HostProducer *host)
{
    char text[512];
    if (!read_text(host->meminfo, text, sizeof(text))) {
        return;
    }
    const char *total_line = strstr(text, "MemTotal:"), *available_line = strstr(text, "MemAvailable:");
    unsigned long long total, available;
    if (total_line && available_line && sscanf(total_line, "MemTotal: %llu", &total) == 1 &&
        sscanf(available_line, "MemAvailable: %llu", &available) == 1 && total > 0 && available <= total) {
        host->memory = 100.0 * (double)(total - available) / (double)total;
    }
}

static size_t make(void *self, size_t due, int64_t *time_us, double *value1, double *value2)
{
    HostProducer *host = self;
    uint64_t now = ina_now();
    if (now - host->read_at >= READ_INTERVAL) {
        host->read_at = now;
        read_cpu(host);
        read_memory(host);
    }
    int64_t time = ina_wall_clock_us();
    for (size_t i = 0; i < due; i++) {
        time_us[i] = time;
        value1[i] = host->cpu;
        value2[i] = host->memory;
    }
    return due;
}

static int open_file(const char *path, int *ret, InaError *error)
{
    *ret = open(path, O_RDONLY | O_CLOEXEC);
    return *ret < 0 ? ina_error_errno(error, errno, "%s", path) : 0;
}

static int start(void *self, InaComponent *component, InaError *error)
{
    HostProducer *host = self;
    host->stat = host->meminfo = -1;
    int r = open_file("/proc/stat", &host->stat, error);
    if (r == 0) {
        r = open_file("/proc/meminfo", &host->meminfo, error);
    }
    return r == 0 ? producer_start(&host->producer, component, "host", make, error) : r;
}

static void stop(void *self)
{
    HostProducer *host = self;
    producer_stop(&host->producer);
    if (host->stat >= 0) {
        close(host->stat);
    }
    if (host->meminfo >= 0) {
        close(host->meminfo);
    }
}

static const InaProvided provides[] = {PRODUCER_PROVIDES};
static const InaRequired requires[] = {PRODUCER_REQUIRES};
static const InaConfig config[] = {PRODUCER_CONFIG};

static const InaComponentClass components[] = {{
    .name = "producer",
    .size = sizeof(HostProducer),
    .provides = provides,
    .n_provides = INA_COUNT(provides),
    .requires = requires,
    .n_requires = INA_COUNT(requires),
    .config = config,
    .n_config = INA_COUNT(config),
    .start = start,
    .stop = stop,
}};

INA_BUNDLE(components);
