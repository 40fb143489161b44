#include "ports.h"

#include "base/cleanup.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define LISTENING 0x0A /* TCP_LISTEN as /proc/net/tcp prints it */

typedef struct Address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    };
    socklen_t size;
} Address;

static int parse_address(const char *text, unsigned port, Address *ret, InaError *error)
{
    *ret = (Address){0};
    if (inet_pton(AF_INET, text, &ret->v4.sin_addr) == 1) {
        ret->v4.sin_family = AF_INET;
        ret->v4.sin_port = htons((uint16_t)port);
        ret->size = sizeof ret->v4;
        return 0;
    }
    if (inet_pton(AF_INET6, text, &ret->v6.sin6_addr) == 1) {
        ret->v6.sin6_family = AF_INET6;
        ret->v6.sin6_port = htons((uint16_t)port);
        ret->size = sizeof ret->v6;
        return 0;
    }
    return ina_error_set(error, EINVAL, "\"%s\" is no IP address", text);
}

/* --- who listens: /proc/net/tcp names an inode, /proc/PID/fd links to it -------------- */

typedef struct Listener {
    unsigned long inode, uid;
} Listener;

/* "  sl  local:port remote:port st tx:rx tr:when retrnsmt uid timeout inode ..." */
#define COLUMNS_MAX 10

/* Whether the line is of a socket that keeps us from `port` of `digits` (an
 * IPv4 address as it is printed there; NULL: any). */
static bool parse_line(char *line, size_t address_digits, const char *digits, unsigned port, Listener *ret)
{
    char *columns[COLUMNS_MAX], *position = NULL;
    size_t count = 0;
    for (char *word = strtok_r(line, " \t\n", &position); word && count < COLUMNS_MAX;
         word = strtok_r(NULL, " \t\n", &position))
        columns[count++] = word;
    char *colon = count == COLUMNS_MAX ? strchr(columns[1], ':') : NULL;
    if (!colon || strtoul(columns[3], NULL, 16) != LISTENING || strtoul(colon + 1, NULL, 16) != port)
        return false;
    *colon = '\0';
    size_t length = strlen(columns[1]);
    bool wildcard = strspn(columns[1], "0") == address_digits;
    const char *end = columns[1] + (length >= 8 ? length - 8 : 0); /* of a mapped one, the IPv4 part */
    if (!wildcard && digits && strcmp(end, digits) != 0)
        return false;
    *ret = (Listener){.uid = strtoul(columns[7], NULL, 10), .inode = strtoul(columns[9], NULL, 10)};
    return true;
}

static bool find_listener(const char *path, size_t address_digits, const char *digits, unsigned port, Listener *ret)
{
    char line[512];
    AUTO_FILE FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        if (parse_line(line, address_digits, digits, port, ret))
            return true;
    return false;
}

static bool has_socket(const char *pid, unsigned long inode)
{
    char path[512], wanted[64], link[64];
    snprintf(path, sizeof path, "/proc/%s/fd", pid);
    snprintf(wanted, sizeof wanted, "socket:[%lu]", inode);
    AUTO_FOLDER DIR *folder = opendir(path);
    struct dirent *item;
    while (folder && (item = readdir(folder))) {
        ssize_t length = readlinkat(dirfd(folder), item->d_name, link, sizeof link - 1);
        if (length <= 0)
            continue;
        link[length] = '\0';
        if (strcmp(link, wanted) == 0)
            return true;
    }
    return false;
}

static void read_name(const char *pid, char *ret, size_t size)
{
    char path[512];
    snprintf(path, sizeof path, "/proc/%s/comm", pid);
    AUTO_FILE FILE *file = fopen(path, "re");
    if (!file || !fgets(ret, (int)size, file))
        snprintf(ret, size, "?");
    ret[strcspn(ret, "\n")] = '\0';
}

static void describe_owner(const Address *address, unsigned port, char *ret, size_t size)
{
    char digits[9];
    Listener listener;
    bool v4 = address->any.sa_family == AF_INET;
    snprintf(digits, sizeof digits, "%08X", address->v4.sin_addr.s_addr);
    if (!(v4 && find_listener("/proc/net/tcp", 8, digits, port, &listener)) &&
        !find_listener("/proc/net/tcp6", 32, v4 ? digits : NULL, port, &listener)) {
        snprintf(ret, size, "a process that cannot be seen from here");
        return;
    }
    AUTO_FOLDER DIR *folder = opendir("/proc");
    struct dirent *item;
    while (folder && (item = readdir(folder))) {
        if (!isdigit((unsigned char)item->d_name[0]) || !has_socket(item->d_name, listener.inode))
            continue;
        char name[64];
        read_name(item->d_name, name, sizeof name);
        snprintf(ret, size, "%s (pid %.16s)", name, item->d_name);
        return;
    }
    snprintf(ret, size, "a process of user %lu", listener.uid);
}

/* --- trying ----------------------------------------------------------------------------- */

/* A bound socket, or -errno. */
static int bind_socket(const Address *address)
{
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    if (fd < 0)
        return -errno;
    /* As servers do: an old connection that still closes is no hindrance. */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, &address->any, address->size) < 0 || listen(fd, 1) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    return fd;
}

int port_check(const char *address, unsigned port, InaError *error)
{
    Address parsed;
    int r = parse_address(address, port, &parsed, error);
    if (r < 0)
        return r;
    AUTO_CLOSE int fd = bind_socket(&parsed);
    if (fd == -EADDRINUSE) {
        char owner[128];
        describe_owner(&parsed, port, owner, sizeof owner);
        return ina_error_set(error, EADDRINUSE, "port %u of %s is taken by %s", port, address, owner);
    }
    return fd < 0 ? ina_error_errno(error, fd, "port %u of %s", port, address) : 0;
}

int port_free(const char *address, unsigned preferred, unsigned *ret, InaError *error)
{
    Address parsed;
    int r = parse_address(address, preferred, &parsed, error);
    if (r < 0)
        return r;
    AUTO_CLOSE int fd = bind_socket(&parsed);
    if (fd == -EADDRINUSE && parse_address(address, 0, &parsed, error) == 0)
        fd = bind_socket(&parsed);
    if (fd < 0)
        return ina_error_errno(error, fd, "no port of %s is free", address);
    socklen_t size = sizeof parsed.v6;
    if (getsockname(fd, &parsed.any, &size) < 0)
        return ina_error_errno(error, errno, "getsockname");
    *ret = ntohs(parsed.any.sa_family == AF_INET ? parsed.v4.sin_port : parsed.v6.sin6_port);
    return 0;
}
