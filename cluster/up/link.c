/* link.c - see link.h. */
#include "link.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

int link_token(const char *secret, char ret[LINK_TOKEN_MAX], InaError *error)
{
    unsigned char random[16], key[crypto_auth_KEYBYTES], mac[crypto_auth_BYTES];
    char nonce[2 * sizeof(random) + 1], hex[2 * sizeof(mac) + 1], message[64];
    if (!*secret || sodium_init() < 0) {
        return ina_error_set(error, EINVAL, "the session secret is empty; remove its file and start again");
    }
    randombytes_buf(random, sizeof(random));
    sodium_bin2hex(nonce, sizeof(nonce), random, sizeof(random));
    int n = snprintf(message, sizeof(message), "link|%s", nonce);
    crypto_generichash(key, sizeof(key), (const unsigned char *)secret, strlen(secret), NULL, 0);
    crypto_auth(mac, (const unsigned char *)message, (unsigned long long)n, key);
    sodium_memzero(key, sizeof(key));
    sodium_bin2hex(hex, sizeof(hex), mac, sizeof(mac));
    return snprintf(ret, LINK_TOKEN_MAX, "%s.%s", nonce, hex) < (int)LINK_TOKEN_MAX
               ? 0
               : ina_error_set(error, EOVERFLOW, "the token does not fit");
}
