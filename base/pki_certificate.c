/* pki_certificate.c - see pki_certificate.h. */
#include "pki_certificate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DAY (24L * 60 * 60)
#define BACKDATE (60L * 60) /* another machine's clock may be behind */
#define SERIAL_BYTES 16u
#define ID_BYTES_MAX 64u

static int failed(InaError *error, int code, const char *what)
{
    return ina_error_set(error, code == GNUTLS_E_MEMORY_ERROR ? ENOMEM : EINVAL, "%s: %s", what, gnutls_strerror(code));
}

void certificate_pair_clear(CertificatePair *pair)
{
    if (pair->certificate)
        gnutls_x509_crt_deinit(pair->certificate);
    if (pair->key)
        gnutls_x509_privkey_deinit(pair->key);
    *pair = (CertificatePair){0};
}

static int pair_init(CertificatePair *pair)
{
    *pair = (CertificatePair){0};
    int r = gnutls_x509_crt_init(&pair->certificate);
    return r < 0 ? r : gnutls_x509_privkey_init(&pair->key);
}

/* --- making ------------------------------------------------------------------------- */

/* A new key, and all of the certificate that is the same for every kind. */
static int begin(CertificatePair *pair, time_t start, time_t end)
{
    unsigned char serial[SERIAL_BYTES], id[ID_BYTES_MAX];
    size_t id_size = sizeof(id);
    int r;

    if ((r = pair_init(pair)) < 0 ||
        (r = gnutls_x509_privkey_generate(pair->key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1),
                                          0)) < 0 ||
        (r = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial))) < 0)
        return r;
    serial[0] = (unsigned char)((serial[0] & 0x7f) | 0x40); /* positive, and of full length */
    gnutls_x509_crt_t certificate = pair->certificate;
    if ((r = gnutls_x509_crt_set_version(certificate, 3)) < 0 ||
        (r = gnutls_x509_crt_set_serial(certificate, serial, sizeof(serial))) < 0 ||
        (r = gnutls_x509_crt_set_activation_time(certificate, start)) < 0 ||
        (r = gnutls_x509_crt_set_expiration_time(certificate, end)) < 0 ||
        (r = gnutls_x509_crt_set_key(certificate, pair->key)) < 0 ||
        (r = gnutls_x509_crt_get_key_id(certificate, GNUTLS_KEYID_USE_SHA1, id, &id_size)) < 0)
        return r;
    return gnutls_x509_crt_set_subject_key_id(certificate, id, id_size);
}

static int set_name(gnutls_x509_crt_t certificate, const char *oid, const char *text)
{
    return gnutls_x509_crt_set_dn_by_oid(certificate, oid, 0, text, (unsigned)strlen(text));
}

int certificate_make_ca(const char *name, CertificatePair *ret, InaError *error)
{
    CertificatePair pair;
    time_t now = time(NULL);
    int r;

    if ((r = begin(&pair, now - BACKDATE, now + PKI_CA_DAYS * DAY)) < 0 ||
        (r = set_name(pair.certificate, GNUTLS_OID_X520_COMMON_NAME, name)) < 0 ||
        (r = gnutls_x509_crt_set_basic_constraints(pair.certificate, 1, 0)) < 0 ||
        (r = gnutls_x509_crt_set_key_usage(pair.certificate, GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN)) < 0 ||
        (r = gnutls_x509_crt_sign2(pair.certificate, pair.certificate, pair.key, GNUTLS_DIG_SHA256, 0)) < 0) {
        certificate_pair_clear(&pair);
        return failed(error, r, "cannot make a certificate authority");
    }
    *ret = pair;
    return 0;
}

/* An address as a certificate has it: 4 or 16 bytes, or the DNS name itself. */
static gnutls_x509_subject_alt_name_t alternative_name(const char *address, unsigned char bytes[16],
                                                       const void **ret_data, unsigned *ret_size)
{
    *ret_data = bytes;
    if (inet_pton(AF_INET, address, bytes) == 1) {
        *ret_size = 4;
        return GNUTLS_SAN_IPADDRESS;
    }
    if (inet_pton(AF_INET6, address, bytes) == 1) {
        *ret_size = 16;
        return GNUTLS_SAN_IPADDRESS;
    }
    *ret_data = address;
    *ret_size = (unsigned)strlen(address);
    return GNUTLS_SAN_DNSNAME;
}

static int set_addresses(gnutls_x509_crt_t certificate, const CertificateRequest *request)
{
    for (size_t i = 0; i < request->n_addresses; i++) {
        unsigned char bytes[16];
        const void *data;
        unsigned size;
        gnutls_x509_subject_alt_name_t type = alternative_name(request->addresses[i], bytes, &data, &size);
        int r = gnutls_x509_crt_set_subject_alt_name(certificate, type, data, size,
                                                     i == 0 ? GNUTLS_FSAN_SET : GNUTLS_FSAN_APPEND);
        if (r < 0)
            return r;
    }
    return 0;
}

static int set_purposes(gnutls_x509_crt_t certificate, const CertificateRequest *request)
{
    int r = gnutls_x509_crt_set_key_purpose_oid(certificate, GNUTLS_KP_TLS_WWW_CLIENT, 0);

    if (r < 0 || request->usage == PKI_CLIENT)
        return r;
    return gnutls_x509_crt_set_key_purpose_oid(certificate, GNUTLS_KP_TLS_WWW_SERVER, 0);
}

static int make(const CertificateRequest *request, const CertificatePair *ca, CertificatePair *pair)
{
    unsigned char id[ID_BYTES_MAX];
    size_t id_size = sizeof(id);
    time_t now = time(NULL), end = now + PKI_CERTIFICATE_DAYS * DAY;
    time_t ca_end = gnutls_x509_crt_get_expiration_time(ca->certificate);
    int r;

    if ((r = begin(pair, now - BACKDATE, end < ca_end ? end : ca_end)) < 0)
        return r;
    if (request->organisation &&
        (r = set_name(pair->certificate, GNUTLS_OID_X520_ORGANIZATION_NAME, request->organisation)) < 0)
        return r;
    if (request->usage == PKI_SERVER_AND_CLIENT &&
        (r = set_name(pair->certificate, GNUTLS_OID_X520_COMMON_NAME, request->name)) < 0)
        return r;
    if ((r = gnutls_x509_crt_set_basic_constraints(pair->certificate, 0, -1)) < 0 ||
        (r = gnutls_x509_crt_set_key_usage(pair->certificate, GNUTLS_KEY_DIGITAL_SIGNATURE)) < 0 ||
        (r = set_purposes(pair->certificate, request)) < 0 || (r = set_addresses(pair->certificate, request)) < 0 ||
        (r = gnutls_x509_crt_get_subject_key_id(ca->certificate, id, &id_size, NULL)) < 0 ||
        (r = gnutls_x509_crt_set_authority_key_id(pair->certificate, id, id_size)) < 0)
        return r;
    return gnutls_x509_crt_sign2(pair->certificate, ca->certificate, ca->key, GNUTLS_DIG_SHA256, 0);
}

int certificate_make(const CertificateRequest *request, const CertificatePair *ca, CertificatePair *ret,
                     InaError *error)
{
    CertificatePair pair;

    int r = make(request, ca, &pair);
    if (r < 0) {
        certificate_pair_clear(&pair);
        failed(error, r, "cannot make it");
        return ina_error_wrap(error, "certificate %s", request->name);
    }
    *ret = pair;
    return 0;
}

/* --- texts ---------------------------------------------------------------------------- */

static gnutls_datum_t datum(const char *text)
{
    return (gnutls_datum_t){.data = (unsigned char *)(uintptr_t)text, .size = (unsigned)strlen(text)};
}

static int fits(const CertificatePair *pair)
{
    unsigned char of_certificate[ID_BYTES_MAX], of_key[ID_BYTES_MAX];
    size_t certificate_size = sizeof(of_certificate), key_size = sizeof(of_key);
    int r;

    if ((r = gnutls_x509_crt_get_key_id(pair->certificate, GNUTLS_KEYID_USE_SHA256, of_certificate,
                                        &certificate_size)) < 0 ||
        (r = gnutls_x509_privkey_get_key_id(pair->key, GNUTLS_KEYID_USE_SHA256, of_key, &key_size)) < 0)
        return r;
    return certificate_size == key_size && memcmp(of_certificate, of_key, key_size) == 0;
}

int certificate_pair_parse(const char *certificate, const char *key, CertificatePair *ret, InaError *error)
{
    CertificatePair pair;
    gnutls_datum_t certificate_text = datum(certificate), key_text = datum(key);

    int r = pair_init(&pair);
    if (r < 0) {
        failed(error, r, "cannot read");
    } else if ((r = gnutls_x509_crt_import(pair.certificate, &certificate_text, GNUTLS_X509_FMT_PEM)) < 0) {
        failed(error, r, "the certificate is damaged");
    } else if ((r = gnutls_x509_privkey_import(pair.key, &key_text, GNUTLS_X509_FMT_PEM)) < 0) {
        failed(error, r, "the key is damaged");
    } else if ((r = fits(&pair)) < 0) {
        failed(error, r, "cannot compare");
    } else if (r == 0) {
        ina_error_set(error, EINVAL, "the key is not the one of the certificate");
    } else {
        *ret = pair;
        return 0;
    }
    certificate_pair_clear(&pair);
    return r == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EINVAL;
}

int certificate_pair_print(const CertificatePair *pair, char **ret_certificate, char **ret_key, InaError *error)
{
    gnutls_datum_t certificate = {0}, key = {0};

    int r = gnutls_x509_crt_export2(pair->certificate, GNUTLS_X509_FMT_PEM, &certificate);
    if (r >= 0)
        r = gnutls_x509_privkey_export2(pair->key, GNUTLS_X509_FMT_PEM, &key);
    char *certificate_text = r < 0 ? NULL : strndup((char *)certificate.data, certificate.size);
    char *key_text = r < 0 ? NULL : strndup((char *)key.data, key.size);
    if (key.data)
        explicit_bzero(key.data, key.size);
    gnutls_free(key.data);
    gnutls_free(certificate.data);
    if (!certificate_text || !key_text) {
        free(certificate_text);
        free(key_text);
        return failed(error, r < 0 ? r : GNUTLS_E_MEMORY_ERROR, "cannot export a certificate");
    }
    *ret_certificate = certificate_text;
    *ret_key = key_text;
    return 0;
}

/* --- judging ---------------------------------------------------------------------------- */

int certificate_check_ca(const CertificatePair *ca, InaError *error)
{
    time_t now = time(NULL);

    if (gnutls_x509_crt_get_ca_status(ca->certificate, NULL) <= 0)
        return ina_error_set(error, EINVAL, "not the certificate of an authority");
    if (gnutls_x509_crt_get_expiration_time(ca->certificate) <= now)
        return ina_error_set(error, EINVAL, "the authority has run out; remove it and its key to make a new one");
    if (gnutls_x509_crt_get_activation_time(ca->certificate) > now)
        return ina_error_set(error, EINVAL, "the authority is not valid yet; is the clock right?");
    return 0;
}

static bool signed_and_valid(const CertificatePair *pair, const CertificatePair *ca)
{
    unsigned status;
    time_t now = time(NULL);

    /* Times are judged here: the verification's would not say "in 30 days". */
    return gnutls_x509_crt_verify(pair->certificate, &ca->certificate, 1, GNUTLS_VERIFY_DISABLE_TIME_CHECKS, &status) >=
               0 &&
           status == 0 && gnutls_x509_crt_get_activation_time(pair->certificate) <= now &&
           gnutls_x509_crt_get_expiration_time(pair->certificate) > now + PKI_RENEW_BEFORE_DAYS * DAY;
}

static bool has_name(gnutls_x509_crt_t certificate, const char *oid, const char *expected)
{
    char text[256];
    size_t size = sizeof(text);

    int r = gnutls_x509_crt_get_dn_by_oid(certificate, oid, 0, 0, text, &size);
    if (!expected)
        return r == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE;
    return r >= 0 && strcmp(text, expected) == 0;
}

static bool has_addresses(gnutls_x509_crt_t certificate, const CertificateRequest *request)
{
    bool found[PKI_ADDRESSES_MAX] = {false};

    for (unsigned index = 0;; index++) {
        char text[256];
        size_t size = sizeof(text);
        int type = gnutls_x509_crt_get_subject_alt_name(certificate, index, text, &size, NULL);
        if (type == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
            break;
        bool wanted = false;
        for (size_t i = 0; type >= 0 && i < request->n_addresses; i++) {
            unsigned char bytes[16];
            const void *data;
            unsigned data_size;
            if ((int)alternative_name(request->addresses[i], bytes, &data, &data_size) == type && data_size == size &&
                memcmp(data, text, size) == 0)
                wanted = found[i] = true;
        }
        if (!wanted)
            return false;
    }
    for (size_t i = 0; i < request->n_addresses; i++)
        if (!found[i])
            return false;
    return true;
}

static bool has_usage(gnutls_x509_crt_t certificate, PkiUsage usage)
{
    bool client = false, server = false;

    for (unsigned index = 0;; index++) {
        char oid[64];
        size_t size = sizeof(oid);
        int r = gnutls_x509_crt_get_key_purpose_oid(certificate, index, oid, &size, NULL);
        if (r == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
            break;
        if (r < 0)
            return false;
        client = client || strcmp(oid, GNUTLS_KP_TLS_WWW_CLIENT) == 0;
        server = server || strcmp(oid, GNUTLS_KP_TLS_WWW_SERVER) == 0;
    }
    return client && server == (usage == PKI_SERVER_AND_CLIENT);
}

bool certificate_serves(const CertificatePair *pair, const CertificatePair *ca, const CertificateRequest *request)
{
    return signed_and_valid(pair, ca) && has_usage(pair->certificate, request->usage) &&
           has_addresses(pair->certificate, request) &&
           has_name(pair->certificate, GNUTLS_OID_X520_ORGANIZATION_NAME, request->organisation) &&
           has_name(pair->certificate, GNUTLS_OID_X520_COMMON_NAME,
                    request->usage == PKI_CLIENT ? NULL : request->name);
}

int certificate_random_hex(size_t bytes, char *text, InaError *error)
{
    static const char digits[] = "0123456789abcdef";
    /* The bytes are made in the upper half and spread from the front. */
    unsigned char *random = (unsigned char *)text + bytes;

    int r = gnutls_rnd(GNUTLS_RND_KEY, random, bytes);
    if (r < 0)
        return failed(error, r, "no random bytes");
    for (size_t i = 0; i < bytes; i++) {
        unsigned char byte = random[i];
        text[2 * i] = digits[byte >> 4];
        text[2 * i + 1] = digits[byte & 15];
    }
    text[2 * bytes] = '\0';
    return 0;
}
