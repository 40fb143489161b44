/* options.h - what inaetics-agent is told: options, else the environment of
 * docs/contracts.md, else defaults. */
#pragma once

#include <inaetics/error.h>
#include <inaetics/log.h>
#include <stdbool.h>

#define AGENT_HTTP_PORT 8080
#define AGENT_SHELL_PORT 2019
#define AGENT_PAGES_MAX 7 /* further addresses for pages */
#define AGENT_BUNDLES_MAX 1000

typedef struct AgentOptions {
    char *id;
    char *address;                    /* of the pod, without a port */
    int http_port, shell_port;        /* 0: a free one; shell_port -1: no shell on TCP */
    char *pages[AGENT_PAGES_MAX + 1]; /* "127.0.0.1:8080"; NULL ends */
    char *etcd;
    char *pki, *token_file;
    char *cache, *platform, *bundles, *configuration;
    char *zone;
    InaLogLevel log_level;
} AgentOptions;

/* Returns 1 when the program is to go on, 0 when it did all (--help), or a
 * negative errno: `error` says which option and what is allowed. */
int options_parse(int argc, char *argv[], AgentOptions *ret, InaError *error);
void options_clear(AgentOptions *options);
