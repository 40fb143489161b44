/* member.c - one pod of the API on this node: from its binding to its last
 * deletion, and what is told of it. */
#include "base/cleanup.h"
#include "base/files.h"
#include "base/log.h"
#include "base/soon.h"
#include "kube_node_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define RETRY_US UINT64_C(100000)
#define RETRY_MAX_US UINT64_C(5000000)

static void prune_logs(KubeNode *node);
static void report(Member *member);
static void remove_from_api(Member *member);

/* --- telling the API ------------------------------------------------------------------ */

static int handle_report_soon(sd_event_source *source, void *userdata)
{
    Member *member = userdata;
    member->report_soon = sd_event_source_disable_unref(member->report_soon);
    report(member);
    return 0;
}

/* What changes together is told together. */
static void report_soon(Member *member)
{
    if (!member->vanished)
        soon(member->node->event, &member->report_soon, handle_report_soon, member);
}

static int handle_report_timer(sd_event_source *source, uint64_t time, void *userdata)
{
    Member *member = userdata;
    member->report_timer = sd_event_source_disable_unref(member->report_timer);
    report(member);
    return 0;
}

/* An object of the API, if it is newer than the one we have. */
static void take_object(Member *member, const json_t *object)
{
    if (kube_revision(object) < kube_revision(member->object))
        return;
    json_incref((json_t *)object);
    json_decref(member->object);
    member->object = (json_t *)object;
}

static void handle_reported(void *userdata, const KubeReply *reply)
{
    Member *member = userdata;
    member->report = NULL;
    if (reply->status == 200) {
        member->report_failures = 0;
        if (strcmp(kube_uid(reply->object), member->uid) == 0)
            take_object(member, reply->object);
        report_soon(member); /* it may have changed meanwhile */
        return;
    }
    if (reply->status == 404 || reply->status == 409)
        return; /* it is gone, or another; the informer will tell */
    json_decref(TAKE_PTR(member->sent));
    uint64_t pause = RETRY_US << (member->report_failures < 6 ? member->report_failures++ : 6);
    if (!member->report_timer)
        sd_event_add_time_relative(member->node->event, &member->report_timer, CLOCK_MONOTONIC,
                                   pause < RETRY_MAX_US ? pause : RETRY_MAX_US, 1000, handle_report_timer, member);
}

/* Whether what the API has says the same in what others act upon. */
static bool is_known(const Member *member, const json_t *status)
{
    const json_t *wrapped = member->object;
    AUTO_JSON json_t *ours = json_pack("{s:O}", "status", (json_t *)status);
    return strcmp(kube_string(wrapped, "status.phase"), kube_string(status, "phase")) == 0 &&
           kube_condition_true(wrapped, "Ready") == kube_condition_true(ours, "Ready") &&
           strcmp(kube_string(wrapped, "status.podIP"), kube_string(status, "podIP")) == 0;
}

static char *member_path(const Member *member, const char *suffix)
{
    char *path;
    return asprintf(&path, "/api/v1/namespaces/%s/pods/%s%s", kube_namespace(member->object), kube_name(member->object),
                    suffix) < 0
               ? NULL
               : path;
}

static void report(Member *member)
{
    const json_t *old = json_object_get(member->object, "status");
    if (member->vanished || member->report || member->report_timer || (!member->pod && !member->fixed))
        return;
    json_t *status = member->pod ? pod_status(member->pod, old, time(NULL)) : json_incref(member->fixed);
    if (!status || (member->sent && json_equal(status, member->sent) && is_known(member, status))) {
        json_decref(status);
        return;
    }
    AUTO_FREE char *path = member_path(member, "/status");
    AUTO_JSON json_t *patch = json_pack("{s:{s:s}, s:O}", "metadata", "uid", member->uid, "status", status);
    if (path && patch)
        member->report =
            kube_request(member->node->client, "PATCH", path, KUBE_MERGE_PATCH, patch, handle_reported, member, NULL);
    json_decref(member->sent);
    member->sent = status;
}

/* --- deletion --------------------------------------------------------------------------- */

static int handle_removal_timer(sd_event_source *source, uint64_t time, void *userdata)
{
    Member *member = userdata;
    member->removal_timer = sd_event_source_disable_unref(member->removal_timer);
    remove_from_api(member);
    return 0;
}

static void handle_removed(void *userdata, const KubeReply *reply)
{
    Member *member = userdata;
    member->removal = NULL;
    if (reply->status == 200 || reply->status == 202 || reply->status == 404 || reply->status == 409)
        return; /* the informer tells when it is gone */
    if (!member->removal_timer)
        sd_event_add_time_relative(member->node->event, &member->removal_timer, CLOCK_MONOTONIC, RETRY_US * 3, 1000,
                                   handle_removal_timer, member);
}

/* Nothing of it runs any more: the API may forget it. */
static void remove_from_api(Member *member)
{
    AUTO_FREE char *path = member_path(member, "");
    AUTO_JSON json_t *options = json_pack("{s:s, s:s, s:i, s:{s:s}}", "apiVersion", "v1", "kind", "DeleteOptions",
                                          "gracePeriodSeconds", 0, "preconditions", "uid", member->uid);
    if (member->removal || member->vanished || member->node->stopping || !path || !options)
        return;
    member->removal = kube_request(member->node->client, "DELETE", path, NULL, options, handle_removed, member, NULL);
}

/* --- its life ----------------------------------------------------------------------------- */

static void handle_changed(void *userdata, Pod *pod)
{
    report_soon(userdata);
}

static void handle_event(void *userdata, Pod *pod, const ContainerSpec *container, const char *type, const char *reason,
                         const char *message)
{
    Member *member = userdata;
    AUTO_FREE char *field = NULL;
    if (container && asprintf(&field, "spec.containers{%s}", container->name) < 0)
        field = NULL;
    event_record(member->node->recorder, member->object, field, type, reason, message);
}

void member_free(Member *member)
{
    kube_request_cancel(member->report);
    kube_request_cancel(member->removal);
    sd_event_source_disable_unref(member->report_soon);
    sd_event_source_disable_unref(member->report_timer);
    sd_event_source_disable_unref(member->removal_timer);
    pod_free(member->pod, !member->node->stopping);
    json_decref(member->object);
    json_decref(member->sent);
    json_decref(member->fixed);
    free(member->uid);
    free(member);
}

static void forget(Member *member)
{
    KubeNode *node = member->node;
    map_remove(node->members, member->uid);
    member_free(member);
    if (!node->stopping)
        prune_logs(node);
    node_check_stopped(node);
}

static bool is_logged(const KubeNode *node, const char *name)
{
    size_t position = 0;
    const char *key;
    void *value;
    while (map_next(node->members, &position, &key, &value)) {
        size_t length = strlen(name), uid = strlen(key);
        if (length > uid && strcmp(name + length - uid, key) == 0)
            return true;
    }
    return false;
}

/* Of the pods that are gone only the newest logs stay. */
static void prune_logs(KubeNode *node)
{
    AUTO_FOLDER DIR *folder = opendir(node->logs);
    struct dirent *item;
    char oldest[512] = "";
    struct timespec oldest_time = {0};
    unsigned count = 0;
    while (folder && (item = readdir(folder))) {
        struct stat status;
        if (item->d_name[0] == '.' || is_logged(node, item->d_name) ||
            fstatat(dirfd(folder), item->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        const struct timespec *time = &status.st_mtim;
        if (count++ == 0 || time->tv_sec < oldest_time.tv_sec ||
            (time->tv_sec == oldest_time.tv_sec && time->tv_nsec < oldest_time.tv_nsec)) {
            oldest_time = *time;
            snprintf(oldest, sizeof oldest, "%s", item->d_name);
        }
    }
    AUTO_FREE char *path = count > NODE_OLD_LOGS_MAX ? path_join(node->logs, oldest) : NULL;
    if (path)
        folder_remove(path, NULL);
}

static void end_exec(void *userdata, const Container *container)
{
    execs_end(userdata, container);
}

static void handle_gone(void *userdata, Pod *pod)
{
    Member *member = userdata;
    pod_each(pod, end_exec, member->node->execs);
    if (member->node->stopping) {
        forget(member);
        return;
    }
    member->pod = pod_free(member->pod, true);
    if (member->vanished) {
        forget(member);
    } else {
        remove_from_api(member);
    }
}

static bool address_taken(const KubeNode *node, unsigned number)
{
    size_t position = 0;
    const char *key;
    void *value;
    while (map_next(node->members, &position, &key, &value)) {
        const Member *member = value;
        if (member->pod && pod_address_number(member->pod) == number)
            return true;
    }
    return false;
}

/* The address it had, if nobody has it; else the next in the round, so that one just given up rests. */
static int choose_address(KubeNode *node, const json_t *object, unsigned *ret)
{
    const char *old = kube_string(object, "status.podIP"), *prefix = node->host.instance->pods;
    size_t length = strlen(prefix);
    unsigned number = strncmp(old, prefix, length) == 0 ? (unsigned)strtoul(old + length, NULL, 10) : 0;
    if (number >= 2 && number < 2 + INSTANCE_PODS_MAX && !address_taken(node, number)) {
        *ret = number;
        return 0;
    }
    for (unsigned i = 0; i < INSTANCE_PODS_MAX; i++) {
        number = 2 + (node->next_address + i) % INSTANCE_PODS_MAX;
        if (address_taken(node, number))
            continue;
        node->next_address = number - 1;
        *ret = number;
        return 0;
    }
    return -ENOSPC;
}

/* It cannot run here: told as Failed, once and for all. */
static void refuse(Member *member, const char *reason, const char *message)
{
    log_record(INA_LOG_ERROR, "pod refused", "pod", kube_name(member->object), "detail", message, NULL);
    member->fixed = json_pack("{s:s, s:s, s:s}", "phase", "Failed", "reason", reason, "message", message);
    event_record(member->node->recorder, member->object, NULL, "Warning", reason, message);
    report_soon(member);
}

static void start(Member *member)
{
    KubeNode *node = member->node;
    InaError error = {0};
    PodSpec *spec;
    PodOptions options = {
        .host = &node->host,
        .client = node->client,
        .ca_file = node->ca_file,
        .status = json_object_get(member->object, "status"),
        .changed = handle_changed,
        .event = handle_event,
        .gone = handle_gone,
        .userdata = member,
    };
    if (pod_spec_read(member->object, &spec, &error) < 0) {
        refuse(member, "InvalidPod", error.message);
        return;
    }
    if (choose_address(node, member->object, &options.address_number) < 0) {
        pod_spec_free(spec);
        refuse(member, "OutOfpods", "Pod Node didn't have enough resource: pods");
        return;
    }
    if (pod_new(&options, spec, &member->pod, &error) < 0) {
        refuse(member, "InvalidPod", error.message);
        return;
    }
    report_soon(member);
}

static Member *add(KubeNode *node, const json_t *object)
{
    Member *member = calloc(1, sizeof *member);
    if (!member || !(member->uid = strdup(kube_uid(object))) || map_set(node->members, member->uid, member) < 0) {
        if (member)
            free(member->uid);
        free(member);
        return NULL;
    }
    member->node = node;
    member->object = json_incref((json_t *)object);
    if (!kube_deleting(object) && !kube_pod_ended(object))
        start(member);
    return member;
}

static void end_vanished(Member *member)
{
    member->vanished = true;
    kube_request_cancel(TAKE_PTR(member->report));
    if (member->pod) {
        pod_end(member->pod);
        return;
    }
    forget(member);
}

void member_look(KubeNode *node, const json_t *object, bool gone)
{
    Member *member = map_get(node->members, kube_uid(object));
    if (gone) {
        if (member)
            end_vanished(member);
        return;
    }
    if (node->stopping || kube_uid(object)[0] == '\0')
        return;
    if (!member && !(member = add(node, object)))
        return;
    take_object(member, object);
    if (member->pod)
        pod_update(member->pod, member->object);
    if (!kube_deleting(object)) {
        report_soon(member); /* others may have written what is not so */
        return;
    }
    if (member->pod)
        pod_stop_within(member->pod, kube_integer(object, "metadata.deletionGracePeriodSeconds", 0));
    else
        remove_from_api(member);
}

Member *member_find(KubeNode *node, const char *namespace, const char *name)
{
    size_t position = 0;
    const char *key;
    void *value;
    Member *found = NULL;
    while (map_next(node->members, &position, &key, &value)) {
        Member *member = value;
        if (strcmp(kube_namespace(member->object), namespace) == 0 && strcmp(kube_name(member->object), name) == 0 &&
            member->pod && (!found || found->vanished))
            found = member;
    }
    return found;
}
