/* configuration.h - where the configured values of components come from.
 *
 * In this order: changed at run time (kept in the cache, configuration.json),
 * the environment (CONFIG_<COMPONENT>_<KEY>, upper case, '-' and '.' become
 * '_'), what came with the set of bundles, the file <component>.json in the framework's configuration folder (one
 * object; strings, numbers, booleans), the component's default. A file is read
 * again when it has changed. */
#pragma once

#include "components.h"
#include <inaetics/error.h>
#include <jansson.h>

#define CONFIGURATION_FILE_MAX (256u * 1024u)
#define CONFIGURATION_VALUE_MAX 4096u /* bytes of one value */

typedef struct Configuration Configuration;

/* cache_folder: for values changed at run time. */
int configuration_new(Framework *framework, const char *cache_folder, Configuration **ret, InaError *error);
/* The framework's hook (internal.h). */
int configuration_lookup(Configuration *configuration, const char *component, const char *key, char **ret_value,
                         const char **ret_source, InaError *error);
/* Whether the files of a bundle's components name only keys they have. What the
 * environment says of keys they do not have is logged. */
int configuration_check(Configuration *configuration, const InaBundleTable *table, InaError *error);
/* For an update: remembers the values that a bundle's components have now. While
 * recalling, lookups for them are answered from there, whatever has become of
 * files and environment: the old version, should it come back, gets what it had. */
int configuration_hold(Configuration *configuration, const InaBundleTable *table, InaError *error);
void configuration_recall(Configuration *configuration, bool recalling);
void configuration_release(Configuration *configuration);
/* What comes with the set of bundles, {"component": {"key": value}} or NULL, is
 * exchanged (components are not told). -EINVAL: it is not of that form. `ret_old`: a reference; may be NULL. */
int configuration_deploy(Configuration *configuration, const json_t *values, json_t **ret_old, InaError *error);
/* Whether the components that are there have its keys and allow its values. */
int configuration_check_deployed(Configuration *configuration, InaError *error);
/* Gives each component whose part of it differs from `old` its values. */
int configuration_apply_deployed(Configuration *configuration, const json_t *old, InaError *error);
/* Sets a value at run time (NULL: as if it had never been set), applies it and
 * keeps it. On failure, also the component's, all is as before. `ret_pending`:
 * there is no such component now, the value is checked when it comes. */
int configuration_set(Configuration *configuration, const char *component, const char *key, const char *value,
                      bool *ret_pending, InaError *error);
Configuration *configuration_free(Configuration *configuration);
