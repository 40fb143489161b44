#include "container_log.h"

#include "base/cleanup.h"
#include "base/files.h"
#include "base/map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define TAIL_BLOCK 65536

struct LogFollower {
    LogFollower *next;
    void (*written)(void *userdata, const void *data, size_t size);
    void (*ended)(void *userdata);
    void *userdata;
};

struct ContainerLog {
    char *path; /* of the present file */
    int fd;
    size_t size, size_max;
    uint64_t lost;        /* bytes that could not be written */
    bool stamped, within; /* lines begin with their time; the last one is not complete */
    unsigned run, before; /* old files that hold the present run, and the one before */
    LogFollower *followers;
    unsigned n_followers;
};

/* Parts of a reader: files opened when it was made, so that a rotation does
 * not disturb it. */
typedef struct Part {
    int fd;
    off_t at, end;
} Part;

struct LogReader {
    Part parts[CONTAINER_LOG_OLD_MAX + 1];
    size_t count, current;
};

static void old_path(const ContainerLog *log, unsigned index, char *ret, size_t size)
{
    if (index == 0)
        snprintf(ret, size, "%s", log->path);
    else
        snprintf(ret, size, "%s.%u", log->path, index);
}

static int open_present(ContainerLog *log)
{
    log->fd = open(log->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    struct stat status;
    if (log->fd < 0 || fstat(log->fd, &status) < 0)
        return -errno;
    log->size = (size_t)status.st_size;
    return 0;
}

static void rotate(ContainerLog *log)
{
    char from[4096], to[4096];
    for (unsigned i = CONTAINER_LOG_OLD_MAX; i > 0; i--) {
        old_path(log, i - 1, from, sizeof from);
        old_path(log, i, to, sizeof to);
        rename(from, to); /* a gap is no harm */
    }
    if (log->fd >= 0)
        close(log->fd);
    open_present(log); /* if it fails, writes are counted as lost until it works */
}

static unsigned at_most_old(unsigned count)
{
    return count < CONTAINER_LOG_OLD_MAX ? count : CONTAINER_LOG_OLD_MAX;
}

int container_log_open(const char *folder, const char *name, size_t size_max, ContainerLog **ret, InaError *error)
{
    int r = folder_make(folder, 0700, error);
    if (r < 0)
        return r;
    ContainerLog *log = calloc(1, sizeof *log);
    if (!log || asprintf(&log->path, "%s/%s.log", folder, name) < 0) {
        free(log);
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    log->fd = -1;
    log->size_max = size_max ? size_max : CONTAINER_LOG_SIZE_DEFAULT;
    if ((r = open_present(log)) < 0) {
        ina_error_errno(error, r, "open %s", log->path);
        container_log_free(log);
        return r;
    }
    *ret = log;
    return 0;
}

void container_log_stamp(ContainerLog *log)
{
    log->stamped = true;
}

void container_log_begin(ContainerLog *log)
{
    log->within = false;
    log->before = 0;
    if (log->size > 0) {
        rotate(log);
        log->before = at_most_old(log->run + 1);
    }
    log->run = 0;
}

static bool write_all(ContainerLog *log, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(log->fd, data, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        data += n;
        size -= (size_t)n;
        log->size += (size_t)n;
    }
    return true;
}

static void say_lost(ContainerLog *log)
{
    char text[80];
    snprintf(text, sizeof text, "[%ju bytes of output could not be written here]\n", (uintmax_t)log->lost);
    if (write_all(log, text, strlen(text)))
        log->lost = 0;
}

static void write_out(ContainerLog *log, const void *data, size_t size);

/* With the time at the beginning of each line. */
static void write_stamped(ContainerLog *log, const char *data, size_t size)
{
    struct timespec now;
    struct tm parts;
    char seconds[32], stamp[64];
    Buffer lines = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", gmtime_r(&now.tv_sec, &parts));
    int length = snprintf(stamp, sizeof stamp, "%s.%09ldZ ", seconds, now.tv_nsec);
    while (size > 0) {
        const char *newline = memchr(data, '\n', size);
        size_t part = newline ? (size_t)(newline - data) + 1 : size;
        if (!log->within)
            buffer_append(&lines, stamp, (size_t)length);
        buffer_append(&lines, data, part);
        log->within = !newline;
        data += part;
        size -= part;
    }
    if (!lines.failed && lines.size > 0)
        write_out(log, lines.data, lines.size);
    buffer_free(&lines);
}

void container_log_write(ContainerLog *log, const void *data, size_t size)
{
    if (log->stamped)
        write_stamped(log, data, size);
    else
        write_out(log, data, size);
}

static void write_out(ContainerLog *log, const void *data, size_t size)
{
    if (log->size > 0 && log->size + size > log->size_max) {
        rotate(log);
        log->run = at_most_old(log->run + 1);
        log->before = log->run + log->before > CONTAINER_LOG_OLD_MAX ? CONTAINER_LOG_OLD_MAX - log->run : log->before;
    }
    if (log->fd < 0)
        open_present(log);
    if (log->lost > 0 && log->fd >= 0)
        say_lost(log);
    if (log->fd < 0 || !write_all(log, data, size))
        log->lost += size;
    for (LogFollower *follower = log->followers, *next; follower; follower = next) {
        next = follower->next;
        follower->written(follower->userdata, data, size);
    }
}

/* --- reading ----------------------------------------------------------------- */

static int add_part(const ContainerLog *log, LogReader *reader, unsigned index)
{
    char path[4096];
    old_path(log, index, path, sizeof path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    struct stat status;
    if (fstat(fd, &status) < 0) {
        close(fd);
        return -errno;
    }
    reader->parts[reader->count++] = (Part){.fd = fd, .end = status.st_size};
    return 0;
}

/* Moves a part's beginning to behind the newline that has `*lines` newlines
 * after it; what the part has is taken from `*lines`. Returns whether found. */
static bool seek_tail(Part *part, long *lines, bool last)
{
    char block[TAIL_BLOCK];
    for (off_t end = part->end; end > 0;) {
        size_t size = end < (off_t)sizeof block ? (size_t)end : sizeof block;
        off_t begin = end - (off_t)size;
        ssize_t n = pread(part->fd, block, size, begin);
        if (n <= 0)
            return false;
        for (ssize_t i = n; i > 0; i--) {
            bool final = last && begin + i == part->end; /* ends the last line, does not begin another */
            if (block[i - 1] == '\n' && !final && --*lines == 0) {
                part->at = begin + i;
                return true;
            }
        }
        end = begin;
    }
    return false;
}

static void apply_tail(LogReader *reader, long tail)
{
    for (size_t i = reader->count; i > 0; i--) {
        Part *part = &reader->parts[i - 1];
        if (tail == 0) {
            part->at = part->end;
        } else if (seek_tail(part, &tail, i == reader->count)) {
            reader->current = i - 1;
            return;
        }
    }
}

int container_log_reader(ContainerLog *log, bool previous, long tail, LogReader **ret, InaError *error)
{
    LogReader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return ina_error_set(error, ENOMEM, "out of memory");
    unsigned newest = previous ? log->run + 1 : 0, count = previous ? log->before : log->run + 1;
    for (unsigned i = count; i > 0; i--) {
        int r = add_part(log, reader, newest + i - 1);
        if (r < 0) {
            log_reader_free(reader);
            return ina_error_errno(error, r, "open %s", log->path);
        }
    }
    if (tail >= 0)
        apply_tail(reader, tail);
    *ret = reader;
    return 0;
}

ssize_t log_reader_read(LogReader *reader, void *data, size_t size)
{
    while (reader->current < reader->count) {
        Part *part = &reader->parts[reader->current];
        off_t left = part->end - part->at;
        ssize_t n = left > 0 ? pread(part->fd, data, left < (off_t)size ? (size_t)left : size, part->at) : 0;
        if (n < 0)
            return -errno;
        if (n > 0) {
            part->at += n;
            return n;
        }
        reader->current++;
    }
    return 0;
}

LogReader *log_reader_free(LogReader *reader)
{
    if (!reader)
        return NULL;
    for (size_t i = 0; i < reader->count; i++)
        close(reader->parts[i].fd);
    free(reader);
    return NULL;
}

/* --- following ----------------------------------------------------------------- */

LogFollower *container_log_follow(ContainerLog *log, void (*written)(void *userdata, const void *data, size_t size),
                                  void (*ended)(void *userdata), void *userdata)
{
    LogFollower *follower = log->n_followers < CONTAINER_LOG_FOLLOWERS_MAX ? calloc(1, sizeof *follower) : NULL;
    if (!follower)
        return NULL;
    *follower = (LogFollower){.next = log->followers, .written = written, .ended = ended, .userdata = userdata};
    log->followers = follower;
    log->n_followers++;
    return follower;
}

void container_log_unfollow(ContainerLog *log, LogFollower *follower)
{
    for (LogFollower **link = &log->followers; *link; link = &(*link)->next) {
        if (*link == follower) {
            *link = follower->next;
            log->n_followers--;
            free(follower);
            return;
        }
    }
}

ContainerLog *container_log_free(ContainerLog *log)
{
    if (!log)
        return NULL;
    while (log->followers) {
        LogFollower *follower = log->followers;
        log->followers = follower->next;
        follower->ended(follower->userdata);
        free(follower);
    }
    if (log->fd >= 0)
        close(log->fd);
    free(log->path);
    free(log);
    return NULL;
}
