/* fuzz_signing.c - any text as a signed deployment ('E': the envelope), or as its statement, signed by a trusted key
 * ('P'): refused with a reason, or of the form that agents rely on. */
#include "provisioning/signing.h"
#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONTEXT "inaetics.deployment.v1\n"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Keys {
    TrustedKeys *trusted;
    unsigned char secret[crypto_sign_SECRETKEYBYTES];
    char id[SIGNING_KEY_ID_SIZE];
} Keys;

/* Made once; the seed is all zeros. */
static Keys *open_keys(void)
{
    static Keys keys;
    unsigned char seed[crypto_sign_SEEDBYTES] = {0}, public[crypto_sign_PUBLICKEYBYTES];
    unsigned char digest[crypto_hash_sha256_BYTES];
    char path[] = "/tmp/inaetics-fuzz-XXXXXX", hex[2 * sizeof public + 1];
    int fd;

    if (keys.trusted)
        return &keys;
    if (sodium_init() < 0)
        abort();
    crypto_sign_seed_keypair(public, keys.secret, seed);
    crypto_hash_sha256(digest, public, sizeof public);
    sodium_bin2hex(keys.id, sizeof keys.id, digest, 8);
    sodium_bin2hex(hex, sizeof hex, public, sizeof public);
    fd = mkstemp(path);
    if (fd < 0 || write(fd, hex, strlen(hex)) != (ssize_t)strlen(hex) || close(fd) < 0 ||
        trusted_keys_read(path, &keys.trusted, NULL) < 0)
        abort();
    unlink(path);
    return &keys;
}

static char *signed_text(const Keys *keys, const uint8_t *payload, size_t size)
{
    size_t length = sodium_base64_encoded_len(size, sodium_base64_VARIANT_ORIGINAL);
    unsigned char signature[crypto_sign_BYTES], *message = malloc(sizeof CONTEXT + size);
    char *text = malloc(length), encoded[96], *envelope;

    memcpy(message, CONTEXT, sizeof CONTEXT - 1);
    memcpy(message + sizeof CONTEXT - 1, payload, size);
    crypto_sign_detached(signature, NULL, message, sizeof CONTEXT - 1 + size, keys->secret);
    sodium_bin2base64(encoded, sizeof encoded, signature, sizeof signature, sodium_base64_VARIANT_ORIGINAL);
    sodium_bin2base64(text, length, payload, size, sodium_base64_VARIANT_ORIGINAL);
    if (asprintf(&envelope, "{\"payload\":\"%s\",\"signature\":\"%s\",\"key\":\"%s\"}", text, encoded, keys->id) < 0)
        abort();
    free(message);
    free(text);
    return envelope;
}

static void check(const json_t *statement)
{
    const json_t *artifacts = json_object_get(statement, "artifacts");

    if (strcmp(json_string_value(json_object_get(statement, "target")), "t1") != 0 ||
        json_integer_value(json_object_get(statement, "serial")) < 1 || !json_is_array(artifacts))
        abort();
    for (size_t i = 0; i < json_array_size(artifacts); i++) {
        const char *name = json_string_value(json_object_get(json_array_get(artifacts, i), "name"));

        if (!name || !*name || *name == '.' || strchr(name, '/') ||
            strlen(json_string_value(json_object_get(json_array_get(artifacts, i), "sha256"))) != 64)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const Keys *keys = open_keys();
    bool payload = size > 0 && data[0] == 'P';
    char *envelope;
    size_t length = size > 0 ? size - 1 : 0;
    json_t *statement = NULL;
    InaError error = {.message = ""};

    if (payload) {
        envelope = signed_text(keys, data + 1, length);
        length = strlen(envelope);
    } else {
        envelope = malloc(length + 1); /* exactly as long, so that reading beyond is seen */
        if (length > 0)
            memcpy(envelope, data + 1, length);
    }
    if (signing_verify(keys->trusted, envelope, length, "t1", 1000, 1, &statement, &error) == 0)
        check(statement);
    else if (statement || !error.message[0])
        abort();
    json_decref(statement);
    free(envelope);
    return 0;
}
