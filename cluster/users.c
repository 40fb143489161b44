#include "users.h"

#include "base/cleanup.h"
#include "base/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

uid_t users_of_pod(const Instance *instance, unsigned number)
{
    const char *dot = strchr(instance->pods, '.');
    dot = dot ? strchr(dot + 1, '.') : NULL;
    unsigned node = dot ? (unsigned)strtoul(dot + 1, NULL, 10) % 256 : 0;
    return USERS_FIRST + USERS_OF_INSTANCE * instance->number + 256 * node + number % 256;
}

bool users_has(uid_t uid)
{
    return uid > USERS_FIRST && uid < USERS_FIRST + USERS_OF_INSTANCE * (INSTANCE_NUMBER_MAX + 1);
}

/* --- whether it can be ---------------------------------------------------------------- */

/* What root of a container may lack. */
static bool has_capabilities(void)
{
    static const unsigned needed[] = {CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_FOWNER,    CAP_KILL,
                                      CAP_SETGID, CAP_SETUID,       CAP_SYS_PTRACE};
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
    if (syscall(SYS_capget, &header, data) < 0)
        return false;
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (!(data[needed[i] / 32].effective & (UINT32_C(1) << needed[i] % 32)))
            return false;
    return true;
}

/* Whether the user namespace knows the numbers: user_namespaces(7). */
static bool is_mapped(const char *path)
{
    unsigned long inside, outside, length;
    const unsigned long last = USERS_FIRST + USERS_OF_INSTANCE * (INSTANCE_NUMBER_MAX + 1) - 1;
    AUTO_FILE FILE *file = fopen(path, "re");
    if (!file)
        return errno == ENOENT; /* a kernel without such namespaces */
    /* NOLINTNEXTLINE(cert-err34-c): the kernel's numbers fit */
    while (fscanf(file, "%lu %lu %lu", &inside, &outside, &length) == 3)
        if (inside <= USERS_FIRST && last - inside < length)
            return true;
    return false;
}

static bool is_member(gid_t group, gid_t gid, const gid_t *groups, size_t n_groups)
{
    for (size_t i = 0; i < n_groups; i++)
        if (groups[i] == group)
            return true;
    return group == gid;
}

/* By the modes alone. */
static bool may(const struct stat *status, unsigned rights, uid_t uid, gid_t gid, const gid_t *groups, size_t n_groups)
{
    unsigned shift = status->st_uid == uid ? 6 : is_member(status->st_gid, gid, groups, n_groups) ? 3 : 0;
    return (status->st_mode >> shift & rights) == rights;
}

/* Whether all folders that lead to `path` (absolute, without links) can be passed; the first that cannot is left in
 * `stop`. */
static bool may_reach(const char *path, char stop[PATH_MAX], uid_t uid, gid_t gid, const gid_t *groups, size_t n_groups)
{
    struct stat status;
    for (const char *slash = path; (slash = strchr(slash, '/')); slash++) {
        snprintf(stop, PATH_MAX, "%.*s", slash == path ? 1 : (int)(slash - path), path);
        if (stat(stop, &status) < 0 || !may(&status, 1, uid, gid, groups, n_groups))
            return false;
    }
    return true;
}

static bool may_read(const char *path, uid_t uid, gid_t gid, const gid_t *groups, size_t n_groups)
{
    char real[PATH_MAX], stop[PATH_MAX];
    struct stat status;
    return realpath(path, real) && may_reach(real, stop, uid, gid, groups, n_groups) && stat(real, &status) == 0 &&
           may(&status, S_ISDIR(status.st_mode) ? 5 : 4, uid, gid, groups, n_groups);
}

/* Really, since there are access control lists too: in a process that becomes this user. */
static bool can_read(const char *path, uid_t uid, gid_t gid, const gid_t *groups, size_t n_groups)
{
    int status = 1;
    pid_t pid = fork();
    if (pid == 0) {
        if (syscall(SYS_setgroups, n_groups, groups) < 0 || syscall(SYS_setresgid, gid, gid, gid) < 0 ||
            syscall(SYS_setresuid, uid, uid, uid) < 0)
            _exit(1);
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        _exit(fd < 0 || (faccessat(fd, ".", X_OK, 0) < 0 && errno == EACCES));
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

bool users_may_read(const char *path, uid_t uid, gid_t gid, const gid_t *groups, size_t n_groups)
{
    return may_read(path, uid, gid, groups, n_groups) || can_read(path, uid, gid, groups, n_groups);
}

typedef struct Reach {
    char *why;
    uid_t uid;
} Reach;

static int check_program(void *userdata, const char *folder)
{
    Reach *reach = userdata;
    const gid_t group = USERS_GROUP;
    if (users_may_read(folder, reach->uid, reach->uid, &group, 1))
        return 0;
    snprintf(reach->why, USERS_WHY_SIZE,
             "users of their own could not reach %.300s (a folder below /srv or /opt they could)", folder);
    return 1;
}

/* The way to the data: ours from `home` on, above it for everybody. */
static bool check_data(const Instance *instance, Reach *reach)
{
    char real[PATH_MAX], stop[PATH_MAX];
    InaError error = {0};
    const gid_t group = USERS_GROUP;
    if (users_let_pass(instance->home, &error) < 0 || users_let_pass(instance->data, &error) < 0) {
        snprintf(reach->why, USERS_WHY_SIZE, "%.400s", error.message);
        return false;
    }
    if (!realpath(instance->data, real) || strlen(real) + 2 > sizeof real) {
        snprintf(reach->why, USERS_WHY_SIZE, "%.400s cannot be found", instance->data);
        return false;
    }
    strcat(real, "/");
    if (may_reach(real, stop, reach->uid, reach->uid, &group, 1))
        return true;
    snprintf(reach->why, USERS_WHY_SIZE,
             "%.200s, which leads to the data, is closed to others; --data can name another", stop);
    return false;
}

bool users_check(const Instance *instance, char why[USERS_WHY_SIZE])
{
    Reach reach = {.why = why, .uid = users_of_pod(instance, 1)};
    const char *missing = geteuid() != 0        ? "it was not started as root"
                          : !has_capabilities() ? "this root may not do all that root may"
                          : !is_mapped("/proc/self/uid_map") || !is_mapped("/proc/self/gid_map")
                              ? "the user namespace has no users for them"
                              : NULL;
    if (missing) {
        snprintf(why, USERS_WHY_SIZE, "%s", missing);
        return false;
    }
    return program_folders(check_program, &reach) == 0 && check_data(instance, &reach);
}

/* --- files ------------------------------------------------------------------------------ */

int users_let_pass(const char *folder, InaError *error)
{
    AUTO_CLOSE int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0)
        return ina_error_errno(error, errno, "%s", folder);
    if (status.st_mode & 0001 || (status.st_gid == USERS_GROUP && status.st_mode & 0010))
        return 0;
    if (status.st_mode & 0070 && status.st_gid != USERS_GROUP)
        return ina_error_set(error, EPERM, "%s is open to another group and closed to pods", folder);
    if (fchown(fd, (uid_t)-1, USERS_GROUP) < 0 || fchmod(fd, (status.st_mode & 07700) | 0010) < 0)
        return ina_error_errno(error, errno, "%s", folder);
    return 0;
}

int users_set(const char *path, uid_t uid, gid_t gid, mode_t mode, InaError *error)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fchown(fd, uid, gid) < 0 || fchmod(fd, mode) < 0)
        return ina_error_errno(error, errno, "%s", path);
    return 0;
}

typedef struct Gift {
    uid_t uid;
    gid_t gid;
    UsersGroup rights;
    InaError *error;
} Gift;

static int give_folder(const Gift *gift, int fd, const char *but, unsigned depth);

static mode_t group_mode(mode_t mode, UsersGroup rights)
{
    mode_t owner = rights == USERS_GROUP_AS_IT_IS ? 0 : rights == USERS_GROUP_READS ? 0500 : 0700;
    mode_t folder = S_ISDIR(mode) && rights == USERS_GROUP_WRITES ? 02070 : 0;
    return (mode & 07777) | (mode & owner) >> 3 | folder;
}

static int give_entry(const Gift *gift, int parent, const char *name, unsigned depth)
{
    struct stat status;
    if (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : ina_error_errno(gift->error, errno, "%s", name);
    if (S_ISDIR(status.st_mode)) {
        int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int r = fd < 0 ? ina_error_errno(gift->error, errno, "%s", name) : give_folder(gift, fd, NULL, depth + 1);
        if (r < 0)
            return r;
    } else if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode) ||
               (S_ISREG(status.st_mode) && status.st_nlink > 1 && !users_has(status.st_uid) &&
                status.st_uid != gift->uid)) {
        return 0;
    }
    if ((status.st_uid != gift->uid || status.st_gid != gift->gid) &&
        fchownat(parent, name, gift->uid, gift->gid, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT)
        return ina_error_errno(gift->error, errno, "%s", name);
    mode_t mode = group_mode(status.st_mode, gift->rights);
    if (S_ISLNK(status.st_mode) || mode == (status.st_mode & 07777))
        return 0;
    AUTO_CLOSE int fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0 && fchmod(fd, mode) < 0)
        return ina_error_errno(gift->error, errno, "%s", name);
    return 0;
}

/* Takes the descriptor. */
static int give_folder(const Gift *gift, int fd, const char *but, unsigned depth)
{
    AUTO_FOLDER DIR *folder = depth < FOLDER_DEPTH_MAX ? fdopendir(fd) : NULL;
    if (!folder) {
        close(fd);
        return ina_error_set(gift->error, ELOOP, "deeper than %u folders", FOLDER_DEPTH_MAX);
    }
    int r = 0;
    for (struct dirent *entry; r == 0 && (entry = readdir(folder));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            (but && strncmp(entry->d_name, but, strlen(but)) == 0))
            continue;
        r = give_entry(gift, dirfd(folder), entry->d_name, depth);
    }
    return r;
}

int users_give(const char *folder, uid_t uid, gid_t gid, const char *but, UsersGroup rights, InaError *error)
{
    Gift gift = {.uid = uid, .gid = gid, .rights = rights, .error = error};
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    int r = fd < 0 ? ina_error_errno(error, errno, "%s", folder) : give_folder(&gift, fd, but, 0);
    return r < 0 && fd >= 0 ? ina_error_wrap(error, "%s", folder) : r;
}
