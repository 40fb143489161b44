/* Signed deployments: sound ones are verified; whatever else somebody makes of one is refused. */
#include "base/cleanup.h"
#include "provisioning/signing.h"
#include "tests/base/testing.h"
#include <errno.h>
#include <sodium.h>
#include <sys/stat.h>

#define NOW INT64_C(1700000000000)

typedef struct Fixture {
    void *folder;
    SigningKey *key;
    TrustedKeys *trusted;
} Fixture;

static char *in(Fixture *fixture, const char *name)
{
    return (char *)below(&fixture->folder, name);
}

static int set_up(void **state)
{
    Fixture *fixture = calloc(1, sizeof *fixture);

    *state = fixture;
    if (make_folder(&fixture->folder) < 0 || signing_key_open(in(fixture, "key"), &fixture->key, NULL) < 0)
        return -1;
    return trusted_keys_read(in(fixture, "key.pub"), &fixture->trusted, NULL);
}

static int tear_down(void **state)
{
    Fixture *fixture = *state;

    trusted_keys_free(fixture->trusted);
    signing_key_free(fixture->key);
    remove_folder(&fixture->folder);
    free(fixture);
    return 0;
}

static json_t *statement(void)
{
    return json_pack("{s:s, s:s, s:s, s:i, s:I, s:I, s:[{s:s, s:s, s:i, s:s, s:s, s:b}, {s:s, s:s, s:i, s:s}]}", "type",
                     "inaetics.deployment.v1", "target", "t1", "version", "3.0.0", "serial", 17, "signed",
                     (json_int_t)NOW, "expires", (json_int_t)(NOW + SIGNING_VALID_MS), "artifacts", "name",
                     "a-1.0.0.zip", "sha256", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                     "size", 123, "symbolicName", "a", "version", "1.0.0", "customizer", 0, "name", "c.json", "sha256",
                     "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210", "size", 5, "processor",
                     "org.inaetics.rp.configuration");
}

static char *sign(const SigningKey *key, const json_t *value)
{
    InaError error = {0};
    char *envelope = NULL;

    if (signing_sign(key, value, &envelope, &error) < 0)
        fail_msg("%s", error.message);
    return envelope;
}

static void refused(Fixture *fixture, const char *envelope, size_t size, int code, const char *why)
{
    json_t *value = NULL;
    InaError error = {0};
    int r = signing_verify(fixture->trusted, envelope, size, "t1", NOW, 1, &value, &error);

    if (r == 0)
        fail_msg("taken, though: %s", why);
    if (r != code || !strstr(error.message, why))
        fail_msg("refused with %d '%s' instead of %d '%s'", r, error.message, code, why);
    assert_null(value);
    assert_int_equal(signing_verify(fixture->trusted, envelope, size, "t1", NOW, 1, &value, NULL), code);
}

/* Signed by the server's key, but with a statement that it would never make: as somebody who has the key could. */
static char *sign_text(Fixture *fixture, const char *payload, size_t size)
{
    char hex[65] = "", encoded[96], *text, *envelope, *signed_text;
    unsigned char seed[32], public[32], secret[64], signature[64];
    size_t length = sodium_base64_encoded_len(size, sodium_base64_VARIANT_ORIGINAL);
    FILE *file = fopen(in(fixture, "key"), "r");

    assert_non_null(file);
    assert_int_equal(fread(hex, 1, 64, file), 64);
    fclose(file);
    assert_int_equal(sodium_hex2bin(seed, 32, hex, 64, NULL, NULL, NULL), 0);
    crypto_sign_seed_keypair(public, secret, seed);
    signed_text = malloc(size + 23);
    memcpy(signed_text, "inaetics.deployment.v1\n", 23);
    memcpy(signed_text + 23, payload, size);
    crypto_sign_detached(signature, NULL, (unsigned char *)signed_text, size + 23, secret);
    free(signed_text);
    sodium_bin2base64(encoded, sizeof encoded, signature, 64, sodium_base64_VARIANT_ORIGINAL);
    text = malloc(length);
    sodium_bin2base64(text, length, (const unsigned char *)payload, size, sodium_base64_VARIANT_ORIGINAL);
    assert_true(asprintf(&envelope, "{\"payload\":\"%s\",\"signature\":\"%s\",\"key\":\"%s\"}", text, encoded,
                         signing_key_id(fixture->key)) > 0);
    free(text);
    return envelope;
}

static void refused_statement(Fixture *fixture, const char *payload, size_t size, const char *why)
{
    AUTO_FREE char *envelope = sign_text(fixture, payload, size);

    refused(fixture, envelope, strlen(envelope), -EINVAL, why);
}

static void a_statement_signed_is_verified(void **state)
{
    Fixture *fixture = *state;
    AUTO_JSON json_t *value = statement(), *verified = NULL;
    AUTO_FREE char *envelope = sign(fixture->key, value);
    InaError error = {0};

    if (signing_verify(fixture->trusted, envelope, strlen(envelope), "t1", NOW, 17, &verified, &error) < 0)
        fail_msg("%s", error.message);
    assert_true(json_equal(value, verified));
}

static void the_key_stays_and_is_listed_once(void **state)
{
    Fixture *fixture = *state;
    SigningKey *again = NULL;
    TrustedKeys *keys = NULL;
    AUTO_FREE char *before = NULL, *after = NULL;
    struct stat status;
    size_t size;

    assert_int_equal(strlen(signing_key_id(fixture->key)), SIGNING_KEY_ID_SIZE - 1);
    assert_int_equal(file_read(in(fixture, "key.pub"), 1000, &before, &size, NULL), 0);
    assert_int_equal(size, 65);
    assert_int_equal(signing_key_open(in(fixture, "key"), &again, NULL), 0);
    assert_string_equal(signing_key_id(again), signing_key_id(fixture->key));
    assert_int_equal(file_read(in(fixture, "key.pub"), 1000, &after, &size, NULL), 0);
    assert_string_equal(before, after);
    assert_int_equal(stat(in(fixture, "key"), &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(stat(in(fixture, "key.pub"), &status), 0);
    assert_int_equal(status.st_mode & 0777, 0644);
    signing_key_free(again);
    /* Only the public file was lost: it comes back. */
    assert_int_equal(unlink(in(fixture, "key.pub")), 0);
    assert_int_equal(signing_key_open(in(fixture, "key"), &again, NULL), 0);
    assert_int_equal(trusted_keys_read(in(fixture, "key.pub"), &keys, NULL), 0);
    trusted_keys_free(keys);
    signing_key_free(again);
}

static void a_new_key_is_trusted_beside_the_old(void **state)
{
    Fixture *fixture = *state;
    AUTO_JSON json_t *value = statement(), *verified = NULL;
    AUTO_FREE char *old = sign(fixture->key, value), *new = NULL;
    SigningKey *key = NULL;
    TrustedKeys *keys = NULL;

    assert_int_equal(unlink(in(fixture, "key")), 0);
    assert_int_equal(signing_key_open(in(fixture, "key"), &key, NULL), 0);
    assert_string_not_equal(signing_key_id(key), signing_key_id(fixture->key));
    new = sign(key, value);
    refused(fixture, new, strlen(new), -EBADMSG, "not trusted");
    assert_int_equal(trusted_keys_read(in(fixture, "key.pub"), &keys, NULL), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(signing_verify(keys, i ? new : old, strlen(i ? new : old), "t1", NOW, 1, &verified, NULL), 0);
        json_decref(verified);
        verified = NULL;
    }
    trusted_keys_free(keys);
    signing_key_free(key);
}

static void a_bad_key_file_is_refused(void **state)
{
    Fixture *fixture = *state;
    static const char *const bad[] = {
        "",
        "\n# nothing\n",
        "0123\n",
        "g123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef00\n",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef \n",
    };
    TrustedKeys *keys = NULL;
    SigningKey *key = NULL;
    InaError error = {0};
    char many[9 * 65 + 1] = "";

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(file_write(in(fixture, "bad.pub"), bad[i], strlen(bad[i]), 0644, NULL), 0);
        assert_int_equal(trusted_keys_read(in(fixture, "bad.pub"), &keys, &error), -EINVAL);
        assert_int_equal(file_write(in(fixture, "bad"), bad[i], strlen(bad[i]), 0600, NULL), 0);
        assert_int_equal(signing_key_open(in(fixture, "bad"), &key, &error), -EINVAL);
    }
    for (unsigned i = 0; i < 9; i++)
        snprintf(many + strlen(many), sizeof many - strlen(many), "%064u\n", i);
    assert_int_equal(file_write(in(fixture, "many.pub"), many, strlen(many), 0644, NULL), 0);
    assert_int_equal(trusted_keys_read(in(fixture, "many.pub"), &keys, &error), -EINVAL);
    assert_contains(error.message, "more than 8 keys");
    assert_int_equal(trusted_keys_read(in(fixture, "none.pub"), &keys, &error), -ENOENT);
    assert_int_equal(chmod(in(fixture, "key"), 0640), 0);
    assert_int_equal(signing_key_open(in(fixture, "key"), &key, &error), -EPERM);
    assert_contains(error.message, "others can use this key");
}

static void every_changed_byte_is_found(void **state)
{
    Fixture *fixture = *state;
    AUTO_JSON json_t *value = statement();
    AUTO_FREE char *envelope = sign(fixture->key, value);
    size_t size = strlen(envelope);
    json_t *verified = NULL;

    for (size_t i = 0; i < size; i++)
        for (unsigned change = 1; change < 256; change = change < 128 ? change * 2 : 256) {
            envelope[i] = (char)((unsigned char)envelope[i] ^ change);
            if (signing_verify(fixture->trusted, envelope, size, "t1", NOW, 1, &verified, NULL) == 0)
                fail_msg("taken with byte %zu changed by 0x%x", i, change);
            envelope[i] = (char)((unsigned char)envelope[i] ^ change);
        }
    for (size_t length = 0; length < size; length++)
        if (signing_verify(fixture->trusted, envelope, length, "t1", NOW, 1, &verified, NULL) == 0)
            fail_msg("taken when cut to %zu of %zu bytes", length, size);
    assert_int_equal(signing_verify(fixture->trusted, envelope, size, "t1", NOW, 1, &verified, NULL), 0);
    json_decref(verified);
}

static void a_changed_statement_does_not_fit_its_signature(void **state)
{
    Fixture *fixture = *state;
    AUTO_JSON json_t *value = statement(), *one = NULL, *other = NULL;
    AUTO_FREE char *first = sign(fixture->key, value), *second = NULL, *mixed = NULL;

    json_object_set_new(value, "serial", json_integer(18));
    second = sign(fixture->key, value);
    one = json_loads(first, 0, NULL);
    other = json_loads(second, 0, NULL);
    json_object_set(one, "signature", json_object_get(other, "signature"));
    mixed = json_dumps(one, JSON_COMPACT);
    refused(fixture, mixed, strlen(mixed), -EBADMSG, "does not fit");
}

static void an_expired_one_is_refused(void **state)
{
    Fixture *fixture = *state;
    AUTO_JSON json_t *value = statement();
    AUTO_FREE char *envelope = NULL;
    json_t *verified = NULL;
    InaError error = {0};

    envelope = sign(fixture->key, value);
    assert_int_equal(signing_verify(fixture->trusted, envelope, strlen(envelope), "t1", NOW + SIGNING_VALID_MS - 1, 1,
                                    &verified, NULL),
                     0);
    json_decref(verified);
    verified = NULL;
    assert_int_equal(signing_verify(fixture->trusted, envelope, strlen(envelope), "t1", NOW + SIGNING_VALID_MS, 1,
                                    &verified, &error),
                     -ESTALE);
    assert_contains(error.message, "expired");
    assert_null(verified);
}

static void a_lower_serial_is_refused(void **state)
{
    Fixture *fixture = *state;
    AUTO_JSON json_t *value = statement();
    AUTO_FREE char *envelope = sign(fixture->key, value);
    json_t *verified = NULL;
    InaError error = {0};

    assert_int_equal(signing_verify(fixture->trusted, envelope, strlen(envelope), "t1", NOW, 18, &verified, &error),
                     -ESTALE);
    assert_contains(error.message, "serial 17");
    assert_null(verified);
}

static void one_for_another_target_is_refused(void **state)
{
    Fixture *fixture = *state;
    AUTO_JSON json_t *value = statement();
    AUTO_FREE char *envelope = sign(fixture->key, value);
    json_t *verified = NULL;
    InaError error = {0};

    assert_int_equal(signing_verify(fixture->trusted, envelope, strlen(envelope), "t2", NOW, 1, &verified, &error),
                     -EINVAL);
    assert_contains(error.message, "for the target t1, not for t2");
    assert_null(verified);
}

static void envelopes_of_another_form_are_refused(void **state)
{
    Fixture *fixture = *state;
    AUTO_JSON json_t *value = statement(), *envelope = NULL;
    AUTO_FREE char *good = sign(fixture->key, value);
    static const char *const bad[] = {
        "", "null", "[]", "{}", "\"payload\"", "{\"payload\":1,\"signature\":2,\"key\":3}", "{\"payload\":\"\"}",
    };
    char *text;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused(fixture, bad[i], strlen(bad[i]), -EINVAL, "");
    envelope = json_loads(good, 0, NULL);
    assert_true(asprintf(&text, "%s ", good) > 0); /* blanks behind it are JSON's own, harmless */
    json_t *verified = NULL;
    assert_int_equal(signing_verify(fixture->trusted, text, strlen(text), "t1", NOW, 1, &verified, NULL), 0);
    json_decref(verified);
    free(text);
    assert_true(asprintf(&text, "%s{}", good) > 0);
    refused(fixture, text, strlen(text), -EINVAL, "");
    free(text);
    refused(fixture, good, strlen(good) + 1, -EINVAL, "NUL");
    assert_true(asprintf(&text, "{\"more\":1,%s", good + 1) > 0);
    refused(fixture, text, strlen(text), -EINVAL, "more");
    free(text);
    json_object_set_new(envelope, "signature", json_string("AAAA"));
    text = json_dumps(envelope, JSON_COMPACT);
    refused(fixture, text, strlen(text), -EBADMSG, "64 bytes");
    free(text);
}

static void deep_and_large_ones_are_refused(void **state)
{
    Fixture *fixture = *state;
    size_t depth = 100000, large = 8u * 1024 * 1024;
    AUTO_FREE char *deep = malloc(depth + 1), *wide = malloc(large + 1), *envelope = NULL;

    memset(deep, '[', depth);
    deep[depth] = '\0';
    refused(fixture, deep, depth, -EINVAL, "nested deeper");
    refused_statement(fixture, deep, depth, "nested deeper");
    memset(wide, ' ', large);
    memcpy(wide, "{}", 2);
    refused(fixture, wide, large, -EINVAL, "at most");
    envelope = sign_text(fixture, wide, SIGNING_STATEMENT_MAX + 1);
    refused(fixture, envelope, strlen(envelope), -EINVAL, "at most");
}

/* `key` of a sound statement replaced by `json` (NULL: taken out). */
static void refused_with(Fixture *fixture, const char *key, const char *json, const char *why)
{
    AUTO_JSON json_t *value = statement();
    AUTO_FREE char *text = NULL, *unused = NULL;
    InaError error = {0};

    if (json)
        assert_int_equal(json_object_set_new(value, key, json_loads(json, JSON_DECODE_ANY, NULL)), 0);
    else
        json_object_del(value, key);
    text = json_dumps(value, JSON_COMPACT);
    refused_statement(fixture, text, strlen(text), why);
    assert_int_equal(signing_sign(fixture->key, value, &unused, &error), -EINVAL);
    assert_contains(error.message, why);
}

static void statements_of_another_form_are_refused_though_signed(void **state)
{
    Fixture *fixture = *state;
    AUTO_JSON json_t *value = statement();
    AUTO_FREE char *text = json_dumps(value, JSON_COMPACT), *twice = NULL, *more = NULL;
    static const char *const keys[] = {"type", "target", "version", "serial", "signed", "expires", "artifacts"};

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        refused_with(fixture, keys[i], NULL, keys[i]);
        refused_with(fixture, keys[i], "{}", keys[i]);
    }
    refused_with(fixture, "type", "\"inaetics.deployment.v2\"", "of type 'inaetics.deployment.v2'");
    refused_with(fixture, "target", "\"../t1\"", "no target's id");
    refused_with(fixture, "version", "\"1/2\"", "no version");
    refused_with(fixture, "serial", "0", "serial");
    refused_with(fixture, "serial", "-1", "serial");
    refused_with(fixture, "signed", "1800000000000", "expires before it was signed");
    refused_with(fixture, "more", "1", "more");
    assert_true(asprintf(&twice, "{\"target\":\"t1\",%s", text + 1) > 0);
    refused_statement(fixture, twice, strlen(twice), "");
    assert_true(asprintf(&more, "%s1", text) > 0);
    refused_statement(fixture, more, strlen(more), "");
    refused_statement(fixture, text, strlen(text) + 1, "NUL");
    refused_statement(fixture, "", 0, "");
}

#define DIGEST "\"sha256\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\",\"size\":1"
#define BUNDLE DIGEST ",\"symbolicName\":\"a\",\"version\":\"1\""

static void artifacts_of_another_form_are_refused_though_signed(void **state)
{
    Fixture *fixture = *state;
    static const struct {
        const char *artifacts, *why;
    } bad[] = {
        {"[1]", "artifacts[0]"},
        {"[{\"name\":\"a\"," DIGEST "}]", "neither a bundle"},
        {"[{\"name\":\"a\"," BUNDLE ",\"processor\":\"p\"}]", "or both"},
        {"[{\"name\":\"a\"," DIGEST ",\"symbolicName\":\"a\"}]", "both symbolicName and version"},
        {"[{\"name\":\"a\"," DIGEST ",\"processor\":\"p\",\"customizer\":true}]", "customizer is no bundle"},
        {"[{\"name\":\"../a\"," BUNDLE "}]", "no name of a file"},
        {"[{\"name\":\"\"," BUNDLE "}]", "no name of a file"},
        {"[{\"name\":\"..\"," BUNDLE "}]", "no name of a file"},
        {"[{\"name\":\".a\"," BUNDLE "}]", "no name of a file"},
        {"[{\"name\":\"a/b\"," BUNDLE "}]", "no name of a file"},
        {"[{\"name\":\"a\\nb\"," BUNDLE "}]", "no name of a file"},
        {"[{\"name\":\"a\",\"sha256\":\"ab\",\"size\":1,\"processor\":\"p\"}]", "sha256"},
        {"[{\"name\":\"a\",\"sha256\":\"0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef\",\"size\":1,"
         "\"processor\":\"p\"}]",
         "sha256"},
        {"[{\"name\":\"a\"," DIGEST ",\"processor\":\"p/q\"}]", "processor"},
        {"[{\"name\":\"a\"," DIGEST ",\"symbolicName\":\"a b\",\"version\":\"1\"}]", "symbolicName"},
        {"[{\"name\":\"a\"," BUNDLE "},{\"name\":\"b\"," BUNDLE "},{\"name\":\"a\"," BUNDLE "}]", "two artifacts"},
        {"[{\"name\":\"a\"," BUNDLE ",\"more\":1}]", "more"},
        {"[{\"name\":\"a\",\"sha256\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\",\"size\":-1,"
         "\"processor\":\"p\"}]",
         "size"},
        {"[{\"name\":\"a\",\"sha256\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\","
         "\"size\":67108865,\"processor\":\"p\"}]",
         "size"},
    };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused_with(fixture, "artifacts", bad[i].artifacts, bad[i].why);
}

static void more_artifacts_than_allowed_are_refused(void **state)
{
    Fixture *fixture = *state;
    AUTO_JSON json_t *value = statement();
    json_t *artifacts = json_array();
    AUTO_FREE char *text = NULL, *envelope = NULL;
    json_t *verified = NULL;

    for (unsigned i = 0; i < SIGNING_ARTIFACTS_MAX; i++) {
        char name[32];

        snprintf(name, sizeof name, "a%u", i);
        json_array_append_new(artifacts, json_pack("{s:s, s:s, s:i, s:s}", "name", name, "sha256",
                                                   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                                                   "size", 1, "processor", "p"));
    }
    json_object_set_new(value, "artifacts", artifacts);
    envelope = sign(fixture->key, value);
    assert_int_equal(signing_verify(fixture->trusted, envelope, strlen(envelope), "t1", NOW, 1, &verified, NULL), 0);
    json_decref(verified);
    json_array_append_new(artifacts, json_pack("{s:s, s:s, s:i, s:s}", "name", "b", "sha256",
                                               "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                                               "size", 1, "processor", "p"));
    text = json_dumps(value, JSON_COMPACT);
    refused_statement(fixture, text, strlen(text), "at most 4096");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_statement_signed_is_verified, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_key_stays_and_is_listed_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_new_key_is_trusted_beside_the_old, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_bad_key_file_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_changed_byte_is_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_changed_statement_does_not_fit_its_signature, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_expired_one_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_lower_serial_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_for_another_target_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(envelopes_of_another_form_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(deep_and_large_ones_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(statements_of_another_form_are_refused_though_signed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(artifacts_of_another_form_are_refused_though_signed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_artifacts_than_allowed_are_refused, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("signing", tests, NULL, NULL);
}
