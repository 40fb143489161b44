/* plan.c - a deployment version: from the server's signed statement to bundles
 * that run, or to a reason why not. */
#include "deployment.h"

#include "base/cleanup.h"
#include "base/files.h"
#include "base/json.h"
#include "provisioning/signing.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>

#define PROCESSOR_CONFIGURATION "org.inaetics.rp.configuration"

/* --- what the server says ------------------------------------------------------------ */

static int read_artifact(const json_t *json, Artifact *ret, InaError *error)
{
    json_int_t size = 0;
    const char *name = NULL, *digest = NULL, *symbolic_name = NULL, *version = NULL, *processor = NULL;

    if (json_unpack((json_t *)json, "{s:s, s:s, s:I, s?s, s?s, s?s}", "name", &name, "sha256", &digest, "size", &size,
                    "symbolicName", &symbolic_name, "version", &version, "processor", &processor) < 0)
        return ina_error_set(error, EINVAL, "an artifact lacks name, sha256 or size");
    /* It becomes the name of a file. */
    if (strlen(digest) != DIGEST_SIZE - 1 || strspn(digest, "0123456789abcdef") != DIGEST_SIZE - 1)
        return ina_error_set(error, EINVAL, "%.100s: \"%.80s\" is no SHA-256", name, digest);
    if (size < 1 || size > DOWNLOAD_SIZE_MAX)
        return ina_error_set(error, EFBIG, "%.100s has %lld bytes, 1 to %lld are allowed", name, (long long)size,
                             (long long)DOWNLOAD_SIZE_MAX);
    if (symbolic_name ? !version : !processor)
        return ina_error_set(error, EINVAL, "%.100s is neither a bundle with a version nor for a resource processor",
                             name);
    if (!symbolic_name && strcmp(processor, PROCESSOR_CONFIGURATION) != 0)
        return ina_error_set(error, ENOTSUP, "%.100s is for the resource processor %.100s, which this agent has not",
                             name, processor);
    if (!symbolic_name && size > CONFIGURATION_SIZE_MAX)
        return ina_error_set(error, EFBIG, "%.100s: a configuration has at most %u bytes", name,
                             CONFIGURATION_SIZE_MAX);
    *ret = (Artifact){.name = name,
                      .digest = digest,
                      .symbolic_name = symbolic_name,
                      .version = version,
                      .processor = processor,
                      .size = size};
    return 0;
}

static int read_artifacts(Plan *plan, InaError *error)
{
    const json_t *list = json_object_get(plan->statement, "artifacts"), *item;
    int64_t total = 0;
    size_t i;

    if (json_array_size(list) > INA_DEPLOYMENT_BUNDLES_MAX)
        return ina_error_set(error, E2BIG, "%zu artifacts, at most %u are allowed", json_array_size(list),
                             INA_DEPLOYMENT_BUNDLES_MAX);
    plan->artifacts = calloc(json_array_size(list) + 1, sizeof *plan->artifacts);
    if (!plan->artifacts)
        return ina_error_set(error, ENOMEM, "out of memory");
    json_array_foreach(list, i, item)
    {
        int r = read_artifact(item, &plan->artifacts[i], error);
        if (r < 0)
            return r;
        plan->n_artifacts = i + 1;
        total += plan->artifacts[i].size;
    }
    if (total > DOWNLOADS_SIZE_MAX)
        return ina_error_set(error, EFBIG, "its files have %lld bytes together, at most %lld are allowed",
                             (long long)total, (long long)DOWNLOADS_SIZE_MAX);
    return 0;
}

/* The trusted keys are read each time: who trusts another one need not restart his agents. */
static int verify(Deployment *deployment, const json_t *reply, json_t **ret, InaError *error)
{
    AUTO_FREE char *envelope = json_dumps(json_object_get(reply, "envelope"), JSON_COMPACT | JSON_ENCODE_ANY);
    TrustedKeys *keys = NULL;

    if (!*deployment->trust)
        return ina_error_set(error, EACCES,
                             "no key is trusted, so nothing is installed: INAETICS_TRUST is to name a file with the "
                             "server's public key");
    if (!envelope)
        return ina_error_set(error, EINVAL, "the server's answer has no envelope");
    int r = trusted_keys_read(deployment->trust, &keys, error);
    if (r < 0)
        return ina_error_wrap(error, "no key is trusted, so nothing is installed");
    r = signing_verify(keys, envelope, strlen(envelope), deployment->target, ina_wall_clock_us() / 1000,
                       deployment->remembered.serial, ret, error);
    trusted_keys_free(keys);
    return r;
}

static int read_plan(Plan *plan, const json_t *reply, InaError *error)
{
    const char *announced = json_string_value(json_object_get(reply, "version"));
    int r = verify(plan->deployment, reply, &plan->statement, error);

    if (r < 0)
        return r;
    const char *version = json_string_value(json_object_get(plan->statement, "version"));
    plan->serial = json_integer_value(json_object_get(plan->statement, "serial"));
    if (!version || !announced || strcmp(version, announced) != 0)
        return ina_error_set(error, EINVAL, "version %.60s is announced, %.60s is signed", announced ? announced : "?",
                             version ? version : "?");
    /* It becomes part of a URL. */
    if (strlen(version) >= sizeof plan->version ||
        strspn(version, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") != strlen(version))
        return ina_error_set(error, EINVAL, "\"%.100s\" is no version", version);
    strcpy(plan->version, version);
    return read_artifacts(plan, error);
}

/* A refusal is told once as the failure of what was announced. */
static void note_refusal(Deployment *deployment, const json_t *reply, const char *why)
{
    const char *version = json_string_value(json_object_get(reply, "version"));

    if (!version || strlen(version) >= sizeof((Plan *)NULL)->version ||
        strcmp(version, deployment_version(deployment)) == 0)
        return;
    if (deployment->failed && strcmp(deployment->failed, version) == 0 && deployment->failure &&
        strcmp(deployment->failure, why) == 0)
        return;
    (void)deployment_set_text(&deployment->failed, version);
    (void)deployment_set_text(&deployment->failure, why);
    deployment->failed_serial = json_integer_value(json_object_get(reply, "serial"));
    events_add(deployment, EVENT_FRAMEWORK_ERROR, "id", "0", "msg", why, "type", "refused", NULL);
}

static void begin(Plan *plan);

/* What runs is this, file by file: a server that forgot a target counts its versions from 1.0.0 again. */
static bool has_content(const Plan *plan)
{
    const json_t *digests = plan->deployment->remembered.digests;
    if (json_array_size(digests) != plan->n_artifacts)
        return false;
    for (size_t i = 0; i < plan->n_artifacts; i++) {
        const char *digest = json_string_value(json_array_get(digests, i));
        if (!digest || strcmp(digest, plan->artifacts[i].digest) != 0)
            return false;
    }
    return true;
}

bool plan_take(Deployment *deployment, const char *text, size_t size, InaError *error)
{
    AUTO_JSON json_t *reply = NULL;
    Plan *plan = calloc(1, sizeof *plan);

    if (!plan) {
        (void)ina_error_set(error, ENOMEM, "out of memory");
        return false;
    }
    plan->deployment = deployment;
    int r = json_parse(text, size, NEXT_REPLY_MAX, &reply, error);
    if (r == 0)
        r = read_plan(plan, reply, error);
    if (r < 0) {
        (void)ina_error_wrap(error, "what the provisioning server offers is refused");
        note_refusal(deployment, reply, error->message);
        plan_free(plan);
        return false;
    }
    bool runs = strcmp(plan->version, deployment_version(deployment)) == 0 && has_content(plan);
    bool tried = deployment->failed && strcmp(plan->version, deployment->failed) == 0 &&
                 deployment->failed_serial == plan->serial && strcmp(plan->version, deployment->talk.after) == 0;
    if (runs || tried) {
        (void)deployment_set_text(&deployment->talk.after, plan->version);
        if (runs) {
            free(TAKE_PTR(deployment->failed));
            talk_report(deployment);
        }
        plan_free(plan);
        return true;
    }
    begin(plan);
    return true;
}

/* --- files that are there ------------------------------------------------------------- */

typedef struct Check {
    Plan *plan; /* NULL: given up meanwhile */
    struct {
        char *path;
        char digest[DIGEST_SIZE];
        size_t artifact;
        bool right;
    } * files;
    size_t n;
} Check;

static void check_free(Check *check)
{
    for (size_t i = 0; check && check->files && i < check->n; i++)
        free(check->files[i].path);
    if (check)
        free(check->files);
    free(check);
}

static bool digest_right(const char *path, const char *digest)
{
    unsigned char bytes[crypto_hash_sha256_BYTES];
    char text[DIGEST_SIZE], *data;
    size_t size;

    if (file_read(path, DOWNLOAD_SIZE_MAX, &data, &size, NULL) < 0)
        return false;
    crypto_hash_sha256(bytes, (const unsigned char *)data, size);
    free(data);
    sodium_bin2hex(text, sizeof text, bytes, sizeof bytes);
    return strcmp(text, digest) == 0;
}

static void check_files(void *userdata)
{
    Check *check = userdata;

    for (size_t i = 0; i < check->n; i++) {
        check->files[i].right = digest_right(check->files[i].path, check->files[i].digest);
        if (!check->files[i].right)
            (void)unlink(check->files[i].path);
    }
}

static void checked(void *userdata, bool cancelled)
{
    Check *check = userdata;
    Plan *plan = check->plan;

    if (plan && !cancelled && !deployment_is_over(plan->deployment)) {
        plan->check = NULL;
        for (size_t i = 0; i < check->n; i++)
            plan->artifacts[check->files[i].artifact].state = check->files[i].right ? ARTIFACT_THERE : ARTIFACT_MISSING;
        check_free(check);
        plan_go_on(plan);
        return;
    }
    if (plan)
        plan->check = NULL;
    check_free(check);
}

/* Those of the right size are read in a worker; all others are to be fetched. */
static void look_for_files(Plan *plan)
{
    Check *check = calloc(1, sizeof *check);

    if (check)
        check->files = calloc(plan->n_artifacts + 1, sizeof *check->files);
    for (size_t i = 0; i < plan->n_artifacts; i++) {
        Artifact *artifact = &plan->artifacts[i];
        AUTO_FREE char *path = store_path(plan->deployment, artifact->digest);
        struct stat status;
        artifact->state = ARTIFACT_MISSING;
        if (!check || !check->files || !path || stat(path, &status) < 0 || !S_ISREG(status.st_mode) ||
            status.st_size != artifact->size)
            continue;
        artifact->state = ARTIFACT_CHECKING;
        check->files[check->n].artifact = i;
        strcpy(check->files[check->n].digest, artifact->digest);
        check->files[check->n++].path = TAKE_PTR(path);
    }
    if (check && check->files && check->n > 0) {
        check->plan = plan;
        if (ina_work(plan->deployment->component, check_files, checked, check) == 0) {
            plan->check = check;
            return;
        }
        for (size_t i = 0; i < check->n; i++)
            plan->artifacts[check->files[i].artifact].state = ARTIFACT_MISSING;
    }
    check_free(check);
}

/* --- the change --------------------------------------------------------------------------- */

static json_t *digests_of(const Plan *plan)
{
    json_t *list = json_array();
    for (size_t i = 0; i < plan->n_artifacts; i++)
        (void)json_array_append_new(list, json_string(plan->artifacts[i].digest));
    return list;
}

static bool is_trying(const Deployment *deployment, const char *version)
{
    const char *trying = json_string_value(json_object_get(deployment->remembered.trying, "version"));
    return trying && strcmp(trying, version) == 0;
}

static void note_trying(const Plan *plan)
{
    Remembered *remembered = &plan->deployment->remembered;
    json_int_t times = is_trying(plan->deployment, plan->version)
                           ? json_integer_value(json_object_get(remembered->trying, "times"))
                           : 0;

    json_decref(remembered->trying);
    remembered->trying = json_pack("{s:s, s:I, s:I, s:o}", "version", plan->version, "serial", (json_int_t)plan->serial,
                                   "times", times, "digests", digests_of(plan));
}

/* FOLDER/applying is there while the agent changes over. Not synced: it is to survive the process only. */
static void mark_applying(const Deployment *deployment, const char *version)
{
    AUTO_FREE char *path = path_join(deployment->folder, "applying");
    AUTO_CLOSE int fd = path && version ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;

    if (path && !version)
        (void)unlink(path);
    else if (fd >= 0 && write(fd, version, strlen(version)) < 0)
        ina_log(deployment->component, INA_LOG_WARNING, "%s cannot be written", path);
}

static bool died_applying(const Deployment *deployment, const char *version)
{
    AUTO_FREE char *path = path_join(deployment->folder, "applying"), *text = NULL;
    return path && file_read(path, 1000, &text, NULL, NULL) == 0 && strcmp(text, version) == 0;
}

static void give_up_trying(Deployment *deployment, const char *version, int64_t serial)
{
    char why[100];

    (void)snprintf(why, sizeof why, "the agent ended %d times while it changed to it", ATTEMPTS_MAX);
    ina_log(deployment->component, INA_LOG_WARNING, "version %s is not tried again: %s", version, why);
    (void)deployment_set_text(&deployment->failed, version);
    (void)deployment_set_text(&deployment->failure, why);
    (void)deployment_set_text(&deployment->talk.after, version);
    deployment->failed_serial = serial;
}

void plan_recall(Deployment *deployment)
{
    Remembered *remembered = &deployment->remembered;
    json_t *trying = remembered->trying;
    const char *version = json_string_value(json_object_get(trying, "version"));
    json_int_t times = json_integer_value(json_object_get(trying, "times"));

    if (version && strcmp(version, deployment_version(deployment)) == 0) {
        /* It came so far that it runs now. */
        json_decref(remembered->digests);
        remembered->digests = json_incref(json_object_get(trying, "digests"));
        if (!remembered->digests)
            remembered->digests = json_array();
        json_decref(TAKE_PTR(remembered->trying));
    } else if (version && died_applying(deployment, version)) {
        (void)json_object_set_new(trying, "times", json_integer(times + 1));
        if (times + 1 >= ATTEMPTS_MAX) {
            give_up_trying(deployment, version, json_integer_value(json_object_get(trying, "serial")));
            json_decref(TAKE_PTR(remembered->trying)); /* the next start may try it */
        }
        store_save(deployment, NULL);
    }
    mark_applying(deployment, NULL);
}

void plan_stop(Deployment *deployment)
{
    if (deployment->plan)
        mark_applying(deployment, NULL); /* an end in order is nobody's failure */
    deployment->plan = plan_free(deployment->plan);
}

static void on_saved(Deployment *deployment, const InaError *error)
{
    Plan *plan = deployment->plan;

    if (!plan || plan->saved)
        return;
    if (error) {
        plan_fail(plan, error);
        talk_go_on(deployment);
        return;
    }
    plan->saved = true;
    plan_go_on(plan);
}

static void begin(Plan *plan)
{
    Deployment *deployment = plan->deployment;
    char count[32];

    deployment->plan = plan_free(deployment->plan);
    deployment->plan = plan;
    free(TAKE_PTR(deployment->failed));
    free(TAKE_PTR(deployment->failure));
    (void)snprintf(count, sizeof count, "%zu", plan->n_artifacts);
    ina_log(deployment->component, INA_LOG_INFO, "version %s of %s files is to be installed", plan->version, count);
    deployment_waits(deployment, "version %s is being installed", plan->version);
    events_add(deployment, EVENT_DEPLOYMENT_BEGUN, "name", deployment->target, NULL);
    talk_report(deployment);

    /* From now on nothing older is accepted, whatever becomes of this one. */
    deployment->remembered.serial = plan->serial;
    note_trying(plan);
    store_sweep(deployment, json_object_get(deployment->remembered.trying, "digests"));
    look_for_files(plan);
    downloads_go_on(plan);
    if (deployment->plan == plan)
        store_save(deployment, on_saved);
}

/* The texts of the configurations; freed by the caller. */
static int read_configurations(const Plan *plan, char **texts, size_t *n, InaError *error)
{
    for (size_t i = 0; i < plan->n_artifacts; i++) {
        const Artifact *artifact = &plan->artifacts[i];
        if (artifact->symbolic_name)
            continue;
        AUTO_FREE char *path = store_path(plan->deployment, artifact->digest);
        int r = path ? file_read(path, CONFIGURATION_SIZE_MAX, &texts[*n], NULL, error)
                     : ina_error_set(error, ENOMEM, "out of memory");
        if (r < 0)
            return ina_error_wrap(error, "%s", artifact->name);
        (*n)++;
    }
    return 0;
}

static void on_applied(void *userdata, const InaError *error);

static int give_to_agent(Plan *plan, InaError *error)
{
    Deployment *deployment = plan->deployment;
    AUTO_FREE InaDeploymentBundle *bundles = calloc(plan->n_artifacts + 1, sizeof *bundles);
    AUTO_FREE char **paths = calloc(plan->n_artifacts + 1, sizeof *paths);
    AUTO_FREE char **texts = calloc(plan->n_artifacts + 1, sizeof *texts);
    InaDeployment all = {.version = plan->version, .bundles = bundles, .configurations = (const char *const *)texts};
    int r = bundles && paths && texts ? 0 : ina_error_set(error, ENOMEM, "out of memory");

    for (size_t i = 0; i < plan->n_artifacts && r == 0; i++) {
        const Artifact *artifact = &plan->artifacts[i];
        if (!artifact->symbolic_name)
            continue;
        char *path = paths[all.n_bundles] = store_path(deployment, artifact->digest);
        if (!path)
            r = ina_error_set(error, ENOMEM, "out of memory");
        bundles[all.n_bundles++] = (InaDeploymentBundle){artifact->symbolic_name, artifact->version, path};
    }
    if (r == 0)
        r = read_configurations(plan, texts, &all.n_configurations, error);
    if (r == 0)
        r = deployment->agent->apply(deployment->deployer.self, &all, on_applied, deployment, error);
    for (size_t i = 0; paths && texts && i < plan->n_artifacts; i++) {
        free(paths[i]);
        free(texts[i]);
    }
    return r;
}

/* The files are there and the serial is on disk. */
static void apply(Plan *plan)
{
    Deployment *deployment = plan->deployment;
    InaError error = {0};

    plan->applying = true;
    mark_applying(deployment, plan->version);
    json_decref(deployment->before);
    deployment->before = events_bundles(deployment);
    if (give_to_agent(plan, &error) < 0)
        plan_fail(plan, &error);
}

void plan_go_on(Plan *plan)
{
    Deployment *deployment = plan->deployment;

    if (plan->applying)
        return;
    downloads_go_on(plan);
    if (deployment->plan != plan || !plan->saved)
        return;
    for (size_t i = 0; i < plan->n_artifacts; i++)
        if (plan->artifacts[i].state != ARTIFACT_THERE)
            return;
    apply(plan);
}

/* --- the end ---------------------------------------------------------------------------------- */

static void conclude(Deployment *deployment)
{
    InaHealth health = {0};

    /* What was logged until now is the old one's, or the attempt's. */
    deployment->agent->health(deployment->deployer.self, &health);
    deployment->errors_before = health.errors;
    if (deployment->before)
        events_compare(deployment, deployment->before);
    json_decref(TAKE_PTR(deployment->before));
    mark_applying(deployment, NULL);
    deployment->talk.refusals = 0;
    talk_report(deployment);
}

static void on_applied(void *userdata, const InaError *error)
{
    Deployment *deployment = userdata;
    Plan *plan = deployment->plan;

    if (!plan)
        return;
    if (error) {
        plan_fail(plan, error);
        talk_go_on(deployment);
        return;
    }
    ina_log(deployment->component, INA_LOG_NOTICE, "version %s runs; %lld bytes were fetched for it", plan->version,
            (long long)plan->received);
    (void)deployment_set_text(&deployment->talk.after, plan->version);
    json_decref(deployment->remembered.digests);
    deployment->remembered.digests = digests_of(plan);
    deployment->running_since = ina_now();
    deployment->plan = NULL;
    json_decref(TAKE_PTR(deployment->remembered.trying));
    conclude(deployment);
    events_add(deployment, EVENT_DEPLOYMENT_DONE, "name", deployment->target, "success", "true", "version",
               plan->version, NULL);
    store_save(deployment, NULL);
    plan_free(plan);
    talk_go_on(deployment);
}

void plan_fail(Plan *plan, const InaError *error)
{
    Deployment *deployment = plan->deployment;
    InaError why = *error;
    const char *runs = deployment_version(deployment);

    ina_log(deployment->component, INA_LOG_ERROR, "version %s is not installed, %s%s: %s", plan->version,
            *runs ? "as before runs version " : "nothing runs", runs, why.message);
    deployment_waits(deployment, "version %s is not installed: %s", plan->version, why.message);
    (void)deployment_set_text(&deployment->failed, plan->version);
    (void)deployment_set_text(&deployment->failure, why.message);
    deployment->failed_serial = plan->serial;
    /* Where nothing runs nothing can get worse: what it could not start with may come yet. */
    bool again = !*runs && plan->applying;
    if (!again)
        (void)deployment_set_text(&deployment->talk.after, plan->version);
    unsigned refusals = deployment->talk.refusals;
    deployment->plan = NULL;
    plan_free(plan);
    json_decref(TAKE_PTR(deployment->remembered.trying));
    store_save(deployment, NULL);
    conclude(deployment);
    events_add(deployment, EVENT_FRAMEWORK_ERROR, "id", "0", "msg", why.message, "type", "deployment", NULL);
    /* As other agents have it: the version that is still there. */
    events_add(deployment, EVENT_DEPLOYMENT_DONE, "name", deployment->target, "success", "false", "version", runs,
               NULL);
    if (again) {
        deployment->talk.refusals = refusals;
        talk_refused(deployment, deployment->failure ? deployment->failure : why.message);
    }
}

void plan_forget(Plan *plan, const char *why)
{
    Deployment *deployment = plan->deployment;

    deployment->plan = NULL;
    plan_free(plan);
    talk_refused(deployment, why);
}

Plan *plan_free(Plan *plan)
{
    if (!plan)
        return NULL;
    downloads_cancel(plan);
    if (plan->check)
        plan->check->plan = NULL;
    free(plan->artifacts);
    json_decref(plan->statement);
    free(plan);
    return NULL;
}
