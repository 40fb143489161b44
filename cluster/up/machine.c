/* machine.c - the nodes as machines: processes, halted, started, frozen, thawed. */
#include "machine.h"
#include "machine_internal.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "cluster/life.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#define NODE_GRACE (60 * LIFE_SECOND) /* its pods have graces of their own */

/* --- one machine ------------------------------------------------------------------------- */

static void tell_ready(Machines *machines)
{
    for (unsigned i = 0; i < INSTANCE_NODES; i++)
        if (!machines->items[i].seen_up)
            return;
    if (!machines->ready) {
        machines->ready = true;
        machines->options.ready(machines->options.userdata);
    }
}

static void handle_up(void *userdata)
{
    Machine *machine = userdata;
    machine->starts++;
    machine->seen_up = true;
    tell_ready(machine->machines);
}

static void handle_exited(void *userdata, const char *how)
{
    Machine *machine = userdata;
    const MachinesOptions *options = &machine->machines->options;
    if (machine->state == MACHINE_HALTED || machine->machines->stopping)
        return;
    char text[256];
    snprintf(text, sizeof text, "%s %s; it is started again", machine->name, how);
    machine->state = MACHINE_RUNNING; /* a frozen one that was killed begins anew */
    options->failed(options->userdata, text);
}

static void handle_ended(void *userdata)
{
    Machine *machine = userdata;
    Machines *machines = machine->machines;
    child_sweep(machine->mark); /* what left its process group */
    machine->ending = false;
    for (unsigned i = 0; i < INSTANCE_NODES; i++)
        if (!service_ended(machines->items[i].service))
            return;
    if (machines->stopping)
        machines->options.stopped(machines->options.userdata);
}

static int make_arguments(Machine *machine, InaError *error)
{
    const Instance *instance = machine->machines->options.instance;
    const char *listen = machine->machines->options.listen;
    _Static_assert(CHILD_INHERITED_FD == 3, "as said to --ready-fd");
    if (!(machine->pki = instance_path(instance, "pki")))
        return ina_error_set(error, ENOMEM, "out of memory");
    const char *const all[] = {
        "inaetics-node",
        "--node",
        machine->name,
        "--address",
        machine->address,
        "--pods",
        machine->pods,
        "--server",
        instance->api_url,
        "--pki",
        machine->pki,
        "--data",
        instance->home,
        "--name",
        instance->name,
        "--ready-fd",
        "3",
        listen ? "--listen" : NULL,
        listen,
        NULL,
    };
    _Static_assert(sizeof all <= sizeof machine->arguments, "room for all");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        machine->arguments[i] = (char *)all[i];
    return 0;
}

static int machine_init(Machines *machines, unsigned number, InaError *error)
{
    Machine *machine = &machines->items[number - 1];
    const Instance *instance = machines->options.instance;
    machine->machines = machines;
    machine->state = MACHINE_HALTED;
    snprintf(machine->name, sizeof machine->name, "node-%u", number);
    instance_node_address(instance, number, machine->address);
    instance_node_pods(instance, number, machine->pods);
    if (asprintf(&machine->mark, "%s=%s/%s", INSTANCE_MARK_NODE, instance->data, machine->name) < 0) {
        machine->mark = NULL;
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    int r = make_arguments(machine, error);
    const char *const environment[] = {machine->mark, NULL};
    ServiceOptions options = {
        .name = machine->name,
        .program = machines->options.program,
        .arguments = machine->arguments,
        .environment = environment,
        .death_signal = SIGTERM, /* so that it ends its pods, and what those started */
        .ready = true,
        .grace = NODE_GRACE,
        .up = handle_up,
        .exited = handle_exited,
        .ended = handle_ended,
        .userdata = machine,
    };
    return r < 0 ? r
                 : service_new(machines->options.event, machines->options.children, instance, &options,
                               &machine->service, error);
}

/* --- what can be done with it --------------------------------------------------------------- */

Machine *machine_find(Machines *machines, const char *name, InaError *error)
{
    for (unsigned i = 0; i < INSTANCE_NODES; i++)
        if (strcmp(machines->items[i].name, name) == 0)
            return &machines->items[i];
    ina_error_set(error, ENOENT, "there is no node \"%.80s\"; there are node-1 to node-%u", name, INSTANCE_NODES);
    return NULL;
}

const char *machine_state_name(MachineState state)
{
    static const char *const names[MACHINE_STATES] = {"running", "frozen", "halted"};
    return names[state];
}

static int refuse(const Machine *machine, InaError *error)
{
    return ina_error_set(error, EALREADY, "%s is %s", machine->name, machine_state_name(machine->state));
}

int machine_halt(Machines *machines, const char *name, InaError *error)
{
    Machine *machine = machine_find(machines, name, error);
    if (!machine)
        return -ENOENT;
    if (machine->state == MACHINE_HALTED)
        return refuse(machine, error);
    machine->state = MACHINE_HALTED;
    machine->ending = true;
    service_halt(machine->service);
    /* Its containers die with it; whatever does not, now. */
    child_signal_marked(machine->mark, SIGKILL);
    return 0;
}

int machine_start(Machines *machines, const char *name, InaError *error)
{
    Machine *machine = machine_find(machines, name, error);
    if (!machine)
        return -ENOENT;
    if (machine->state == MACHINE_FROZEN)
        return ina_error_set(error, EALREADY, "%s is frozen; thaw lets it go on", name);
    if (machine->state != MACHINE_HALTED)
        return refuse(machine, error);
    if (machine->ending)
        return ina_error_set(error, EBUSY, "%s is still ending; ask again in a moment", name);
    machine->state = MACHINE_RUNNING;
    service_start(machine->service);
    return 0;
}

int machine_freeze(Machines *machines, const char *name, InaError *error)
{
    Machine *machine = machine_find(machines, name, error);
    if (!machine)
        return -ENOENT;
    if (machine->state != MACHINE_RUNNING)
        return refuse(machine, error);
    machine->state = MACHINE_FROZEN;
    child_signal_marked(machine->mark, SIGSTOP);
    return 0;
}

int machine_thaw(Machines *machines, const char *name, InaError *error)
{
    Machine *machine = machine_find(machines, name, error);
    if (!machine)
        return -ENOENT;
    if (machine->state != MACHINE_FROZEN)
        return refuse(machine, error);
    machine->state = MACHINE_RUNNING;
    child_signal_marked(machine->mark, SIGCONT);
    return 0;
}

/* --- all of them ---------------------------------------------------------------------------- */

int machines_new(const MachinesOptions *options, Machines **ret, InaError *error)
{
    Machines *machines = calloc(1, sizeof *machines);
    if (!machines)
        return ina_error_set(error, ENOMEM, "out of memory");
    machines->options = *options;
    int r = 0;
    for (unsigned i = 1; r == 0 && i <= INSTANCE_NODES; i++)
        r = machine_init(machines, i, error);
    if (r == 0)
        r = machine_api_start(machines, error);
    if (r < 0) {
        machines_free(machines);
        return r;
    }
    *ret = machines;
    return 0;
}

void machines_start(Machines *machines)
{
    for (unsigned i = 0; i < INSTANCE_NODES; i++) {
        machines->items[i].state = MACHINE_RUNNING;
        service_start(machines->items[i].service);
    }
}

void machines_stop(Machines *machines)
{
    machines->stopping = true;
    for (unsigned i = 0; i < INSTANCE_NODES; i++) {
        Machine *machine = &machines->items[i];
        if (machine->state == MACHINE_FROZEN)
            child_signal_marked(machine->mark, SIGCONT);
        service_stop(machine->service);
    }
}

void machines_kill(Machines *machines)
{
    for (unsigned i = 0; i < INSTANCE_NODES; i++)
        if (!service_ended(machines->items[i].service))
            service_kill(machines->items[i].service);
}

Machines *machines_free(Machines *machines)
{
    if (!machines)
        return NULL;
    http_server_free(machines->server);
    free(machines->token);
    for (unsigned i = 0; i < INSTANCE_NODES; i++) {
        Machine *machine = &machines->items[i];
        service_free(machine->service);
        free(machine->mark);
        free(machine->pki);
    }
    free(machines);
    return NULL;
}
