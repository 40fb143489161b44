#include "confine.h"

#include "base/cleanup.h"
#include "base/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <linux/openat2.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What the headers of older kernels do not have. */
#define FS_TRUNCATE (UINT64_C(1) << 14)
#define FS_IOCTL_DEVICE (UINT64_C(1) << 15)
#define SCOPE_ABSTRACT_SOCKET (UINT64_C(1) << 0)
#define SCOPE_SIGNAL (UINT64_C(1) << 1)
#define VERSION_TRUNCATE 3
#define VERSION_IOCTL_DEVICE 5
#define VERSION_SCOPE 6

typedef struct Attributes {
    uint64_t files, network, scope;
} Attributes;

#define RIGHTS_READ (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define RIGHTS_DEVICE                                                                                                  \
    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE |        \
     FS_IOCTL_DEVICE)
#define RIGHTS_WRITE                                                                                                   \
    (RIGHTS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |    \
     LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |                        \
     LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER | FS_TRUNCATE)
#define RIGHTS_ALL (RIGHTS_WRITE | RIGHTS_DEVICE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK)
/* Those that a file which is no folder can have. */
#define RIGHTS_FILE                                                                                                    \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE |         \
     FS_IOCTL_DEVICE)

static long create(const Attributes *attributes, size_t size, unsigned flags)
{
    return syscall(SYS_landlock_create_ruleset, attributes, size, flags);
}

static int version(void)
{
    static int known = -1;
    if (known < 0) {
        long found = create(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
        known = found > 0 ? (int)found : 0;
    }
    return known;
}

static uint64_t handled(void)
{
    return (uint64_t)RIGHTS_ALL & ~(version() < VERSION_TRUNCATE ? FS_TRUNCATE : 0) &
           ~(version() < VERSION_IOCTL_DEVICE ? FS_IOCTL_DEVICE : 0);
}

const char *confine_missing(void)
{
    const char *off = getenv(CONFINE_OFF);
    if (off && strcmp(off, "off") == 0)
        return CONFINE_OFF " says so";
    if (version() == 0)
        return "the kernel has no Landlock, or it is not switched on";
    return version() < CONFINE_VERSION_MIN ? "the kernel's Landlock is older than that of Linux 5.19" : NULL;
}

int confine_new(int *ret_fd, InaError *error)
{
    Attributes attributes = {.files = handled()};
    long fd = create(&attributes, sizeof attributes.files, 0);
    if (fd < 0)
        return ina_error_errno(error, errno, "Landlock");
    *ret_fd = (int)fd;
    return 0;
}

/* --- rights ------------------------------------------------------------------------- */

static int add(int fd, int target, const char *path, uint64_t rights, InaError *error)
{
    struct stat status;
    if (fstat(target, &status) < 0)
        return ina_error_errno(error, errno, "%s", path);
    if (!S_ISDIR(status.st_mode))
        rights &= RIGHTS_FILE;
    struct landlock_path_beneath_attr rule = {.allowed_access = rights & handled(), .parent_fd = target};
    if (syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0)
        return 0;
    if (errno == EBADFD) /* a socket or the like, for which there are no rights */
        return 0;
    return ina_error_errno(error, errno, "Landlock: %s", path);
}

static uint64_t rights_of(ConfineRights rights)
{
    return rights == CONFINE_READ ? RIGHTS_READ : rights == CONFINE_WRITE ? RIGHTS_WRITE : RIGHTS_DEVICE;
}

int confine_allow(int fd, const char *path, ConfineRights rights, InaError *error)
{
    AUTO_CLOSE int target = open(path, O_PATH | O_CLOEXEC);
    return target < 0 ? ina_error_errno(error, errno, "%s", path) : add(fd, target, path, rights_of(rights), error);
}

int confine_allow_below(int fd, const char *path, const char *below, ConfineRights rights, InaError *error)
{
    AUTO_CLOSE int folder = open(path, O_PATH | O_CLOEXEC | O_DIRECTORY);
    if (folder < 0)
        return ina_error_errno(error, errno, "%s", path);
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    AUTO_CLOSE int target = (int)syscall(SYS_openat2, folder, below, &how, sizeof how);
    return target < 0 ? ina_error_errno(error, errno, "%s in %s", below, path)
                      : add(fd, target, below, rights_of(rights), error);
}

/* Whether `path` is `folder` or below it. */
static bool is_in(const char *path, const char *folder)
{
    size_t length = strlen(folder);
    while (length > 0 && folder[length - 1] == '/')
        length--;
    return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

/* All that is in `path` but what leads to `except`, of which the first name after it is *ret_next. */
static int allow_beside(int fd, const char *path, const char *except, char *ret_next, InaError *error)
{
    const char *rest = except + strlen(path);
    rest += strspn(rest, "/");
    snprintf(ret_next, NAME_MAX + 1, "%.*s", (int)strcspn(rest, "/"), rest);
    DIR *entries = opendir(path);
    int r = entries ? 0 : ina_error_errno(error, errno, "%s", path);
    unsigned count = 0;
    for (struct dirent *entry; r == 0 && (entry = readdir(entries));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || strcmp(entry->d_name, ret_next) == 0)
            continue;
        if (count++ == CONFINE_ENTRIES_MAX) {
            r = ina_error_set(error, E2BIG, "%s: has more than %u entries", path, CONFINE_ENTRIES_MAX);
            break;
        }
        AUTO_CLOSE int target = openat(dirfd(entries), entry->d_name, O_PATH | O_CLOEXEC | O_NOFOLLOW);
        struct stat status;
        /* What a link leads to is not of here; one that vanished needs nothing. */
        if (target >= 0 && fstat(target, &status) == 0 && !S_ISLNK(status.st_mode))
            r = add(fd, target, path, RIGHTS_READ, error);
    }
    if (entries)
        closedir(entries);
    return r;
}

int confine_allow_except(int fd, const char *path, const char *except, InaError *error)
{
    char next[NAME_MAX + 1];
    int r = 0;
    char *real = realpath(path, NULL);
    if (!real)
        return errno == ENOENT || errno == EACCES || errno == ENOTDIR ? 0 : ina_error_errno(error, errno, "%s", path);
    if (!is_in(except, real))
        r = is_in(real, except) ? 0 : confine_allow(fd, real, CONFINE_READ, error);
    else
        while (r == 0 && strcmp(real, except) != 0) {
            AUTO_FREE char *above = real;
            r = allow_beside(fd, above, except, next, error);
            if (!(real = path_join(above, next)))
                return ina_error_set(error, ENOMEM, "out of memory");
        }
    free(real);
    return r;
}

/* --- in the process itself ------------------------------------------------------------ */

static int restrict_to(int fd)
{
    return syscall(SYS_landlock_restrict_self, fd, 0) < 0 ? -errno : 0;
}

/* A set of its own, so that the other serves commands too. It must allow, everywhere, to rename to other folders: sets
 * deny that also where they do not speak of it. */
static int be_alone(void)
{
    Attributes attributes = {.files = LANDLOCK_ACCESS_FS_REFER, .scope = SCOPE_ABSTRACT_SOCKET | SCOPE_SIGNAL};
    AUTO_CLOSE int scope = (int)create(&attributes, sizeof attributes, 0);
    AUTO_CLOSE int root = open("/", O_PATH | O_CLOEXEC);
    struct landlock_path_beneath_attr rule = {.allowed_access = LANDLOCK_ACCESS_FS_REFER, .parent_fd = root};
    if (scope < 0 || root < 0 || syscall(SYS_landlock_add_rule, scope, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
        return -errno;
    return restrict_to(scope);
}

int confine_self(int fd, bool alone)
{
    int r = alone && version() >= VERSION_SCOPE ? be_alone() : 0;
    return r < 0 ? r : restrict_to(fd);
}
