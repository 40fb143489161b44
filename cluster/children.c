/* children.c - all children of this process together, and what they leave
 * behind: processes whose parent has ended become ours (PR_SET_CHILD_SUBREAPER). */
#include "child.h"

#include "base/cleanup.h"
#include "child_internal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define ENVIRONMENT_READ_MAX (256u * 1024u)
#define END_ROUNDS_MAX 1000u /* of killing what is left, which may fork meanwhile */
#define SWEEP_WAIT_MS 1000
#define ANCESTORS_MAX 64u
#define SIGNAL_ROUNDS_MAX 16u

static bool is_known(const Children *children, pid_t pid)
{
    for (const Child *child = children->first; child; child = child->next)
        if (child->pid == pid)
            return true;
    return false;
}

/* The next of our children in the kernel's list, from `file`; 0: no more. */
static pid_t next_child(FILE *file)
{
    char text[16];
    size_t length = 0;
    int c;
    while ((c = getc(file)) != EOF && c != ' ' && length + 1 < sizeof text)
        text[length++] = (char)c;
    text[length] = '\0';
    return (pid_t)strtol(text, NULL, 10);
}

static FILE *open_children(void)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
    return fopen(path, "re");
}

/* Reaps adopted processes that have ended. Our own are reaped by their event
 * source, which must see them first. */
static int handle_sigchld(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    Children *children = userdata;
    AUTO_FILE FILE *file = open_children();
    if (!file)
        return 0;
    pid_t pid;
    while ((pid = next_child(file)) > 0)
        if (!is_known(children, pid))
            waitpid(pid, NULL, WNOHANG);
    return 0;
}

int children_new(sd_event *event, Children **ret, InaError *error)
{
    Children *children = calloc(1, sizeof *children);
    if (!children)
        return ina_error_set(error, ENOMEM, "out of memory");
    children->event = sd_event_ref(event);
    int r = prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 ? -errno : 0;
    if (r >= 0)
        r = sd_event_add_signal(event, &children->signal_source, SIGCHLD, handle_sigchld, children);
    if (r < 0) {
        children_free(children);
        return ina_error_errno(error, r, "watch children");
    }
    *ret = children;
    return 0;
}

/* Kills all children there are; their children become ours and are found in
 * the next round. Returns whether there were any. */
static bool kill_round(void)
{
    AUTO_FILE FILE *file = open_children();
    if (!file)
        return false;
    bool any = false;
    pid_t pid;
    while ((pid = next_child(file)) > 0) {
        any = true;
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    return any;
}

Children *children_free(Children *children)
{
    if (!children)
        return NULL;
    while (children->first)
        child_free(children->first);
    sd_event_source_disable_unref(children->signal_source);
    for (unsigned i = 0; i < END_ROUNDS_MAX && kill_round(); i++)
        ;
    sd_event_unref(children->event);
    free(children);
    return NULL;
}

/* --- by environment --------------------------------------------------------- */

/* What the process was started with: "NAME=value", each with a NUL behind it; malloc'ed. */
static char *read_environment(pid_t pid, size_t *ret_size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/environ", pid);
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *data = fd >= 0 ? malloc(ENVIRONMENT_READ_MAX + 1) : NULL;
    if (!data)
        return NULL;
    size_t size = 0;
    ssize_t n;
    while (size < ENVIRONMENT_READ_MAX && (n = read(fd, data + size, ENVIRONMENT_READ_MAX - size)) > 0)
        size += (size_t)n;
    data[size] = '\0';
    *ret_size = size;
    return data;
}

static bool environment_has(pid_t pid, const char *entry)
{
    size_t size;
    AUTO_FREE char *data = read_environment(pid, &size);
    for (size_t at = 0; data && at < size; at += strlen(data + at) + 1)
        if (strcmp(data + at, entry) == 0)
            return true;
    return false;
}

char *child_variable(pid_t pid, const char *name)
{
    size_t size, length = strlen(name);
    AUTO_FREE char *data = read_environment(pid, &size);
    for (size_t at = 0; data && at < size; at += strlen(data + at) + 1)
        if (strncmp(data + at, name, length) == 0 && data[at + length] == '=')
            return strdup(data + at + length + 1);
    return NULL;
}

static pid_t parent_of(pid_t pid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    AUTO_FILE FILE *file = fopen(path, "re");
    if (!file || !fgets(text, sizeof text, file))
        return 0;
    const char *end = strrchr(text, ')'); /* the name before may hold anything; behind it: " S PARENT" */
    return end && strlen(end) > 4 ? (pid_t)strtol(end + 4, NULL, 10) : 0;
}

static bool is_ancestor(pid_t pid)
{
    unsigned depth = 0;
    for (pid_t p = getpid(); p > 0 && depth < ANCESTORS_MAX; p = parent_of(p), depth++)
        if (p == pid)
            return true;
    return false;
}

/* Which processes are to end: by an entry of their environment, or by their user (real, effective or saved). */
typedef struct Sweep {
    const char *entry;
    uid_t first, last;
} Sweep;

static bool has_user(pid_t pid, uid_t first, uid_t last)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    AUTO_FILE FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        char *at = line + 4;
        if (strncmp(line, "Uid:", 4) != 0)
            continue;
        for (size_t i = 0; i < 3; i++) {
            unsigned long user = strtoul(at, &at, 10);
            if (user >= first && user <= last)
                return true;
        }
        return false;
    }
    return false;
}

static bool is_meant(pid_t pid, const Sweep *sweep)
{
    return sweep->entry ? environment_has(pid, sweep->entry) : has_user(pid, sweep->first, sweep->last);
}

static bool sweep_one(pid_t pid, const Sweep *sweep)
{
    if (!is_meant(pid, sweep) || is_ancestor(pid))
        return false;
    AUTO_CLOSE int pidfd = pidfd_open(pid, 0);
    /* The number may have passed to another process since: look again. */
    if (pidfd < 0 || !is_meant(pid, sweep) || pidfd_send_signal(pidfd, SIGKILL, NULL, 0) < 0)
        return false;
    struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};
    poll(&poll_fd, 1, SWEEP_WAIT_MS);
    return true;
}

static unsigned sweep_all(const Sweep *sweep)
{
    unsigned count = 0;
    AUTO_FOLDER DIR *folder = opendir("/proc");
    struct dirent *item;
    while (folder && (item = readdir(folder)))
        if (isdigit((unsigned char)item->d_name[0]) && sweep_one((pid_t)strtol(item->d_name, NULL, 10), sweep))
            count++;
    return count;
}

unsigned child_sweep(const char *entry)
{
    const Sweep sweep = {.entry = entry};
    return sweep_all(&sweep);
}

unsigned child_sweep_users(uid_t first, uid_t last)
{
    const Sweep sweep = {.first = first, .last = last};
    return sweep_all(&sweep);
}

void child_marked(const char *entry, void (*each)(void *userdata, pid_t pid), void *userdata)
{
    AUTO_FOLDER DIR *folder = opendir("/proc");
    struct dirent *item;
    while (folder && (item = readdir(folder))) {
        pid_t pid = isdigit((unsigned char)item->d_name[0]) ? (pid_t)strtol(item->d_name, NULL, 10) : 0;
        if (pid > 0 && environment_has(pid, entry) && !is_ancestor(pid))
            each(userdata, pid);
    }
}

typedef struct SignalRound {
    int signal;
    unsigned count;
} SignalRound;

static void signal_one(void *userdata, pid_t pid)
{
    SignalRound *round = userdata;
    round->count += kill(pid, round->signal) == 0;
}

unsigned child_signal_marked(const char *entry, int signal)
{
    unsigned before = 0;
    for (unsigned i = 0; i < SIGNAL_ROUNDS_MAX; i++) {
        SignalRound round = {.signal = signal};
        child_marked(entry, signal_one, &round);
        if (round.count <= before) /* nobody forked between the two looks */
            return round.count;
        before = round.count;
    }
    return before;
}
