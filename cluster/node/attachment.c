#include "attachment.h"

#include "base/cleanup.h"
#include "base/files.h"
#include "base/json.h"
#include "cluster/child.h"
#include "kube/object.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/stat.h>

#define RECORD_MAX (64u * 1024u)
#define LOCK_FILE ".attachment.lock"
#define LOCK_WAIT_US 500000 /* a holder needs less than a millisecond, unless it was frozen within it */
#define POLL_US 2000
#define EPOCH_MAX (INT64_C(1) << 53)

struct Attachment {
    sd_event *event;
    sd_event_source *timer;
    char *folder, *node, *pod, *uid;
    uint64_t begun;
    void (*done)(void *userdata, uint64_t epoch, const InaError *error);
    void *userdata;
};

uint64_t process_start(pid_t pid)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    AUTO_FILE FILE *file = fopen(path, "re");
    const char *at = file && fgets(text, sizeof text, file) ? strrchr(text, ')') : NULL;
    if (!at || at[1] != ' ' || at[2] == 'Z' || at[2] == 'X') /* ended, only not reaped */
        return 0;
    for (int field = 2; field < 22 && at; field++)
        at = strchr(at + 1, ' ');
    return at ? strtoull(at, NULL, 10) : 0;
}

/* --- the record -------------------------------------------------------------------- */

static int read_record(const char *folder, json_t **ret, InaError *error)
{
    AUTO_FREE char *path = path_join(folder, ATTACHMENT_FILE), *text = NULL;
    size_t size;
    *ret = NULL;
    if (!path)
        return ina_error_set(error, ENOMEM, "out of memory");
    if (access(path, F_OK) < 0 && errno == ENOENT)
        return 0;
    int r = file_read(path, RECORD_MAX, &text, &size, error);
    if (r < 0)
        return r;
    /* It is written whole or not at all. */
    return json_parse(text, size, RECORD_MAX, ret, error) < 0 ? ina_error_wrap(error, "%s", path) : 0;
}

static int write_record(const char *folder, const json_t *record, InaError *error)
{
    AUTO_FREE char *path = path_join(folder, ATTACHMENT_FILE), *text = json_dumps(record, JSON_COMPACT);
    if (!path || !text)
        return ina_error_set(error, ENOMEM, "out of memory");
    return file_write(path, text, strlen(text), 0600, error);
}

/* The descriptor of the lock; a holder that is frozen within his few microseconds is not waited for. */
static int lock(const char *folder)
{
    AUTO_FREE char *path = path_join(folder, LOCK_FILE);
    int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
    for (unsigned waited = 0; fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && waited < LOCK_WAIT_US; waited += POLL_US)
        usleep(POLL_US);
    return fd;
}

int attachment_check(const char *folder, const char *uid, uint64_t *ret_epoch, InaError *error)
{
    AUTO_JSON json_t *record = NULL;
    int r = read_record(folder, &record, error);
    if (r < 0)
        return r;
    if (!record)
        return ina_error_set(error, ENOENT, "%s: is attached to nobody", folder);
    if (strcmp(kube_string(record, "uid"), uid) != 0)
        return ina_error_set(error, ESTALE, "%s: is attached to pod %s on %s", folder, kube_string(record, "uid"),
                             kube_string(record, "node"));
    *ret_epoch = (uint64_t)kube_integer(record, "epoch", 0);
    return 0;
}

char *attachment_holder(const char *folder, const char *uid, char **ret_uid)
{
    AUTO_JSON json_t *record = NULL;
    if (read_record(folder, &record, NULL) < 0 || strcmp(kube_string(record, "uid"), uid) == 0 ||
        !kube_string(record, "pod")[0])
        return NULL;
    AUTO_FREE char *holder = strdup(kube_string(record, "uid"));
    char *pod = holder ? strdup(kube_string(record, "pod")) : NULL;
    if (pod)
        *ret_uid = TAKE_PTR(holder);
    return pod;
}

int attachment_note(const char *folder, const char *uid, pid_t pid, InaError *error)
{
    AUTO_CLOSE int fd = lock(folder);
    AUTO_JSON json_t *record = NULL;
    json_t *processes = json_array();
    const json_t *old;
    size_t i;
    int r = read_record(folder, &record, error);
    if (r == 0 && (!record || strcmp(kube_string(record, "uid"), uid) != 0))
        r = ina_error_set(error, ESTALE, "%s: is attached to another pod", folder);
    if (r < 0) {
        json_decref(processes);
        return r;
    }
    json_array_foreach(json_object_get(record, "processes"), i, old)
    {
        uint64_t start = process_start((pid_t)kube_integer(old, "pid", 0));
        if (start != 0 && start == (uint64_t)kube_integer(old, "start", 0) &&
            json_array_size(processes) + 1 < ATTACHMENT_PROCESSES_MAX)
            json_array_append(processes, (json_t *)old);
    }
    json_array_append_new(processes, json_pack("{s:i, s:I}", "pid", (int)pid, "start", (json_int_t)process_start(pid)));
    json_object_set_new(record, "processes", processes);
    return write_record(folder, record, error);
}

/* --- taking it ------------------------------------------------------------------------- */

/* Whether it (still) runs; it is killed then. */
static bool kill_process(pid_t pid, uint64_t start)
{
    if (pid <= 1 || pid == getpid() || start == 0 || process_start(pid) != start)
        return false;
    AUTO_CLOSE int pidfd = pidfd_open(pid, 0);
    if (pidfd < 0 || process_start(pid) != start) /* the number may have passed on meanwhile */
        return false;
    pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
    return true;
}

/* Where pods are other users, and the folder is not ours, one of them could have put a record of its own there, which
 * names any process of the machine. */
static bool is_ours(const char *folder)
{
    AUTO_FREE char *path = path_join(folder, ATTACHMENT_FILE);
    struct stat status;
    return path && lstat(path, &status) == 0 && status.st_uid == geteuid() && S_ISREG(status.st_mode);
}

static bool kill_holder(const char *folder, const json_t *record)
{
    size_t i;
    const json_t *process;
    bool any = false;
    if (!is_ours(folder))
        return false;
    json_array_foreach(json_object_get(record, "processes"), i, process) any =
        kill_process((pid_t)kube_integer(process, "pid", 0), (uint64_t)kube_integer(process, "start", 0)) || any;
    return any;
}

/* What it started beside its record: found by the pod's uid. */
static void sweep_holder(const json_t *record)
{
    AUTO_FREE char *mark = NULL;
    if (asprintf(&mark, "INAETICS_POD_UID=%s", kube_string(record, "uid")) >= 0)
        child_sweep(mark);
}

static void finish(Attachment *attachment, uint64_t epoch, const InaError *error)
{
    attachment->timer = sd_event_source_disable_unref(attachment->timer);
    attachment->done(attachment->userdata, epoch, error);
}

static uint64_t now_us(sd_event *event)
{
    uint64_t now = 0;
    sd_event_now(event, CLOCK_MONOTONIC, &now);
    return now;
}

/* Returns the epoch; 0: not yet, its holder still runs. */
static int64_t try_take(const Attachment *attachment, InaError *error)
{
    AUTO_CLOSE int fd = lock(attachment->folder);
    AUTO_JSON json_t *record = NULL;
    int r = read_record(attachment->folder, &record, error);
    if (r < 0)
        return r;
    int64_t epoch = kube_integer(record, "epoch", 0);
    if (epoch < 0 || epoch > EPOCH_MAX)
        return ina_error_set(error, EINVAL, "%s: the record of who has it is wrong", attachment->folder);
    bool ours = strcmp(kube_string(record, "uid"), attachment->uid) == 0;
    if (record && !ours) {
        if (kill_holder(attachment->folder, record))
            return 0;
        sweep_holder(record);
    }
    if (ours)
        return epoch;
    AUTO_JSON json_t *fresh = json_pack("{s:I, s:s, s:s, s:s, s:[]}", "epoch", (json_int_t)epoch + 1, "node",
                                        attachment->node, "pod", attachment->pod, "uid", attachment->uid, "processes");
    if (!fresh)
        return ina_error_set(error, ENOMEM, "out of memory");
    r = write_record(attachment->folder, fresh, error);
    return r < 0 ? r : epoch + 1;
}

static int handle_timer(sd_event_source *source, uint64_t time, void *userdata)
{
    Attachment *attachment = userdata;
    InaError error = {0};
    int64_t epoch = try_take(attachment, &error);
    if (epoch == 0 && now_us(attachment->event) - attachment->begun > ATTACHMENT_WAIT_US)
        epoch = ina_error_set(&error, ETIMEDOUT, "%s: what had it before does not end", attachment->folder);
    if (epoch != 0) {
        finish(attachment, epoch > 0 ? (uint64_t)epoch : 0, epoch > 0 ? NULL : &error);
        return 0;
    }
    sd_event_source_set_time_relative(source, POLL_US);
    sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    return 0;
}

int attachment_take(sd_event *event, const char *folder, const char *node, const char *pod, const char *uid,
                    void (*done)(void *userdata, uint64_t epoch, const InaError *error), void *userdata,
                    Attachment **ret, InaError *error)
{
    int r = folder_make(folder, 0700, error);
    if (r < 0)
        return r;
    Attachment *attachment = calloc(1, sizeof *attachment);
    if (!attachment)
        return ina_error_set(error, ENOMEM, "out of memory");
    *attachment = (Attachment){
        .event = sd_event_ref(event),
        .folder = strdup(folder),
        .node = strdup(node),
        .pod = strdup(pod),
        .uid = strdup(uid),
        .begun = now_us(event),
        .done = done,
        .userdata = userdata,
    };
    if (!attachment->folder || !attachment->node || !attachment->pod || !attachment->uid ||
        sd_event_add_time_relative(event, &attachment->timer, CLOCK_MONOTONIC, 0, 1, handle_timer, attachment) < 0) {
        attachment_free(attachment);
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    *ret = attachment;
    return 0;
}

Attachment *attachment_free(Attachment *attachment)
{
    if (!attachment)
        return NULL;
    sd_event_source_disable_unref(attachment->timer);
    free(attachment->folder);
    free(attachment->node);
    free(attachment->pod);
    free(attachment->uid);
    sd_event_unref(attachment->event);
    free(attachment);
    return NULL;
}
