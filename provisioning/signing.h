/* signing.h - deployments signed with Ed25519 (libsodium), and verified.
 *
 * A statement is JSON text; the envelope on the wire is
 *   {"payload": BASE64(statement), "signature": BASE64, "key": KEYID}
 * KEYID: the first 16 hex digits of the SHA-256 of the public key. Signed is
 * "inaetics.deployment.v1\n" followed by the payload's bytes before base64.
 * Statement:
 *   {"type": "inaetics.deployment.v1", "target": "t1", "version": "3.0.0",
 *    "serial": 17, "signed": MS, "expires": MS,
 *    "artifacts": [{"name": "a-1.0.0.zip", "sha256": HEX, "size": 123,
 *                   "symbolicName": "a", "version": "1.0.0", "customizer": false}
 *                | {"name": "c.json", "sha256", "size", "processor": PID}]}
 * `serial` rises with every deployment version of a server's data, for all
 * targets together: an agent refuses one lower than it has accepted. This file
 * knows nothing of the server: agents verify with it. Unknown keys are refused
 * in both: what a later version adds comes with another type. */
#pragma once

#include <inaetics/error.h>
#include <jansson.h>
#include <stdint.h>

#define SIGNING_KEY_ID_SIZE 17u
#define SIGNING_STATEMENT_MAX (4u * 1024u * 1024u)
#define SIGNING_ARTIFACTS_MAX 4096u
#define SIGNING_ARTIFACT_SIZE_MAX (64u * 1024u * 1024u)
#define SIGNING_KEYS_MAX 8u
#define SIGNING_VALID_MS (INT64_C(24) * 3600 * 1000) /* signed anew whenever it is fetched */

typedef struct SigningKey SigningKey;

/* Makes `path` (mode 0600, 64 hex digits: the seed) unless it is there, and
 * writes path.pub (0644: lines of 64 hex digits: all public keys that are
 * trusted) unless the key is in it, or nothing may be written there. */
int signing_key_open(const char *path, SigningKey **ret, InaError *error);
const char *signing_key_id(const SigningKey *key);
/* malloc'ed: the envelope's text. -EINVAL, -EFBIG: what signing_verify would refuse by its form. */
int signing_sign(const SigningKey *key, const json_t *statement, char **ret, InaError *error);
SigningKey *signing_key_free(SigningKey *key);

typedef struct TrustedKeys TrustedKeys;
int trusted_keys_read(const char *path, TrustedKeys **ret, InaError *error); /* a .pub file */
/* Checks form, limits, signature, type, target, expiry (`now`, ms) and serial
 * (>= lowest_serial); returns the statement, a new reference. -EBADMSG: not
 * signed by a trusted key; -ESTALE: expired or a lower serial; -EINVAL: form,
 * or made for another target. */
int signing_verify(const TrustedKeys *keys, const char *envelope, size_t size, const char *target, int64_t now,
                   int64_t lowest_serial, json_t **ret, InaError *error);
TrustedKeys *trusted_keys_free(TrustedKeys *keys);
