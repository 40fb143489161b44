/* fake_server.h - a provisioning server for tests of its client: does what it
 * is told, right or wrong. */
#pragma once

#include "base/http_server.h"
#include "provisioning/signing.h"
#include "tests/framework/unit.h"
#include <jansson.h>

#define FAKE_FILES_MAX 64u
#define FAKE_TARGET "t1"
#define FAKE_CLUSTER_TOKEN "cluster-token-for-tests"

typedef struct FakeFile {
    char digest[65]; /* as it is asked for */
    char *data;
    size_t size;
} FakeFile;

typedef struct Fake {
    sd_event *event;
    HttpServer *server;
    char url[128];
    SigningKey *key;
    char *trust; /* path of the file with its public key */
    FakeFile files[FAKE_FILES_MAX];
    size_t n_files;

    /* What it has for the target. */
    char *offer;             /* text of the answer to `next`; NULL: nothing */
    char offered[64];        /* its version */
    InaHttpRequest *waiting; /* a `next` that waits */

    /* What it does wrong. */
    int enrol_status;  /* 0: 200 */
    int next_status;   /* 0: right */
    int refuse_tokens; /* so many requests are answered 401 */
    int blob_status;   /* 0: right */
    int busy;          /* so many blobs are answered 503 */
    size_t cut_after;  /* a blob breaks off after so many bytes, once; 0: no */
    bool whole;        /* ranges are not served */
    bool silent;       /* nobody is answered */
    sd_event_source *cut;

    /* What it saw. */
    unsigned enrolments, nexts, blobs, ranges, reports, unauthorized;
    char after[64], old_token[64];
    json_t *properties;
    json_t *report; /* the last one */
    char *reported; /* "installing 1.0.0, running 1.0.0": each change */
    char *audit;    /* all lines, in the order they came */
    char *has;      /* what it says it has of the audit log; "" */
    unsigned queries;
    bool holding; /* files are not sent until fake_send_held */
    InaHttpRequest *held_blobs[FAKE_FILES_MAX];
    size_t n_held_blobs;
    InaHttpRequest *held[64]; /* silently */
    size_t n_held;
} Fake;

/* `folder` for its key. */
void fake_open(Fake *fake, sd_event *event, const char *folder);
void fake_close(Fake *fake);
/* Keeps a file to be fetched; its SHA-256 is put into `ret`. */
void fake_add(Fake *fake, const char *path, char ret[65]);
void fake_add_bytes(Fake *fake, const char *digest, const void *data, size_t size);
/* A statement with these artifacts (steals), to be changed at will before fake_offer. */
json_t *fake_statement(const char *version, int64_t serial, json_t *artifacts);
/* Signs and offers it (steals); `key` NULL: its own. */
void fake_offer(Fake *fake, json_t *statement, const SigningKey *key);
/* The same, signed whatever it says. */
void fake_offer_anything(Fake *fake, json_t *statement);
/* {"name", "sha256", "size", "symbolicName", "version"} of a zip that it keeps from now on. */
json_t *fake_bundle(Fake *fake, const char *zip, const char *name, const char *version);
void fake_send_held(Fake *fake);
const char *fake_state(const Fake *fake);  /* of the last report; "" */
const char *fake_reason(const Fake *fake); /* of the last report; "" */
