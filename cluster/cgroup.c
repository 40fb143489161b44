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
#define TOP_NAME "inaetics"       /* the group at the top that those of root are in */
#define BELOW_MAX 8u              /* depth of groups that a container made in its own */
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
    char *memory, *cpu; /* folders; NULL: not limited so, or in version 2 the other is for both */
    bool limits_memory;
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
    AUTO_FREE char *type = read_text(probe, "cgroup.type"); /* else "domain invalid": no process can enter */
    rmdir(probe);
    return !type || strcmp(type, "domain\n") == 0;
}

/* Version 2: whether groups in this folder have a controller, or can be given it. One that the folder does not have
 * itself is not asked for; nor are several at once, of which one that cannot be given would keep out the others. */
static bool give(const char *folder, const char *controller)
{
    char text[32];
    AUTO_FREE char *before = read_text(folder, "cgroup.subtree_control");
    if (!before || has_item(before, controller, " \n"))
        return before;
    AUTO_FREE char *offered = read_text(folder, "cgroup.controllers");
    snprintf(text, sizeof text, "+%s", controller);
    return offered && has_item(offered, controller, " \n") && write_text(folder, "cgroup.subtree_control", text) == 0;
}

/* Version 2: whether it has processes, and is not the group of all (which has no type, and may have some). With these
 * memory cannot be divided; processors could be, but that would make it a group of threads, whose groups below no
 * process can enter. */
static bool has_processes(const char *folder)
{
    AUTO_FREE char *type = read_text(folder, "cgroup.type"), *processes = read_text(folder, "cgroup.procs");
    return type && processes && processes[0] != '\0';
}

/* Version 2: whether groups in this folder can be limited, and in what. */
static bool can_limit(const char *folder, CgroupPlace *ret)
{
    if (has_processes(folder))
        return false;
    ret->limits_memory = give(folder, "memory");
    ret->limits_cpu = give(folder, "cpu");
    ret->limits_processes = give(folder, "pids");
    return (ret->limits_memory || ret->limits_cpu) && can_make(folder);
}

/* Groups of root at the top are in one that divides too: systemd takes controllers that none of its units needs from
 * the groups at the top, and with them the limits, but cannot while one below has them. */
static bool can_limit_at_top(const char *top, char ret_folder[CGROUP_PATH_MAX], CgroupPlace *ret)
{
    if (!can_limit(top, ret) || (size_t)snprintf(ret_folder, CGROUP_PATH_MAX, "%s/" TOP_NAME, top) >= CGROUP_PATH_MAX)
        return false;
    return (mkdir(ret_folder, 0755) == 0 || errno == EEXIST) && can_limit(ret_folder, ret);
}

/* Why the group cannot be divided, though it has controllers. */
static const char *tell_refusal(void)
{
    return geteuid() != 0 && access("/run/systemd/system", F_OK) == 0
               ? "is not ours to divide (`systemd-run --user --scope -p Delegate=yes` gives one that is)"
               : "is not ours to divide";
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
    bool memory = controllers && has_item(controllers, "memory", " \n");
    bool cpu = controllers && has_item(controllers, "cpu", " \n");
    bool is_top = strcmp(own, top) == 0;
    if ((!is_top && can_limit(own, ret)) || ((is_top || geteuid() == 0) && can_limit_at_top(top, own, ret))) {
        snprintf(ret->memory, sizeof ret->memory, "%s", own);
        snprintf(ret->cpu, sizeof ret->cpu, "%s", own);
        ret->unified = true;
        if (!ret->limits_memory || !ret->limits_cpu)
            snprintf(why, CGROUP_WHY_SIZE, "the control group %.300s has no controller for %s", own,
                     ret->limits_memory ? "processors" : "memory");
        return true;
    }
    snprintf(why, CGROUP_WHY_SIZE, "the control group %.300s %s", own,
             memory || cpu ? tell_refusal() : "has no controllers for memory and processors");
    return false;
}

static bool find_place(const char *proc, CgroupPlace *ret, char why[CGROUP_WHY_SIZE])
{
    char top[CGROUP_PATH_MAX];
    const char *off = getenv(CGROUP_OFF);
    if (off && strcmp(off, "off") == 0) {
        snprintf(why, CGROUP_WHY_SIZE, CGROUP_OFF " says so");
        return false;
    }
    if (!find_folder(proc, "memory", ret->memory, top) || !find_folder(proc, "cpu", ret->cpu, top))
        return find_unified(proc, ret, why);
    ret->limits_memory = ret->limits_cpu = true;
    if (can_make(ret->memory) && can_make(ret->cpu))
        return true;
    snprintf(why, CGROUP_WHY_SIZE, "the control group %.300s is not ours to divide", ret->memory);
    return false;
}

bool cgroups_find(const char *proc, CgroupPlace *ret, char why[CGROUP_WHY_SIZE])
{
    *ret = (CgroupPlace){0};
    why[0] = '\0';
    bool found = find_place(proc, ret, why);
    if (!found)
        *ret = (CgroupPlace){0}; /* what was found on the way limits nothing */
    return found;
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
    CgroupPlace place;
    if (find_folder(proc, "memory", own, top) || !find_folder(proc, NULL, own, top) || !is_alone(own) ||
        can_limit(own, &place))
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

static void remove_below(const char *folder, unsigned depth)
{
    AUTO_FOLDER DIR *entries = depth < BELOW_MAX ? opendir(folder) : NULL;
    struct dirent *entry;
    while (entries && (entry = readdir(entries))) {
        AUTO_FREE char *path =
            entry->d_type == DT_DIR && entry->d_name[0] != '.' ? path_join(folder, entry->d_name) : NULL;
        if (!path)
            continue;
        kill_all(path);
        remove_below(path, depth + 1);
        rmdir(path);
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
        remove_below(folder, 0);
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
    group->limits_memory = true;
    if (!group->groups->place.unified) {
        r = limit(group->memory, "memory.limit_in_bytes", error, "%jd", (intmax_t)bytes);
        (void)limit(group->memory, "memory.memsw.limit_in_bytes", NULL, "%jd", (intmax_t)bytes);
        return r;
    }
    r = limit(group->memory, "memory.max", error, "%jd", (intmax_t)bytes);
    (void)limit(group->memory, "memory.swap.max", NULL, "0");
    (void)limit(group->memory, "memory.oom.group", NULL, "1"); /* all or none */
    return r;
}

static int limit_cpu(const Cgroup *group, int64_t milli, InaError *error)
{
    int64_t quota = (milli < CGROUP_CPU_MILLI_MIN ? CGROUP_CPU_MILLI_MIN : milli) * (PERIOD_US / 1000);
    if (group->groups->place.unified)
        return limit(group->memory, "cpu.max", error, "%jd %d", (intmax_t)quota, PERIOD_US);
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

static int fill(Cgroup *group, const char *name, const CgroupLimits *limits, InaError *error)
{
    const CgroupPlace *place = &group->groups->place;
    int r = 0;
    if (limits->memory > 0 &&
        ((r = make(group->groups, place->memory, name, &group->memory, error)) < 0 ||
         (r = limit_memory(group, limits->memory, error)) < 0 || (r = open_entrance(group, group->memory, error)) < 0))
        return r;
    if (limits->cpu > 0 &&
        ((r = make(group->groups, place->cpu, name, &group->cpu, error)) < 0 ||
         (r = limit_cpu(group, limits->cpu, error)) < 0 || (r = open_entrance(group, group->cpu, error)) < 0))
        return r;
    return 0;
}

static int fill_unified(Cgroup *group, const char *name, const CgroupLimits *limits, InaError *error)
{
    const CgroupPlace *place = &group->groups->place;
    int r = make(group->groups, place->memory, name, &group->memory, error);
    if (r == 0 && place->limits_memory && limits->memory > 0)
        r = limit_memory(group, limits->memory, error);
    if (r == 0 && place->limits_cpu && limits->cpu > 0)
        r = limit_cpu(group, limits->cpu, error);
    if (r == 0 && place->limits_processes && limits->processes > 0)
        r = limit(group->memory, "pids.max", error, "%zu", limits->processes);
    return r < 0 ? r : open_entrance(group, group->memory, error);
}

int cgroup_new(Cgroups *groups, const char *name, const CgroupLimits *limits, Cgroup **ret, InaError *error)
{
    bool unified = groups->place.unified;
    if (!unified && limits->memory <= 0 && limits->cpu <= 0) {
        *ret = NULL;
        return 0;
    }
    Cgroup *group = calloc(1, sizeof *group);
    if (!group)
        return ina_error_set(error, ENOMEM, "out of memory");
    group->groups = groups;
    remove_stale(groups);
    int r = unified ? fill_unified(group, name, limits, error) : fill(group, name, limits, error);
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

/* The number behind a name, in a file with one a line; 0: it is not there. */
static uint64_t read_counter(const char *folder, const char *file, const char *name)
{
    AUTO_FREE char *text = read_text(folder, file);
    char *rest = text, *line;
    size_t length = strlen(name);
    while ((line = next_line(&rest)))
        if (strncmp(line, name, length) == 0 && line[length] == ' ')
            return strtoull(line + length + 1, NULL, 10);
    return 0;
}

static uint64_t read_number(const char *folder, const char *file)
{
    AUTO_FREE char *text = read_text(folder, file);
    return text ? strtoull(text, NULL, 10) : 0;
}

uint64_t cgroup_oom_kills(const Cgroup *group)
{
    if (!group || !group->limits_memory)
        return 0;
    return read_counter(group->memory, group->groups->place.unified ? "memory.events" : "memory.oom_control",
                        "oom_kill");
}

bool cgroup_limits_memory(const Cgroup *group)
{
    return group && group->limits_memory;
}

bool cgroup_usage(const Cgroup *group, CgroupUsage *ret)
{
    if (!group || !group->groups->place.unified)
        return false;
    uint64_t memory = read_number(group->memory, "memory.current");
    uint64_t unused = memory > 0 ? read_counter(group->memory, "memory.stat", "inactive_file") : 0;
    *ret = (CgroupUsage){
        .cpu_ns = read_counter(group->memory, "cpu.stat", "usage_usec") * 1000,
        .memory = memory > unused ? memory - unused : 0,
        .processes = read_number(group->memory, "pids.current"),
    };
    return true;
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
