/* shell.h - commands for the agent's shell.
 *
 * A bundle adds a command by providing a plain service INA_SHELL_COMMAND whose
 * table is an InaShellCommand. */
#pragma once

#include <inaetics/bundle.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

#define INA_SHELL_COMMAND "inaetics.shell.Command"

typedef struct InaShellOutput InaShellOutput;

typedef struct InaShellCommand {
    const char *name;  /* one word */
    const char *usage; /* "scale NAME N" */
    const char *help;  /* one line */
    /* argv[0] is the name. Returns 0, or sets `error`. */
    int (*run)(void *self, int argc, char *const *argv, InaShellOutput *output, InaError *error);
} InaShellCommand;

void ina_shell_print(InaShellOutput *output, const char *format, ...) __attribute__((format(printf, 2, 3)));

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
