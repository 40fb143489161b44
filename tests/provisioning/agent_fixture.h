/* agent_fixture.h - the agent protocol over a server and targets that only
 * note what they are told, and a client that sees every byte. */
#pragma once

#include "provisioning/agent_protocol.h"
#include "tests/base/http_fixture.h"

#define BUNDLES_MAX 8u

typedef struct Agents {
    Fixture http;
    Server server;
    char *folder;
    Buffer told;           /* calls of targets_*, a line each */
    const char *forbidden; /* a target that the caller is not */
    bool exhausted;        /* no version is repeated any more */
    bool modern;           /* targets have spoken /v1 */
    PackageItem items[BUNDLES_MAX];
    DeploymentVersion versions[8];
    size_t n_versions;
    char installed[32];
    void (*close)(void *userdata);
    void *closing;
} Agents;

int agents_set_up(void **state);
int agents_tear_down(void **state);
/* The protocol is closed and opened anew, with what is on disk. */
void agents_restart(Agents *agents);
/* Target "t" gets a version with items[0..n). */
void agents_version(Agents *agents, const char *version, size_t n_items);
PackageItem agents_bundle(Agents *agents, const char *file, const char *name, const char *version, const void *data,
                          size_t size);
/* What was told since it was asked last. */
const char *agents_told(Agents *agents);

typedef struct Reply {
    int status;
    char *header; /* as it came, up to the empty line */
    char *body;   /* chunks joined */
    size_t size;
    bool whole; /* the last chunk came, or all of Content-Length */
} Reply;

/* "GET /path": the rest of the head is given as lines, each with CR LF; NULL: none. */
Reply ask(Agents *agents, const char *line, const char *headers);
Reply post(Agents *agents, const char *path, const char *body);
/* Reads until the other side closes. */
Reply read_reply(Agents *agents, int fd);
void reply_free(Reply *reply);
/* Of the header `name`; "" when absent. In a buffer that the next call overwrites. */
const char *header_of(const Reply *reply, const char *name);
void assert_reply(Agents *agents, const char *line, int status, const char *body);
