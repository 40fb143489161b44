#include "ports.h"

#include "cleanup.h"

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

/* The inode of a listening socket that keeps us from `port` of an IPv4 address. */
static bool find_inode(const char *file, size_t address_digits, const char *address, unsigned port,
                       unsigned long *ret_inode, unsigned *ret_uid)
{
    char line[512];
    AUTO_FILE FILE *stream = fopen(file, "re");
    while (stream && fgets(line, sizeof line, stream)) {
        char local[64];
        unsigned local_port, state, uid;
        unsigned long inode;
        if (sscanf(line, " %*d: %63[0-9A-F]:%X %*[0-9A-F]:%*X %X %*X:%*X %*X:%*X %*X %u %*u %lu", local, &local_port,
                   &state, &uid, &inode) != 5)
            continue;
        bool wildcard = strspn(local, "0") == address_digits;
        const char *end = local + (strlen(local) >= 8 ? strlen(local) - 8 : 0); /* of a mapped one, the IPv4 part */
        if (state == LISTENING && local_port == port && (wildcard || !address || strcmp(end, address) == 0)) {
            *ret_inode = inode;
            *ret_uid = uid;
            return true;
        }
    }
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
    unsigned long inode;
    unsigned uid;
    bool v4 = address->any.sa_family == AF_INET;
    snprintf(digits, sizeof digits, "%08X", address->v4.sin_addr.s_addr);
    if (!(v4 && find_inode("/proc/net/tcp", 8, digits, port, &inode, &uid)) &&
        !find_inode("/proc/net/tcp6", 32, v4 ? digits : NULL, port, &inode, &uid)) {
        snprintf(ret, size, "a process that cannot be seen from here");
        return;
    }
    AUTO_FOLDER DIR *folder = opendir("/proc");
    struct dirent *item;
    while (folder && (item = readdir(folder))) {
        if (!isdigit((unsigned char)item->d_name[0]) || !has_socket(item->d_name, inode))
            continue;
        char name[64];
        read_name(item->d_name, name, sizeof name);
        snprintf(ret, size, "%s (pid %.16s)", name, item->d_name);
        return;
    }
    snprintf(ret, size, "a process of user %u", uid);
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

bool port_answers(const char *address, unsigned port)
{
    Address parsed;
    if (parse_address(address, port, &parsed, NULL) < 0)
        return false;
    AUTO_CLOSE int fd = socket(parsed.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* To a local address a connection is there at once or refused, unless many others wait. */
    const struct timeval patience = {.tv_usec = 20000};
    return fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == 0 &&
           connect(fd, &parsed.any, parsed.size) == 0;
}

int port_free(const char *address, unsigned preferred, unsigned *ret, InaError *error)
{
    Address parsed;
    int r = parse_address(address, preferred, &parsed, error);
    if (r < 0)
        return r;
    AUTO_CLOSE int fd = bind_socket(&parsed);
    if (fd == -EADDRINUSE && (r = parse_address(address, 0, &parsed, error)) == 0)
        fd = bind_socket(&parsed);
    if (fd < 0)
        return ina_error_errno(error, fd, "no port of %s is free", address);
    socklen_t size = sizeof parsed.v6;
    if (getsockname(fd, &parsed.any, &size) < 0)
        return ina_error_errno(error, errno, "getsockname");
    *ret = ntohs(parsed.any.sa_family == AF_INET ? parsed.v4.sin_port : parsed.v6.sin6_port);
    return 0;
}
