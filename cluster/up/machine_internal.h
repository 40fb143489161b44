/* machine_internal.h - what machine.c and machine_api.c share. */
#pragma once

#include "machine.h"

#include "base/http_server.h"
#include "cluster/service.h"

#define MACHINE_ARGUMENTS 24

typedef struct Machine {
    Machines *machines;
    char name[16], address[16], pods[16];
    char *mark, *pki;
    char *arguments[MACHINE_ARGUMENTS];
    Service *service;
    MachineState state;
    bool ending; /* halted, but its end has not been seen */
    bool seen_up;
    unsigned starts;
} Machine;

struct Machines {
    MachinesOptions options;
    Machine items[INSTANCE_NODES];
    HttpServer *server;
    char *token;
    bool ready, stopping;
};

Machine *machine_find(Machines *machines, const char *name, InaError *error); /* NULL: error is set */
const char *machine_state_name(MachineState state);
int machine_api_start(Machines *machines, InaError *error);
