/* agent.h - the agent's parts, as its files share them. */
#pragma once

#include "base/etcd.h"
#include "base/http_server.h"
#include "deployer.h"
#include "framework/framework.h"
#include "framework/shell.h"
#include "options.h"
#include "remote/connect_server.h"
#include "remote/discovery.h"

typedef struct Web Web;

typedef struct Agent {
    AgentOptions options;
    sd_event *event;
    char *token; /* NULL: none */
    Framework *framework;
    Web *web;
    Shell *shell;
    ConnectServer *server; /* NULL: nothing is offered */
    Etcd *etcd;            /* NULL: no others are known */
    ConnectClient *client;
    Discovery *discovery;
    Deployer *deployer; /* NULL: its bundles were given to it */
    sd_event_source *end_timer, *start_timer;
    uint64_t started;
    bool ending, bundles_failed, platform_failed;
} Agent;
