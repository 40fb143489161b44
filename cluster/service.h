/* service.h - a program that `inaetics up` keeps running: started again as
 * life.h says, with its output in logs/NAME.log. */
#pragma once

#include "child.h"
#include "container_log.h"
#include "instance.h"

typedef struct Service Service;

typedef struct ServiceOptions {
    const char *name;
    const char *program;
    char *const *arguments;         /* these and the program must live as long as the service */
    const char *const *environment; /* further "NAME=value", NULL-terminated, or NULL; copied */
    int death_signal;               /* when we die */
    bool ready;     /* give it a pipe as descriptor CHILD_INHERITED_FD; what it writes there calls `up` */
    uint64_t grace; /* ns from SIGTERM to SIGKILL */
    void (*started)(void *userdata); /* each time a process was started; or NULL */
    void (*up)(void *userdata);
    void (*exited)(void *userdata, const char *how); /* each time, before it is started again */
    void (*ended)(void *userdata);                   /* after service_stop or service_halt; from the loop */
    void *userdata;
} ServiceOptions;

int service_new(sd_event *event, Children *children, const Instance *instance, const ServiceOptions *options,
                Service **ret, InaError *error);
/* The first start, or one after it ended; its failure is told by `exited`. */
void service_start(Service *service);
void service_stop(Service *service);
void service_halt(Service *service);        /* ends it at once (SIGKILL), and does not start it again */
bool service_ended(const Service *service); /* after service_stop or service_halt */
void service_kill(Service *service);        /* SIGKILL instead of waiting, after service_stop */
pid_t service_pid(const Service *service);  /* 0: not running */
/* The last lines of its output; malloc'ed, NULL: out of memory. */
char *service_tail(Service *service, long lines);
Service *service_free(Service *service);
