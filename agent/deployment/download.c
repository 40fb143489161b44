/* download.c - files by their digest: into FOLDER/files/DIGEST.part, from where
 * it was cut, and when size and digest are right to FOLDER/files/DIGEST. */
#include "deployment.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>

#define READ_SIZE 65536u
#define HEADER_MAX 1024u

typedef struct Download {
    struct Download *next;
    Plan *plan;
    Artifact *artifact;
    InaHttpFetch *fetch;
    char *part, *path;
    int fd;
    int64_t size, begin; /* bytes there; before this attempt */
    crypto_hash_sha256_state hash;
    InaError error; /* of the disk */
} Download;

static void download_free(Download *download)
{
    Plan *plan = download->plan;

    for (Download **at = &plan->downloads; *at; at = &(*at)->next)
        if (*at == download) {
            *at = download->next;
            plan->n_downloads--;
            break;
        }
    if (download->fd >= 0)
        close(download->fd);
    free(download->part);
    free(download->path);
    free(download);
}

void downloads_cancel(Plan *plan)
{
    while (plan->downloads) {
        if (plan->downloads->fetch)
            ina_http_fetch_cancel(plan->downloads->fetch);
        download_free(plan->downloads);
    }
}

/* --- the end of one -------------------------------------------------------------------- */

static bool digest_right(Download *download)
{
    unsigned char bytes[crypto_hash_sha256_BYTES];
    char text[DIGEST_SIZE];

    crypto_hash_sha256_final(&download->hash, bytes);
    sodium_bin2hex(text, sizeof text, bytes, sizeof bytes);
    return strcmp(text, download->artifact->digest) == 0;
}

static void complete(Download *download)
{
    Plan *plan = download->plan;
    Artifact *artifact = download->artifact;
    InaError error = {0};

    if (digest_right(download)) {
        if (rename(download->part, download->path) < 0) {
            ina_error_errno(&error, errno, "%s", download->path);
            plan_fail(plan, &error);
            return;
        }
        artifact->state = ARTIFACT_THERE;
        download_free(download);
        return;
    }
    (void)unlink(download->part);
    if (artifact->damaged) {
        ina_error_set(&error, EBADMSG, "%s is not what was announced: another SHA-256 than %s", artifact->name,
                      artifact->digest);
        plan_fail(plan, &error);
        return;
    }
    /* It may have been pieced together wrongly: once more, in one go. */
    artifact->damaged = true;
    artifact->state = ARTIFACT_MISSING;
    download_free(download);
}

/* Nothing came, or not all of it. */
static void incomplete(Download *download, const InaHttpResponse *response)
{
    Deployment *deployment = download->plan->deployment;
    Artifact *artifact = download->artifact;
    InaError error = {0};
    char why[1024], problem[640];
    int status = response->status;
    bool got_something = download->size > download->begin;

    if (status != 0 && status != 200 && status != 206) {
        /* What came is the text of an error. */
        if (ftruncate(download->fd, download->begin) < 0 || status == 416)
            (void)unlink(download->part);
        (void)snprintf(why, sizeof why, "%.100s: %s", artifact->name,
                       servers_problem(deployment, response, problem, sizeof problem));
    } else if (response->error.code == EMSGSIZE) {
        (void)unlink(download->part);
        (void)snprintf(why, sizeof why, "%.100s is larger than the %lld bytes announced", artifact->name,
                       (long long)artifact->size);
    } else {
        (void)snprintf(why, sizeof why, "%.100s: %s", artifact->name,
                       status ? "it ends too early" : servers_problem(deployment, response, problem, sizeof problem));
    }
    bool wrong = (response->error.code == EMSGSIZE && download->begin == 0) || (status == 200 && download->begin == 0);
    artifact->state = ARTIFACT_MISSING;
    Plan *plan = download->plan;
    download_free(download);
    if (wrong) {
        /* A whole answer of another size: it is not what was announced. */
        ina_error_set(&error, EBADMSG, "%s", status == 200 ? "" : why);
        if (status == 200)
            ina_error_set(&error, EBADMSG, "%s is smaller than the %lld bytes announced", artifact->name,
                          (long long)artifact->size);
        plan_fail(plan, &error);
        return;
    }
    if (status == 401 || status == 403)
        talk_enrol_again(deployment);
    else if (status == 404)
        plan_forget(plan, why);
    else if (!got_something || status != 0)
        servers_failed(deployment, why);
}

static void arrived(void *userdata, const InaHttpResponse *response)
{
    Download *download = userdata;
    Plan *plan = download->plan;
    Deployment *deployment = plan->deployment;
    const Artifact *artifact = download->artifact;

    download->fetch = NULL;
    if (download->error.code) {
        InaError error = download->error;
        plan_fail(plan, &error);
    } else if ((response->status == 200 || response->status == 206) && download->size == artifact->size) {
        servers_answered(deployment);
        complete(download);
    } else {
        incomplete(download, response);
    }
    talk_go_on(deployment); /* the plan may be gone */
}

static void on_chunk(void *userdata, const void *data, size_t size)
{
    Download *download = userdata;
    const char *at = data;

    crypto_hash_sha256_update(&download->hash, data, size);
    for (size_t rest = size; rest > 0 && !download->error.code;) {
        ssize_t n = write(download->fd, at, rest);
        if (n < 0 && errno != EINTR)
            ina_error_errno(&download->error, errno, "%s", download->part);
        if (n > 0) {
            at += n;
            rest -= (size_t)n;
        }
    }
    download->size += (int64_t)size;
    download->plan->received += (int64_t)size;
}

/* --- the beginning ------------------------------------------------------------------------ */

/* Goes on behind what is there; that is hashed again, for it may be of another run. */
static int open_part(Download *download, InaError *error)
{
    char buffer[READ_SIZE];
    ssize_t n;

    crypto_hash_sha256_init(&download->hash);
    int flags = O_RDWR | O_CREAT | O_CLOEXEC | (download->artifact->damaged ? O_TRUNC : 0);
    download->fd = open(download->part, flags, 0600);
    if (download->fd < 0)
        return ina_error_errno(error, errno, "%s", download->part);
    while ((n = read(download->fd, buffer, sizeof buffer)) > 0) {
        crypto_hash_sha256_update(&download->hash, (const unsigned char *)buffer, (size_t)n);
        download->size += n;
    }
    if (n < 0)
        return ina_error_errno(error, errno, "%s", download->part);
    if (download->size >= download->artifact->size) {
        /* Cannot be right, or it would be complete. */
        if (ftruncate(download->fd, 0) < 0 || lseek(download->fd, 0, SEEK_SET) < 0)
            return ina_error_errno(error, errno, "%s", download->part);
        crypto_hash_sha256_init(&download->hash);
        download->size = 0;
    }
    download->begin = download->size;
    return 0;
}

static int fetch(Download *download, const char *base, InaError *error)
{
    Deployment *deployment = download->plan->deployment;
    char url[SERVER_URL_MAX + 128], range[64], header[HEADER_MAX];
    const char *const headers[] = {
        deployment_authorization(deployment->remembered.token, header, sizeof header),
        download->begin > 0 ? range : NULL,
        NULL,
    };
    const InaHttpFetchOptions options = {
        .url = url,
        .headers = headers,
        .timeout = DOWNLOAD_TIMEOUT,
        .maximum = (size_t)(download->artifact->size - download->begin),
        .chunk = on_chunk,
        .done = arrived,
        .userdata = download,
    };

    (void)snprintf(url, sizeof url, "%s/v1/blobs/%s", base, download->artifact->digest);
    (void)snprintf(range, sizeof range, "Range: bytes=%lld-", (long long)download->begin);
    download->fetch = ina_http_fetch(deployment->component, &options, error);
    return download->fetch ? 0 : -error->code;
}

static int begin(Plan *plan, Artifact *artifact, const char *base, InaError *error)
{
    Download *download = calloc(1, sizeof *download);
    char name[DIGEST_SIZE + 8];

    if (!download)
        return ina_error_set(error, ENOMEM, "out of memory");
    (void)snprintf(name, sizeof name, "%s.part", artifact->digest);
    *download = (Download){.next = plan->downloads, .plan = plan, .artifact = artifact, .fd = -1};
    plan->downloads = download;
    plan->n_downloads++;
    download->part = store_path(plan->deployment, name);
    download->path = store_path(plan->deployment, artifact->digest);
    int r =
        download->part && download->path ? open_part(download, error) : ina_error_set(error, ENOMEM, "out of memory");
    if (r == 0)
        r = fetch(download, base, error);
    if (r < 0) {
        download_free(download);
        return r;
    }
    artifact->state = ARTIFACT_COMING;
    return 0;
}

/* The same file under two names is fetched once. */
static bool is_coming(const Plan *plan, const Artifact *artifact)
{
    for (const Download *download = plan->downloads; download; download = download->next)
        if (strcmp(download->artifact->digest, artifact->digest) == 0)
            return true;
    return false;
}

static bool came_for_another(const Plan *plan, const Artifact *artifact)
{
    for (size_t i = 0; i < plan->n_artifacts; i++)
        if (plan->artifacts[i].state == ARTIFACT_THERE && strcmp(plan->artifacts[i].digest, artifact->digest) == 0)
            return true;
    return false;
}

void downloads_go_on(Plan *plan)
{
    Deployment *deployment = plan->deployment;
    InaError error = {0};

    for (size_t i = 0; i < plan->n_artifacts; i++) {
        Artifact *artifact = &plan->artifacts[i];
        const char *base = servers_url(deployment);
        if (artifact->state == ARTIFACT_MISSING && came_for_another(plan, artifact))
            artifact->state = ARTIFACT_THERE;
        if (artifact->state != ARTIFACT_MISSING || is_coming(plan, artifact))
            continue;
        if (!base || !deployment->remembered.token || plan->n_downloads >= (size_t)deployment->downloads)
            return;
        if (begin(plan, artifact, base, &error) < 0) {
            plan_fail(plan, &error);
            return;
        }
    }
}
