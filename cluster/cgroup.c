#include "cgroup.h"

#include "base/cleanup.h"
#include "base/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (64u * 1024u)
#define PERIOD_US 100000
#define MAIN_NAME "inaetics-main" /* the group that cgroups_prepare moves us to */
#define REMOVE_ROUNDS 50u         /* of killing and trying, a millisecond each */
#define STALE_MAX 32u             /* groups that would not go at once */

struct Cgroups {
    CgroupPlace place;
    char *prefix;
    char *stale[STALE_MAX];
    size_t n_stale;
};

struct Cgroup {
    Cgroups *groups;
    char *memory, *cpu; /* folders; NULL: not limited so */
    bool memory_v2;
    int entrances[2];
    size_t n_entrances;
};

/* --- small files --------------------------------------------------------------------------- */

/* malloc'ed; NULL: cannot be read. */
static char *read_text(const char *folder, const char *name)
{
    AUTO_FREE char *path = path_join(folder, name);
    char *text = NULL;
    return path && file_read(path, FILE_MAX, &text, NULL, NULL) == 0 ? text : NULL;
}

static int write_text(const char *folder, const char *name, const char *text)
{
    AUTO_FREE char *path = path_join(folder, name);
    AUTO_CLOSE int fd = path ? open(path, O_WRONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return path ? -errno : -ENOMEM;
    return write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -errno;
}

/* Whether a list, whose items are divided by any of `dividers`, has the item. */
static bool has_item(const char *list, const char *item, const char *dividers)
{
    size_t length = strlen(item);
    for (const char *at = list; at && *at;) {
        at += strspn(at, dividers);
        size_t part = strcspn(at, dividers);
        if (part == length && strncmp(at, item, length) == 0)
            return true;
        at += part;
    }
    return false;
}

/* --- where ----------------------------------------------------------------------------------- */

/* The next line of a text, of which *rest is left; NULL: none. */
static char *next_line(char **rest)
{
    return *rest && **rest ? strsep(rest, "\n") : NULL;
}

/* Our path in the hierarchy of a controller (NULL: version 2), from /proc/PID/cgroup. */
static bool find_path(const char *proc, const char *controller, char *ret, size_t size)
{
    AUTO_FREE char *text = read_text(proc, "cgroup");
    char *rest = text, *line;
    while ((line = next_line(&rest))) {
        char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = '\0';
        if (controller ? has_item(list + 1, controller, ",") : strncmp(line, "0:", 2) == 0 && list[1] == '\0')
            return (size_t)snprintf(ret, size, "%s", path) < size;
    }
    return false;
}

typedef struct Mount {
    char root[CGROUP_PATH_MAX], point[CGROUP_PATH_MAX];
} Mount;

/* Where that hierarchy is mounted, from /proc/PID/mountinfo (proc(5)). */
static bool find_mount(const char *proc, const char *controller, Mount *ret)
{
    AUTO_FREE char *text = read_text(proc, "mountinfo");
    char *rest = text, *line;
    while ((line = next_line(&rest))) {
        char type[32], options[512], *after = strstr(line, " - ");
        if (!after || sscanf(after, " - %31s %*s %511s", type, options) != 2 ||
            sscanf(line, "%*s %*s %*s %4095s %4095s", ret->root, ret->point) != 2)
            continue;
        if (controller ? strcmp(type, "cgroup") == 0 && has_item(options, controller, ",")
                       : strcmp(type, "cgroup2") == 0)
            return true;
    }
    return false;
}

/* The folder of the group that we are in; and that of the hierarchy. */
static bool find_folder(const char *proc, const char *controller, char ret[CGROUP_PATH_MAX], char top[CGROUP_PATH_MAX])
{
    char path[CGROUP_PATH_MAX];
    Mount mount;
    if (!find_path(proc, controller, path, sizeof path) || !find_mount(proc, controller, &mount))
        return false;
    size_t root = strcmp(mount.root, "/") == 0 ? 0 : strlen(mount.root);
    const char *below = strncmp(path, mount.root, root) == 0 ? path + root : "";
    if (strcmp(below, "/") == 0 || strstr(below, ".."))
        below = "";
    snprintf(top, CGROUP_PATH_MAX, "%s", mount.point);
    return (size_t)snprintf(ret, CGROUP_PATH_MAX, "%s%s", mount.point, below) < CGROUP_PATH_MAX &&
           access(ret, F_OK) == 0;
}

static bool can_make(const char *folder)
{
    AUTO_FREE char *probe = NULL;
    if (asprintf(&probe, "%s/inaetics-probe-%d", folder, getpid()) < 0)
        probe = NULL;
    if (!probe || mkdir(probe, 0755) < 0)
        return false;
    rmdir(probe);
    return true;
}

/* Version 2: whether groups in this folder can be limited. */
static bool can_limit(const char *folder)
{
    AUTO_FREE char *before = read_text(folder, "cgroup.subtree_control");
    if (!before)
        return false;
    if (!has_item(before, "memory", " \n") || !has_item(before, "cpu", " \n")) {
        write_text(folder, "cgroup.subtree_control", "+memory +cpu");
        AUTO_FREE char *after = read_text(folder, "cgroup.subtree_control");
        if (!after || !has_item(after, "memory", " \n") || !has_item(after, "cpu", " \n"))
            return false;
    }
    return can_make(folder);
}

static bool find_unified(const char *proc, CgroupPlace *ret, char why[CGROUP_WHY_SIZE])
{
    char own[CGROUP_PATH_MAX], top[CGROUP_PATH_MAX];
    if (!find_folder(proc, NULL, own, top)) {
        snprintf(why, CGROUP_WHY_SIZE, "there are no control groups");
        return false;
    }
    char *slash = strrchr(own, '/');
    if (slash && strcmp(slash, "/" MAIN_NAME) == 0)
        *slash = '\0';
    AUTO_FREE char *controllers = read_text(own, "cgroup.controllers");
    const char *place = can_limit(own) ? own : geteuid() == 0 && can_limit(top) ? top : NULL;
    if (place) {
        snprintf(ret->memory, sizeof ret->memory, "%s", place);
        snprintf(ret->cpu, sizeof ret->cpu, "%s", place);
        ret->memory_v2 = ret->cpu_v2 = true;
        return true;
    }
    bool given = controllers && has_item(controllers, "memory", " \n") && has_item(controllers, "cpu", " \n");
    snprintf(why, CGROUP_WHY_SIZE, "the control group %.300s %s", own,
             given ? "is not ours to divide" : "has no controllers for memory and processors");
    return false;
}

bool cgroups_find(const char *proc, CgroupPlace *ret, char why[CGROUP_WHY_SIZE])
{
    char top[CGROUP_PATH_MAX];
    const char *off = getenv(CGROUP_OFF);
    *ret = (CgroupPlace){0};
    if (off && strcmp(off, "off") == 0) {
        snprintf(why, CGROUP_WHY_SIZE, CGROUP_OFF " says so");
        return false;
    }
    if (!find_folder(proc, "memory", ret->memory, top) || !find_folder(proc, "cpu", ret->cpu, top))
        return find_unified(proc, ret, why);
    if (can_make(ret->memory) && can_make(ret->cpu))
        return true;
    snprintf(why, CGROUP_WHY_SIZE, "the control group %.300s is not ours to divide", ret->memory);
    return false;
}

/* Whether we are the only process in it. */
static bool is_alone(const char *folder)
{
    AUTO_FREE char *text = read_text(folder, "cgroup.procs");
    char *end;
    if (!text)
        return false;
    long pid = strtol(text, &end, 10);
    return pid == getpid() && (*end == '\0' || strcmp(end, "\n") == 0);
}

void cgroups_prepare(const char *proc)
{
    char own[CGROUP_PATH_MAX], top[CGROUP_PATH_MAX], pid[16];
    if (find_folder(proc, "memory", own, top) || !find_folder(proc, NULL, own, top) || !is_alone(own) || can_limit(own))
        return;
    AUTO_FREE char *folder = path_join(own, MAIN_NAME);
    snprintf(pid, sizeof pid, "%d", getpid());
    if (folder && (mkdir(folder, 0755) == 0 || errno == EEXIST))
        write_text(folder, "cgroup.procs", pid);
}

/* --- removing ---------------------------------------------------------------------------------- */

static void kill_all(const char *folder)
{
    if (write_text(folder, "cgroup.kill", "1") == 0) /* version 2, Linux 5.14 */
        return;
    AUTO_FREE char *text = read_text(folder, "cgroup.procs");
    for (char *at = text, *end; at && *at; at = end + (*end == '\n')) {
        long pid = strtol(at, &end, 10);
        if (end == at)
            break;
        if (pid > 1 && pid != getpid())
            kill((pid_t)pid, SIGKILL);
    }
}

/* What was killed leaves it a little later. */
static bool remove_group(const char *folder)
{
    for (unsigned i = 0; i < REMOVE_ROUNDS; i++) {
        if (rmdir(folder) == 0 || errno == ENOENT)
            return true;
        if (errno != EBUSY)
            return false;
        kill_all(folder);
        usleep(1000);
    }
    return false;
}

static void remove_all(const char *folder, const char *prefix)
{
    AUTO_FOLDER DIR *entries = opendir(folder);
    struct dirent *entry;
    while (entries && (entry = readdir(entries))) {
        AUTO_FREE char *path =
            strncmp(entry->d_name, prefix, strlen(prefix)) == 0 ? path_join(folder, entry->d_name) : NULL;
        if (path)
            remove_group(path);
    }
}

/* The record: a folder a line. What it says is ours: nobody else can write it. */
void cgroups_clear(const char *prefix, const char *record)
{
    char *text = NULL;
    if (file_read(record, FILE_MAX, &text, NULL, NULL) < 0)
        return;
    char *rest = text, *line;
    while ((line = next_line(&rest)))
        if (line[0] == '/')
            remove_all(line, prefix);
    free(text);
}

/* --- groups ------------------------------------------------------------------------------------ */

/* With the data folder (FNV-1a), so that nobody takes those of another instance of the same number for his own. */
char *cgroups_prefix(const Instance *instance, const char *node)
{
    char *prefix;
    uint32_t hash = UINT32_C(2166136261);
    for (const char *c = instance->data; *c; c++)
        hash = (hash ^ (unsigned char)*c) * UINT32_C(16777619);
    return asprintf(&prefix, "inaetics-%08x-%s.", hash, node) < 0 ? NULL : prefix;
}

Cgroups *cgroups_new(const char *prefix, const char *record, char why[CGROUP_WHY_SIZE])
{
    Cgroups *groups = calloc(1, sizeof *groups);
    InaError error = {0};
    cgroups_clear(prefix, record);
    if (!groups || !(groups->prefix = strdup(prefix))) {
        snprintf(why, CGROUP_WHY_SIZE, "out of memory");
        return cgroups_free(groups);
    }
    if (!cgroups_find("/proc/self", &groups->place, why))
        return cgroups_free(groups);
    remove_all(groups->place.memory, prefix);
    remove_all(groups->place.cpu, prefix);
    AUTO_FREE char *text = NULL;
    if (asprintf(&text, "%s\n%s\n", groups->place.memory, groups->place.cpu) < 0)
        text = NULL;
    if (!text || file_write(record, text, strlen(text), 0600, &error) < 0) {
        snprintf(why, CGROUP_WHY_SIZE, "%.400s", error.message);
        return cgroups_free(groups);
    }
    return groups;
}

static void remove_stale(Cgroups *groups)
{
    for (size_t i = groups->n_stale; i > 0; i--) {
        char *folder = groups->stale[i - 1];
        if (rmdir(folder) < 0 && errno != ENOENT)
            continue;
        free(folder);
        groups->stale[i - 1] = groups->stale[--groups->n_stale];
    }
}

Cgroups *cgroups_free(Cgroups *groups)
{
    if (!groups)
        return NULL;
    remove_stale(groups);
    while (groups->n_stale > 0)
        free(groups->stale[--groups->n_stale]);
    free(groups->prefix);
    free(groups);
    return NULL;
}

static int make(const Cgroups *groups, const char *place, const char *name, char **ret, InaError *error)
{
    AUTO_FREE char *folder = NULL;
    if (asprintf(&folder, "%s/%s%s", place, groups->prefix, name) < 0) {
        folder = NULL;
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    if (mkdir(folder, 0755) < 0 && errno != EEXIST)
        return ina_error_errno(error, errno, "control group %s", folder);
    *ret = TAKE_PTR(folder);
    return 0;
}

static int limit(const char *folder, const char *name, InaError *error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static int limit(const char *folder, const char *name, InaError *error, const char *format, ...)
{
    char text[64];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    int r = write_text(folder, name, text);
    return r < 0 ? ina_error_errno(error, r, "%s of the control group %s", name, folder) : 0;
}

/* No swap: what is above the limit is not to become slow, but to end. Not every kernel counts it. */
static int limit_memory(Cgroup *group, int64_t bytes, InaError *error)
{
    int r;
    if (!group->memory_v2) {
        r = limit(group->memory, "memory.limit_in_bytes", error, "%jd", (intmax_t)bytes);
        (void)limit(group->memory, "memory.memsw.limit_in_bytes", NULL, "%jd", (intmax_t)bytes);
        return r;
    }
    r = limit(group->memory, "memory.max", error, "%jd", (intmax_t)bytes);
    (void)limit(group->memory, "memory.swap.max", NULL, "0");
    (void)limit(group->memory, "memory.oom.group", NULL, "1"); /* all or none */
    return r;
}

static int limit_cpu(const Cgroup *group, bool v2, int64_t milli, InaError *error)
{
    int64_t quota = (milli < CGROUP_CPU_MILLI_MIN ? CGROUP_CPU_MILLI_MIN : milli) * (PERIOD_US / 1000);
    if (v2)
        return limit(group->cpu, "cpu.max", error, "%jd %d", (intmax_t)quota, PERIOD_US);
    int r = limit(group->cpu, "cpu.cfs_period_us", error, "%d", PERIOD_US);
    return r < 0 ? r : limit(group->cpu, "cpu.cfs_quota_us", error, "%jd", (intmax_t)quota);
}

static int open_entrance(Cgroup *group, const char *folder, InaError *error)
{
    AUTO_FREE char *path = path_join(folder, "cgroup.procs");
    int fd = path ? open(path, O_WRONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return ina_error_errno(error, path ? errno : ENOMEM, "control group %s", folder);
    group->entrances[group->n_entrances++] = fd;
    return 0;
}

static int fill(Cgroup *group, const char *name, int64_t memory, int64_t cpu, InaError *error)
{
    const CgroupPlace *place = &group->groups->place;
    int r = 0;
    if (memory > 0 &&
        ((r = make(group->groups, place->memory, name, &group->memory, error)) < 0 ||
         (r = limit_memory(group, memory, error)) < 0 || (r = open_entrance(group, group->memory, error)) < 0))
        return r;
    if (cpu > 0 && ((r = make(group->groups, place->cpu, name, &group->cpu, error)) < 0 ||
                    (r = limit_cpu(group, place->cpu_v2, cpu, error)) < 0))
        return r;
    bool same = group->memory && group->cpu && strcmp(group->memory, group->cpu) == 0;
    return group->cpu && !same ? open_entrance(group, group->cpu, error) : 0;
}

int cgroup_new(Cgroups *groups, const char *name, int64_t memory, int64_t cpu, Cgroup **ret, InaError *error)
{
    if (memory <= 0 && cpu <= 0)
        return ina_error_set(error, EINVAL, "nothing is limited");
    Cgroup *group = calloc(1, sizeof *group);
    if (!group)
        return ina_error_set(error, ENOMEM, "out of memory");
    group->groups = groups;
    group->memory_v2 = groups->place.memory_v2;
    remove_stale(groups);
    int r = fill(group, name, memory, cpu, error);
    if (r < 0) {
        cgroup_free(group);
        return r;
    }
    *ret = group;
    return 0;
}

const int *cgroup_entrances(const Cgroup *group, size_t *ret_count)
{
    *ret_count = group ? group->n_entrances : 0;
    return group ? group->entrances : NULL;
}

uint64_t cgroup_oom_kills(const Cgroup *group)
{
    if (!group || !group->memory)
        return 0;
    AUTO_FREE char *text = read_text(group->memory, group->memory_v2 ? "memory.events" : "memory.oom_control");
    char *rest = text, *line;
    while ((line = next_line(&rest)))
        if (strncmp(line, "oom_kill ", 9) == 0)
            return strtoull(line + 9, NULL, 10);
    return 0;
}

static void drop(Cgroups *groups, char *folder)
{
    if (!folder || remove_group(folder) || groups->n_stale == STALE_MAX)
        free(folder); /* what is left is found by the next life */
    else
        groups->stale[groups->n_stale++] = folder;
}

Cgroup *cgroup_free(Cgroup *group)
{
    if (!group)
        return NULL;
    for (size_t i = 0; i < group->n_entrances; i++)
        close(group->entrances[i]);
    drop(group->groups, group->memory);
    drop(group->groups, group->cpu);
    free(group);
    return NULL;
}
