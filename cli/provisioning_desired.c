/* provisioning_desired.c - desired state as code: apply, diff, export of a folder with provisioning.json. */
#include "provisioning.h"

#include "base/cleanup.h"
#include "base/files.h"
#include "base/json.h"
#include "provisioning/desired.h"
#include "provisioning/model.h"
#include "table.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

/* As diff(1): 0 no difference, 1 some, 2 trouble. */
enum { DIFF_NONE = 0, DIFF_SOME = 1, DIFF_TROUBLE = 2 };

static void hex_digest(const void *content, size_t size, char ret[2 * crypto_hash_sha256_BYTES + 1])
{
    unsigned char digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(digest, content, size);
    sodium_bin2hex(ret, 2 * sizeof digest + 1, digest, sizeof digest);
}

/* --- reading a folder ------------------------------------------------------- */

/* Each artifact by name becomes {"file", "sha256"}. */
static int digest_artifacts(const char *folder, json_t *state, InaError *error)
{
    json_t *artifacts = json_object_get(state, "artifacts");
    for (size_t i = 0; i < json_array_size(artifacts); i++) {
        char digest[2 * crypto_hash_sha256_BYTES + 1];
        const char *name = json_string_value(json_array_get(artifacts, i));
        AUTO_FREE char *path = path_join(folder, name), *content = NULL;
        size_t size = 0;
        int r = path ? file_read(path, PROVISIONING_FILE_MAX, &content, &size, error)
                     : ina_error_set(error, ENOMEM, "out of memory");
        if (r < 0)
            return ina_error_wrap(error, "artifacts[%zu]", i);
        hex_digest(content, size, digest);
        json_array_set_new(artifacts, i, json_pack("{s:s, s:s}", "file", name, "sha256", digest));
    }
    return 0;
}

/* The state of a folder as POST /v1/desired has it; NULL: it said what is wrong. */
static json_t *read_folder(const char *folder)
{
    InaError error = {0};
    AUTO_FREE char *path = path_join(folder, DESIRED_FILE), *text = NULL;
    AUTO_JSON json_t *state = NULL;
    size_t size = 0;
    int r =
        path ? file_read(path, DESIRED_SIZE_MAX, &text, &size, &error) : ina_error_set(&error, ENOMEM, "out of memory");
    if (r < 0) {
        cli_fail("%s%s", error.message,
                 error.code == ENOENT ? "; it says what is to run where (docs/provisioning-api.md, \"Desired state\"), "
                                        "and `inaetics provisioning export` writes it"
                                      : "");
        return NULL;
    }
    r = json_parse(text, size, DESIRED_SIZE_MAX, &state, &error);
    r = r < 0 ? r : desired_check(state, true, &error);
    r = r < 0 ? r : digest_artifacts(folder, state, &error);
    if (r == 0)
        return TAKE_PTR(state);
    cli_fail("%s: %s", path, error.message);
    return NULL;
}

/* --- differences ------------------------------------------------------------ */

/* A line for each attribute and tag that is not the same. */
static void print_values(const char *what, const json_t *before, const json_t *after)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)before, key, value)
    {
        if (json_equal(value, json_object_get(after, key)))
            continue;
        AUTO_FREE char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        printf("    - %s", what);
        print_text(key);
        fputs(" = ", stdout);
        print_text(text ? text : "");
        putchar('\n');
    }
    json_object_foreach((json_t *)after, key, value)
    {
        if (json_equal(value, json_object_get(before, key)))
            continue;
        AUTO_FREE char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        printf("    + %s", what);
        print_text(key);
        fputs(" = ", stdout);
        print_text(text ? text : "");
        putchar('\n');
    }
}

static void print_change(const json_t *difference)
{
    const json_t *before = json_object_get(difference, "before"), *after = json_object_get(difference, "after");
    if (json_object_get(before, "definition") || json_object_get(after, "definition")) {
        print_values("", json_object_get(before, "attributes"), json_object_get(after, "attributes"));
        print_values("tag ", json_object_get(before, "tags"), json_object_get(after, "tags"));
    } else {
        print_values("", before, after);
    }
}

static const char *kind_text(const char *kind)
{
    static const char *const kinds[][2] = {{"artifact2feature", "link of an artifact"},
                                           {"feature2distribution", "link of a feature"},
                                           {"distribution2target", "assignment"},
                                           {"rollout", "policy of rollouts"}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kind, kinds[i][0]) == 0)
            return kinds[i][1];
    return kind;
}

static void print_differences(const json_t *differences)
{
    const json_t *difference;
    size_t i;
    json_array_foreach(differences, i, difference)
    {
        const char *change = text_of(difference, "change"), *kind = text_of(difference, "kind");
        bool changed = strcmp(change, "changed") == 0,
             plain = strcmp(kind, "settings") == 0 || strcmp(kind, "rollout") == 0;
        printf("  %c %s%s",
               changed                        ? '~'
               : strcmp(change, "added") == 0 ? '+'
                                              : '-',
               kind_text(kind), plain ? "" : " ");
        print_text(plain ? "" : text_of(difference, "name"));
        putchar('\n');
        if (changed || plain)
            print_change(difference);
    }
}

static void print_missing(const json_t *missing)
{
    const json_t *artifact;
    size_t i;
    json_array_foreach(missing, i, artifact)
    {
        fputs("  + file ", stdout);
        print_text(text_of(artifact, "file"));
        putchar('\n');
    }
}

/* --- apply, diff ------------------------------------------------------------ */

static bool send_missing(Provisioning *provisioning, const char *folder, const json_t *state, const json_t *missing,
                         const char *workspace)
{
    const json_t *artifact, *known;
    size_t i, j;
    json_array_foreach(missing, i, artifact)
    {
        const char *name = NULL, *digest = text_of(artifact, "sha256");
        bool new;
        /* Names are taken from the folder's own file, not from what the server says. */
        json_array_foreach(json_object_get(state, "artifacts"), j,
                           known) if (strcmp(text_of(known, "sha256"), digest) == 0) name = text_of(known, "file");
        AUTO_FREE char *path = name ? path_join(folder, name) : NULL;
        if (!path) {
            cli_fail("the server misses an artifact that %s does not have: %.200s", folder, text_of(artifact, "file"));
            return false;
        }
        if (!provisioning_send_file(provisioning, path, workspace, NULL, &new))
            return false;
        printf("  + file %s\n", name);
    }
    return true;
}

/* What would be changed; NULL: it said why it cannot be. */
static json_t *ask_plan(Provisioning *provisioning, const json_t *state)
{
    json_t *plan = NULL;
    return provisioning_ask(provisioning, "POST", "/v1/desired?dry-run=true", state, &plan) ? plan : NULL;
}

/* Files that are missing wait in a workspace until the state is stored with them: one revision, or nothing. */
static json_t *apply_with_files(Provisioning *provisioning, const char *folder, const json_t *state,
                                const json_t *missing)
{
    AUTO_JSON json_t *workspace = NULL;
    json_t *done = NULL;
    if (!provisioning_ask(provisioning, "POST", "/v1/workspaces", NULL, &workspace))
        return NULL;
    const char *id = text_of(workspace, "id");
    AUTO_FREE char *path = provisioning_path("/v1/desired?workspace=%s", id);
    AUTO_FREE char *end = provisioning_path("/v1/workspaces/%s", id);
    if (send_missing(provisioning, folder, state, missing, id))
        (void)provisioning_ask(provisioning, "POST", path, state, &done);
    (void)provisioning_ask(provisioning, "DELETE", end, NULL, NULL);
    return done;
}

int provisioning_apply(Provisioning *provisioning, int count, char *const *items)
{
    AUTO_JSON json_t *state = read_folder(items[0]);
    AUTO_JSON json_t *plan = state ? ask_plan(provisioning, state) : NULL, *done = NULL;
    const json_t *missing = json_object_get(plan, "missing");
    if (!plan)
        return CLI_FAILED;
    if (json_array_size(missing) > 0)
        done = apply_with_files(provisioning, items[0], state, missing);
    else
        (void)provisioning_ask(provisioning, "POST", "/v1/desired", state, &done);
    if (!done)
        return CLI_FAILED;
    const json_t *rollout = json_object_get(state, "rollout");
    if (rollout && json_is_null(rollout))
        provisioning_warn_no_policy();
    if (provisioning->arguments->json)
        return cli_print_json(done);
    print_differences(json_object_get(done, "differences"));
    if (json_array_size(json_object_get(done, "differences")) == 0) {
        puts("Nothing to change: what is stored is as the folder says.");
        return CLI_OK;
    }
    return provisioning_follow_rollout(provisioning, done);
}

/* Between what was applied last and what is stored. */
static int diff_drift(Provisioning *provisioning)
{
    AUTO_JSON json_t *desired = NULL;
    char time[TIME_TEXT_SIZE];
    if (!provisioning_ask(provisioning, "GET", "/v1/desired", NULL, &desired))
        return DIFF_TROUBLE;
    const json_t *drift = json_object_get(desired, "drift");
    if (provisioning->arguments->json) {
        cli_print_json(drift);
    } else if (json_array_size(drift) > 0) {
        printf("To be again as it was applied at %s:\n",
               time_text(json_integer_value(json_object_get(desired, "applied")), time));
        print_differences(drift);
    }
    return json_array_size(drift) > 0 ? DIFF_SOME : DIFF_NONE;
}

int provisioning_diff(Provisioning *provisioning, int count, char *const *items)
{
    if (count == 0)
        return diff_drift(provisioning);
    AUTO_JSON json_t *state = read_folder(items[0]);
    AUTO_JSON json_t *plan = state ? ask_plan(provisioning, state) : NULL;
    if (!plan)
        return DIFF_TROUBLE;
    const json_t *missing = json_object_get(plan, "missing"), *differences = json_object_get(plan, "differences");
    if (provisioning->arguments->json) {
        cli_print_json(plan);
    } else {
        print_missing(missing);
        print_differences(differences);
    }
    return json_array_size(missing) + json_array_size(differences) > 0 ? DIFF_SOME : DIFF_NONE;
}

/* --- export ----------------------------------------------------------------- */

static bool fetch_artifact(Provisioning *provisioning, const char *folder, const char *name, const char *digest)
{
    InaError error = {0};
    AUTO_FREE char *path = path_join(folder, name), *url = provisioning_path("/v1/artifacts/%s", digest);
    char got[2 * crypto_hash_sha256_BYTES + 1];
    ProvisioningAnswer answer;
    ProvisioningCall call = {.method = "GET", .path = url};
    if (!path || !url || !provisioning_call(provisioning, &call, &answer))
        return false;
    bool right = answer.status == 200;
    if (!right) {
        provisioning_refused(&answer);
    } else {
        hex_digest(answer.body, answer.size, got);
        right = strcmp(got, digest) == 0;
        if (!right)
            cli_fail("what the server sent for %s has not its digest", name);
        else if (file_write(path, answer.body, answer.size, 0644, &error) < 0)
            right = cli_fail("%s", error.message) == CLI_OK;
    }
    provisioning_clear(&answer);
    return right;
}

static bool write_state(const char *path, const json_t *state)
{
    InaError error = {0};
    AUTO_FREE char *text = json_dumps(state, JSON_INDENT(2)), *line = NULL;
    if (!text || asprintf(&line, "%s\n", text) < 0) {
        cli_fail("out of memory");
        return false;
    }
    if (file_write(path, line, strlen(line), 0644, &error) == 0)
        return true;
    cli_fail("%s", error.message);
    return false;
}

/* Versions that nothing is linked to: they are no part of the state. */
static bool tell_left_out(Provisioning *provisioning, const json_t *taken)
{
    AUTO_JSON json_t *all = provisioning_list(provisioning, "/v1/objects?kind=artifact");
    const json_t *artifact;
    size_t i, n = 0;
    if (!all)
        return false;
    json_array_foreach(all, i, artifact)
    {
        char text[OBJECT_TEXT_SIZE];
        const char *digest = text_of(json_object_get(artifact, "attributes"), "sha256");
        if (json_object_get(taken, digest))
            continue;
        printf(n++ == 0 ? "Left out, because nothing is linked to them: " : ", ");
        print_text(definition_text(text_of(artifact, "definition"), text));
    }
    if (n > 0)
        puts(".");
    return true;
}

int provisioning_export(Provisioning *provisioning, int count, char *const *items)
{
    InaError error = {0};
    AUTO_FREE char *path = path_join(items[0], DESIRED_FILE);
    AUTO_JSON json_t *state = NULL;
    if (!path)
        return cli_fail("out of memory");
    if (access(path, F_OK) == 0 && !provisioning->arguments->force)
        return cli_fail("%s is there already; --force replaces it and its files", path);
    if (!provisioning_ask(provisioning, "GET", "/v1/export", NULL, &state))
        return CLI_FAILED;
    /* Names become those of files here: no server is to choose where they are. */
    if (desired_check(state, false, &error) < 0)
        return cli_fail("what the server sent is no desired state: %s", error.message);
    if (folder_make(items[0], 0755, &error) < 0)
        return cli_fail("%s", error.message);
    json_t *artifacts = json_object_get(state, "artifacts");
    AUTO_JSON json_t *taken = json_object();
    for (size_t i = 0; i < json_array_size(artifacts); i++) {
        AUTO_JSON json_t *artifact = json_incref(json_array_get(artifacts, i));
        if (!fetch_artifact(provisioning, items[0], text_of(artifact, "file"), text_of(artifact, "sha256")))
            return CLI_FAILED;
        json_object_set(taken, text_of(artifact, "sha256"), json_true());
        json_array_set(artifacts, i, json_object_get(artifact, "file"));
    }
    if (!write_state(path, state))
        return CLI_FAILED;
    printf("%s and %zu files are in %s: features, distributions, links, settings, and all that is linked.\n"
           "`inaetics provisioning apply %s` makes it so again.\n",
           DESIRED_FILE, json_array_size(artifacts), items[0], items[0]);
    return tell_left_out(provisioning, taken) ? CLI_OK : CLI_FAILED;
}
