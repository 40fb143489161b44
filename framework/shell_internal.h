/* shell_internal.h - what the shell's commands and its sessions share. */
#pragma once

#include "bundles.h"
#include "registry.h"
#include "shell.h"
#include <sys/queue.h>

typedef struct ShellSession ShellSession;
TAILQ_HEAD(ShellSessions, ShellSession);

struct Shell {
    Framework *framework;
    int listener;
    sd_event_source *listening;
    char *token;
    char address[64];
    struct ShellSessions sessions;
    size_t n_sessions;
};

struct InaShellOutput {
    Buffer *buffer;
    size_t limit; /* of the buffer's size */
    bool cut;
};

/* A command of the framework: as InaShellCommand, with the least and most words behind its name. */
typedef struct ShellBuiltin {
    InaShellCommand command; /* self: Shell */
    int least, most;
} ShellBuiltin;

/* Ends with one without a name. */
extern const ShellBuiltin shell_builtins[];

/* Finds a command of a bundle; the entry is valid until the next change. NULL: there is none. */
ServiceEntry *shell_find_service(Framework *framework, const char *name);
const InaShellCommand *shell_service_command(const ServiceEntry *entry);

/* Closes all sessions and the listener. */
void shell_close(Shell *shell);
