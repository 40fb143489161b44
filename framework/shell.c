/* shell.c - from a line to a command. */
#include "shell.h"
#include "registry.h"
#include "shell_internal.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int shell_new(Framework *framework, Shell **ret, InaError *error)
{
    Shell *shell = calloc(1, sizeof *shell);
    if (!shell)
        return ina_error_set(error, ENOMEM, "out of memory");
    shell->framework = framework;
    shell->listener = -1;
    TAILQ_INIT(&shell->sessions);
    *ret = shell;
    return 0;
}

Shell *shell_free(Shell *shell)
{
    if (!shell)
        return NULL;
    shell_close(shell);
    free(shell->token);
    free(shell);
    return NULL;
}

void ina_shell_print(InaShellOutput *output, const char *format, ...)
{
    va_list arguments;
    char *text;

    if (output->cut)
        return;
    va_start(arguments, format);
    int size = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (size < 0)
        return;
    if ((size_t)size > output->limit - output->buffer->size) {
        output->cut = true;
        buffer_print(output->buffer, "\n(the rest is cut: more than %u bytes)\n", SHELL_OUTPUT_MAX);
    } else {
        buffer_append(output->buffer, text, (size_t)size);
    }
    free(text);
}

/* --- words ---------------------------------------------------------------- */

/* Splits in place. */
static int split(char *line, char *words[SHELL_WORDS_MAX + 1], int *ret_count, InaError *error)
{
    unsigned count = 0;
    char *p = line;

    for (;;) {
        p += strspn(p, " \t\r\n");
        if (*p == '\0')
            break;
        if (count >= SHELL_WORDS_MAX)
            return ina_error_set(error, E2BIG, "more than %u words in a line", SHELL_WORDS_MAX);
        char *out = p;
        bool quoted = false;
        words[count++] = out;
        while (*p != '\0' && (quoted || !strchr(" \t\r\n", *p))) {
            if (*p == '\\' && p[1] != '\0')
                *out++ = *++p;
            else if (*p == '"')
                quoted = !quoted;
            else
                *out++ = *p;
            p++;
        }
        if (quoted)
            return ina_error_set(error, EINVAL, "a quoted word does not end");
        p += *p != '\0';
        *out = '\0';
    }
    words[count] = NULL;
    *ret_count = (int)count;
    return 0;
}

/* --- finding and running ---------------------------------------------------- */

typedef struct ServiceSearch {
    const char *name;
    ServiceEntry *found;
} ServiceSearch;

const InaShellCommand *shell_service_command(const ServiceEntry *entry)
{
    return registry_plain(entry).table;
}

static void compare_name(void *userdata, ServiceEntry *entry)
{
    ServiceSearch *search = userdata;
    const InaShellCommand *command = shell_service_command(entry);

    if (!search->found && command && strcmp(command->name, search->name) == 0)
        search->found = entry;
}

ServiceEntry *shell_find_service(Framework *framework, const char *name)
{
    ServiceSearch search = {.name = name};

    registry_each(framework, INA_SHELL_COMMAND, compare_name, &search);
    return search.found;
}

static int run_builtin(Shell *shell, const ShellBuiltin *builtin, int argc, char *const *argv, InaShellOutput *output,
                       InaError *error)
{
    if (argc - 1 < builtin->least || argc - 1 > builtin->most)
        return ina_error_set(error, EINVAL, "right would be: %s", builtin->command.usage);
    return builtin->command.run(shell, argc, argv, output, error);
}

static int run_service(ServiceEntry *entry, int argc, char *const *argv, InaShellOutput *output, InaError *error)
{
    const InaShellCommand *command = shell_service_command(entry);
    ServiceVisit visit;

    service_enter(entry, &visit);
    int r = command->run(registry_plain(entry).self, argc, argv, output, error);
    service_leave(&visit);
    return r;
}

int shell_run(Shell *shell, const char *line, Buffer *output, InaError *error)
{
    char copy[SHELL_LINE_MAX + 1], *words[SHELL_WORDS_MAX + 1];
    InaShellOutput out = {.buffer = output, .limit = output->size + SHELL_OUTPUT_MAX};
    InaError why = {0};
    int argc = 0;

    if (strlen(line) > SHELL_LINE_MAX)
        return ina_error_set(error, E2BIG, "a line has at most %u bytes", SHELL_LINE_MAX);
    strcpy(copy, line);
    int r = split(copy, words, &argc, error);
    if (r < 0 || argc == 0)
        return r;
    const ShellBuiltin *builtin = shell_builtins;
    while (builtin->command.name && strcmp(builtin->command.name, words[0]) != 0)
        builtin++;
    ServiceEntry *entry = builtin->command.name ? NULL : shell_find_service(shell->framework, words[0]);
    if (builtin->command.name)
        r = run_builtin(shell, builtin, argc, words, &out, &why);
    else if (entry)
        r = run_service(entry, argc, words, &out, &why);
    else
        r = ina_error_set(&why, ENOENT, "there is no command '%.60s'; 'help' lists those there are", words[0]);
    if (r < 0 && why.code == 0)
        (void)ina_error_errno(&why, r, "%s", words[0]);
    if (r < 0 && error)
        *error = why;
    if (r == 0 && output->failed)
        r = ina_error_set(error, ENOMEM, "out of memory");
    return r < 0 ? r : 0;
}
