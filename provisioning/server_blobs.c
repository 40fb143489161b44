/* server_blobs.c - removes files that nobody names any more (no revision, no
 * workspace, no version of a target), and tokens and logs of targets that were
 * forgotten. At start, and once an hour. */
#include "server.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/soon.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define COLLECT_US (UINT64_C(3600) * 1000000)
#define UPLOAD_PREFIX "upload-"

typedef struct Usage {
    Server *server;
    Map *digests; /* of artifacts; the values mean nothing */
    bool failed;  /* out of memory: then everything is in use */
} Usage;

static void use(Usage *usage, const char *digest)
{
    if (digest && map_set(usage->digests, digest, usage) < 0)
        usage->failed = true;
}

static int use_stored(Usage *usage, InaError *error)
{
    sqlite3_stmt *statement;
    int step;
    int r = database_prepare(usage->server->database,
                             "SELECT DISTINCT json_extract(content, '$.attributes.sha256') FROM repository_object "
                             "WHERE kind = ?",
                             &statement, error, "i", (int64_t)OBJECT_ARTIFACT);
    if (r < 0)
        return r;
    while ((step = sqlite3_step(statement)) == SQLITE_ROW)
        use(usage, (const char *)sqlite3_column_text(statement, 0));
    if (step != SQLITE_DONE)
        r = ina_error_set(error, EIO, "%s", sqlite3_errmsg(database_handle(usage->server->database)));
    sqlite3_reset(statement);
    return r;
}

static void use_added(void *userdata, const Object *before, const Object *after)
{
    if (after && object_kind(after) == OBJECT_ARTIFACT)
        use(userdata, object_attribute(after, "sha256"));
}

static void use_workspace(void *userdata, Workspace *workspace)
{
    if (workspace_modified(workspace))
        model_compare(workspace_base(workspace), workspace_model(workspace), use_added, userdata);
}

static bool is_used(void *userdata, const char *digest)
{
    const Usage *usage = userdata;
    return usage->failed || map_get(usage->digests, digest) || targets_use(usage->server->targets, digest);
}

static void collect(Server *server)
{
    char number[32];
    InaError error = {0};
    Usage usage = {.server = server, .digests = map_new()};
    int r = usage.digests ? use_stored(&usage, &error) : ina_error_set(&error, ENOMEM, "no memory");
    if (r >= 0) {
        repository_each_workspace(server->repository, use_workspace, &usage);
        snprintf(number, sizeof(number), "%zu", blobs_collect(server->blobs, is_used, &usage));
        if (strcmp(number, "0") != 0)
            log_record(INA_LOG_INFO, "files that nobody names are removed", "files", number, NULL);
    } else {
        log_record(INA_LOG_WARNING, "files that nobody names are not removed", "why", error.message, NULL);
    }
    map_free(usage.digests);
}

/* --- forgotten targets ---------------------------------------------------------- */

static bool is_known(void *userdata, const char *target)
{
    TargetView view;
    return targets_view(((Server *)userdata)->targets, target, &view);
}

/* At once: an agent that was silent for so long and comes back is to enrol again, for what it told went with it. */
static void forget_tokens(Server *server)
{
    InaError error = {0};
    if (accounts_target_sweep(server->accounts, is_known, server, &error) < 0)
        log_record(INA_LOG_WARNING, "tokens of forgotten targets are not removed", "why", error.message, NULL);
}

static void forget_logs(Server *server)
{
    InaError error = {0};
    if (audit_sweep(server->audit, is_known, server, &error) < 0)
        log_record(INA_LOG_WARNING, "logs of forgotten targets are not removed", "why", error.message, NULL);
}

static int on_gone(sd_event_source *source, void *userdata)
{
    Cleaning *cleaning = userdata;
    cleaning->gone = sd_event_source_disable_unref(cleaning->gone);
    forget_tokens(cleaning->server);
    return 0;
}

static void on_target(void *userdata, const char *id, bool gone)
{
    Cleaning *cleaning = userdata;
    if (gone && !cleaning->ended)
        soon(cleaning->server->event, &cleaning->gone, on_gone, cleaning);
}

/* What an upload left that a kill interrupted. */
static void remove_uploads(const char *folder)
{
    AUTO_FOLDER DIR *files = opendir(folder);
    for (const struct dirent *entry; files && (entry = readdir(files));)
        if (strncmp(entry->d_name, UPLOAD_PREFIX, strlen(UPLOAD_PREFIX)) == 0)
            (void)unlinkat(dirfd(files), entry->d_name, 0);
}

static int on_collect(sd_event_source *source, uint64_t when, void *userdata)
{
    const Cleaning *cleaning = userdata;
    collect(cleaning->server);
    forget_logs(cleaning->server);
    (void)sd_event_source_set_time_relative(source, COLLECT_US);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void close_cleaning(void *userdata)
{
    Cleaning *cleaning = userdata;
    sd_event_source_disable_unref(cleaning->timer);
    sd_event_source_disable_unref(cleaning->gone);
    cleaning->timer = cleaning->gone = NULL;
    cleaning->ended = true;
}

int server_blobs_open(Server *server, InaError *error)
{
    Cleaning *cleaning = &server->cleaning;
    cleaning->server = server;
    remove_uploads(server->options.data);
    collect(server);
    forget_tokens(server);
    forget_logs(server);
    targets_watch(server->targets, on_target, cleaning);
    int r = sd_event_add_time_relative(server->event, &cleaning->timer, CLOCK_MONOTONIC, COLLECT_US, 0, on_collect,
                                       cleaning);
    return r < 0 ? ina_error_errno(error, r, "event loop") : server_on_close(server, close_cleaning, cleaning, error);
}
