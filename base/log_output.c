/* log_output.c - see log_output.h. */
#include "log_output.h"

#include "map.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define JOURNAL_KEY_MAX 64u

static bool stuck; /* the last line did not go: the next one does not wait */
static bool torn;  /* ... but a part of it did */
static const char *journal_path = "/run/systemd/journal/socket";

void log_output_set_journal(const char *path)
{
    journal_path = path;
}

/* --- stderr --------------------------------------------------------------------- */

/* A pipe or terminal that others write to as well can be full between poll and
 * write, and O_NONBLOCK set on stderr itself would be set for all that share
 * it. So it is opened once more, non-blocking; where that is forbidden (another
 * user's pipe), poll has to do. */
static int nonblocking(const struct stat *status)
{
    static struct {
        dev_t device;
        ino_t inode;
        bool tried;
        int fd;
    } own = {.fd = -1};

    if (own.tried && own.device == status->st_dev && own.inode == status->st_ino)
        return own.fd >= 0 ? own.fd : STDERR_FILENO;
    if (own.fd >= 0)
        close(own.fd);
    own.fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    own.device = status->st_dev;
    own.inode = status->st_ino;
    own.tried = true;
    return own.fd >= 0 ? own.fd : STDERR_FILENO;
}

static ssize_t write_stderr(const char *line, size_t size)
{
    struct stat status;

    if (fstat(STDERR_FILENO, &status) < 0)
        return -errno;
    if (S_ISREG(status.st_mode)) {
        ssize_t n = write(STDERR_FILENO, line, size);
        return n < 0 ? -errno : n;
    }
    struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
    int r = poll(&ready, 1, stuck ? 0 : LOG_WAIT_MILLISECONDS);
    if (r <= 0)
        return -EAGAIN;
    ssize_t n;
    if (S_ISSOCK(status.st_mode))
        n = send(STDERR_FILENO, line, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    else
        n = write(S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode) ? nonblocking(&status) : STDERR_FILENO, line,
                  size);
    return n < 0 ? -errno : n;
}

static bool write_line(const char *line, size_t size)
{
    char ended[LOG_LINE_MAX + 1];

    if (torn && size < sizeof(ended)) { /* the rest of the torn line is lost; this one starts anew */
        ended[0] = '\n';
        memcpy(ended + 1, line, size++);
        line = ended;
    }
    ssize_t n = write_stderr(line, size);
    stuck = n < 0 || (size_t)n < size;
    if (n > 0)
        torn = (size_t)n < size;
    return !stuck;
}

/* --- the journal ------------------------------------------------------------------ */

static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat status;
    char expected[64];

    if (!stream || fstat(STDERR_FILENO, &status) < 0)
        return false;
    snprintf(expected, sizeof(expected), "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
    return strcmp(stream, expected) == 0;
}

/* The journal's names are A-Z, 0-9 and _, and its own start with _. Ours keep
 * off those that mean something to it. */
static void journal_key(const char *key, char *ret)
{
    static const char *const taken[] = {"PRIORITY", "MESSAGE_ID", "ERRNO", "CODE_FILE", "CODE_LINE", "CODE_FUNC"};
    char name[JOURNAL_KEY_MAX + 1];
    size_t n = 0;

    for (; *key && n < JOURNAL_KEY_MAX - 8; key++) {
        char c = *key;
        if (c >= 'a' && c <= 'z')
            c = (char)(c - 'a' + 'A');
        name[n++] = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ? c : '_';
    }
    name[n] = '\0';
    bool prefix = n == 0 || name[0] == '_' || (name[0] >= '0' && name[0] <= '9') || strncmp(name, "SYSLOG_", 7) == 0 ||
                  strncmp(name, "OBJECT_", 7) == 0;
    for (size_t i = 0; i < sizeof(taken) / sizeof(*taken); i++)
        prefix = prefix || strcmp(name, taken[i]) == 0;
    snprintf(ret, JOURNAL_KEY_MAX + 1, "%s%s", prefix ? "FIELD_" : "", name);
}

/* KEY=value\n, or for a value with newlines KEY\n, its size in 64 bits
 * little-endian, value\n: systemd's JOURNAL_NATIVE_PROTOCOL. */
static void add_field(Buffer *datagram, const char *key, const char *value)
{
    char name[JOURNAL_KEY_MAX + 1];
    size_t size = strnlen(value, LOG_LINE_MAX);

    if (strcmp(key, "message") == 0)
        snprintf(name, sizeof(name), "MESSAGE");
    else
        journal_key(key, name);
    if (memchr(value, '\n', size)) {
        uint64_t little = htole64(size);
        buffer_print(datagram, "%s\n", name);
        buffer_append(datagram, &little, sizeof(little));
        buffer_append(datagram, value, size);
        buffer_append(datagram, "\n", 1);
    } else {
        buffer_print(datagram, "%s=%.*s\n", name, (int)size, value);
    }
}

/* Not sd_journal_sendv(): it blocks for as long as the journal is stuck. */
static int write_journal(InaLogLevel level, const LogField *fields, size_t n_fields)
{
    static int fd = -1;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    Buffer datagram = {0};

    if (strlen(journal_path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    strcpy(address.sun_path, journal_path);
    if (fd < 0)
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    buffer_print(&datagram, "PRIORITY=%d\nSYSLOG_IDENTIFIER=%s\n", level, program_invocation_short_name);
    for (size_t i = 0; i < n_fields; i++)
        add_field(&datagram, fields[i].key, fields[i].value);
    int r = -ENOMEM;
    if (!datagram.failed)
        r = sendto(fd, datagram.data, datagram.size, MSG_NOSIGNAL, (struct sockaddr *)&address, sizeof(address)) < 0
                ? -errno
                : 0;
    buffer_free(&datagram);
    return r;
}

bool log_output_write(InaLogLevel level, const LogField *fields, size_t n_fields, const char *line, size_t size)
{
    if (stderr_is_journal()) {
        int r = write_journal(level, fields, n_fields);
        if (r == 0 || r == -EAGAIN)
            return r == 0;
    }
    return write_line(line, size);
}
