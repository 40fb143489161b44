/* environment.h - the environment of a container, and Kubernetes' $(VAR).
 *
 * $(NAME) becomes the value of NAME where it is known and stays as it is where
 * it is not; $$ becomes $, so $$(NAME) is the text $(NAME). */
#pragma once

#include <inaetics/error.h>
#include <stddef.h>

#define ENVIRONMENT_VALUE_MAX (64u * 1024u)

typedef struct Environment Environment;

Environment *environment_new(void); /* NULL: out of memory */
/* Sets or replaces; the value is taken as it is. */
int environment_set(Environment *environment, const char *name, const char *value, InaError *error);
int environment_format(Environment *environment, const char *name, InaError *error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Takes NAME over from the process's own environment if it is there. */
int environment_inherit(Environment *environment, const char *name, InaError *error);
const char *environment_get(const Environment *environment, const char *name); /* NULL: not set */
/* With what is set so far; malloc'ed. */
int environment_expand(const Environment *environment, const char *text, char **ret, InaError *error);
/* For execve; lives as long as the environment and until it is changed. */
char **environment_list(Environment *environment);
Environment *environment_free(Environment *environment);
