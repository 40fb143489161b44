#include "child.h"

#include "base/cleanup.h"
#include "child_internal.h"
#include "confine.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define OUTPUT_READ_SIZE (64u * 1024u)
#define OUTPUT_READS_MAX 16u  /* per wake-up, so that a babbler does not hold up the loop */
#define OUTPUT_READS_LAST 64u /* after its end: what a pipe can hold, and more */

/* --- in the new process, between fork and exec ----------------------------- */

static void reset_signals(void)
{
    for (int i = 1; i < NSIG; i++)
        signal(i, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Three that were given. */
static int arrange_standard(const int *standard, bool terminal)
{
    int copies[3];
    for (int i = 0; i < 3; i++)
        if ((copies[i] = fcntl(standard[i], F_DUPFD_CLOEXEC, 10)) < 0)
            return -errno;
    for (int i = 0; i < 3; i++)
        if (dup2(copies[i], i) < 0)
            return -errno;
    if (terminal && ioctl(0, TIOCSCTTY, 0) < 0)
        return -errno;
    return close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0 ? -errno : 0;
}

/* stdin, stdout, stderr and, if asked for, one more; all others close at exec. */
static int arrange_descriptors(int output, int inherit)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        return -errno;
    int target = output >= 0 ? output : null;
    /* First above the numbers that are about to be used. */
    inherit = inherit >= 0 ? fcntl(inherit, F_DUPFD_CLOEXEC, 10) : -1;
    target = fcntl(target, F_DUPFD_CLOEXEC, 10);
    if (target < 0 || dup2(null, 0) < 0 || dup2(target, 1) < 0 || dup2(target, 2) < 0)
        return -errno;
    if (inherit >= 0 && dup2(inherit, CHILD_INHERITED_FD) < 0)
        return -errno;
    return close_range(inherit >= 0 ? CHILD_INHERITED_FD + 1 : 3, ~0U, CLOSE_RANGE_CLOEXEC) < 0 ? -errno : 0;
}

/* From root to another user all capabilities go, but for the inheritable ones, which are taken away first. System
 * calls, not the functions of the same names, which wait for other threads that are not here. */
static int change_user(const ChildUser *user)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
    if (syscall(SYS_capget, &header, data) < 0)
        return -errno;
    for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
        data[i].inheritable = 0;
    if (syscall(SYS_capset, &header, data) < 0 || prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
        syscall(SYS_setgroups, user->n_groups, user->groups) < 0 ||
        syscall(SYS_setresgid, user->gid, user->gid, user->gid) < 0 ||
        syscall(SYS_setresuid, user->uid, user->uid, user->uid) < 0)
        return -errno;
    return syscall(SYS_setresuid, 0, 0, 0) == 0 ? -EPERM : 0; /* there must be no way back */
}

static int join_groups(const ChildOptions *options)
{
    for (size_t i = 0; i < options->n_entrances; i++)
        if (write(options->entrances[i], "0", 1) != 1)
            return -errno;
    return 0;
}

/* Less than we may, never more. */
static void lower_limit(__rlimit_resource_t resource, size_t maximum)
{
    struct rlimit limit;
    if (maximum == 0 || getrlimit(resource, &limit) < 0)
        return;
    limit.rlim_max = limit.rlim_max < maximum ? limit.rlim_max : maximum;
    limit.rlim_cur = limit.rlim_cur < limit.rlim_max ? limit.rlim_cur : limit.rlim_max;
    setrlimit(resource, &limit);
}

static int become(const ChildOptions *options, int output, pid_t parent)
{
    setsid();
    reset_signals();
    int r = join_groups(options);
    if (r < 0)
        return r;
    lower_limit(RLIMIT_NOFILE, options->files_max);
    lower_limit(RLIMIT_NPROC, options->processes_max);
    bool confined = options->rules && *options->rules >= 0;
    int rules = confined ? fcntl(*options->rules, F_DUPFD_CLOEXEC, 20) : -1; /* out of the way, as `report` */
    if (confined && rules < 0)
        return -errno;
    r = options->user ? change_user(options->user) : 0; /* before the next: it would be forgotten */
    if (r < 0)
        return r;
    if (prctl(PR_SET_PDEATHSIG, options->death_signal ? options->death_signal : SIGKILL) < 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    if (getppid() != parent) /* it died before we asked to be told */
        _exit(1);
    const struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    if (options->directory && chdir(options->directory) < 0)
        return -errno;
    r = options->standard ? arrange_standard(options->standard, options->terminal)
                          : arrange_descriptors(output, options->inherit_fd);
    return r == 0 && confined ? confine_self(rules, options->alone) : r;
}

static void run(const ChildOptions *options, int output, int report, pid_t parent) __attribute__((noreturn));

static void run(const ChildOptions *options, int output, int report, pid_t parent)
{
    report = fcntl(report, F_DUPFD_CLOEXEC, 20); /* out of the way of the standard numbers */
    int r = become(options, output, parent);
    if (r == 0) {
        execve(options->program, options->arguments, options->environment);
        r = -errno;
    }
    if (write(report, &r, sizeof r) != (ssize_t)sizeof r)
        _exit(126);
    _exit(127);
}

/* --- its output and its end ------------------------------------------------ */

/* Returns false at the end of the output. */
static bool read_output(Child *child, unsigned reads)
{
    char data[OUTPUT_READ_SIZE];
    while (reads-- > 0) {
        ssize_t size = read(child->output, data, sizeof data);
        if (size < 0)
            return errno == EAGAIN || errno == EINTR;
        if (size == 0)
            return false;
        if (child->on_output)
            child->on_output(child->userdata, data, (size_t)size);
    }
    return true;
}

static int handle_output(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    Child *child = userdata;
    if (!read_output(child, OUTPUT_READS_MAX))
        child->output_source = sd_event_source_disable_unref(child->output_source);
    return 0;
}

static int status_of(const siginfo_t *info)
{
    return info->si_code == CLD_EXITED ? (info->si_status & 0xff) << 8 : info->si_status & 0x7f;
}

/* Not reaped yet. False: it has not ended. */
static bool has_ended(const Child *child, siginfo_t *ret)
{
    *ret = (siginfo_t){0};
    int r = waitid(P_PID, (id_t)child->pid, ret, WEXITED | WNOHANG | WNOWAIT);
    if (r < 0) { /* somebody else reaped it: how it ended is not known */
        ret->si_code = CLD_EXITED;
        ret->si_status = 255;
    }
    return r < 0 || ret->si_pid > 0;
}

static int handle_exit(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    Child *child = userdata;
    siginfo_t info;
    const pid_t pid = child->pid;
    if (!has_ended(child, &info))
        return 0;
    kill(-pid, SIGKILL); /* the group: not reaped yet, so the number is still its own */
    child->exit_source = sd_event_source_disable_unref(child->exit_source);
    child->pid = -1;
    if (child->output_source)
        read_output(child, OUTPUT_READS_LAST);
    child->output_source = sd_event_source_disable_unref(child->output_source);
    child->on_exit(child->userdata, status_of(&info)); /* may free it */
    waitpid(pid, NULL, WNOHANG);
    return 0;
}

/* --- start ------------------------------------------------------------------ */

static int watch(sd_event *event, Child *child, InaError *error)
{
    child->pidfd = pidfd_open(child->pid, 0);
    if (child->pidfd < 0)
        return ina_error_errno(error, errno, "pidfd_open");
    /* Told for as long as it is ended. sd_event_add_child_pidfd is told once: with it the end of a child that had just
     * been killed was missed now and then, and for ever. */
    int r = sd_event_add_io(event, &child->exit_source, child->pidfd, EPOLLIN, handle_exit, child);
    if (r >= 0)
        r = sd_event_add_io(event, &child->output_source, child->output, EPOLLIN, handle_output, child);
    if (r < 0)
        return ina_error_errno(error, r, "watch process");
    /* Output before exit, when both are there. */
    sd_event_source_set_priority(child->exit_source, SD_EVENT_PRIORITY_NORMAL + 1);
    return 0;
}

/* The child's errno when it could not become the program; 0 when it did. */
static int read_report(int fd)
{
    int r = 0;
    ssize_t size;
    do
        size = read(fd, &r, sizeof r);
    while (size < 0 && errno == EINTR);
    return size == (ssize_t)sizeof r ? r : 0;
}

/* Its user can open /dev/stdout and the like anew: pipes and terminals that were made for it. */
static void hand_over(const ChildUser *user, int fd)
{
    struct stat status;
    if (fd >= 0 && fstat(fd, &status) == 0 && (S_ISFIFO(status.st_mode) || isatty(fd)))
        (void)!fchown(fd, user->uid, user->gid);
}

static int spawn(const ChildOptions *options, Child *child, int output, InaError *error)
{
    int report[2];
    for (size_t i = 0; options->user && i < 3; i++)
        hand_over(options->user, options->standard ? options->standard[i] : output);
    if (pipe2(report, O_CLOEXEC) < 0)
        return ina_error_errno(error, errno, "pipe");
    pid_t parent = getpid();
    child->pid = fork();
    int code = errno;
    if (child->pid == 0)
        run(options, output, report[1], parent);
    close(report[1]);
    int r = child->pid > 0 ? read_report(report[0]) : 0;
    close(report[0]);
    if (child->pid < 0)
        return ina_error_errno(error, code, "fork");
    if (r == 0)
        return 0;
    waitpid(child->pid, NULL, 0);
    child->pid = -1;
    if (options->directory && access(options->directory, X_OK) < 0)
        return ina_error_errno(error, r, "working directory %s", options->directory);
    return ina_error_errno(error, r, "%s", options->program);
}

int child_start(Children *children, const ChildOptions *options, Child **ret, InaError *error)
{
    Child *child = calloc(1, sizeof *child);
    int output[2];
    if (!child)
        return ina_error_set(error, ENOMEM, "out of memory");
    *child = (Child){.children = children, .next = children->first, .pid = -1, .pidfd = -1, .output = -1};
    children->first = child;
    if (pipe2(output, O_CLOEXEC) < 0) {
        child_free(child);
        return ina_error_errno(error, errno, "pipe");
    }
    child->output = output[0];
    child->on_output = options->output;
    child->on_exit = options->exited;
    child->userdata = options->userdata;
    fcntl(child->output, F_SETFL, O_NONBLOCK);
    int r = spawn(options, child, output[1], error);
    close(output[1]);
    if (r == 0)
        r = watch(children->event, child, error);
    if (r < 0) {
        child_free(child);
        return r;
    }
    *ret = child;
    return 0;
}

pid_t child_pid(const Child *child)
{
    return child->pid;
}

void child_signal(Child *child, int signal)
{
    if (child->pid < 0)
        return;
    if (signal == SIGKILL)
        kill(-child->pid, SIGKILL);
    /* Also when it is not (yet) the leader of a group. */
    kill(child->pid, signal);
}

Child *child_free(Child *child)
{
    if (!child)
        return NULL;
    for (Child **link = &child->children->first; *link; link = &(*link)->next) {
        if (*link == child) {
            *link = child->next;
            break;
        }
    }
    sd_event_source_disable_unref(child->exit_source);
    sd_event_source_disable_unref(child->output_source);
    if (child->pid > 0) {
        child_signal(child, SIGKILL);
        waitpid(child->pid, NULL, 0);
    }
    if (child->pidfd >= 0)
        close(child->pidfd);
    if (child->output >= 0)
        close(child->output);
    free(child);
    return NULL;
}
