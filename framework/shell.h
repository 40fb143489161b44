/* shell.h - commands for people: on stdin, and on a TCP port with a token.
 *
 * Commands are words separated by blanks; "quotes" and \ keep blanks in a
 * word. Besides the framework's own there are those of the services
 * INA_SHELL_COMMAND (inaetics/shell.h).
 *
 * Over TCP the first line is the token. Each line gets one answer: a line
 * "+OK" or "-ERR MESSAGE", the output's lines, and a line "." (a line of
 * output that begins with "." has one more, as in RFC 1939). `exit` ends the
 * session.
 *
 * Everything runs in the loop's thread. */
#pragma once

#include "framework.h"
#include <base/map.h>

#define SHELL_LINE_MAX 4096u
#define SHELL_WORDS_MAX 32u
#define SHELL_OUTPUT_MAX (1024u * 1024u)
#define SHELL_SESSIONS_MAX 8u
#define SHELL_IDLE_SECONDS 600u
#define SHELL_TOKEN_SECONDS 10u
#define SHELL_TOKEN_MIN 16u /* bytes of a token */

typedef struct Shell Shell;

int shell_new(Framework *framework, Shell **ret, InaError *error);
/* Runs one line and appends what it prints, on failure too. */
int shell_run(Shell *shell, const char *line, Buffer *output, InaError *error);
/* Serves sessions on "127.1.1.2:2019", "[::1]:2019" (port 0: a free one). Not
 * on all addresses at once, and not without a token. */
int shell_listen(Shell *shell, const char *address, const char *token, InaError *error);
const char *shell_address(const Shell *shell); /* as bound, or NULL */
/* Serves a session for whoever is at `in` and `out` (they stay the caller's):
 * output as it is, errors as "error: MESSAGE", a prompt when `in` is a terminal. */
int shell_attach(Shell *shell, int in, int out, InaError *error);
/* Sessions that are open now. */
size_t shell_sessions(const Shell *shell);
Shell *shell_free(Shell *shell);
