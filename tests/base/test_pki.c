/* The certificate authority: what is made, what is kept, what is refused, what is renewed. */
#include "testing.h"

#include "base/pki.h"
#include "base/pki_certificate.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DAY (24L * 60 * 60)

static const char *const addresses[] = {"127.17.8.20", "::1", "localhost"};

static void make_ca(void **state)
{
    InaError error = {0};

    if (pki_ensure_ca(*state, "Inaetics test", &error) < 0)
        fail_msg("%s", error.message);
}

static int ensure(void **state, const char *name, PkiUsage usage, size_t n_addresses, InaError *error)
{
    return pki_ensure_certificate(*state, name, usage, "inaetics", addresses, n_addresses, error);
}

static char *read_text(void **state, const char *name)
{
    char *text;

    assert_int_equal(file_read(below(state, name), 100000, &text, NULL, NULL), 0);
    return text;
}

static void assert_same(void **state, const char *name, char *before, bool same)
{
    char *after = read_text(state, name);

    if ((strcmp(before, after) == 0) != same)
        fail_msg("%s was %s", name, same ? "changed" : "kept");
    free(before);
    free(after);
}

static CertificatePair load(void **state, const char *name)
{
    char file[64];
    CertificatePair pair;
    InaError error = {0};

    snprintf(file, sizeof(file), "%s.pem", name);
    char *certificate = read_text(state, file);
    snprintf(file, sizeof(file), "%s-key.pem", name);
    char *key = read_text(state, file);
    if (certificate_pair_parse(certificate, key, &pair, &error) < 0)
        fail_msg("%s", error.message);
    free(certificate);
    free(key);
    return pair;
}

static void store(void **state, const char *name, const CertificatePair *pair)
{
    char file[64], *certificate, *key;

    assert_int_equal(certificate_pair_print(pair, &certificate, &key, NULL), 0);
    snprintf(file, sizeof(file), "%s.pem", name);
    assert_int_equal(file_write(below(state, file), certificate, strlen(certificate), 0644, NULL), 0);
    snprintf(file, sizeof(file), "%s-key.pem", name);
    assert_int_equal(file_write(below(state, file), key, strlen(key), 0600, NULL), 0);
    free(certificate);
    free(key);
}

static mode_t mode_of(const char *path)
{
    struct stat status;

    assert_int_equal(stat(path, &status), 0);
    return status.st_mode & 07777;
}

/* --- the authority ---- */

static void an_authority_is_made_once_and_kept_private(void **state)
{
    mode_t old = umask(0);

    assert_int_equal(pki_ensure_ca(below(state, "deep/pki"), "Inaetics test", NULL), 0);
    umask(old);
    assert_int_equal(mode_of(below(state, "deep/pki")), 0700);
    assert_int_equal(mode_of(below(state, "deep/pki/ca-key.pem")), 0600);
    char *certificate = read_text(state, "deep/pki/ca.pem"), *key = read_text(state, "deep/pki/ca-key.pem");
    assert_int_equal(pki_ensure_ca(below(state, "deep/pki"), "another name", NULL), 0);
    assert_same(state, "deep/pki/ca.pem", certificate, true);
    assert_same(state, "deep/pki/ca-key.pem", key, true);
}

static void a_folder_that_others_can_read_is_refused(void **state)
{
    static const mode_t modes[] = {0755, 0750, 0701, 0710, 0704, 0770, 0777};
    InaError error = {0};

    for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
        chmod(*state, modes[i]);
        assert_int_equal(pki_ensure_ca(*state, "x", &error), -EPERM);
        assert_contains(error.message, "can be read by others");
        assert_contains(error.message, "chmod 700");
        assert_int_equal(access(below(state, "ca.pem"), F_OK), -1);
    }
    chmod(*state, 0700);
    make_ca(state);
    chmod(*state, 0750);
    assert_int_equal(ensure(state, "etcd", PKI_SERVER_AND_CLIENT, 3, &error), -EPERM);
    chmod(*state, 0700);
}

static void a_key_that_others_can_read_is_refused(void **state)
{
    InaError error = {0};

    make_ca(state);
    assert_int_equal(ensure(state, "client", PKI_CLIENT, 0, NULL), 0);
    chmod(below(state, "client-key.pem"), 0644);
    assert_int_equal(ensure(state, "client", PKI_CLIENT, 0, &error), -EPERM);
    assert_contains(error.message, "client-key.pem can be read by others (mode 0644)");
    chmod(below(state, "client-key.pem"), 0600);
    chmod(below(state, "ca-key.pem"), 0640);
    assert_int_equal(pki_ensure_ca(*state, "x", &error), -EPERM);
    assert_int_equal(ensure(state, "client", PKI_CLIENT, 0, &error), -EPERM);
    assert_contains(error.message, "ca-key.pem");
}

static void a_folder_of_somebody_else_is_refused(void **state)
{
    InaError error = {0};

    if (geteuid() == 0) {
        assert_int_equal(chown(*state, 12345, 12345), 0);
        assert_int_equal(pki_ensure_ca(*state, "x", &error), -EPERM);
        assert_contains(error.message, "belongs to user 12345");
    } else { /* /root and the like: never ours */
        assert_true(pki_ensure_ca("/lost+found", "x", &error) < 0);
    }
}

static void what_is_no_folder_is_refused(void **state)
{
    assert_int_equal(file_write(below(state, "f"), "x", 1, 0600, NULL), 0);
    assert_int_equal(pki_ensure_ca(below(state, "f"), "x", NULL), -ENOTDIR);
}

static void an_authority_that_does_not_fit_its_key_is_refused(void **state)
{
    InaError error = {0};

    make_ca(state);
    assert_int_equal(pki_ensure_ca(below(state, "other"), "x", NULL), 0);
    assert_int_equal(rename(below(state, "other/ca-key.pem"), below(state, "ca-key.pem")), 0);
    assert_int_equal(pki_ensure_ca(*state, "x", &error), -EINVAL);
    assert_contains(error.message, "ca-key.pem: the key is not the one of the certificate");
    assert_int_equal(ensure(state, "client", PKI_CLIENT, 0, &error), -EINVAL);
}

static void a_lost_key_is_told_and_not_replaced(void **state)
{
    InaError error = {0};

    make_ca(state);
    unlink(below(state, "ca-key.pem"));
    char *certificate = read_text(state, "ca.pem");
    assert_int_equal(pki_ensure_ca(*state, "x", &error), -ENOENT);
    assert_contains(error.message, "ca-key.pem is missing");
    assert_same(state, "ca.pem", certificate, true);
}

static void a_key_without_its_certificate_is_what_a_crash_left(void **state)
{
    make_ca(state);
    unlink(below(state, "ca.pem"));
    make_ca(state);
    CertificatePair ca = load(state, "ca");
    assert_int_equal(certificate_check_ca(&ca, NULL), 0);
    certificate_pair_clear(&ca);
}

static void damaged_files_are_refused_and_left(void **state)
{
    static const char *const texts[] = {"", "garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                                        "-----BEGIN CERTIFICATE-----\n", "\xff\xfe\x00"};
    InaError error = {0};

    make_ca(state);
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        assert_int_equal(file_write(below(state, "ca.pem"), texts[i], strlen(texts[i]), 0644, NULL), 0);
        assert_int_equal(pki_ensure_ca(*state, "x", &error), -EINVAL);
        assert_contains(error.message, "the certificate is damaged");
    }
    static char large[70000];
    memset(large, 'x', sizeof(large));
    assert_int_equal(file_write(below(state, "ca.pem"), large, sizeof(large), 0644, NULL), 0);
    assert_int_equal(pki_ensure_ca(*state, "x", &error), -EFBIG);
}

static void a_certificate_that_is_no_authority_cannot_be_one(void **state)
{
    InaError error = {0};

    make_ca(state);
    assert_int_equal(ensure(state, "etcd", PKI_SERVER_AND_CLIENT, 3, NULL), 0);
    CertificatePair pair = load(state, "etcd");
    store(state, "ca", &pair);
    certificate_pair_clear(&pair);
    assert_int_equal(pki_ensure_ca(*state, "x", &error), -EINVAL);
    assert_contains(error.message, "ca.pem: not the certificate of an authority");
}

static void an_authority_that_has_run_out_is_refused(void **state)
{
    InaError error = {0};

    make_ca(state);
    CertificatePair ca = load(state, "ca");
    gnutls_x509_crt_set_expiration_time(ca.certificate, time(NULL) - 1);
    assert_int_equal(gnutls_x509_crt_sign2(ca.certificate, ca.certificate, ca.key, GNUTLS_DIG_SHA256, 0), 0);
    store(state, "ca", &ca);
    certificate_pair_clear(&ca);
    assert_int_equal(pki_ensure_ca(*state, "x", &error), -EINVAL);
    assert_contains(error.message, "has run out");
}

static void a_folder_that_another_process_works_in_is_waited_for_but_not_for_ever(void **state)
{
    InaError error = {0};
    int fd = open(*state, O_RDONLY | O_DIRECTORY);

    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(pki_ensure_ca(*state, "x", &error), -EBUSY);
    assert_contains(error.message, "another process");
    close(fd);
    make_ca(state);
}

/* --- certificates ---- */

static void a_server_has_both_usages_its_addresses_and_a_name(void **state)
{
    static const char *const other[] = {"127.17.8.20", "::1"};
    CertificateRequest request = {"etcd", PKI_SERVER_AND_CLIENT, "inaetics", addresses, 3};

    make_ca(state);
    assert_int_equal(ensure(state, "etcd", PKI_SERVER_AND_CLIENT, 3, NULL), 0);
    assert_int_equal(mode_of(below(state, "etcd-key.pem")), 0600);
    CertificatePair ca = load(state, "ca"), pair = load(state, "etcd");
    assert_true(certificate_serves(&pair, &ca, &request));
    assert_true(gnutls_x509_crt_check_hostname(pair.certificate, "127.17.8.20"));
    assert_true(gnutls_x509_crt_check_hostname(pair.certificate, "localhost"));
    assert_false(gnutls_x509_crt_check_hostname(pair.certificate, "127.17.8.21"));
    request.addresses = other;
    request.n_addresses = 2;
    assert_false(certificate_serves(&pair, &ca, &request));
    certificate_pair_clear(&pair);
    certificate_pair_clear(&ca);
}

static void a_client_has_no_common_name_but_an_organisation(void **state)
{
    char text[100];
    size_t size = sizeof(text);

    make_ca(state);
    assert_int_equal(ensure(state, "client", PKI_CLIENT, 0, NULL), 0);
    CertificatePair pair = load(state, "client");
    assert_int_equal(gnutls_x509_crt_get_dn_by_oid(pair.certificate, GNUTLS_OID_X520_COMMON_NAME, 0, 0, text, &size),
                     GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE);
    size = sizeof(text);
    assert_int_equal(
        gnutls_x509_crt_get_dn_by_oid(pair.certificate, GNUTLS_OID_X520_ORGANIZATION_NAME, 0, 0, text, &size), 0);
    assert_string_equal(text, "inaetics");
    certificate_pair_clear(&pair);
}

static void a_certificate_that_serves_is_kept(void **state)
{
    make_ca(state);
    assert_int_equal(ensure(state, "etcd", PKI_SERVER_AND_CLIENT, 3, NULL), 0);
    char *certificate = read_text(state, "etcd.pem"), *key = read_text(state, "etcd-key.pem");
    assert_int_equal(ensure(state, "etcd", PKI_SERVER_AND_CLIENT, 3, NULL), 0);
    assert_same(state, "etcd.pem", certificate, true);
    assert_same(state, "etcd-key.pem", key, true);
}

static void other_addresses_or_usage_or_organisation_make_a_new_one(void **state)
{
    make_ca(state);
    assert_int_equal(ensure(state, "etcd", PKI_SERVER_AND_CLIENT, 3, NULL), 0);
    for (size_t n = 3; n-- > 0;) {
        char *before = read_text(state, "etcd.pem");
        assert_int_equal(ensure(state, "etcd", PKI_SERVER_AND_CLIENT, n, NULL), 0);
        assert_same(state, "etcd.pem", before, false);
    }
    char *before = read_text(state, "etcd.pem");
    assert_int_equal(ensure(state, "etcd", PKI_CLIENT, 0, NULL), 0);
    assert_same(state, "etcd.pem", before, false);
    before = read_text(state, "etcd.pem");
    assert_int_equal(pki_ensure_certificate(*state, "etcd", PKI_CLIENT, "others", NULL, 0, NULL), 0);
    assert_same(state, "etcd.pem", before, false);
}

/* Makes the certificate end in so many days, signed by the authority as it should be. */
static void let_end(void **state, const char *name, long days)
{
    CertificatePair ca = load(state, "ca"), pair = load(state, name);

    gnutls_x509_crt_set_expiration_time(pair.certificate, time(NULL) + days * DAY);
    assert_int_equal(gnutls_x509_crt_sign2(pair.certificate, ca.certificate, ca.key, GNUTLS_DIG_SHA256, 0), 0);
    store(state, name, &pair);
    certificate_pair_clear(&pair);
    certificate_pair_clear(&ca);
}

static void a_certificate_is_renewed_thirty_days_before_its_end(void **state)
{
    make_ca(state);
    assert_int_equal(ensure(state, "client", PKI_CLIENT, 0, NULL), 0);
    let_end(state, "client", 31);
    char *before = read_text(state, "client.pem");
    assert_int_equal(ensure(state, "client", PKI_CLIENT, 0, NULL), 0);
    assert_same(state, "client.pem", before, true);
    static const long ends[] = {30, 1, 0, -1000};
    for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
        let_end(state, "client", ends[i]);
        before = read_text(state, "client.pem");
        assert_int_equal(ensure(state, "client", PKI_CLIENT, 0, NULL), 0);
        assert_same(state, "client.pem", before, false);
        CertificatePair pair = load(state, "client");
        assert_true(gnutls_x509_crt_get_expiration_time(pair.certificate) > time(NULL) + 360 * DAY);
        certificate_pair_clear(&pair);
    }
}

static void a_certificate_does_not_outlive_its_authority(void **state)
{
    make_ca(state);
    CertificatePair ca = load(state, "ca");
    time_t end = time(NULL) + 100 * DAY;
    gnutls_x509_crt_set_expiration_time(ca.certificate, end);
    assert_int_equal(gnutls_x509_crt_sign2(ca.certificate, ca.certificate, ca.key, GNUTLS_DIG_SHA256, 0), 0);
    store(state, "ca", &ca);
    assert_int_equal(ensure(state, "client", PKI_CLIENT, 0, NULL), 0);
    CertificatePair pair = load(state, "client");
    assert_true(gnutls_x509_crt_get_expiration_time(pair.certificate) <= end);
    certificate_pair_clear(&pair);
    certificate_pair_clear(&ca);
}

static void what_does_not_fit_is_made_anew(void **state)
{
    make_ca(state);
    assert_int_equal(ensure(state, "a", PKI_CLIENT, 0, NULL), 0);
    assert_int_equal(ensure(state, "b", PKI_CLIENT, 0, NULL), 0);
    char *before = read_text(state, "a.pem");
    assert_int_equal(rename(below(state, "b-key.pem"), below(state, "a-key.pem")), 0); /* of another certificate */
    assert_int_equal(ensure(state, "a", PKI_CLIENT, 0, NULL), 0);
    assert_same(state, "a.pem", before, false);
    CertificatePair pair = load(state, "a"); /* fits again */
    certificate_pair_clear(&pair);

    before = read_text(state, "a.pem");
    assert_int_equal(file_write(below(state, "a.pem"), "garbage", 7, 0644, NULL), 0);
    assert_int_equal(ensure(state, "a", PKI_CLIENT, 0, NULL), 0);
    assert_same(state, "a.pem", before, false);

    before = read_text(state, "a.pem");
    unlink(below(state, "a-key.pem"));
    assert_int_equal(ensure(state, "a", PKI_CLIENT, 0, NULL), 0);
    assert_same(state, "a.pem", before, false);

    before = read_text(state, "a.pem"); /* of an authority that is not ours any more, of the same name */
    unlink(below(state, "ca.pem"));
    unlink(below(state, "ca-key.pem"));
    make_ca(state);
    assert_int_equal(ensure(state, "a", PKI_CLIENT, 0, NULL), 0);
    assert_same(state, "a.pem", before, false);
}

static void names_and_numbers_have_limits(void **state)
{
    static const char *const names[] = {"", ".", "../x", "a/b", ".hidden", "ca"};
    static const char *many[PKI_ADDRESSES_MAX + 1];
    InaError error = {0};

    make_ca(state);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        assert_int_equal(ensure(state, names[i], PKI_CLIENT, 0, &error), -EINVAL);
        assert_contains(error.message, "cannot be the name of a certificate");
    }
    static char texts[PKI_ADDRESSES_MAX + 1][16];
    for (unsigned i = 0; i <= PKI_ADDRESSES_MAX; i++) {
        snprintf(texts[i], sizeof(texts[i]), "127.0.0.%u", i);
        many[i] = texts[i];
    }
    assert_int_equal(pki_ensure_certificate(*state, "x", PKI_CLIENT, NULL, many, PKI_ADDRESSES_MAX + 1, &error),
                     -EINVAL);
    assert_contains(error.message, "at most 64");
    assert_int_equal(pki_ensure_certificate(*state, "x", PKI_SERVER_AND_CLIENT, NULL, many, PKI_ADDRESSES_MAX, &error),
                     0);
    CertificatePair ca = load(state, "ca"), pair = load(state, "x");
    const CertificateRequest request = {"x", PKI_SERVER_AND_CLIENT, NULL, many, PKI_ADDRESSES_MAX};
    assert_true(certificate_serves(&pair, &ca, &request));
    certificate_pair_clear(&pair);
    certificate_pair_clear(&ca);
}

static void without_an_authority_there_are_no_certificates(void **state)
{
    InaError error = {0};

    assert_int_equal(ensure(state, "client", PKI_CLIENT, 0, &error), -ENOENT);
    assert_contains(error.message, "ca-key.pem");
}

/* --- tokens ---- */

static void a_token_is_made_once_and_private(void **state)
{
    char *token, *again, *other;

    assert_int_equal(pki_ensure_token(below(state, "token"), 32, &token, NULL), 0);
    assert_int_equal(strlen(token), 64);
    assert_int_equal(strspn(token, "0123456789abcdef"), 64);
    assert_int_equal(mode_of(below(state, "token")), 0600);
    assert_int_equal(pki_ensure_token(below(state, "token"), 32, &again, NULL), 0);
    assert_string_equal(token, again);
    assert_int_equal(pki_ensure_token(below(state, "other"), 32, &other, NULL), 0);
    assert_string_not_equal(token, other);
    free(token);
    free(again);
    free(other);
}

static void a_token_that_is_none_is_refused(void **state)
{
    static char large[600];
    const char *const texts[] = {"",
                                 "short",
                                 "\n",
                                 "has a blank in it, is long enough",
                                 "line one of it\nline two of it.....",
                                 "caf\xc3\xa9 caf\xc3\xa9 caf\xc3\xa9",
                                 large};
    InaError error = {0};
    char *token;

    memset(large, 'x', sizeof(large) - 1);
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        assert_int_equal(file_write(below(state, "token"), texts[i], strlen(texts[i]), 0600, NULL), 0);
        assert_true(pki_ensure_token(below(state, "token"), 32, &token, &error) < 0);
        assert_contains(error.message, "token");
    }
    assert_int_equal(file_write(below(state, "token"), "my-own-token-1234\r\n", 19, 0600, NULL), 0);
    assert_int_equal(pki_ensure_token(below(state, "token"), 32, &token, NULL), 0);
    assert_string_equal(token, "my-own-token-1234");
    free(token);
    chmod(below(state, "token"), 0604);
    assert_int_equal(pki_ensure_token(below(state, "token"), 32, &token, &error), -EPERM);
    assert_int_equal(pki_ensure_token(below(state, "t"), 15, &token, &error), -EINVAL);
    assert_int_equal(pki_ensure_token(below(state, "t"), 257, &token, &error), -EINVAL);
    assert_int_equal(pki_ensure_token(below(state, "none/t"), 16, &token, &error), -ENOENT);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(an_authority_is_made_once_and_kept_private),
        IN_FOLDER(a_folder_that_others_can_read_is_refused),
        IN_FOLDER(a_key_that_others_can_read_is_refused),
        IN_FOLDER(a_folder_of_somebody_else_is_refused),
        IN_FOLDER(what_is_no_folder_is_refused),
        IN_FOLDER(an_authority_that_does_not_fit_its_key_is_refused),
        IN_FOLDER(a_lost_key_is_told_and_not_replaced),
        IN_FOLDER(a_key_without_its_certificate_is_what_a_crash_left),
        IN_FOLDER(damaged_files_are_refused_and_left),
        IN_FOLDER(a_certificate_that_is_no_authority_cannot_be_one),
        IN_FOLDER(an_authority_that_has_run_out_is_refused),
        IN_FOLDER(a_folder_that_another_process_works_in_is_waited_for_but_not_for_ever),
        IN_FOLDER(a_server_has_both_usages_its_addresses_and_a_name),
        IN_FOLDER(a_client_has_no_common_name_but_an_organisation),
        IN_FOLDER(a_certificate_that_serves_is_kept),
        IN_FOLDER(other_addresses_or_usage_or_organisation_make_a_new_one),
        IN_FOLDER(a_certificate_is_renewed_thirty_days_before_its_end),
        IN_FOLDER(a_certificate_does_not_outlive_its_authority),
        IN_FOLDER(what_does_not_fit_is_made_anew),
        IN_FOLDER(names_and_numbers_have_limits),
        IN_FOLDER(without_an_authority_there_are_no_certificates),
        IN_FOLDER(a_token_is_made_once_and_private),
        IN_FOLDER(a_token_that_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
