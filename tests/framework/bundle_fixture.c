#include "tests/framework/bundle_fixture.h"
#include "base/files.h"
#include "framework/bundle_tool.h"
#include "tests/framework/zips.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_US (120u * 1000000u)

void fixture_open(BundleFixture *fixture)
{
    InaError error = {0};
    const FrameworkOptions options = {
        .agent_id = "test", .cache = fixture->cache, .configuration = fixture->folder, .environment = true};

    assert_true(sd_event_new(&fixture->event) >= 0);
    if (framework_new(fixture->event, &options, &fixture->framework, &error) < 0)
        fail_msg("%s", error.message);
}

void fixture_close(BundleFixture *fixture)
{
    fixture->framework = framework_free(fixture->framework);
    fixture->event = sd_event_unref(fixture->event);
}

void fixture_restart(BundleFixture *fixture)
{
    InaError error = {0};

    fixture_close(fixture);
    fixture_open(fixture);
    if (framework_start(fixture->framework, &error) < 0)
        fail_msg("%s", error.message);
}

int fixture_set_up(void **state)
{
    BundleFixture *fixture = calloc(1, sizeof *fixture);

    fixture->folder = temporary_folder();
    fixture->cache = path_join(fixture->folder, "cache");
    fixture_open(fixture);
    *state = fixture;
    return 0;
}

int fixture_tear_down(void **state)
{
    BundleFixture *fixture = *state;

    fixture_close(fixture);
    folder_remove(fixture->folder, NULL);
    free(fixture->folder);
    free(fixture->cache);
    free(fixture);
    return 0;
}

char *fixture_pack(BundleFixture *fixture, const char *library, const char *name, const char *version,
                   const char *require)
{
    char path[4096], *zip;
    InaError error = {0};

    (void)snprintf(path, sizeof path, TEST_BUNDLES "/%s.so", library);
    if (asprintf(&zip, "%s/%u.zip", fixture->folder, fixture->zips++) < 0)
        abort();
    const BundlePack pack = {.output = zip,
                             .name = name,
                             .version = version,
                             .library = path,
                             .requires = &require,
                             .n_requires = require != NULL,
                             .unloaded = strncmp(library, "counter_", 8) == 0 && strcmp(library, "counter_sound") != 0};
    if (bundle_pack(&pack, &error) < 0)
        fail_msg("%s", error.message);
    return zip;
}

Bundle *fixture_install(BundleFixture *fixture, const char *library, const char *name, const char *version)
{
    char *zip = fixture_pack(fixture, library, name, version, NULL);
    Bundle *bundle = NULL;
    InaError error = {0};

    int r = framework_install(fixture->framework, zip, &bundle, &error);
    free(zip);
    if (r < 0)
        fail_msg("%s", error.message);
    return bundle;
}

Bundle *fixture_start(BundleFixture *fixture, const char *library, const char *name, const char *version)
{
    Bundle *bundle = fixture_install(fixture, library, name, version);
    InaError error = {0};

    if (bundle_start(bundle, &error) < 0)
        fail_msg("%s", error.message);
    return bundle;
}

/* --- the loop --------------------------------------------------------------- */

void fixture_run_until(BundleFixture *fixture, const bool *done)
{
    uint64_t end = ina_now() + (uint64_t)PATIENCE_US * 1000;

    while (!*done && ina_now() < end)
        assert_true(sd_event_run(fixture->event, 100000) >= 0);
    assert_true(*done);
}

void fixture_run(BundleFixture *fixture)
{
    while (sd_event_run(fixture->event, 0) > 0)
        continue;
}

static void answered(void *userdata, const Counter__V1__CountReply *reply, const InaFailure *failure)
{
    CountAnswer *answer = userdata;

    answer->client = client_free(answer->client);
    answer->done = true;
    answer->code = failure ? failure->code : INA_CODE_OK;
    answer->total = reply ? reply->total : -1;
    (void)snprintf(answer->version, sizeof answer->version, "%s", reply ? reply->version : "");
}

void fixture_ask(BundleFixture *fixture, int64_t by, CountAnswer *answer)
{
    Counter__V1__CountRequest request = COUNTER__V1__COUNT_REQUEST__INIT;
    ServiceEntry *entry = registry_find(fixture->framework, counter_v1_counter_contract.name, NULL);

    *answer = (CountAnswer){.total = -1};
    if (!entry) {
        answer->done = true;
        answer->code = INA_CODE_UNAVAILABLE;
        return;
    }
    answer->client = client_new_for(entry, &counter_v1_counter_contract);
    assert_non_null(answer->client);
    request.by = by;
    assert_non_null(counter_v1_counter_count(answer->client, &request, 20 * INA_SECOND, answered, answer));
}

int64_t fixture_count(BundleFixture *fixture, int64_t by)
{
    CountAnswer answer;

    fixture_ask(fixture, by, &answer);
    fixture_run_until(fixture, &answer.done);
    return answer.total;
}

void assert_counter(BundleFixture *fixture, int64_t total, const char *version)
{
    CountAnswer answer;

    fixture_ask(fixture, 0, &answer);
    fixture_run_until(fixture, &answer.done);
    assert_int_equal(answer.code, INA_CODE_OK);
    assert_int_equal(answer.total, total);
    assert_string_equal(answer.version, version);
}

/* --- what is there ----------------------------------------------------------- */

bool is_mapped(const char *folder)
{
    char line[8192];
    bool found = false;

    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps))
        found = found || strstr(line, folder);
    fclose(maps);
    return found;
}

size_t entries_in(const BundleFixture *fixture, const char *name)
{
    char *path = path_join(fixture->cache, name);
    size_t count = 0;

    DIR *folder = opendir(path);
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(folder);
    free(path);
    return count;
}

void assert_contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' does not contain '%s'", text, part);
}
